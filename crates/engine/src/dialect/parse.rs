//! Reading the text of a dialect.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Statement};
use datafusion::sql::sqlparser::dialect::{
    BigQueryDialect, DatabricksDialect, Dialect as Grammar, DuckDbDialect, PostgreSqlDialect, RedshiftSqlDialect,
    SnowflakeDialect,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use headwater_project::Position;

use super::{Dialect, Untranslated, tokens};

/// Spark's grammar: that of Databricks, with escapes in strings and the rest of what both have.
#[derive(Debug)]
struct SparkGrammar(DatabricksDialect);

impl Grammar for SparkGrammar {
    fn dialect(&self) -> TypeId {
        self.0.dialect()
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        character == '`'
    }

    fn is_identifier_start(&self, character: char) -> bool {
        self.0.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        self.0.is_identifier_part(character)
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_group_by_with_modifier(&self) -> bool {
        true
    }

    fn supports_lambda_functions(&self) -> bool {
        true
    }

    fn supports_select_wildcard_except(&self) -> bool {
        true
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }

    fn supports_struct_literal(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    fn supports_values_as_table_factor(&self) -> bool {
        true
    }

    fn supports_bang_not_operator(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_select_item_multi_column_alias(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    /// `a DIV b`, which only the precedence of is known to the parser.
    fn parse_infix(&self, parser: &mut Parser<'_>, left: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        if !parser.parse_keyword(Keyword::DIV) {
            return None;
        }
        let op = BinaryOperator::MyIntegerDivide;
        let of = |right| Expr::BinaryOp { left: Box::new(left.clone()), op, right: Box::new(right) };
        Some(parser.parse_subexpr(precedence).map(of))
    }
}

fn grammar(dialect: Dialect) -> Box<dyn Grammar> {
    match dialect {
        Dialect::BigQuery => Box::new(BigQueryDialect {}),
        Dialect::Postgres => Box::new(PostgreSqlDialect {}),
        Dialect::Redshift => Box::new(RedshiftSqlDialect {}),
        Dialect::Snowflake => Box::new(SnowflakeDialect {}),
        Dialect::DuckDb => Box::new(DuckDbDialect {}),
        Dialect::Spark => Box::new(SparkGrammar(DatabricksDialect {})),
    }
}

/// Statements may nest this deep.
const RECURSION: usize = 256;

pub(super) fn statements(dialect: Dialect, sql: &str) -> Result<Vec<Statement>, Vec<Untranslated>> {
    let grammar = grammar(dialect);
    let tokens = read(dialect, grammar.as_ref(), sql)?;
    let mut parser = Parser::new(grammar.as_ref()).with_recursion_limit(RECURSION).with_tokens_with_locations(tokens);
    parser.parse_statements().map_err(|error| unread(dialect, &error))
}

pub(super) fn expression(dialect: Dialect, sql: &str) -> Result<Expr, Vec<Untranslated>> {
    let grammar = grammar(dialect);
    let tokens = read(dialect, grammar.as_ref(), sql)?;
    let mut parser = Parser::new(grammar.as_ref()).with_recursion_limit(RECURSION).with_tokens_with_locations(tokens);
    let parsed = parser.parse_expr().map_err(|error| unread(dialect, &error))?;
    let rest = parser.next_token();
    if rest.token == Token::EOF {
        return Ok(parsed);
    }
    Err(vec![Untranslated {
        line: rest.span.start.line,
        column: rest.span.start.column,
        what: format!("`{}` after an expression", rest.token),
        hint: String::from("One expression is expected here."),
    }])
}

fn read(dialect: Dialect, grammar: &dyn Grammar, sql: &str) -> Result<Vec<TokenWithSpan>, Vec<Untranslated>> {
    tokens::read(dialect, grammar, sql).map_err(|error| {
        vec![Untranslated {
            line: error.location.line,
            column: error.location.column,
            what: format!("the text: {}", error.message),
            hint: format!("The SQL is read as {}'s.", dialect.name()),
        }]
    })
}

fn unread(dialect: Dialect, error: &ParserError) -> Vec<Untranslated> {
    let (what, place) = complaint(error);
    let place = place.unwrap_or(Position { line: 0, column: 0 });
    vec![Untranslated {
        line: place.line.into(),
        column: place.column.into(),
        what: format!("the text: {what}"),
        hint: format!("The SQL is read as {}'s; `type:` of profiles.yml chooses the dialect.", dialect.name()),
    }]
}

/// What a parser does not like of a text, and where.
pub(crate) fn complaint(error: &ParserError) -> (String, Option<Position>) {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => "it nests too deep",
    };
    let (message, place) = split_place(message).map_or((message, None), |(text, place)| (text, Some(place)));
    let found = message.strip_prefix("Expected: ").and_then(|wish| wish.rsplit_once(", found: "));
    (found.map_or_else(|| message.to_owned(), |(wish, word)| format!("expected {wish}, found `{word}`")), place)
}

/// `... at Line: 3, Column: 5`, taken apart.
fn split_place(message: &str) -> Option<(&str, Position)> {
    let (text, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some((text, Position { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? }))
}
