//! Regular expressions, with what dialects have besides finding: positions, occurrences, groups, replacements.
//!
//! Patterns are those of the `regex` crate, which are nearly those of RE2: there is no looking around and no back reference
//! within a pattern, and a pattern that has either is an error. Time is linear in the text, whatever the pattern.
//!
//! Flags are letters: `i` ignores case, `s` lets `.` match ends of lines, `m` and `n` let `^` and `$` match at them, `x` ignores
//! blanks, `u` takes letters of all of Unicode for parts of words.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_datafusion_err};
use regex::Regex;

use super::arguments::{Arguments, integer_at, text_at};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // (text, pattern, flags): whether the pattern is somewhere in the text.
    Function { name: "regex_contains", arity: (2, 3), returns: returns::boolean, body: contains },
    // (text, pattern, flags): whether the whole text is what the pattern says.
    Function { name: "regex_matches", arity: (2, 3), returns: returns::boolean, body: matches },
    // (text, pattern, group, position, occurrence, flags); a group of -1 is the first, or all where there is none.
    Function { name: "regex_extract", arity: (2, 6), returns: returns::text, body: extract },
    // As `regex_extract`, with an empty text where nothing was found.
    Function { name: "regex_extract_or_empty", arity: (2, 6), returns: returns::text, body: extract_or_empty },
    // (text, pattern, group, flags)
    Function { name: "regex_extract_all", arity: (2, 4), returns: returns::texts, body: extract_all },
    // (text, pattern, flags): the groups of the first match, or all of it where there is none.
    Function { name: "regex_groups", arity: (2, 3), returns: returns::texts, body: groups },
    // (text, pattern, replacement, position, occurrence, flags): groups are written as \1; occurrence 0 is all.
    Function { name: "regex_replace", arity: (3, 6), returns: returns::text, body: replace },
    // The same with groups written as $1.
    Function { name: "regex_replace_dollar", arity: (3, 6), returns: returns::text, body: replace_dollar },
    Function { name: "regex_count", arity: (2, 4), returns: returns::integer, body: count },
    // (text, pattern, position, occurrence, option, flags): where a match begins, or ends with option 1; 0 where there is none.
    Function { name: "regex_position", arity: (2, 6), returns: returns::integer, body: position },
    Function { name: "regex_split", arity: (2, 3), returns: returns::texts, body: split },
    // (text, pattern, number, flags): at most so many pieces; all of them when it is not above 0.
    Function { name: "regex_split_at_most", arity: (3, 4), returns: returns::texts, body: split_at_most },
    // (text, pattern, flags): the groups of each match, a list of lists.
    Function { name: "regex_groups_of_all", arity: (2, 3), returns: lists_of_texts, body: groups_of_all },
    Function { name: "regex_escaped", arity: (1, 1), returns: returns::text, body: escaped },
    // A pattern of SIMILAR TO.
    Function { name: "similar_to", arity: (2, 2), returns: returns::boolean, body: similar },
];

/// The last pattern compiled: nearly always there is one for the whole column.
struct Compiled {
    known: Option<(String, String, Regex)>,
    wrap: fn(&str, bool) -> String,
}

impl Compiled {
    fn plain() -> Self {
        Self { known: None, wrap: boundaries }
    }

    fn get(&mut self, pattern: &str, flags: &str) -> Result<&Regex> {
        let is_known = self.known.as_ref().is_some_and(|(text, with, _)| text == pattern && with == flags);
        if !is_known {
            let is_postgres = flags.contains('u');
            // PostgreSQL's `n`, in its flags or in front of the pattern: lines end a pattern's reach.
            let plain = pattern.strip_prefix("(?n)").filter(|_| is_postgres);
            let by_line = plain.is_some() || flags.contains('n');
            let mut switches: String = flags.chars().filter(|flag| matches!(flag, 'i' | 's' | 'm' | 'x')).collect();
            if by_line {
                switches.push('m');
            } else if is_postgres {
                switches.push('s');
            }
            let wrapped = (self.wrap)(plain.unwrap_or(pattern), is_postgres);
            let text = if switches.is_empty() { wrapped } else { format!("(?{switches}){wrapped}") };
            let regex = Regex::new(&text).map_err(|error| {
                exec_datafusion_err!("the regular expression `{pattern}` is not understood: {error}")
            })?;
            self.known = Some((pattern.to_owned(), flags.to_owned(), regex));
        }
        self.known.as_ref().map(|(_, _, regex)| regex).ok_or_else(|| exec_datafusion_err!("there is no pattern"))
    }
}

