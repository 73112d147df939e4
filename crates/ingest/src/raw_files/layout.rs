//! Where raw files lie, and what is in them.

use std::fmt::Write;
use std::time::Duration;

use arrow::array::timezone::Tz;
use arrow::temporal_conversions::timestamp_ms_to_datetime;

/// What a line of a raw file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The value, its line ends replaced by spaces, which means the same in JSON.
    #[default]
    JsonLines,
    /// The value as it came, and a line end.
    Bytes,
    /// The value in base64.
    Base64Lines,
}

/// Which time a path tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeOf {
    /// That of the record.
    #[default]
    Record,
    /// When it is written.
    Writing,
}

/// Where raw files lie, and what is in them.
#[derive(Clone, Debug)]
pub struct Layout {
    pub path: PathTemplate,
    pub time: TimeOf,
    /// Times are rounded down to a multiple of this, in the zone of the path.
    pub slot: Duration,
    /// Records of different times, rounded down, go to different files.
    pub split_by_time: bool,
    pub format: Format,
    pub gzip: bool,
    /// Most records of a file.
    pub records: Option<u64>,
}

impl Default for Layout {
    fn default() -> Self {
        let hour = PathPart::Time("%Y-%m-%d %H".to_owned());
        let text = |text: &str| PathPart::Text(text.to_owned());
        let parts = vec![
            text("raw/"),
            PathPart::Topic,
            text("/date="),
            hour,
            text(":00:00+00/"),
            PathPart::Partition(0),
            text("-"),
            PathPart::Offset(0),
            text(".jsonl.gz"),
        ];
        Self {
            path: PathTemplate { parts, zone: None },
            time: TimeOf::Record,
            slot: Duration::from_secs(3_600),
            split_by_time: false,
            format: Format::JsonLines,
            gzip: true,
            records: None,
        }
    }
}

impl Layout {
    /// The time that stands for this one, both in milliseconds since 1970.
    pub(super) fn slot(&self, time: i64) -> i64 {
        let length = i64::try_from(self.slot.as_millis()).unwrap_or(i64::MAX).max(1);
        let offset = self.path.zone_offset(time);
        let local = time.saturating_add(offset);
        local.div_euclid(length).saturating_mul(length).saturating_sub(offset)
    }
}

/// A path with places to fill in: `{topic}`, `{partition}` and `{offset}`, which is that of the first record (`{offset:10}` with
/// at least ten digits), and `{time:FORMAT}`, such as `{time:%Y/%m/%d}`.
#[derive(Clone, Debug)]
pub struct PathTemplate {
    parts: Vec<PathPart>,
    /// UTC where none is given.
    zone: Option<Tz>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PathPart {
    Text(String),
    Topic,
    Partition(usize),
    Offset(usize),
    Time(String),
}

/// Why a path is not one; a lower-case fragment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(String);

impl PathTemplate {
    /// `zone` is a name such as `Europe/Berlin`. A path that could be that of two files is an error.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self, PathError> {
        let zone =
            zone.map(|zone| zone.parse().map_err(|_| PathError(format!("`{zone}` is no time zone")))).transpose()?;
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                parts.push(PathPart::Text(before.to_owned()));
            }
            let (place, after) = after.split_once('}').ok_or_else(|| PathError("a `{` is never closed".to_owned()))?;
            parts.push(PathPart::parse(place)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(PathPart::Text(rest.to_owned()));
        }
        let steps = text.split('/').any(|step| step == ".." || step == "." || step.is_empty());
        if steps || text.starts_with('/') || text.chars().any(char::is_control) {
            return Err(PathError("a path has no empty steps, `.` or `..`, and begins with a name".to_owned()));
        }
        for (needed, name) in
            [(PathPart::Topic, "topic"), (PathPart::Partition(0), "partition"), (PathPart::Offset(0), "offset")]
        {
            if !parts.iter().any(|part| std::mem::discriminant(part) == std::mem::discriminant(&needed)) {
                return Err(PathError(format!("without `{{{name}}}` several files would have the same path")));
            }
        }
        Ok(Self { parts, zone })
    }

    /// Whether times are in it.
    pub fn has_time(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, PathPart::Time(_)))
    }

    pub(super) fn render(&self, topic: &str, partition: i32, offset: i64, time: i64) -> String {
        let mut path = String::new();
        for part in &self.parts {
            // Writing to a text does not fail.
            let written = match part {
                PathPart::Text(text) => path.write_str(text),
                PathPart::Topic => path.write_str(topic),
                PathPart::Partition(width) => write!(path, "{partition:0width$}"),
                PathPart::Offset(width) => write!(path, "{offset:0width$}"),
                PathPart::Time(format) => {
                    let at = timestamp_ms_to_datetime(time).unwrap_or_default().and_utc();
                    match self.zone {
                        Some(zone) => write!(path, "{}", at.with_timezone(&zone).format(format)),
                        None => write!(path, "{}", at.format(format)),
                    }
                }
            };
            written.unwrap_or_default();
        }
        path
    }

    /// What the zone is ahead of UTC at a time, in milliseconds.
    fn zone_offset(&self, time: i64) -> i64 {
        let Some(zone) = self.zone else { return 0 };
        let at = timestamp_ms_to_datetime(time).unwrap_or_default();
        let local = at.and_utc().with_timezone(&zone).naive_local();
        local.signed_duration_since(at).num_milliseconds()
    }
}

impl PathPart {
    fn parse(place: &str) -> Result<Self, PathError> {
        let (name, argument) = place.split_once(':').map_or((place, None), |(name, argument)| (name, Some(argument)));
        let width = || {
            let digits = argument.unwrap_or("0").parse::<usize>().ok().filter(|width| *width <= 20);
            digits.ok_or_else(|| PathError(format!("`{{{place}}}` does not say a number of digits")))
        };
        match (name, argument) {
            ("topic", None) => Ok(Self::Topic),
            ("partition", _) => Ok(Self::Partition(width()?)),
            ("offset", _) => Ok(Self::Offset(width()?)),
            ("time", Some(format)) if is_format(format) => Ok(Self::Time(format.to_owned())),
            ("time", _) => Err(PathError(format!("`{{{place}}}` has no format of a time such as `{{time:%Y-%m-%d}}`"))),
            _ => Err(PathError(format!("`{{{place}}}` is not one of topic, partition, offset and time"))),
        }
    }
}

/// Whether every part of a format is known, so that writing a time by it cannot fail.
fn is_format(format: &str) -> bool {
    let (mut rest, mut found) = (format.chars(), false);
    while let Some(character) = rest.next() {
        if character == '%' {
            if !matches!(
                rest.next(),
                Some('Y' | 'm' | 'd' | 'H' | 'M' | 'S' | 'j' | 'y' | 'b' | 'a' | 'I' | 'p' | 'G' | 'V' | '%')
            ) {
                return false;
            }
            found = true;
        }
    }
    found
}
