//! The tables of a source as the lake has them: versions, columns and how they changed, what was set aside.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use headwater_engine::sql_type_name;
use headwater_lake::{INGESTED_AT, LakeError, SchemaNote, TableName};
use headwater_project::{Classify, Failure, Timestamp};

use super::{fed_tables, shares_stream};
use crate::ingest::quarantine_of;
use crate::instance::{Instance, parse_table_name};
use crate::view::{ColumnChange, ColumnSummary, SchemaChange, SourceTable};

/// Versions told of one table.
const COMMITS: usize = 8;
/// Versions looked through for changes of columns, and changes told.
const SCHEMA_COMMITS: usize = 1_000;
const SCHEMA_CHANGES: usize = 50;

impl Instance {
    /// Every table that a source fills; reads their logs and quarantines.
    pub async fn source_tables(&self, source: &str) -> Result<Vec<SourceTable>, Failure> {
        let entry = self.source_entry(source)?;
        let mut copies =
            if shares_stream(&entry.config) { self.last_copies(source).await? } else { BTreeMap::default() };
        let mut tables = Vec::new();
        for table in fed_tables(self, &entry.config)? {
            let Some(name) = parse_table_name(&table) else { continue };
            let last_copy = copies.remove(&name.table);
            tables.push(SourceTable { last_copy, ..self.source_table(&name).await? });
        }
        Ok(tables)
    }

    async fn source_table(&self, name: &TableName) -> Result<SourceTable, Failure> {
        let failed = |error: LakeError| error.failure();
        let mut told = SourceTable {
            table: name.to_string(),
            version: None,
            rows: None,
            bytes: 0,
            columns: 0,
            commits: Vec::new(),
            schema_changes: Vec::new(),
            quarantine: self.quarantine_summary(name).await?,
            last_copy: None,
        };
        let Some(version) = self.lake.load(name).await.map_err(failed)? else { return Ok(told) };
        let notes = self.lake.schemas(name, SCHEMA_COMMITS).await.map_err(failed)?;
        told.version = Some(version.version());
        told.rows = version.rows();
        told.bytes = version.bytes();
        told.columns = version.schema().fields().len();
        told.commits = self.commits(&name.to_string(), COMMITS).await?;
        told.schema_changes = changes(&notes);
        Ok(told)
    }

    /// When the newest commit that wrote something was made, as far as the log still tells.
    pub(super) async fn last_write(&self, table: &TableName) -> Result<Option<Timestamp>, Failure> {
        let notes = self.lake.commits(table, COMMITS).await.map_err(|error| error.failure())?;
        let wrote = |note: &&headwater_lake::CommitNote| note.info.get("headwater").is_some();
        Ok(notes.iter().find(wrote).or(notes.first()).and_then(|note| note.at))
    }

    async fn quarantine_summary(&self, of: &TableName) -> Result<Option<crate::view::QuarantineSummary>, Failure> {
        let quarantine = self.lake.load(&quarantine_of(of)).await.map_err(|error| error.failure())?;
        match quarantine.and_then(|version| version.rows()).filter(|rows| *rows > 0) {
            Some(total) => self.quarantine_of_table(of, total).await.map(Some),
            None => Ok(None),
        }
    }
}

/// The newest first.
fn changes(notes: &[SchemaNote]) -> Vec<SchemaChange> {
    let mut before: Option<&SchemaRef> = None;
    let mut found = Vec::new();
    for note in notes {
        let change = change(before, note);
        if change.is_first || !change.added.is_empty() || !change.changed.is_empty() {
            found.push(change);
        }
        before = Some(&note.schema);
    }
    found.reverse();
    found.truncate(SCHEMA_CHANGES);
    found
}

fn change(before: Option<&SchemaRef>, note: &SchemaNote) -> SchemaChange {
    let nothing = Arc::new(Schema::empty());
    let known = before.unwrap_or(&nothing);
    let (mut added, mut changed) = (Vec::new(), Vec::new());
    for field in note.schema.fields().iter().filter(|field| field.name() != INGESTED_AT) {
        let after = sql_type_name(field.data_type());
        match known.field_with_name(field.name()) {
            Err(_) => added.push(ColumnSummary { name: field.name().clone(), data_type: after }),
            Ok(earlier) if earlier.data_type() != field.data_type() => {
                let (name, before) = (field.name().clone(), sql_type_name(earlier.data_type()));
                changed.push(ColumnChange { name, before, after });
            }
            Ok(_) => {}
        }
    }
    SchemaChange { version: note.version, at: note.at, added, changed, is_first: before.is_none() }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn note(version: u64, columns: &[(&str, DataType)]) -> SchemaNote {
        let fields: Vec<Field> =
            columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect();
        SchemaNote { version, at: None, schema: Arc::new(Schema::new(fields)) }
    }

    #[test]
    fn columns_that_came_or_hold_another_type_are_told_with_the_newest_first() {
        let notes = [
            note(0, &[("id", DataType::Int32), (INGESTED_AT, DataType::Int64)]),
            note(3, &[("id", DataType::Int32), (INGESTED_AT, DataType::Int64)]),
            note(5, &[("id", DataType::Int64), ("name", DataType::Utf8)]),
        ];
        let found = changes(&notes);
        let versions: Vec<_> = found.iter().map(|change| (change.version, change.is_first)).collect();
        assert_eq!(versions, [(5, false), (0, true)]);
        assert_eq!(found[0].added.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["name"]);
        let changed = &found[0].changed[0];
        assert_eq!(
            (changed.name.as_str(), changed.before.as_str(), changed.after.as_str()),
            ("id", "INTEGER", "BIGINT")
        );
        assert_eq!(found[1].added.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["id"]);
    }
}
