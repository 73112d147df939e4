//! What text from outside may ask for.
//!
//! The checks here are cheap and come before planning. They are the first of two walls: such SQL also runs in a process of
//! its own with hard limits.

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::error::{EngineError, Result};

/// Limits on untrusted text.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    pub text_bytes: usize,
    pub tokens: usize,
    /// Operators and set operations in one statement.
    pub chain: usize,
}

impl Default for Guard {
    fn default() -> Self {
        Self { text_bytes: 256 << 10, tokens: 20_000, chain: 500 }
    }
}

/// Functions whose result can be made as large as one likes from a short text.
const AMPLIFIERS: &[&str] =
    &["repeat", "lpad", "rpad", "range", "generate_series", "array_repeat", "list_repeat", "space"];

/// Refuses what is too large, is not exactly one reading statement, or could make far more data than it reads.
pub fn check_untrusted(sql: &str, guard: Guard) -> Result<()> {
    let refuse = |reason: String| Err(EngineError::NotAllowed(reason));
    if sql.len() > guard.text_bytes {
        return refuse(format!("the statement is longer than {} KiB", guard.text_bytes >> 10));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize()
        .map_err(|error| EngineError::NotAllowed(format!("the statement does not read: {error}")))?;
    if tokens.len() > guard.tokens {
        return refuse(format!("the statement has more than {} tokens", guard.tokens));
    }
    if tokens.iter().filter(|token| is_chain(token)).count() > guard.chain {
        return refuse(format!("the statement chains more than {} operators", guard.chain));
    }
    if let Some(name) = tokens.iter().find_map(amplifier) {
        return refuse(format!("the function `{name}` is not available here"));
    }
    let statements = DFParserBuilder::new(sql)
        .with_recursion_limit(64)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(EngineError::from)?;
    match (statements.len(), statements.front()) {
        (1, Some(statement)) if is_reading(statement) => Ok(()),
        (1, _) => refuse(String::from("only queries, EXPLAIN and SHOW are allowed here")),
        (count, _) => refuse(format!("one statement is expected, not {count}")),
    }
}

fn is_chain(token: &Token) -> bool {
    match token {
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::StringConcat => true,
        Token::Word(word) => {
            ["AND", "OR", "UNION", "INTERSECT", "EXCEPT"].iter().any(|name| word.value.eq_ignore_ascii_case(name))
        }
        _ => false,
    }
}

fn amplifier(token: &Token) -> Option<&'static str> {
    let Token::Word(word) = token else { return None };
    AMPLIFIERS.iter().find(|name| word.value.eq_ignore_ascii_case(name)).copied()
}

fn is_reading(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(inner) => matches!(
            inner.as_ref(),
            SqlStatement::Query(_)
                | SqlStatement::ShowTables { .. }
                | SqlStatement::ShowColumns { .. }
                | SqlStatement::ExplainTable { .. }
        ),
        Statement::Explain(explain) => is_reading(&explain.statement),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, refused_because: Option<&str>) {
        let result = check_untrusted(sql, Guard::default());
        match (result, refused_because) {
            (Ok(()), None) => {}
            (Err(error), Some(reason)) => assert!(error.to_string().contains(reason), "{sql}: {error}"),
            (result, reason) => panic!("{sql}: {result:?}, expected {reason:?}"),
        }
    }

    #[test]
    fn only_one_reading_statement_of_bounded_size_passes() {
        check("select 1", None);
        check("with a as (select 1) select * from a union all select 2", None);
        check("explain analyze select 1", None);
        check("show tables", None);
        check("select 1; select 2", Some("one statement"));
        check("", Some("one statement"));
        check("create table t as select 1", Some("only queries"));
        check("create external table t (a int) stored as csv location '/etc/passwd'", Some("only queries"));
        check("copy (select 1) to '/tmp/x.csv'", Some("only queries"));
        check("insert into t values (1)", Some("only queries"));
        check("explain create table t as select 1", Some("only queries"));
        check("set datafusion.execution.batch_size = 1", Some("only queries"));
        check("select length(repeat('x', 2000000000))", Some("`repeat`"));
        check("select * from generate_series(1, 1000000000)", Some("`generate_series`"));
        check(&format!("select {}1", "1+".repeat(5_000)), Some("chains"));
        check(&format!("select '{}'", "x".repeat(300 << 10)), Some("longer"));
        check(&vec!["select 1"; 2_000].join(" union all "), Some("chains"));
        check(&vec!["select 1"; 5_000].join(" union all "), Some("tokens"));
    }
}