/// A pattern in the words of the `regex` crate: PostgreSQL's word boundaries are `\y`, `\m` and `\M`, and classes of letters are
/// ASCII's, but for those of words in a pattern that knows all of Unicode.
fn boundaries(pattern: &str, unicode: bool) -> String {
    if !pattern.contains('\\') {
        return pattern.to_owned();
    }
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('y') => out.push_str(r"\b"),
            Some('m') if unicode => out.push_str(r"\b{start}"),
            Some('M') if unicode => out.push_str(r"\b{end}"),
            Some('d') => out.push_str("[0-9]"),
            Some('D') => out.push_str("[^0-9]"),
            Some('w') if !unicode => out.push_str("[0-9A-Za-z_]"),
            Some('W') if !unicode => out.push_str("[^0-9A-Za-z_]"),
            Some('s') if !unicode => out.push_str(r"[\t\n\x0B\f\r ]"),
            Some('S') if !unicode => out.push_str(r"[^\t\n\x0B\f\r ]"),
            Some('b') if !unicode => out.push_str(r"(?-u:\b)"),
            // The end of the text, or of the line before it.
            Some('Z') => out.push_str(r"\n?\z"),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

fn whole(pattern: &str, unicode: bool) -> String {
    format!("^(?:{})$", boundaries(pattern, unicode))
}

/// `%` and `_` are wildcards, the rest is a regular expression for the whole text.
fn from_similar(pattern: &str, _: bool) -> String {
    let mut out = String::from("(?s)^(?:");
    let mut in_class = false;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' if !in_class => out.push_str(".*"),
            '_' if !in_class => out.push('.'),
            '.' | '^' | '$' if !in_class => out.extend(['\\', character]),
            '\\' => {
                out.push('\\');
                out.extend(characters.next());
            }
            other => {
                in_class = match other {
                    '[' => true,
                    ']' => false,
                    _ => in_class,
                };
                out.push(other);
            }
        }
    }
    out.push_str(")$");
    out
}

/// Rows of text, pattern and flags.
struct Rows {
    texts: arrow::array::StringArray,
    patterns: arrow::array::StringArray,
    flags: Option<arrow::array::StringArray>,
    compiled: Compiled,
}

impl Rows {
    fn new(arguments: &Arguments, flags: usize, wrap: fn(&str, bool) -> String) -> Result<Self> {
        let compiled = Compiled { wrap, ..Compiled::plain() };
        let (texts, patterns) = (arguments.text(0)?, arguments.text(1)?);
        Ok(Self { texts, patterns, flags: arguments.optional_text(flags)?, compiled })
    }

    /// Text and pattern of a row; none where one of them is NULL.
    fn get(&mut self, row: usize) -> Result<Option<(&str, &Regex)>> {
        let flags = self.flags.as_ref().and_then(|flags| text_at(flags, row)).unwrap_or_default();
        match (text_at(&self.texts, row), text_at(&self.patterns, row)) {
            (Some(text), Some(pattern)) => Ok(Some((text, self.compiled.get(pattern, flags)?))),
            _ => Ok(None),
        }
    }
}

fn tested(arguments: &Arguments, wrap: fn(&str, bool) -> String) -> Result<ArrayRef> {
    let mut rows = Rows::new(arguments, 2, wrap)?;
    let mut found = BooleanArray::builder(arguments.rows);
    for row in 0..arguments.rows {
        found.append_option(rows.get(row)?.map(|(text, regex)| regex.is_match(text)));
    }
    Ok(Arc::new(found.finish()))
}

fn contains(arguments: &Arguments) -> Result<ArrayRef> {
    tested(arguments, boundaries)
}

fn matches(arguments: &Arguments) -> Result<ArrayRef> {
    tested(arguments, whole)
}

fn similar(arguments: &Arguments) -> Result<ArrayRef> {
    tested(arguments, from_similar)
}

/// The byte a character's position, counted from 1, begins at.
fn byte_of(text: &str, position: i64) -> Option<usize> {
    let skipped = usize::try_from(position.max(1) - 1).ok()?;
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(skipped)
}

/// Which group is meant: the first, or the whole match where there is none, for -1.
fn group_of(regex: &Regex, group: i64) -> Option<usize> {
    match usize::try_from(group) {
        Ok(group) => (group < regex.captures_len()).then_some(group),
        Err(_) => Some(usize::from(regex.captures_len() > 1)),
    }
}

