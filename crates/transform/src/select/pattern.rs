//! Patterns of names and paths.

use std::path::Path;

/// Unix-shell patterns: `*`, `?` and `[abc]`.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    if !pattern.contains(['*', '?', '[']) {
        return pattern == text;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    glob_from(&pattern, &text)
}

fn glob_from(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut place) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while place < text.len() {
        let matched = match pattern.get(at) {
            Some('*') => {
                retry = Some((at, place));
                at += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(pattern.get(at..).unwrap_or_default(), text.get(place).copied().unwrap_or_default()),
            Some(character) if text.get(place) == Some(character) => Some(1),
            _ => None,
        };
        match (matched, retry) {
            (Some(width), _) => {
                at += width;
                place += 1;
            }
            (None, Some((star, tried))) => {
                retry = Some((star, tried + 1));
                at = star + 1;
                place = tried + 1;
            }
            (None, None) => return false,
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|character| *character == '*')
}

/// The width of a bracketed class if the character is in it.
fn class(pattern: &[char], character: char) -> Option<usize> {
    let end = pattern.iter().position(|each| *each == ']')?;
    let inside = pattern.get(1..end)?;
    let (negated, inside) = match inside.split_first() {
        Some(('!', rest)) => (true, rest),
        _ => (false, inside),
    };
    (inside.contains(&character) != negated).then_some(end + 1)
}

/// A pattern of a path part by part: `**` stands for any number of folders, everything else stays within one.
pub(super) fn glob_path(pattern: &str, path: &Path) -> bool {
    let pattern: Vec<&str> = pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let path: Vec<String> = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    parts_match(&pattern, &path)
}

fn parts_match(pattern: &[&str], path: &[String]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), None) => parts_match(rest, path),
        (Some((&"**", rest)), Some((_, below))) => parts_match(rest, path) || parts_match(pattern, below),
        (Some((first, rest)), Some((part, below))) => glob(first, part) && parts_match(rest, below),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_its_folder() {
        for (pattern, path, expected) in [
            ("models", "models", true),
            ("models/*", "models/a.sql", true),
            ("models/*.sql", "models/deep/b.sql", false),
            ("models/**/*.sql", "models/deep/b.sql", true),
            ("models/**/*.sql", "models/b.sql", true),
            ("./models/d??p/", "models/deep", true),
            ("models/[ab].sql", "models/c.sql", false),
        ] {
            assert_eq!(glob_path(pattern, Path::new(path)), expected, "{pattern} {path}");
        }
    }
}
