//! Copies of tables that are made beside the stream: which tables can have one, how one begins, and what is noted of it.
//!
//! The table's position `<key>/copy` counts: it is odd while a copy is under way and even when none is. `<key>/since` marks
//! the rows there were when it began. How far a copy is stands in the progress table, in the commit after the chunk's: a chunk
//! whose note was lost is read again.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use headwater_ingest::capture::{CurrentChange, TableChanges};
use headwater_ingest::position::Positions;
use headwater_project::{Classify, Entropy, Failure};
use serde::{Deserialize, Serialize};

use super::setup::required_key;
use super::{TableKeys, setup};
use crate::postgres::Target;
use crate::postgres::catalog::{self, CatalogTable};
use crate::postgres::config::TableConfig;
use crate::postgres::error::{PgError, Result};
use crate::postgres::wire::{Connection, Purpose, quoted_text};

/// Tables that need a copy and are smaller are copied at once, while the stream waits.
const LARGE: u64 = 64 << 20;
/// The first version whose stream brings messages.
pub(super) const MESSAGES: u32 = 140_000;

/// A copy under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) index: usize,
    /// The table's position `copy`: odd.
    pub(super) number: i64,
    /// The key that was copied last.
    pub(super) after: Option<Vec<String>>,
    pub(super) rows: u64,
}

/// What the progress table says of a chunk.
#[derive(Debug, Deserialize, Serialize)]
struct Note {
    table: String,
    copy: i64,
    after: Vec<String>,
    rows: u64,
}

impl Beside {
    pub(super) fn new(index: usize, number: i64) -> Self {
        Self { index, number, after: None, rows: 0 }
    }

    /// A copy as the ledger has it; from its beginning, when the ledger says nothing of it.
    pub(super) fn resumed(index: usize, number: i64, table: &str, ledger: &[String]) -> Self {
        let notes = ledger.iter().rev().filter_map(|text| serde_json::from_str::<Note>(text).ok());
        let note = notes.into_iter().find(|note| note.table == table && note.copy == number);
        let (after, rows) = note.map_or((None, 0), |note| (Some(note.after), note.rows));
        Self { index, number, after, rows }
    }

    pub(super) fn note(&self, table: &str) -> String {
        let after = self.after.clone().unwrap_or_default();
        let note = Note { table: table.to_owned(), copy: self.number, after, rows: self.rows };
        serde_json::json!(note).to_string()
    }
}

/// Events of the progress table that say when a copy began and when it was through; their details are [`CopyEvent`]s.
pub const COPY_BEGUN: &str = "copy begun";
pub const COPY_ENDED: &str = "copy ended";

/// What the progress table says of a copy: `orders, number 3`, and at its end `orders, number 3: 500 rows`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyEvent {
    /// Its name in the lake.
    pub table: String,
    /// The table's position `copy` while it is under way.
    pub number: i64,
    /// Rows that were read, at the end.
    pub rows: Option<u64>,
}

impl fmt::Display for CopyEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, number {}", self.table, self.number)?;
        self.rows.map_or(Ok(()), |rows| write!(formatter, ": {rows} rows"))
    }
}

impl CopyEvent {
    /// Reads what [`CopyEvent`] writes; nothing of what it does not.
    pub fn parse(detail: &str) -> Option<Self> {
        let (table, rest) = detail.rsplit_once(", number ")?;
        let (number, rows) = match rest.split_once(": ") {
            Some((number, rows)) => (number, Some(rows.strip_suffix(" rows")?.parse().ok()?)),
            None => (rest, None),
        };
        Some(Self { table: table.to_owned(), number: number.parse().ok()?, rows })
    }
}

/// The number of a copy after this one.
pub(super) fn next_number(number: i64) -> i64 {
    if number % 2 == 0 { number + 1 } else { number + 2 }
}

/// The number of a table whose copy has ended, or was overtaken by one that the stream waited for.
pub(super) fn ended(number: i64) -> i64 {
    number + number % 2
}

/// What is said about a table when its copy begins.
pub(super) struct Beginning<'a> {
    pub(super) index: usize,
    pub(super) keys: &'a TableKeys,
    pub(super) catalog: &'a CatalogTable,
    pub(super) number: i64,
    /// The last commit the table includes.
    pub(super) position: u64,
    pub(super) published: Option<i64>,
    /// The rows there are belong to another table of the name.
    pub(super) truncates: bool,
}

impl Beginning<'_> {
    pub(super) fn changes(&self) -> TableChanges {
        let columns: Vec<_> = self.catalog.columns.iter().map(|column| column.column.field()).collect();
        // The table is there, with all its columns, before the first row comes.
        let mut current = vec![CurrentChange::Append(RecordBatch::new_empty(Arc::new(Schema::new(columns))))];
        if self.truncates {
            current.push(CurrentChange::Truncate);
        }
        current.push(CurrentChange::Mark { since: self.keys.since.clone() });
        let mut positions = Positions::default();
        positions.set(&self.keys.lsn, setup::as_position(self.position));
        positions.set(&self.keys.oid, self.catalog.oid.into());
        positions.set(&self.keys.copy, self.number);
        if let Some(published) = self.published {
            positions.set(&self.keys.published, published);
        }
        TableChanges { table: self.index, log: None, current, positions }
    }
}