fn extracted(arguments: &Arguments, missing: Option<&str>) -> Result<ArrayRef> {
    let mut rows = Rows::new(arguments, 5, boundaries)?;
    let groups = arguments.optional_integer(2)?;
    let positions = arguments.optional_integer(3)?;
    let occurrences = arguments.optional_integer(4)?;
    let mut found = StringBuilder::new();
    for row in 0..arguments.rows {
        let Some((text, regex)) = rows.get(row)? else {
            found.append_null();
            continue;
        };
        let number = |column: &Option<Int64Array>, default: i64| match column {
            Some(column) => integer_at(column, row),
            None => Some(default),
        };
        let (group, position, occurrence) = (number(&groups, 0), number(&positions, 1), number(&occurrences, 1));
        let (Some(group), Some(position), Some(occurrence)) = (group, position, occurrence) else {
            found.append_null();
            continue;
        };
        let piece = || {
            let from = byte_of(text, position)?;
            let nth = usize::try_from(occurrence.max(1) - 1).ok()?;
            let group = group_of(regex, group)?;
            let captures = regex.captures_iter(text.get(from..)?).nth(nth)?;
            captures.get(group).map(|piece| piece.as_str())
        };
        found.append_option(piece().or(missing));
    }
    Ok(Arc::new(found.finish()))
}

fn extract(arguments: &Arguments) -> Result<ArrayRef> {
    extracted(arguments, None)
}

fn extract_or_empty(arguments: &Arguments) -> Result<ArrayRef> {
    extracted(arguments, Some(""))
}

/// A list of texts for each row.
fn lists<'a>(
    rows: &mut Rows,
    count: usize,
    list: impl Fn(usize, &str, &Regex) -> Option<Vec<Option<String>>> + 'a,
) -> Result<ArrayRef> {
    let mut found = ListBuilder::new(StringBuilder::new());
    for row in 0..count {
        let texts = rows.get(row)?.and_then(|(text, regex)| list(row, text, regex));
        match texts {
            Some(texts) => {
                for text in texts {
                    found.values().append_option(text);
                }
                found.append(true);
            }
            None => found.append(false),
        }
    }
    Ok(Arc::new(found.finish()))
}

fn extract_all(arguments: &Arguments) -> Result<ArrayRef> {
    let wanted = arguments.optional_integer(2)?;
    lists(&mut Rows::new(arguments, 3, boundaries)?, arguments.rows, |row, text, regex| {
        let group = wanted.as_ref().map_or(Some(-1), |wanted| integer_at(wanted, row))?;
        let group = group_of(regex, group)?;
        let piece = |captures: regex::Captures<'_>| captures.get(group).map(|piece| piece.as_str().to_owned());
        Some(regex.captures_iter(text).map(piece).collect())
    })
}

fn groups(arguments: &Arguments) -> Result<ArrayRef> {
    lists(&mut Rows::new(arguments, 2, boundaries)?, arguments.rows, |_, text, regex| {
        let captures = regex.captures(text)?;
        let first = usize::from(regex.captures_len() > 1);
        let pieces = captures.iter().skip(first).map(|piece| piece.map(|piece| piece.as_str().to_owned()));
        Some(pieces.collect())
    })
}

fn split(arguments: &Arguments) -> Result<ArrayRef> {
    lists(&mut Rows::new(arguments, 2, boundaries)?, arguments.rows, |_, text, regex| {
        Some(regex.split(text).map(|piece| Some(piece.to_owned())).collect())
    })
}

fn split_at_most(arguments: &Arguments) -> Result<ArrayRef> {
    let most = arguments.integer(2)?;
    lists(&mut Rows::new(arguments, 3, boundaries)?, arguments.rows, |row, text, regex| {
        let pieces: Vec<&str> = match usize::try_from(integer_at(&most, row)?) {
            Ok(most) if most > 0 => regex.splitn(text, most).collect(),
            _ => regex.split(text).collect(),
        };
        Some(pieces.into_iter().map(|piece| Some(piece.to_owned())).collect())
    })
}

fn lists_of_texts(types: &[DataType]) -> Result<DataType> {
    Ok(DataType::List(Field::new_list_field(returns::texts(types)?, true).into()))
}

fn groups_of_all(arguments: &Arguments) -> Result<ArrayRef> {
    let mut rows = Rows::new(arguments, 2, boundaries)?;
    let mut found = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
    for row in 0..arguments.rows {
        let Some((text, regex)) = rows.get(row)? else {
            found.append(false);
            continue;
        };
        let first = usize::from(regex.captures_len() > 1);
        for captures in regex.captures_iter(text) {
            for piece in captures.iter().skip(first) {
                found.values().values().append_option(piece.map(|piece| piece.as_str()));
            }
            found.values().append(true);
        }
        found.append(true);
    }
    Ok(Arc::new(found.finish()))
}

fn escaped(arguments: &Arguments) -> Result<ArrayRef> {
    let texts = arguments.text(0)?;
    Ok(Arc::new(texts.iter().map(|text| text.map(regex::escape)).collect::<arrow::array::StringArray>()))
}

