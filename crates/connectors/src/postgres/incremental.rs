//! Rows of a table whose cursor column grew since the last poll.
//!
//! The position is the greatest value seen (microseconds for times, days for dates). A poll begins `overlap` before it and
//! reads in the cursor's order, so that any place is one to go on from; rows read again replace themselves by key. A row
//! committed later than the overlap with a smaller cursor is missed, and rows whose cursor is NULL are never read: they are
//! counted and told.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch, not};
use arrow::datatypes::{DataType, Int64Type, Schema};
use headwater_ingest::codec::Codec;
use headwater_ingest::error::{Error, Result};
use headwater_ingest::position::Positions;
use headwater_ingest::record::RecordBuffer;
use headwater_ingest::schema::Provenance;
use headwater_ingest::source::{Effect, Next, ReadLimits, RowBatch, Source};

use crate::postgres::catalog::{CatalogColumn, CatalogTable};
use crate::postgres::column::{ColumnType, Kind};
use crate::postgres::config::{CursorConfig, PostgresConfig};
use crate::postgres::copy::CopyDecoder;
use crate::postgres::error::{PgError, Result as PgResult};
use crate::postgres::snapshot::TableSource;
use crate::postgres::wire::{Connection, quoted_name, quoted_text};

/// Column of the copy that says whether a row is deleted; not a name a column of theirs can have at the same time.
const DELETED: &str = "_headwater_deleted";
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The position key of a table that is polled.
pub fn cursor_key(source: &str, table: &str) -> String {
    format!("pg/cursor/{source}/{table}")
}

pub struct IncrementalSource {
    of: TableSource,
    key: String,
    every: Duration,
    stop_at_end: bool,
    position: Option<i64>,
    polled: Option<Duration>,
    running: Option<Poll>,
}

/// A poll under way.
struct Poll {
    connection: Connection,
    decoder: CopyDecoder,
    key: Arc<[String]>,
    cursor: usize,
    is_deleted: Option<usize>,
    empty: RecordBatch,
}

impl IncrementalSource {
    pub fn new(of: TableSource, config: &PostgresConfig) -> Self {
        Self {
            key: cursor_key(&of.source, &of.table),
            of,
            every: config.every.0,
            stop_at_end: false,
            position: None,
            polled: None,
            running: None,
        }
    }

    /// End after one poll instead of waiting for the next.
    #[must_use]
    pub fn stop_at_end(mut self) -> Self {
        self.stop_at_end = true;
        self
    }

    fn begin(&self) -> PgResult<Poll> {
        let mut connection = self.of.connect()?;
        let table = CatalogTable::read(&mut connection, &self.of.table, &self.of.config)?;
        let key = table.key(&self.of.config);
        if key.is_empty() {
            let message = format!("{} has no primary key", self.of.table);
            return Err(PgError::refused(message, "Name the columns that tell its rows apart: `key: [...]`."));
        }
        let config = self.of.config.cursor.as_ref().ok_or(PgError::Protocol("a poll without a cursor"))?;
        let mut columns = table.column_types();
        let cursor = columns.iter().position(|column| column.name == config.column).unwrap_or_default();
        let described = table.columns.get(cursor).ok_or(PgError::Protocol("a table without columns"))?;
        let after =
            self.position.map(|position| cursor_value(described.column.kind, start(position, config, described)));
        let after = after.transpose()?;
        self.report_nulls(&mut connection, &table, described)?;
        let mut list = table.select_list();
        let mut is_deleted = None;
        if let Some(name) = &self.of.config.soft_delete {
            let name = quoted_name(name);
            list.push_str(&format!(", coalesce({name}::text NOT IN ('f', 'false'), false)"));
            is_deleted = Some(columns.len());
            columns.push(ColumnType { name: DELETED.to_owned(), kind: Kind::Bool });
        }
        let name = quoted_name(&config.column);
        let condition = after.map_or_else(|| format!("{name} IS NOT NULL"), |value| format!("{name} >= {value}"));
        let relation = table.quoted();
        connection.copy_out(&format!(
            "COPY (SELECT {list} FROM {relation} WHERE {condition} ORDER BY {name}) TO STDOUT (FORMAT binary)"
        ))?;
        let decoder = CopyDecoder::new(&columns);
        let kept = Schema::new(table.column_types().iter().map(ColumnType::field).collect::<Vec<_>>());
        let empty = RecordBatch::new_empty(Arc::new(kept));
        Ok(Poll { connection, decoder, key: key.into(), cursor, is_deleted, empty })
    }

    /// Rows without a cursor are never read, which somebody has to know.
    fn report_nulls(&self, connection: &mut Connection, table: &CatalogTable, cursor: &CatalogColumn) -> PgResult<()> {
        if !cursor.is_nullable {
            return Ok(());
        }
        let name = quoted_name(&cursor.column.name);
        let sql =
            format!("SELECT count(*) FROM (SELECT 1 FROM {} WHERE {name} IS NULL LIMIT 1000) AS n", table.quoted());
        let found = connection.query(&sql)?;
        let rows = found.first(0).unwrap_or("0");
        if rows != "0" {
            let rows = if rows == "1000" { "1000 or more" } else { rows };
            tracing::warn!(
                table = self.of.table,
                rows,
                column = cursor.column.name,
                "rows without a cursor are not read"
            );
        }
        Ok(())
    }

