//! What a user writes for a sink that fills a PostgreSQL table.

use headwater_project::Diagnostic;
use headwater_project::config::TextList;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::postgres::config::split_name;

/// The table that is filled.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresTable {
    /// Name of the connection in headwater.yml.
    pub connection: String,
    /// The table as `schema.table`; without a schema, `public`.
    pub table: String,
    /// Columns that tell rows apart. A table that is made gets them as its primary key.
    #[serde(default)]
    pub key: TextList,
    /// What becomes of rows. Default: `replace` when all rows are sent, `upsert` when there is a key, `append` otherwise.
    pub mode: Option<WriteMode>,
    /// Make the table when it is not there.
    #[serde(default = "yes")]
    pub create: bool,
    /// Add columns that the table lacks.
    #[serde(default)]
    pub evolve: bool,
    /// Table that keeps how far each sink got, as `schema.table`. Default: `headwater_sinks` beside the table.
    pub watermarks: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    /// Rows are added.
    Append,
    /// Rows take the place of those with their key.
    Upsert,
    /// All rows take the place of all rows, in one transaction.
    Replace,
}

fn yes() -> bool {
    true
}

impl PostgresTable {
    pub fn mode(&self, sends_all: bool) -> WriteMode {
        self.mode.unwrap_or(match (sends_all, self.key.0.is_empty()) {
            (true, _) => WriteMode::Replace,
            (false, true) => WriteMode::Append,
            (false, false) => WriteMode::Upsert,
        })
    }

    /// Schema and name of the table that keeps positions.
    pub(crate) fn watermark_table(&self) -> (&str, &str) {
        let beside = split_name(&self.table).0;
        self.watermarks
            .as_deref()
            .map_or((beside, "headwater_sinks"), |name| name.split_once('.').unwrap_or((beside, name)))
    }

    /// Everything wrong with it, without connecting.
    pub fn check(&self, sends_all: bool) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mode = self.mode(sends_all);
        if mode == WriteMode::Upsert && self.key.0.is_empty() {
            let hint = "Name the columns that tell its rows apart: `key: [id]`.";
            found.push(Diagnostic::error("`mode: upsert` needs a key").hint(hint));
        }
        if mode == WriteMode::Replace && !sends_all {
            let hint = "Set `send: all`, or `mode: upsert` with a key.";
            found.push(Diagnostic::error("`mode: replace` needs all rows").hint(hint));
        }
        if mode == WriteMode::Append && sends_all {
            let hint = "Set `mode: replace`, or `send: added`.";
            found.push(Diagnostic::error("all rows would be added again with each version of the table").hint(hint));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, sends_all: bool, mode: WriteMode, expected: &[&str]) {
        let config: PostgresTable = serde_json::from_str(json).unwrap();
        let found: Vec<String> = config.check(sends_all).into_iter().map(|one| one.message).collect();
        assert_eq!(
            (config.mode(sends_all), found),
            (mode, expected.iter().map(|one| (*one).to_owned()).collect()),
            "{json}"
        );
    }

    #[test]
    fn the_mode_follows_from_what_is_sent_and_wrong_ones_are_told() {
        check(r#"{"connection": "c", "table": "t"}"#, false, WriteMode::Append, &[]);
        check(r#"{"connection": "c", "table": "t"}"#, true, WriteMode::Replace, &[]);
        check(r#"{"connection": "c", "table": "t", "key": "id"}"#, false, WriteMode::Upsert, &[]);
        check(r#"{"connection": "c", "table": "t", "key": "id", "mode": "upsert"}"#, true, WriteMode::Upsert, &[]);
        let upsert = r#"{"connection": "c", "table": "t", "mode": "upsert"}"#;
        check(upsert, false, WriteMode::Upsert, &["`mode: upsert` needs a key"]);
        let replace = r#"{"connection": "c", "table": "t", "mode": "replace"}"#;
        check(replace, false, WriteMode::Replace, &["`mode: replace` needs all rows"]);
        let append = r#"{"connection": "c", "table": "t", "mode": "append"}"#;
        let told = "all rows would be added again with each version of the table";
        check(append, true, WriteMode::Append, &[told]);
    }

    #[test]
    fn positions_are_kept_beside_the_table_unless_told_otherwise() {
        for (table, watermarks, expected) in [
            ("t", None, ("public", "headwater_sinks")),
            ("app.t", None, ("app", "headwater_sinks")),
            ("app.t", Some("marks"), ("app", "marks")),
            ("app.t", Some("ops.marks"), ("ops", "marks")),
        ] {
            let json = serde_json::json!({"connection": "c", "table": table, "watermarks": watermarks});
            let config: PostgresTable = serde_json::from_value(json).unwrap();
            assert_eq!(config.watermark_table(), expected);
        }
    }
}