/// A replacement in the words of the `regex` crate: `mark` before a digit names a group, before itself it is itself.
fn replacement(text: &str, mark: char) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        // Java's way to write the mark itself.
        if mark == '$'
            && character == '\\'
            && let Some(next) = characters.next()
        {
            out.push_str(if next == '$' { "$$" } else { "" });
            if next != '$' {
                out.push(next);
            }
            continue;
        }
        if character == mark {
            match characters.peek() {
                Some(digit) if digit.is_ascii_digit() => {
                    out.push_str(&format!("${{{digit}}}"));
                    characters.next();
                    continue;
                }
                Some(next) if *next == mark => {
                    characters.next();
                }
                // PostgreSQL's name of the whole match.
                Some('&') if mark == '\\' => {
                    out.push_str("${0}");
                    characters.next();
                    continue;
                }
                _ => {}
            }
        }
        if character == '$' { out.push_str("$$") } else { out.push(character) }
    }
    out
}

fn replaced(arguments: &Arguments, mark: char) -> Result<ArrayRef> {
    let mut rows = Rows::new(arguments, 5, boundaries)?;
    let given = arguments.text(2)?;
    let positions = arguments.optional_integer(3)?;
    let occurrences = arguments.optional_integer(4)?;
    let mut last: Option<(String, String)> = None;
    let mut found = StringBuilder::new();
    for row in 0..arguments.rows {
        let (Some((text, regex)), Some(wanted)) = (rows.get(row)?, text_at(&given, row)) else {
            found.append_null();
            continue;
        };
        if last.as_ref().is_none_or(|(known, _)| known != wanted) {
            last = Some((wanted.to_owned(), replacement(wanted, mark)));
        }
        let template = last.as_ref().map(|(_, template)| template.as_str()).unwrap_or_default();
        let position = positions.as_ref().and_then(|column| integer_at(column, row)).unwrap_or(1);
        let occurrence = occurrences.as_ref().and_then(|column| integer_at(column, row)).unwrap_or(0);
        let Some((before, rest)) = byte_of(text, position).and_then(|from| text.split_at_checked(from)) else {
            found.append_value(text);
            continue;
        };
        let rest = match usize::try_from(occurrence) {
            Ok(0) | Err(_) => regex.replace_all(rest, template),
            Ok(nth) => replace_nth(regex, rest, template, nth),
        };
        found.append_value(format!("{before}{rest}"));
    }
    Ok(Arc::new(found.finish()))
}

fn replace_nth<'t>(regex: &Regex, text: &'t str, template: &str, nth: usize) -> std::borrow::Cow<'t, str> {
    let Some(captures) = regex.captures_iter(text).nth(nth - 1) else { return text.into() };
    let Some(whole) = captures.get(0) else { return text.into() };
    let mut out = text.get(..whole.start()).unwrap_or_default().to_owned();
    captures.expand(template, &mut out);
    out.push_str(text.get(whole.end()..).unwrap_or_default());
    out.into()
}

fn replace(arguments: &Arguments) -> Result<ArrayRef> {
    replaced(arguments, '\\')
}

fn replace_dollar(arguments: &Arguments) -> Result<ArrayRef> {
    replaced(arguments, '$')
}

fn count(arguments: &Arguments) -> Result<ArrayRef> {
    let mut rows = Rows::new(arguments, 3, boundaries)?;
    let positions = arguments.optional_integer(2)?;
    let mut found = Int64Array::builder(arguments.rows);
    for row in 0..arguments.rows {
        let position = positions.as_ref().and_then(|column| integer_at(column, row)).unwrap_or(1);
        found.append_option(rows.get(row)?.map(|(text, regex)| {
            let rest = byte_of(text, position).and_then(|from| text.get(from..)).unwrap_or_default();
            i64::try_from(regex.find_iter(rest).count()).unwrap_or(i64::MAX)
        }));
    }
    Ok(Arc::new(found.finish()))
}

fn position(arguments: &Arguments) -> Result<ArrayRef> {
    let mut rows = Rows::new(arguments, 5, boundaries)?;
    let columns = [arguments.optional_integer(2)?, arguments.optional_integer(3)?, arguments.optional_integer(4)?];
    let mut found = Int64Array::builder(arguments.rows);
    for row in 0..arguments.rows {
        let mut numbers = [1, 1, 0];
        for (number, column) in numbers.iter_mut().zip(&columns) {
            *number = column.as_ref().and_then(|column| integer_at(column, row)).unwrap_or(*number);
        }
        let [position, occurrence, option] = numbers;
        found.append_option(rows.get(row)?.map(|(text, regex)| {
            let place = || {
                let from = byte_of(text, position)?;
                let nth = usize::try_from(occurrence.max(1) - 1).ok()?;
                let whole = regex.find_iter(text.get(from..)?).nth(nth)?;
                let at = from + if option == 1 { whole.end() } else { whole.start() };
                i64::try_from(text.get(..at)?.chars().count() + 1).ok()
            };
            place().unwrap_or(0)
        }));
    }
    Ok(Arc::new(found.finish()))
}
