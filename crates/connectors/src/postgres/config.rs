//! What a user writes for a source of PostgreSQL tables.

use std::collections::BTreeMap;

use headwater_project::Diagnostic;
use headwater_project::config::{ByteSize, DurationText};
use schemars::JsonSchema;
use serde::Deserialize;

/// Tables of a PostgreSQL database.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresConfig {
    /// Name of the connection in headwater.yml.
    pub connection: String,
    /// How the tables are followed.
    #[serde(default)]
    pub mode: Mode,
    /// Tables and views by name, as `schema.table`; without a schema, `public`.
    pub tables: BTreeMap<String, Option<TableConfig>>,
    /// Time between two copies or polls.
    #[serde(default = "one_hour")]
    pub every: DurationText,
    /// Sessions that copy one table at the same time.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 32))]
    pub parallel: u8,
    /// Most bytes a second that are read from the server.
    pub max_bytes_per_second: Option<ByteSize>,
    /// Change capture only: name of the replication slot. Default: `headwater_` and the name of the source.
    pub slot: Option<String>,
    /// Change capture only: a publication that exists. By default one is made, and kept in step with `tables`.
    pub publication: Option<String>,
    /// Change capture only: rows of one chunk of a copy that is made beside the stream. By default as many as make 16 MiB.
    #[schemars(range(min = 1))]
    pub chunk_rows: Option<u64>,
    /// Change capture only: what the replication slot may keep on the server.
    pub slot_safety: Option<SlotSafety>,
}

/// What a replication slot may keep on the server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlotSafety {
    /// Bytes of the write-ahead log; more is warned of.
    pub max_retained: ByteSize,
    /// What becomes of a slot that keeps more and does not get on.
    #[serde(default)]
    pub on_exceed: OnExceed,
}

/// What becomes of a replication slot that keeps too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnExceed {
    /// It stays, and a warning says so.
    #[default]
    Warn,
    /// It is dropped once nothing was committed for a minute: the stream then has a gap.
    Drop,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The whole table is copied each time and replaces the copy before.
    #[default]
    Snapshot,
    /// Rows whose cursor column grew are read and replace those of their key.
    Incremental,
    /// A copy first, then every change, from the write-ahead log.
    Capture,
}

/// A table of the source.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// Name of the lake's table. Default: the table's name without its schema.
    #[serde(rename = "as")]
    pub name: Option<String>,
    /// Columns that tell rows apart. Default: the primary key.
    pub key: Option<Vec<String>>,
    /// The column that grows, for `mode: incremental`.
    pub cursor: Option<CursorConfig>,
    /// Columns that are left out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Columns that are kept as text whatever their type.
    #[serde(default)]
    pub as_text: Vec<String>,
    /// Incremental only: rows in which this column is true, or has any other value but false and NULL, are deleted.
    pub soft_delete: Option<String>,
}

/// The column that grows.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CursorConfig {
    /// Its name; a whole number, a date or a timestamp.
    pub column: String,
    /// How far before the greatest value seen the next poll begins, for rows that were committed late: seconds for times,
    /// and as many units as it has seconds for numbers. As long as the longest transaction.
    #[serde(default = "no_time")]
    pub overlap: DurationText,
}

fn one_hour() -> DurationText {
    DurationText(std::time::Duration::from_secs(3600))
}

fn no_time() -> DurationText {
    DurationText(std::time::Duration::ZERO)
}

fn two() -> u8 {
    2
}

/// Schema and table of a name as written.
pub fn split_name(name: &str) -> (&str, &str) {
    name.split_once('.').unwrap_or(("public", name))
}

impl PostgresConfig {
    /// Tables as written, with what is said about them.
    pub fn each_table(&self) -> impl Iterator<Item = (&str, TableConfig)> {
        self.tables.iter().map(|(name, table)| (name.as_str(), table.clone().unwrap_or_default()))
    }

