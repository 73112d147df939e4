//! Patterns of dates and times, from the words of a dialect to those of `functions/patterns.rs`.

use super::Dialect;
use super::template::Problem;

/// The pattern a dialect's pattern is.
pub(super) fn strftime(dialect: Dialect, pattern: &str) -> Result<String, Problem> {
    let translated = match dialect {
        Dialect::BigQuery | Dialect::DuckDb => percent(dialect, pattern),
        Dialect::Postgres | Dialect::Redshift => words(pattern, POSTGRES),
        Dialect::Snowflake => words(pattern, SNOWFLAKE),
        Dialect::Spark => letters(pattern),
    };
    let translated = translated.and_then(|translated| {
        let is_pattern = translated.contains('%') || !pattern.contains(['9', '0', '#']);
        if is_pattern { Ok(translated) } else { Err(pattern.to_owned()) }
    });
    translated.map_err(|part| {
        (
            format!("`{part}` in the pattern `{pattern}` of a date or time"),
            String::from("docs/dialects.md lists what patterns may hold."),
        )
    })
}

/// Directives that begin with a percent sign: nearly all are ours too.
fn percent(dialect: Dialect, pattern: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let known: &[(&str, &str)] = match dialect {
            Dialect::BigQuery => &[
                ("E4Y", "%Y"),
                ("E*S", "%S%.f"),
                ("E*z", "%:z"),
                ("Ez", "%:z"),
                ("E3S", "%S%.3f"),
                ("E6S", "%S%.6f"),
                ("E1S", "%S%.3f"),
                ("Q", "%q"),
                ("h", "%b"),
            ],
            _ => &[
                ("f", "%6f"),
                ("g", "%3f"),
                ("n", "%9f"),
                ("-d", "%-d"),
                ("-m", "%-m"),
                ("-H", "%-H"),
                ("-I", "%-I"),
                ("-j", "%-j"),
            ],
        };
        if let Some((word, meaning)) = known.iter().find(|(word, _)| after.starts_with(word)) {
            out.push_str(meaning);
            rest = after.get(word.len()..).unwrap_or_default();
            continue;
        }
        let Some(letter) = after.chars().next() else { return Err(String::from("%")) };
        if !"YyCGgmbBhdejaAuwUWVHIklMSpPzZsDFTRrcxXnt%".contains(letter) {
            return Err(format!("%{letter}"));
        }
        out.extend(['%', letter]);
        rest = after.get(letter.len_utf8()..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

/// Words of PostgreSQL, the longer before the shorter they begin with. `^` and `#` are set by how a word is written, `9` is
/// taken away by FM.
const POSTGRES: &[(&str, &str)] = &[
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("SSSS", ""),
    ("SS", "%S"),
    ("MS", "%3f"),
    ("US", "%6f"),
    ("FF1", ""),
    ("FF3", "%3f"),
    ("FF6", "%6f"),
    ("A.M.", ""),
    ("P.M.", ""),
    ("AM", "%p"),
    ("PM", "%p"),
    ("Y,YYY", ""),
    ("YYYY", "%Y"),
    ("YYY", ""),
    ("YY", "%y"),
    ("IYYY", "%G"),
    ("IYY", ""),
    ("IY", "%g"),
    ("IDDD", ""),
    ("ID", "%u"),
    ("IW", "%V"),
    ("MONTH", "%9B"),
    ("MON", "%b"),
    ("MM", "%m"),
    ("DAY", "%9A"),
    ("DY", "%a"),
    ("DDD", "%j"),
    ("DD", "%d"),
    ("D", ""),
    ("WW", ""),
    ("W", ""),
    ("CC", ""),
    ("J", ""),
    ("Q", "%q"),
    ("RM", ""),
    ("TZH:TZM", "%:z"),
    ("TZ", "%Z"),
    ("OF", "%:z"),
    ("Y", ""),
    ("I", ""),
];

const SNOWFLAKE: &[(&str, &str)] = &[
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("HH", "%H"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("FF0", ""),
    ("FF3", "%3f"),
    ("FF6", "%6f"),
    ("FF9", "%9f"),
    ("FF", "%9f"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("YYYY", "%Y"),
    ("UUUU", "%Y"),
    ("YY", "%y"),
    ("MMMM", "%B"),
    ("MON", "%b"),
    ("MM", "%m"),
    ("DY", "%a"),
    ("DD", "%d"),
    ("TZH:TZM", "%:z"),
    ("TZHTZM", "%z"),
    ("TZH", ""),
    ("TZM", ""),
];

/// Patterns made of words; all else stands for itself.
fn words(pattern: &str, table: &[(&str, &str)]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = pattern;
    let mut fills = true;
    while let Some(character) = rest.chars().next() {
        if let Some((quoted, after)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
            out.push_str(&quoted.replace('%', "%%"));
            rest = after;
            continue;
        }
        let upper = rest.get(..rest.len().min(8)).unwrap_or(rest).to_uppercase();
        if table.len() == POSTGRES.len() && upper.starts_with("FM") {
            fills = false;
            rest = rest.get(2..).unwrap_or_default();
            continue;
        }
        let Some((word, meaning)) = table.iter().find(|(word, _)| upper.starts_with(word)) else {
            out.push_str(if character == '%' { "%%" } else { rest.get(..character.len_utf8()).unwrap_or_default() });
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
            continue;
        };
        let (given, after) = rest.split_at(word.len());
        if meaning.is_empty() || (is_ordinal(after) && table.len() == POSTGRES.len()) {
            return Err(given.to_owned());
        }
        out.push_str(&dressed(given, meaning, fills, table.len() == POSTGRES.len()));
        fills = true;
        rest = after;
    }
    Ok(out)
}

/// The ending of an ordinal: `DDth`.
fn is_ordinal(after: &str) -> bool {
    let next: String = after.chars().take(2).collect();
    next == "th" || next == "TH"
}

/// A directive in the case its word was written in, and as wide as it has to be.
fn dressed(given: &str, meaning: &str, fills: bool, is_postgres: bool) -> String {
    let is_name = matches!(meaning, "%9B" | "%b" | "%9A" | "%a" | "%B");
    let mut flags = String::new();
    let mut letter = meaning.trim_start_matches('%').trim_start_matches('9').to_owned();
    let is_lower = given.chars().all(|character| !character.is_uppercase());
    let is_upper = given.chars().all(|character| !character.is_lowercase());
    if letter == "p" && is_lower {
        letter = String::from("P");
    } else if is_name && is_postgres {
        flags.push_str(if is_upper {
            "^"
        } else if is_lower {
            "#"
        } else {
            ""
        });
    }
    if !is_name && !fills && matches!(letter.as_str(), "m" | "d" | "H" | "I" | "M" | "S" | "j") {
        flags.push('-');
    }
    if meaning.starts_with("%9") && fills && is_name {
        flags.push('9');
    }
    if meaning == "%9f" {
        letter = String::from("9f");
    }
    format!("%{flags}{letter}")
}

/// Java's letters, as Spark has them: how often one is repeated says how it is written.
fn letters(pattern: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut characters = pattern.chars().peekable();
    while let Some(letter) = characters.next() {
        if letter == '\'' {
            if characters.next_if_eq(&'\'').is_some() {
                out.push('\'');
                continue;
            }
            for quoted in characters.by_ref().take_while(|quoted| *quoted != '\'') {
                if quoted == '%' { out.push_str("%%") } else { out.push(quoted) }
            }
            continue;
        }
        if !letter.is_ascii_alphabetic() {
            if letter == '%' {
                out.push_str("%%");
            } else {
                out.push(letter);
            }
            continue;
        }
        let mut count = 1;
        while characters.next_if_eq(&letter).is_some() {
            count += 1;
        }
        let meaning = match (letter, count) {
            ('y' | 'u', 2) => "%y",
            ('y' | 'u', 1 | 3..) => "%Y",
            ('M' | 'L', 1) => "%-m",
            ('M' | 'L', 2) => "%m",
            ('M' | 'L', 3) => "%b",
            ('M' | 'L', _) => "%B",
            ('d', 1) => "%-d",
            ('d', _) => "%d",
            ('D', 1) => "%-j",
            ('D', 3) => "%j",
            ('E', 1..=3) => "%a",
            ('E', _) => "%A",
            ('H', 1) => "%-H",
            ('H', _) => "%H",
            ('h', 1) => "%-I",
            ('h', _) => "%I",
            ('m', 1) => "%-M",
            ('m', _) => "%M",
            ('s', 1) => "%-S",
            ('s', _) => "%S",
            ('S', 3) => "%3f",
            ('S', 6) => "%6f",
            ('S', 9) => "%9f",
            ('a', _) => "%p",
            ('Q' | 'q', 1) => "%q",
            ('Q' | 'q', 2) => "0%q",
            ('X' | 'x', 3) => "%:z",
            ('Z' | 'x', 1..=3) => "%z",
            ('z' | 'V', _) => "%Z",
            _ => return Err(letter.to_string().repeat(count)),
        };
        out.push_str(meaning);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialect: Dialect, pattern: &str, expected: &str) {
        assert_eq!(strftime(dialect, pattern).unwrap(), expected, "{pattern}");
    }

    #[test]
    fn patterns_of_every_dialect_become_ours() {
        check(Dialect::BigQuery, "%Y-%m-%dT%E*S", "%Y-%m-%dT%S%.f");
        check(Dialect::BigQuery, "%b %Q", "%b %q");
        check(Dialect::DuckDb, "%d/%m/%Y %f", "%d/%m/%Y %6f");
        check(Dialect::Postgres, "YYYY-MM-DD HH24:MI:SS", "%Y-%m-%d %H:%M:%S");
        check(Dialect::Postgres, "FMMonth DD, YYYY", "%B %d, %Y");
        check(Dialect::Postgres, "MONTH Mon day", "%^9B %b %#9A");
        check(Dialect::Postgres, "HH12:MI am", "%I:%M %P");
        check(Dialect::Snowflake, "YYYY-MM-DD\"T\"HH24:MI:SS.FF3", "%Y-%m-%dT%H:%M:%S.%3f");
        check(Dialect::Snowflake, "mon dd", "%b %d");
        check(Dialect::Spark, "yyyy-MM-dd'T'HH:mm:ss.SSS", "%Y-%m-%dT%H:%M:%S.%3f");
        check(Dialect::Spark, "d MMM yy", "%-d %b %y");
    }

    #[test]
    fn words_without_a_meaning_here_are_refused() {
        for (dialect, pattern) in
            [(Dialect::Postgres, "DDth"), (Dialect::Postgres, "RM"), (Dialect::Spark, "W"), (Dialect::BigQuery, "%O")]
        {
            assert!(strftime(dialect, pattern).is_err(), "{pattern}");
        }
    }
}
