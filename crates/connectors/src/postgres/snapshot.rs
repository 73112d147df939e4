//! A whole table, copied as of one moment, that replaces the copy before.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use headwater_ingest::codec::Codec;
use headwater_ingest::error::{Error, Result};
use headwater_ingest::position::Positions;
use headwater_ingest::record::RecordBuffer;
use headwater_ingest::schema::Provenance;
use headwater_ingest::source::{Effect, Next, ReadLimits, RowBatch, Source};
use headwater_project::{Clock, Entropy};

use crate::postgres::Target;
use crate::postgres::catalog::{self, CatalogTable, parse_lsn};
use crate::postgres::chunk;
use crate::postgres::column::ColumnType;
use crate::postgres::config::{PostgresConfig, TableConfig};
use crate::postgres::error::{PgError, Result as PgResult};
use crate::postgres::table_copy::{CopyPlan, TableCopy};
use crate::postgres::wire::{Connection, Purpose};

/// The position key of a table that is copied whole; its value is the place in the write-ahead log at the time of the copy.
pub fn snapshot_key(source: &str, table: &str) -> String {
    format!("pg/snapshot/{source}/{table}")
}

/// What every source of one table is made of.
#[derive(Clone)]
pub struct TableSource {
    /// Name of the source in the project.
    pub source: String,
    /// Table as written in the configuration.
    pub table: String,
    pub config: TableConfig,
    pub target: Target,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

impl TableSource {
    pub(crate) fn connect(&self) -> PgResult<Connection> {
        let mut connection = Connection::open(&self.target, Purpose::Statements, &*self.entropy)?;
        connection.query("SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = 0")?;
        Ok(connection)
    }
}

pub struct SnapshotSource {
    of: TableSource,
    key: String,
    every: Duration,
    parallel: usize,
    bytes_per_second: Option<u64>,
    stop_at_end: bool,
    /// When the last copy ended.
    ended: Option<Duration>,
    running: Option<Running>,
}

/// A copy under way. The session keeps the snapshot alive.
struct Running {
    copy: TableCopy,
    schema: SchemaRef,
    lsn: i64,
    is_first: bool,
    _session: Connection,
}

impl SnapshotSource {
    pub fn new(of: TableSource, config: &PostgresConfig) -> Self {
        Self {
            key: snapshot_key(&of.source, &of.table),
            of,
            every: config.every.0,
            parallel: config.parallel.into(),
            bytes_per_second: config.max_bytes_per_second.map(|size| size.0),
            stop_at_end: false,
            ended: None,
            running: None,
        }
    }

    /// End after one copy instead of waiting for the next.
    #[must_use]
    pub fn stop_at_end(mut self) -> Self {
        self.stop_at_end = true;
        self
    }

    fn begin(&self) -> PgResult<Running> {
        let mut session = self.of.connect()?;
        session.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let found = session.query(
            "SELECT pg_export_snapshot(), \
             CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END",
        )?;
        let snapshot = found.first(0).ok_or(PgError::Protocol("no snapshot"))?.to_owned();
        let lsn = found.first(1).and_then(parse_lsn).and_then(|lsn| i64::try_from(lsn).ok());
        let table = CatalogTable::read(&mut session, &self.of.table, &self.of.config)?;
        let version = catalog::version(&mut session)?;
        let columns = table.column_types();
        let schema = Arc::new(Schema::new(columns.iter().map(ColumnType::field).collect::<Vec<_>>()));
        let plan = CopyPlan {
            target: self.of.target.clone(),
            snapshot,
            chunks: chunk::chunks(&mut session, &table, version)?,
            select_list: table.select_list(),
            columns,
            parallel: self.parallel,
            bytes_per_second: self.bytes_per_second,
            clock: Arc::clone(&self.of.clock),
            entropy: Arc::clone(&self.of.entropy),
        };
        let copy = TableCopy::start(plan)?;
        let lsn = lsn.ok_or(PgError::Protocol("no place in the log"))?;
        Ok(Running { copy, schema, lsn, is_first: true, _session: session })
    }

    fn is_due(&self) -> bool {
        self.ended.is_none_or(|ended| self.of.clock.monotonic().saturating_sub(ended) >= self.every)
    }
}

impl Source for SnapshotSource {
    fn codec(&self) -> Option<Codec> {
        None
    }

    fn provenance(&self) -> Provenance {
        Provenance::None
    }

    fn resume(&mut self, _: &Positions) -> Result<()> {
        self.running = None;
        self.ended = None;
        Ok(())
    }

    fn next_batch(&mut self, _: &ReadLimits, _: RecordBuffer) -> Result<Next> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None if self.is_due() => self.begin()?,
            None => return Ok(if self.stop_at_end { Next::End } else { Next::Idle }),
        };
        let piece = running.copy.next().map_err(Error::from)?;
        let effect = if std::mem::take(&mut running.is_first) { Effect::Replace { log: None } } else { Effect::Append };
        let mut batch = RowBatch {
            rows: RecordBatch::new_empty(Arc::clone(&running.schema)),
            effect,
            rejected: Vec::new(),
            bytes: 0,
            positions: Positions::default(),
            boundary: piece.is_none(),
            info: None,
        };
        match piece {
            Some((rows, bytes)) => {
                (batch.rows, batch.bytes) = (rows, bytes);
                self.running = Some(running);
            }
            // The copy is whole: only now may it be committed.
            None => {
                batch.positions.set(&self.key, running.lsn);
                self.ended = Some(self.of.clock.monotonic());
            }
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
