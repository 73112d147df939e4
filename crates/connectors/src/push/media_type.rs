//! `Content-Type`: what a body is, and its parameters.

#[derive(Debug, PartialEq, Eq)]
pub(super) struct MediaType {
    /// Such as `text/csv`, in lower case.
    pub(super) kind: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    pub(super) fn read(text: &str) -> Self {
        let mut parts = parts(text).into_iter();
        let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let parameter = |part: String| {
            let (name, value) = part.split_once('=')?;
            Some((name.trim().to_ascii_lowercase(), value.trim_matches(' ').to_owned()))
        };
        Self { kind, parameters: parts.filter_map(parameter).collect() }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What semicolons divide, save those in quotes; without the quotes.
fn parts(text: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for character in text.chars() {
        match character {
            _ if escaped => {
                part.push(character);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => parts.push(std::mem::take(&mut part)),
            _ => part.push(character),
        }
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, kind: &str, delimiter: Option<&str>) {
        let found = MediaType::read(text);
        assert_eq!((found.kind.as_str(), found.parameter("delimiter")), (kind, delimiter), "{text}");
    }

    #[test]
    fn parameters_are_read_with_and_without_quotes() {
        check("", "", None);
        check("Text/CSV", "text/csv", None);
        check("text/csv; charset=utf-8; Delimiter=|", "text/csv", Some("|"));
        check("text/csv; delimiter=\";\"; header=present", "text/csv", Some(";"));
        check("text/csv; delimiter=\"\t\"", "text/csv", Some("\t"));
        check("text/csv; delimiter=\"\\\"\"", "text/csv", Some("\""));
        // Nobody means nothing by it.
        check("text/csv; delimiter=;", "text/csv", Some(""));
    }
}
