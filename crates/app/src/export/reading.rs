//! What a sink asks of the lake: which rows are new, and the rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Int64Type, Schema};
use headwater_engine::PublishedRelation;
use headwater_lake::{INGESTED_AT, TableName};
use headwater_project::{Classify, Failure, Timestamp};
use headwater_state::PublishedAs;

use crate::instance::{Instance, parse_table_name};
use crate::query::QueryStream;
use crate::sink_file::{Send, SinkConfig};

/// Columns that say in which order rows of one commit came.
const ORDER: &[&str] = &["_partition", "_offset", "_source_file", "_line", "_lsn", "_seq"];

/// The table of a sink.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) config: &'a SinkConfig,
}

/// Rows that are still to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) rows: u64,
    /// When the first of them came.
    pub(crate) since: Option<Timestamp>,
}

impl Reading<'_> {
    /// The rows that a condition and an order pick.
    pub(super) async fn rows(self, which: &str) -> Result<QueryStream, Failure> {
        let sql = format!("SELECT {} FROM {} {which}", self.columns(), quoted(self.config.table())?);
        self.instance.query(&sql, Vec::new()).await
    }

    /// The least or the greatest (`min`, `max`) `_ingested_at` after a position, in microseconds.
    pub(super) async fn commit_time(self, which: &str, after: Option<i64>) -> Result<Option<i64>, Failure> {
        let (table, place) = (quoted(self.config.table())?, place());
        let later = after.map_or_else(String::new, |position| format!(" WHERE {place} > {position}"));
        self.number(&format!("SELECT {which}({place}) FROM {table}{later}")).await
    }

    /// The rows of the table that this log of changes is of, as reads of a place in the database's log.
    pub(super) async fn captured_rows(self, table: &TableName, place: i64) -> Result<QueryStream, Failure> {
        let from = quoted(&table.to_string())?;
        let sql = format!("SELECT 'r' AS \"_op\", CAST({place} AS BIGINT) AS \"_lsn\", * FROM {from}");
        self.instance.query(&sql, Vec::new()).await
    }

    /// The greatest position of this log of changes before which it has nothing after a place in the database's log; 0 when
    /// it has nothing before it at all.
    pub(super) async fn before_place(self, lsn: i64) -> Result<i64, Failure> {
        let (log, place) = (quoted(self.config.table())?, place());
        // Both of one version: a commit between two questions would count as sent.
        let sql = format!("SELECT min(CASE WHEN \"_lsn\" > {lsn} THEN {place} END), max({place}) FROM {log}");
        let found = self.numbers(&sql).await?;
        let [later, newest] = found[..] else { return Ok(0) };
        Ok(later.map_or(newest.unwrap_or(0), |later| later - 1))
    }

    /// What tells this state of the table from others.
    pub(super) async fn version(self) -> Result<Option<i64>, Failure> {
        let Some(name) = parse_table_name(self.config.table()) else { return Ok(None) };
        match self.instance.published()?.get(&name) {
            Some(PublishedRelation::Version(version)) => Ok(i64::try_from(*version).ok()),
            Some(PublishedRelation::View { .. }) => {
                Err(Failure::user(format!("`{name}` is a view, which has no versions"))
                    .with_hint("Make it a table, or send its rows with `send: added`."))
            }
            // A table that is ingested gets versions without new rows, when its files are merged.
            None => self.commit_time("max", None).await,
        }
    }

    /// The order in which rows came. `is_total` also tells apart what came together, by all that is sent.
    pub(super) async fn order(self, is_total: bool) -> Result<String, Failure> {
        let table = quoted(self.config.table())?;
        let all = self.schema(&format!("SELECT * FROM {table}")).await?;
        let came = std::iter::once(INGESTED_AT).chain(ORDER.iter().copied());
        let mut names: Vec<String> = came.filter(|name| all.column_with_name(name).is_some()).map(quote).collect();
        if is_total {
            let sent = self.schema(&format!("SELECT {} FROM {table}", self.columns())).await?;
            let sortable = sent.fields().iter().filter(|field| !field.data_type().is_nested());
            for name in sortable.map(|field| quote(field.name())) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Ok(names.join(", "))
    }

    fn columns(self) -> String {
        let names: Vec<String> = self.config.columns().iter().map(|name| quote(name)).collect();
        if names.is_empty() { String::from("*") } else { names.join(", ") }
    }

    async fn schema(self, sql: &str) -> Result<Arc<Schema>, Failure> {
        Ok(self.instance.query(&format!("{sql} LIMIT 0"), Vec::new()).await?.schema)
    }

    /// Whether there is anything under the name of the table.
    pub(super) async fn is_there(self) -> Result<bool, Failure> {
        let Some(name) = parse_table_name(self.config.table()) else { return Ok(false) };
        let instance = self.instance;
        if instance.published()?.contains_key(&name) || instance.project().externals.contains_key(&name) {
            return Ok(true);
        }
        let found = instance.lake.load(&name).await.map_err(|error| error.failure())?;
        Ok(found.is_some() && !instance.built_names().contains(&name))
    }

    /// What waits at the table for a destination that has it up to a position.
    pub(crate) async fn waiting(self, position: Option<i64>) -> Result<Waiting, Failure> {
        if !self.is_there().await? {
            return Ok(Waiting::default());
        }
        let (table, place) = (quoted(self.config.table())?, place());
        if self.config.send() == Send::Added {
            let later = position.map_or_else(String::new, |position| format!(" WHERE {place} > {position}"));
            let found = self.numbers(&format!("SELECT count(*), min({place}) FROM {table}{later}")).await?;
            let [rows, since] = found[..] else { return Ok(Waiting::default()) };
            let rows = rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0);
            return Ok(Waiting { rows, since: since.map(Timestamp) });
        }
        let Some(version) = self.version().await?.filter(|version| Some(*version) != position) else {
            return Ok(Waiting::default());
        };
        let rows = self.number(&format!("SELECT count(*) FROM {table}")).await?;
        let rows = rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0);
        Ok(Waiting { rows, since: self.published_at()?.or(Some(Timestamp(version))) })
    }

    /// When the version was published that `send: all` sends; nothing of a table whose positions are times themselves.
    pub(crate) fn published_at(self) -> Result<Option<Timestamp>, Failure> {
        let published = self.instance.state.published().map_err(|error| error.failure())?;
        let found = published.into_iter().find(|entry| entry.name == self.config.table());
        Ok(found.filter(|entry| matches!(entry.relation, PublishedAs::Table { .. })).map(|entry| entry.at))
    }

    async fn number(self, sql: &str) -> Result<Option<i64>, Failure> {
        Ok(self.numbers(sql).await?.first().copied().flatten())
    }

    /// The columns of the one row that a query over numbers gives.
    async fn numbers(self, sql: &str) -> Result<Vec<Option<i64>>, Failure> {
        let batches = self.instance.query(sql, Vec::new()).await?.collect().await?;
        let Some(row) = batches.first().filter(|batch| batch.num_rows() == 1) else { return Ok(Vec::new()) };
        let number = |column: &ArrayRef| {
            let numbers = column.as_primitive::<Int64Type>();
            numbers.is_valid(0).then(|| numbers.value(0))
        };
        Ok(row.columns().iter().map(number).collect())
    }
}

/// `_ingested_at` as the number positions are.
pub(super) fn place() -> String {
    format!("CAST(\"{INGESTED_AT}\" AS BIGINT)")
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn quoted(table: &str) -> Result<String, Failure> {
    let name = parse_table_name(table).ok_or_else(|| Failure::user(format!("`{table}` is no table")))?;
    Ok(format!("{}.{}", quote(&name.schema), quote(&name.table)))
}
