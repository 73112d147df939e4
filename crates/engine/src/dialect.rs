//! SQL of other warehouses, translated to the engine's own.
//!
//! What a project writes is in the dialect of its adapter; what Headwater writes is in the engine's. The seam between them is
//! text: [`Engine::translate`] takes the one and gives the other, once, where the project's SQL arrives. Everything behind it
//! (plans, views that were published, statements around a model's query) knows one language.
//!
//! A statement is read with the dialect's grammar, its tree is rewritten, and written down again:
//! - `tokens`, `parse`: the grammar of each dialect, and what of its text must be mended before it is read;
//! - `rewrite`: the one walk over the tree, which calls the rules of the other modules;
//! - `functions` and the tables `bigquery`, `postgres`, `redshift`, `snowflake`, `duckdb`, `spark`, `shared`: what becomes of each
//!   function, as templates of the engine's SQL;
//! - `template`: what the placeholders of templates stand for; `parts`, `formats`, `paths`: the words of dates, patterns of
//!   times and paths into JSON;
//! - `calls`, `aggregates`, `sorting`: functions that templates cannot say;
//! - `casts`, `literals`, `operators`, `comparisons`, `arrays`, `documents`: the other expressions;
//! - `relations`, `generators`, `pivot`, `rows`, `stars`, `aliases`, `windows`, `subqueries`, `selects`: queries;
//! - `planner`: what only types can tell, asked by the engine when the translated statement is planned.
//!
//! What cannot be translated is a finding with its place and a hint. Nothing is passed on in the hope that it means the same,
//! but for functions that the engine has under the same name and no table says anything about.

mod aggregates;
mod aliases;
mod arrays;
mod bigquery;
mod build;
mod calls;
mod casts;
mod comparisons;
mod documents;
mod duckdb;
mod formats;
mod functions;
mod generators;
mod literals;
mod operators;
mod parse;
mod parts;
mod paths;
mod pivot;
mod planner;
mod postgres;
mod redshift;
mod relations;
mod rewrite;
mod rows;
mod selects;
mod shared;
mod snowflake;
mod sorting;
mod spark;
mod stars;
mod subqueries;
mod template;
mod tokens;
mod walk;
mod windows;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::error::{EngineError, Result};
use crate::session::{Engine, Session};

pub(crate) use arrays::LAMBDA;
pub(crate) use parse::complaint;
pub(crate) use planner::TypedPlanner;

/// The SQL of a warehouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    BigQuery,
    Postgres,
    Redshift,
    Snowflake,
    DuckDb,
    Spark,
}

impl Dialect {
    /// The dialect of a dbt adapter; none for one whose SQL is taken as the engine's own.
    pub fn of_adapter(adapter: &str) -> Option<Self> {
        Some(match adapter {
            "bigquery" => Self::BigQuery,
            "postgres" | "postgresql" => Self::Postgres,
            "redshift" => Self::Redshift,
            "snowflake" => Self::Snowflake,
            "duckdb" => Self::DuckDb,
            "spark" | "databricks" => Self::Spark,
            _ => return None,
        })
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BigQuery => "BigQuery",
            Self::Postgres => "PostgreSQL",
            Self::Redshift => "Redshift",
            Self::Snowflake => "Snowflake",
            Self::DuckDb => "DuckDB",
            Self::Spark => "Spark",
        }
    }

    /// What identifiers are quoted with.
    pub fn quote(self) -> char {
        match self {
            Self::BigQuery | Self::Spark => '`',
            _ => '"',
        }
    }
}

/// Something of a statement that has no translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untranslated {
    /// Counted from 1; 0 where the place is not known.
    pub line: u64,
    pub column: u64,
    pub what: String,
    pub hint: String,
}

impl Engine {
    /// Statements of the project in the engine's own SQL.
    pub fn translate<'s>(&self, sql: &'s str) -> Result<Cow<'s, str>> {
        match self.dialect() {
            None => Ok(Cow::Borrowed(sql)),
            Some(dialect) => rewrite::statements(dialect, sql, self)
                .map(Cow::Owned)
                .map_err(|found| EngineError::Untranslated(dialect.name(), found)),
        }
    }

    /// An expression of the project in the engine's own SQL: a condition, a column.
    pub fn translate_expression<'s>(&self, sql: &'s str) -> Result<Cow<'s, str>> {
        match self.dialect() {
            None => Ok(Cow::Borrowed(sql)),
            Some(dialect) => rewrite::expression(dialect, sql, self)
                .map(Cow::Owned)
                .map_err(|found| EngineError::Untranslated(dialect.name(), found)),
        }
    }
}

impl Session {
    /// As [`Engine::translate`].
    pub fn translate<'s>(&self, sql: &'s str) -> Result<Cow<'s, str>> {
        self.engine.translate(sql)
    }

    /// As [`Engine::translate_expression`].
    pub fn translate_expression<'s>(&self, sql: &'s str) -> Result<Cow<'s, str>> {
        self.engine.translate_expression(sql)
    }
}

/// Which functions there are to translate to.
pub(crate) trait Known {
    fn is_function(&self, name: &str) -> bool;
    fn is_aggregate(&self, name: &str) -> bool;
    /// A name that is near one that is not there.
    fn near(&self, name: &str) -> Option<String>;
}

impl Known for Engine {
    fn is_function(&self, name: &str) -> bool {
        let base = self.base();
        base.scalar_functions().contains_key(name)
            || base.window_functions().contains_key(name)
            || base.higher_order_functions().contains_key(name)
            || base.table_functions().contains_key(name)
            || matches!(name, "unnest" | "struct" | "grouping")
            || self.is_aggregate(name)
    }

    fn is_aggregate(&self, name: &str) -> bool {
        let base = self.base();
        base.aggregate_functions().contains_key(name) || base.window_functions().contains_key(name)
    }

    fn near(&self, name: &str) -> Option<String> {
        let names = self.function_names();
        headwater_project::config::suggest(name, names.iter().map(String::as_str)).map(str::to_owned)
    }
}