    fn batch(&mut self, poll: &mut Poll, ended: bool) -> Result<RowBatch> {
        let bytes = poll.decoder.bytes() as u64;
        let rows = poll.decoder.take()?;
        if rows.num_rows() > 0 {
            let greatest = cursor_number(rows.column(poll.cursor), rows.num_rows() - 1)?;
            self.position = self.position.max(Some(greatest));
        }
        let (rows, removed) = poll.split(&rows)?;
        let mut positions = Positions::default();
        if let Some(position) = self.position {
            positions.set(&self.key, position);
        }
        let effect = Effect::merge(Arc::clone(&poll.key), removed);
        // Without a position there were no rows: nothing to commit but the table itself.
        let boundary = ended || self.position.is_some();
        Ok(RowBatch { rows, effect, rejected: Vec::new(), bytes, positions, boundary, info: None })
    }
}

impl Poll {
    /// Rows that are there, and the keys of those that are deleted.
    fn split(&self, rows: &RecordBatch) -> Result<(RecordBatch, RecordBatch)> {
        let key: std::result::Result<Vec<usize>, _> =
            self.key.iter().map(|name| self.empty.schema_ref().index_of(name)).collect();
        let key = key?;
        let columns: Vec<usize> = (0..self.empty.num_columns()).collect();
        let Some(is_deleted) = self.is_deleted else {
            return Ok((rows.clone(), self.empty.project(&key)?));
        };
        let is_deleted: &BooleanArray = rows.column(is_deleted).as_boolean();
        let kept = filter_record_batch(rows, &not(is_deleted)?)?.project(&columns)?;
        let removed = filter_record_batch(rows, is_deleted)?.project(&key)?;
        Ok((kept, removed))
    }
}

fn start(position: i64, config: &CursorConfig, column: &CatalogColumn) -> i64 {
    let seconds = i64::try_from(config.overlap.0.as_secs()).unwrap_or(i64::MAX);
    let overlap = match column.column.kind {
        Kind::Timestamp | Kind::TimestampTz => i64::try_from(config.overlap.0.as_micros()).unwrap_or(i64::MAX),
        Kind::Date => seconds.div_euclid(86_400) + i64::from(seconds % 86_400 > 0),
        _ => seconds,
    };
    position.saturating_sub(overlap)
}

/// A position as SQL of the column's type.
fn cursor_value(kind: Kind, position: i64) -> PgResult<String> {
    let since = |micros: i64| {
        let (days, rest) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
        format!("interval '{days} days {} seconds {} microseconds'", rest / 1_000_000, rest % 1_000_000)
    };
    Ok(match kind {
        Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Oid => format!("{}::bigint", quoted_text(&position.to_string())),
        Kind::Date => format!("(date '1970-01-01' + ({position}))"),
        Kind::Timestamp => format!("(timestamp '1970-01-01' + {})", since(position)),
        Kind::TimestampTz => format!("(timestamptz '1970-01-01 00:00:00+00' + {})", since(position)),
        _ => {
            let hint = "Choose a column of whole numbers, dates or timestamps.";
            return Err(PgError::refused("the cursor column has a type that cannot be followed", hint));
        }
    })
}

fn cursor_number(values: &dyn Array, row: usize) -> Result<i64> {
    let value = values.slice(row, 1);
    let value = match value.data_type() {
        DataType::Date32 => cast(&cast(&value, &DataType::Int32)?, &DataType::Int64)?,
        DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Timestamp(_, _) => {
            cast(&value, &DataType::Int64)?
        }
        _ => {
            let hint = "Choose a column of whole numbers, dates or timestamps.";
            return Err(PgError::refused("the cursor column has a type that cannot be followed", hint).into());
        }
    };
    Ok(value.as_primitive::<Int64Type>().value(0))
}

impl Source for IncrementalSource {
    fn codec(&self) -> Option<Codec> {
        None
    }

    fn provenance(&self) -> Provenance {
        Provenance::None
    }

    fn resume(&mut self, committed: &Positions) -> Result<()> {
        self.position = committed.get(&self.key);
        self.running = None;
        self.polled = None;
        Ok(())
    }

    fn next_batch(&mut self, limits: &ReadLimits, _: RecordBuffer) -> Result<Next> {
        let due = self.polled.is_none_or(|polled| self.of.clock.monotonic().saturating_sub(polled) >= self.every);
        let mut poll = match self.running.take() {
            Some(poll) => poll,
            None if due => self.begin()?,
            None => return Ok(if self.stop_at_end { Next::End } else { Next::Idle }),
        };
        let ended = loop {
            match poll.connection.copied().map_err(Error::from)? {
                Some(bytes) => poll.decoder.feed(bytes)?,
                None if poll.decoder.is_whole() => break true,
                None => return Err(PgError::Protocol("a copy without its end").into()),
            }
            if poll.decoder.bytes() >= limits.max_bytes && poll.decoder.rows() > 0 {
                break false;
            }
        };
        let batch = self.batch(&mut poll, ended)?;
        if ended {
            self.polled = Some(self.of.clock.monotonic());
        } else {
            self.running = Some(poll);
        }
        Ok(Next::Rows(Box::new(batch)))
    }

    fn committed(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }

    fn lag(&self) -> Option<u64> {
        self.running.is_none().then_some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_sql_of_the_columns_type() {
        let cases = [
            (Kind::Int8, -5, "'-5'::bigint"),
            (Kind::Date, 19_000, "(date '1970-01-01' + (19000))"),
            (Kind::Timestamp, -1, "(timestamp '1970-01-01' + interval '-1 days 86399 seconds 999999 microseconds')"),
        ];
        for (kind, position, expected) in cases {
            assert_eq!(cursor_value(kind, position).unwrap(), expected);
        }
        assert!(cursor_value(Kind::Text, 1).is_err());
    }
}
