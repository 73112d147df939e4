//! Versions of packages, and ranges of them: `1.2.0`, `>=1.0.0`, `<2.0.0`.

use std::cmp::Ordering;

/// Numbers, and what stands behind a dash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    numbers: [u64; 3],
    prerelease: Option<String>,
}

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let text = text.split('+').next().unwrap_or(text);
        let (numbers, prerelease) =
            text.split_once('-').map_or((text, None), |(numbers, rest)| (numbers, Some(rest.to_owned())));
        let mut parts = numbers.split('.');
        let mut number = || parts.next().map_or(Some(0), |part| part.parse().ok());
        let numbers = [number()?, number()?, number()?];
        parts.next().is_none().then_some(Self { numbers, prerelease })
    }

    pub(super) fn is_prerelease(&self) -> bool {
        self.prerelease.is_some()
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let before_release = match (&self.prerelease, &other.prerelease) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) => one.cmp(other),
        };
        self.numbers.cmp(&other.numbers).then(before_release)
    }
}

/// Whether a version meets a condition; several may stand behind commas.
pub(super) fn meets(version: &Version, condition: &str) -> bool {
    condition.split(',').map(str::trim).filter(|part| !part.is_empty()).all(|part| meets_one(version, part))
}

fn meets_one(version: &Version, condition: &str) -> bool {
    let signs: [(&str, &[Ordering]); 5] = [
        (">=", &[Ordering::Greater, Ordering::Equal]),
        ("<=", &[Ordering::Less, Ordering::Equal]),
        (">", &[Ordering::Greater]),
        ("<", &[Ordering::Less]),
        ("=", &[Ordering::Equal]),
    ];
    for (sign, allowed) in signs {
        if let Some(bound) = condition.strip_prefix(sign) {
            let bound = Version::parse(bound.trim_start_matches('='));
            return bound.is_some_and(|bound| allowed.contains(&version.cmp(&bound)));
        }
    }
    Version::parse(condition).is_some_and(|wanted| *version == wanted)
}

/// The newest of the versions that meets all conditions. Those before a release only count when one is asked for.
pub(super) fn newest<'a>(
    versions: impl Iterator<Item = &'a str>,
    conditions: &[String],
    prerelease: bool,
) -> Option<&'a str> {
    let named = |text: &str| conditions.iter().any(|condition| condition.trim_start_matches('=') == text);
    let known = versions.filter_map(|text| Some((Version::parse(text)?, text)));
    let fits = known
        .filter(|(version, text)| prerelease || !version.is_prerelease() || named(text))
        .filter(|(version, _)| conditions.iter().all(|condition| meets(version, condition)));
    fits.max_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_fits_is_taken() {
        let known = ["0.9.0", "1.0.0", "1.0.1", "1.1.0-rc1", "1.10.0", "1.9.9", "2.0.0-beta", "2.0.0"];
        for (conditions, prerelease, expected) in [
            (&["1.0.0"][..], false, Some("1.0.0")),
            (&["=1.0.0"], false, Some("1.0.0")),
            (&[">=1.0.0", "<2.0.0"], false, Some("1.10.0")),
            (&[">=1.0.0,<1.10.0"], false, Some("1.9.9")),
            (&["<=1.1.0"], true, Some("1.1.0-rc1")),
            (&["1.1.0-rc1"], false, Some("1.1.0-rc1")),
            (&[">2.0.0"], false, None),
            (&["2.0"], false, Some("2.0.0")),
        ] {
            let conditions: Vec<String> = conditions.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(newest(known.into_iter(), &conditions, prerelease), expected, "{conditions:?}");
        }
    }
}
