//! Reading the text of a dialect.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{Expr, Statement};
use datafusion::sql::sqlparser::dialect::{
    BigQueryDialect, DatabricksDialect, Dialect as Grammar, DuckDbDialect, PostgreSqlDialect, RedshiftSqlDialect,
    SnowflakeDialect,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::{Dialect, Untranslated};

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
    let tokens = tokens(dialect, grammar.as_ref(), sql)?;
    let mut parser = Parser::new(grammar.as_ref()).with_recursion_limit(RECURSION).with_tokens_with_locations(tokens);
    parser.parse_statements().map_err(|error| unread(dialect, &error))
}

pub(super) fn expression(dialect: Dialect, sql: &str) -> Result<Expr, Vec<Untranslated>> {
    let grammar = grammar(dialect);
    let tokens = tokens(dialect, grammar.as_ref(), sql)?;
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

fn tokens(dialect: Dialect, grammar: &dyn Grammar, sql: &str) -> Result<Vec<TokenWithSpan>, Vec<Untranslated>> {
    let tokenized = Tokenizer::new(grammar, sql).tokenize_with_location();
    let mut tokens = tokenized.map_err(|error| {
        vec![Untranslated {
            line: error.location.line,
            column: error.location.column,
            what: format!("the text: {}", error.message),
            hint: format!("The SQL is read as {}'s.", dialect.name()),
        }]
    })?;
    mend(dialect, &mut tokens);
    Ok(tokens)
}

/// Names in quotes that mean what they mean without become names without: Snowflake's unquoted names are in upper case, ours in
/// lower case.
fn mend(dialect: Dialect, tokens: &mut [TokenWithSpan]) {
    if dialect != Dialect::Snowflake {
        return;
    }
    for token in tokens {
        let Token::Word(word) = &mut token.token else { continue };
        let is_plain =
            |character: char| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_';
        if word.quote_style == Some('"') && word.value.chars().all(is_plain) {
            word.value = word.value.to_lowercase();
            word.keyword = Keyword::NoKeyword;
        }
    }
}

fn unread(dialect: Dialect, error: &ParserError) -> Vec<Untranslated> {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.clone(),
        ParserError::RecursionLimitExceeded => String::from("it nests too deep"),
    };
    let (message, place) = split_place(&message);
    vec![Untranslated {
        line: place.line,
        column: place.column,
        what: format!("the text: {message}"),
        hint: format!("The SQL is read as {}'s; `type:` of profiles.yml chooses the dialect.", dialect.name()),
    }]
}

/// `... at Line: 3, Column: 5`, taken apart.
fn split_place(message: &str) -> (&str, Location) {
    let find = || {
        let (text, place) = message.rsplit_once(" at Line: ")?;
        let (line, column) = place.split_once(", Column: ")?;
        Some((text, Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? }))
    };
    find().unwrap_or((message, Location { line: 0, column: 0 }))
}