/// What a table takes on the server, by its statistics.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) bytes: u64,
    pub(super) rows: u64,
}

impl Size {
    pub(super) fn read(statements: &mut Connection, table: &CatalogTable) -> Result<Self> {
        let found = statements.query(&format!(
            "WITH RECURSIVE tree AS (\
               SELECT {oid}::oid AS relid UNION ALL \
               SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.relid WHERE {is_partitioned}) \
             SELECT sum(pg_table_size(c.oid))::bigint, sum(greatest(c.reltuples, 0))::bigint \
             FROM tree JOIN pg_class c ON c.oid = tree.relid WHERE c.relkind = 'r'",
            oid = table.oid,
            is_partitioned = table.kind == 'p',
        ))?;
        let number = |column| found.first(column).and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Self { bytes: number(0), rows: number(1) })
    }

    /// Of one row; a guess when the table was never analysed.
    pub(super) fn row_bytes(self) -> usize {
        let bytes = self.bytes.checked_div(self.rows).unwrap_or(256);
        usize::try_from(bytes).unwrap_or(usize::MAX).max(16)
    }

    pub(super) fn is_large(self) -> bool {
        self.bytes >= LARGE
    }
}

/// Why a table cannot be copied beside the stream, if it cannot.
pub(super) fn obstacle(
    statements: &mut Connection,
    table: &CatalogTable,
    key: &[String],
    version: u32,
) -> Result<Option<String>> {
    if version < MESSAGES {
        return Ok(Some(String::from("the server is older than version 14")));
    }
    let is_nullable =
        |name: &&String| table.columns.iter().any(|column| column.column.name == **name && column.is_nullable);
    if let Some(column) = key.iter().find(is_nullable) {
        return Ok(Some(format!("its key column `{column}` may be NULL")));
    }
    let names: Vec<String> = key.iter().map(|name| quoted_text(name)).collect();
    let found = statements.query(&format!(
        "SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam \
         WHERE i.indrelid = {} AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree' AND \
               ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(attnum, place) \
                     LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
                     WHERE k.place <= {} ORDER BY k.place) = ARRAY[{}]::text[]",
        table.oid,
        key.len(),
        names.join(", ")
    ))?;
    Ok(found.rows.is_empty().then(|| format!("it has no index of its key, {}", key.join(", "))))
}

/// Refuses a table that cannot be copied beside the stream, and says why.
pub fn check_copy_beside(
    target: &Target,
    name: &str,
    config: &TableConfig,
    entropy: &dyn Entropy,
) -> Result<(), Failure> {
    let check = || -> Result<()> {
        let mut statements = Connection::open(target, Purpose::Statements, entropy)?;
        let table = CatalogTable::read(&mut statements, name, config)?;
        let key = required_key(name, &table, config)?;
        let version = catalog::version(&mut statements)?;
        match obstacle(&mut statements, &table, &key, version)? {
            None => Ok(()),
            Some(why) => Err(PgError::refused(
                format!("{name} cannot be copied while its changes go on: {why}"),
                "`headwater ingest --restart SOURCE` copies all tables of the source while the stream waits.",
            )),
        }
    };
    check().map_err(|error| error.failure())
}

/// The columns of a table by name.
pub(super) fn column_names(table: &CatalogTable) -> Vec<String> {
    table.columns.iter().map(|column| column.column.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_goes_on_from_its_last_note() {
        let mut copy = Beside::new(0, 3);
        let notes: Vec<String> = [("orders", 1, "5"), ("orders", 3, "7"), ("notes", 3, "9"), ("orders", 3, "8")]
            .into_iter()
            .map(|(table, number, after)| {
                let rows = after.parse().unwrap();
                Beside { index: 0, number, after: Some(vec![after.to_owned()]), rows }.note(table)
            })
            .collect();
        assert_eq!(Beside::resumed(0, 5, "orders", &notes), Beside::new(0, 5));
        copy.after = Some(vec![String::from("8")]);
        copy.rows = 8;
        assert_eq!(Beside::resumed(0, 3, "orders", &notes), copy);
    }

    #[test]
    fn what_the_progress_table_says_of_a_copy_is_read_again() {
        for (table, number, rows) in
            [("orders", 3, None), ("orders", 3, Some(500)), ("a, number 1: 2 rows", 7, Some(0))]
        {
            let event = CopyEvent { table: table.to_owned(), number, rows };
            assert_eq!(CopyEvent::parse(&event.to_string()), Some(event));
        }
        assert_eq!([CopyEvent::parse("orders"), CopyEvent::parse("orders, number x")], [None, None]);
    }

    #[test]
    fn numbers_only_grow_and_are_odd_while_a_copy_is_under_way() {
        for (number, next, after) in [(0, 1, 0), (1, 3, 2), (2, 3, 2), (3, 5, 4)] {
            assert_eq!((next_number(number), ended(number)), (next, after), "after {number}");
        }
    }
}