    /// The table as written, schema and name, that becomes a table of the lake, and what is said about it.
    pub fn origin_of(&self, lake_name: &str) -> Option<(&str, TableConfig)> {
        self.each_table().find(|(name, table)| Self::lake_name(name, table) == lake_name)
    }

    /// Name of the lake's table for a table as written.
    pub fn lake_name(name: &str, table: &TableConfig) -> String {
        table.name.clone().unwrap_or_else(|| split_name(name).1.to_owned())
    }

    /// Everything wrong with it, without connecting.
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        if self.tables.is_empty() {
            found.push(Diagnostic::error("the source has no tables").hint("Name some: `tables: {public.orders: }`."));
        }
        let mut names = BTreeMap::new();
        for (name, table) in self.each_table() {
            if let Some(other) = names.insert(Self::lake_name(name, &table), name) {
                let hint = "Give one of them another name with `as`.";
                found.push(Diagnostic::error(format!("{other} and {name} would become one table")).hint(hint));
            }
            self.check_table(name, &table, &mut found);
        }
        let of_capture = [
            ("slot", self.slot.is_some()),
            ("publication", self.publication.is_some()),
            ("chunk_rows", self.chunk_rows.is_some()),
            ("slot_safety", self.slot_safety.is_some()),
        ];
        if let (Some((name, _)), true) = (of_capture.iter().find(|(_, is_set)| *is_set), self.mode != Mode::Capture) {
            let hint = "Remove it, or set `mode: capture`.";
            found.push(Diagnostic::error(format!("`{name}` is for change capture")).hint(hint));
        }
        if self.chunk_rows == Some(0) {
            found.push(Diagnostic::error("`chunk_rows` is 0").hint("Leave it out, or give the rows of a chunk."));
        }
        found
    }

    fn check_table(&self, name: &str, table: &TableConfig, found: &mut Vec<Diagnostic>) {
        if self.mode == Mode::Incremental && table.cursor.is_none() {
            let hint = "Add `cursor: {column: updated_at, overlap: 5m}` to it.";
            found.push(Diagnostic::error(format!("{name} has no cursor")).hint(hint));
        }
        if self.mode != Mode::Incremental && (table.cursor.is_some() || table.soft_delete.is_some()) {
            let message = format!("`cursor` and `soft_delete` of {name} are for `mode: incremental`");
            found.push(Diagnostic::error(message).hint("Remove them, or set the mode."));
        }
        let key = table.key.iter().flatten();
        let needed = key.chain(table.cursor.iter().map(|cursor| &cursor.column)).chain(&table.soft_delete);
        for column in needed.filter(|column| table.exclude.contains(column)) {
            let message = format!("column `{column}` of {name} is needed and left out");
            found.push(Diagnostic::error(message).hint("Remove it from `exclude`."));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let config: PostgresConfig = serde_json::from_str(text).unwrap();
        let found: Vec<String> = config.check().into_iter().map(|finding| finding.message).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_cannot_work_is_found_without_a_server() {
        check(r#"{"connection": "c", "tables": {"a": null, "b.a": {"as": "ba"}}}"#, &[]);
        check(r#"{"connection": "c", "tables": {}}"#, &["the source has no tables"]);
        check(r#"{"connection": "c", "tables": {"a": null, "b.a": {}}}"#, &["a and b.a would become one table"]);
        check(r#"{"connection": "c", "mode": "incremental", "tables": {"a": null}}"#, &["a has no cursor"]);
        check(
            r#"{"connection": "c", "tables": {"a": {"key": ["id"], "exclude": ["id"]}}}"#,
            &["column `id` of a is needed and left out"],
        );
        check(r#"{"connection": "c", "slot": "s", "tables": {"a": {}}}"#, &["`slot` is for change capture"]);
        check(
            r#"{"connection": "c", "mode": "capture", "chunk_rows": 0, "tables": {"a": {}}}"#,
            &["`chunk_rows` is 0"],
        );
    }
}
