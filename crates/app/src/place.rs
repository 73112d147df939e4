//! Finding in a model's file what an error points to in the SQL that was made of it.

use headwater_project::{Failure, Files, Position};
use headwater_transform::Node;

/// The failure of a node's SQL, with the place in the node's file: the very word where it can be found there.
pub(crate) fn located(files: &Files, node: &Node, sql: &str, mut failure: Failure) -> Failure {
    let found = failure.position.take().and_then(|position| in_template(&node.raw_code, sql, position));
    let place = match (found, node.span) {
        (Some(Position { line, column }), _) => format!("{}:{line}:{column}", node.path.display()),
        (None, Some(span)) => files.locate(span),
        (None, None) => node.path.display().to_string(),
    };
    let detail = failure.detail.take().map_or_else(String::new, |detail| format!("{detail}. "));
    failure.detail = Some(format!("{detail}In {place}; the SQL that ran is in .headwater/target/compiled."));
    failure
}

/// Where the word at a place of `sql` is in the template: the only one there, or the one on a line that reads the same, or
/// the first.
fn in_template(template: &str, sql: &str, position: Position) -> Option<Position> {
    let index = |number: u32| usize::try_from(number.saturating_sub(1)).ok();
    let line = sql.lines().nth(index(position.line)?)?;
    let word = word_at(line, index(position.column)?)?;
    let places = || {
        template.lines().enumerate().flat_map(|(number, text)| {
            words(text)
                .filter(move |(_, other)| other.eq_ignore_ascii_case(word))
                .map(move |(column, _)| (number, column, text))
        })
    };
    let found = places().find(|(.., text)| text.trim() == line.trim()).or_else(|| places().next());
    let counted = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
    found.map(|(line, column, _)| Position { line: counted(line), column: counted(column) })
}

/// The word at a column; of a name with dots the last, which is the column's.
fn word_at(line: &str, column: usize) -> Option<&str> {
    let from = words(line).skip_while(|(start, word)| start + word.chars().count() <= column);
    let mut end: Option<(usize, &str)> = None;
    for (start, word) in from {
        let is_next = |(end, _): (usize, &str)| {
            let between: String = line.chars().skip(end).take(start - end).collect();
            between.trim_matches(['"', '`']) == "."
        };
        if !end.is_none_or(is_next) {
            break;
        }
        end = Some((start + word.chars().count(), word));
    }
    end.map(|(_, word)| word)
}

/// Words of a line with the column each begins at, counted from 0 in characters.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    let mut column = 0;
    line.split_inclusive(move |character| !is_part(character)).filter_map(move |piece| {
        let start = column;
        column += piece.chars().count();
        let word = piece.trim_end_matches(move |character| !is_part(character));
        (!word.is_empty()).then_some((start, word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_of_the_compiled_sql_is_found_in_the_template() {
        let check = |template: &str, sql: &str, (line, column): (u32, u32), expected: Option<(u32, u32)>| {
            let found = in_template(template, sql, Position { line, column });
            assert_eq!(found.map(|place| (place.line, place.column)), expected, "{template}");
        };
        check(
            "{{ config() }}\nselect amout from {{ ref('a') }}",
            "\nselect amout from \"main\".\"a\"",
            (2, 8),
            Some((2, 8)),
        );
        check("{# x #}\n\nselect id,\n  amout\nfrom t", "select id,\n  amout\nfrom t", (2, 3), Some((4, 3)));
        // Of several, the one on the line that reads the same.
        check(
            "select amout\nunion all\nselect amout, 1",
            "select amount\nunion all\nselect amout, 1",
            (3, 8),
            Some((3, 8)),
        );
        // The column of a name with dots, quoted or not.
        check("select o.amout\nfrom o", "select o.amout\nfrom o", (1, 8), Some((1, 10)));
        check("select \"o\".\"amout\"", "select \"o\".\"amout\"", (1, 8), Some((1, 13)));
        // Written by a macro: it is not in the file.
        check("{{ all_columns() }}", "select amout", (1, 8), None);
        check("é, amout", "é, amout", (1, 4), Some((1, 4)));
    }
}
