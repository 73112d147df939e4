//! File patterns, as regular expressions: matching takes time linear in the path, whatever the pattern.

use headwater_project::Failure;
use regex::Regex;

#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    /// `*` and `?` stay within a folder, `**` does not, `{a,b}` is one of several.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let mut expression = String::from("^");
        let mut characters = pattern.chars().peekable();
        let mut depth = 0_u32;
        while let Some(character) = characters.next() {
            match character {
                '*' if characters.next_if_eq(&'*').is_some() => {
                    // `**/` also stands for no folder at all.
                    let folders = characters.next_if_eq(&'/').is_some();
                    expression.push_str(if folders { "(?:.*/)?" } else { ".*" });
                }
                '*' => expression.push_str("[^/]*"),
                '?' => expression.push_str("[^/]"),
                '{' => {
                    depth += 1;
                    expression.push_str("(?:");
                }
                '}' if depth > 0 => {
                    depth -= 1;
                    expression.push(')');
                }
                ',' if depth > 0 => expression.push('|'),
                other => expression.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
            }
        }
        if depth > 0 {
            return Err("A `{` is never closed.".to_owned());
        }
        expression.push('$');
        let regex = regex::RegexBuilder::new(&expression).dot_matches_new_line(true).build();
        regex.map(Self).map_err(|error| error.to_string())
    }

    /// Patterns of a configuration that was not checked.
    pub(crate) fn all(patterns: &[String]) -> Result<Vec<Self>, Failure> {
        let mut all = Vec::new();
        for pattern in patterns {
            let invalid = |problem| Failure::user(format!("invalid file pattern `{pattern}`")).with_detail(problem);
            all.push(Self::new(pattern).map_err(invalid)?);
        }
        Ok(all)
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}
