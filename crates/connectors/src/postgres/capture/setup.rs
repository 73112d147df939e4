//! What must hold before changes are streamed: the tables, the publication, the slot, and a copy of every table that lacks one.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use headwater_ingest::capture::{Boundary, Changes, CurrentChange, Offer, Outlet, Resume, TableChanges};
use headwater_ingest::error::{Error, Result};
use headwater_ingest::position::Positions;
use headwater_project::fault;

use super::{CaptureSource, TAKEN_WITHIN, progress_key, table_keys};
use crate::postgres::catalog::{self, CatalogTable, lsn_text, parse_lsn};
use crate::postgres::chunk;
use crate::postgres::column::ColumnType;
use crate::postgres::config::{PostgresConfig, TableConfig, split_name};
use crate::postgres::error::{PgError, Result as PgResult};
use crate::postgres::table_copy::{CopyPlan, TableCopy};
use crate::postgres::wire::{Connection, Purpose, quoted_name, quoted_text};

/// What streaming starts from.
pub(super) struct Ready {
    pub(super) statements: Connection,
    pub(super) replication: Connection,
    pub(super) tables: Vec<ReadyTable>,
    /// How far the stream was taken.
    pub(super) from: u64,
}

pub(super) struct ReadyTable {
    pub(super) catalog: CatalogTable,
    pub(super) key: Vec<String>,
    /// The last commit the table includes.
    pub(super) position: u64,
    /// The last commit its log of changes includes.
    pub(super) log_position: u64,
    /// Columns the lake's table has.
    pub(super) known: Vec<String>,
}

pub(super) struct Setup<'a> {
    source: &'a CaptureSource,
    from: &'a Resume,
    outlet: &'a mut Outlet,
}

impl<'a> Setup<'a> {
    pub(super) fn new(source: &'a CaptureSource, from: &'a Resume, outlet: &'a mut Outlet) -> Self {
        Self { source, from, outlet }
    }

    /// Nothing when a stop was asked for, or the other side failed, before all was done.
    pub(super) fn run(&mut self) -> Result<Option<Ready>> {
        let mut statements = self.connect(Purpose::Statements)?;
        statements.query("SET lock_timeout = '30s'").map_err(Error::from)?;
        let tables = self.describe(&mut statements)?;
        self.source.ensure_publication(&mut statements, &tables)?;
        let mut replication = self.connect(Purpose::Replication)?;
        let system = system_identifier(&mut replication)?;
        let Some(from) = self.slot(&mut statements, &mut replication, system)? else { return Ok(None) };
        let mut ready = Vec::new();
        let mut to_copy = Vec::new();
        for (index, (catalog, key)) in tables.into_iter().enumerate() {
            let position = self.position(&mut statements, index, &catalog)?;
            if position.is_none() {
                to_copy.push(index);
            }
            let lake = self.from.schemas.get(index).and_then(Option::as_ref);
            let known = lake.map(|schema| schema.fields().iter().map(|field| field.name().clone()).collect());
            let (known, position) = (known.unwrap_or_default(), position.unwrap_or(0));
            let [lsn, _] = self.keys(index);
            let log = self.from.logs.get(index).and_then(|log| log.get(&lsn));
            let log_position = log.and_then(|lsn| u64::try_from(lsn).ok()).unwrap_or(0);
            ready.push(ReadyTable { catalog, key, position, log_position, known });
        }
        if !to_copy.is_empty() && !self.copy(&mut statements, &mut ready, &to_copy)? {
            return Ok(None);
        }
        Ok(Some(Ready { statements, replication, tables: ready, from }))
    }

    fn connect(&self, purpose: Purpose) -> Result<Connection> {
        Ok(Connection::open(&self.source.target, purpose, &*self.source.entropy)?)
    }

    fn describe(&self, statements: &mut Connection) -> Result<Vec<(CatalogTable, Vec<String>)>> {
        let mut tables = Vec::new();
        for (name, config) in &self.source.tables {
            let mut catalog = CatalogTable::read(statements, name, config)?;
            // The stream does not carry what the server computes.
            catalog.columns.retain(|column| !column.is_generated);
            let key = required_key(name, &catalog, config)?;
            tables.push((catalog, key));
        }
        Ok(tables)
    }

    /// How far the stream was taken, with the slot made if there is none.
    fn slot(&mut self, statements: &mut Connection, replication: &mut Connection, system: i64) -> Result<Option<u64>> {
        let slot = self.source.slot();
        let stored = |what| self.from.progress.get(&progress_key(&self.source.source, what));
        let state = SlotState::read(statements, &slot)?;
        if let Some(taken) = stored("lsn").and_then(|lsn| u64::try_from(lsn).ok()).filter(|lsn| *lsn > 0) {
            if stored("system") != Some(system) {
                let problem = "the connection leads to another server than before";
                return Err(gap(&self.source.source, problem).into());
            }
            SlotState::check(state, &slot, taken).map_err(|problem| gap(&self.source.source, &problem))?;
            return Ok(Some(taken));
        }
        if state.is_some() {
            if stored("intent").is_none() {
                let message = format!("there is a replication slot `{slot}` that this project did not make");
                let hint = format!("Name another with `slot`, or drop it: SELECT pg_drop_replication_slot('{slot}').");
                return Err(PgError::refused(message, hint).into());
            }
            // We made it, and ended before anything was taken from it.
            statements
                .query(&format!("SELECT pg_drop_replication_slot({})", quoted_text(&slot)))
                .map_err(Error::from)?;
        }
        let mut intent = Positions::default();
        intent.set(progress_key(&self.source.source, "intent"), 1);
        if !self.commit(Boundary { positions: intent, ..Boundary::default() }, Vec::new(), 0)? {
            return Ok(None);
        }
        let sql = format!("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput NOEXPORT_SNAPSHOT", quoted_name(&slot));
        let made = replication.query(&sql).map_err(Error::from)?;
        let begins = made.first(1).and_then(parse_lsn).ok_or(PgError::Protocol("a slot without its place"))?;
        fault::point("cdc.slot_created_before_state")?;
        let mut positions = Positions::default();
        positions.set(progress_key(&self.source.source, "lsn"), as_position(begins));
        positions.set(progress_key(&self.source.source, "system"), system);
        let events = self.event("slot made", &format!("{slot} at {}", lsn_text(begins)));
        let boundary = Boundary { positions, events: Some(events), ..Boundary::default() };
        Ok(self.commit(boundary, Vec::new(), 0)?.then_some(begins))
    }

    /// The last commit a table includes; nothing when it has to be copied.
    fn position(&self, statements: &mut Connection, index: usize, catalog: &CatalogTable) -> Result<Option<u64>> {
        let Some(stored) = self.from.tables.get(index) else { return Ok(None) };
        let [lsn, oid] = self.keys(index);
        let position = stored.get(&lsn).and_then(|lsn| u64::try_from(lsn).ok());
        let (Some(position), true) = (position, stored.get(&oid) == Some(i64::from(catalog.oid))) else {
            return Ok(None);
        };
        let lake = self.from.schemas.get(index).and_then(Option::as_ref);
        let is_new = |name: &str| lake.is_none_or(|schema| schema.field_with_name(name).is_err());
        for column in catalog.columns.iter().filter(|column| is_new(&column.column.name)) {
            if has_filled_rows(statements, catalog.oid, &column.column.name)? {
                return Ok(None);
            }
        }
        Ok(Some(position))
    }

    fn keys(&self, index: usize) -> [String; 2] {
        let (name, config) = &self.source.tables[index];
        table_keys(&self.source.source, &PostgresConfig::lake_name(name, config))
    }

    /// Copies tables as of one snapshot, each in one commit. False when the other side is gone or a stop was asked for.
    fn copy(&mut self, statements: &mut Connection, tables: &mut [ReadyTable], to_copy: &[usize]) -> Result<bool> {
        let mut exporting = self.connect(Purpose::Replication)?;
        let name = format!("headwater_copy_{:016x}", self.source.entropy.next_u64());
        let sql = format!("CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT", quoted_name(&name));
        let made = exporting.query(&sql).map_err(Error::from)?;
        let at = made.first(1).and_then(parse_lsn).ok_or(PgError::Protocol("a slot without its place"))?;
        let snapshot = made.first(2).ok_or(PgError::Protocol("a slot without its snapshot"))?.to_owned();
        let version = catalog::version(statements)?;
        for index in to_copy {
            let Some(table) = tables.get_mut(*index) else { continue };
            table.position = at.saturating_sub(1);
            table.known = table.catalog.columns.iter().map(|column| column.column.name.clone()).collect();
            let chunks = chunk::chunks(statements, &table.catalog, version)?;
            let plan = CopyPlan {
                target: self.source.target.clone(),
                snapshot: snapshot.clone(),
                chunks,
                columns: table.catalog.column_types(),
                select_list: table.catalog.select_list(),
                parallel: self.source.config.parallel.into(),
                bytes_per_second: self.source.config.max_bytes_per_second.map(|size| size.0),
                clock: Arc::clone(&self.source.clock),
                entropy: Arc::clone(&self.source.entropy),
            };
            let (position, oid) = (table.position, table.catalog.oid);
            if !self.copy_table(*index, plan, position, oid)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn copy_table(&mut self, index: usize, plan: CopyPlan, position: u64, oid: u32) -> Result<bool> {
        let schema = Schema::new(plan.columns.iter().map(ColumnType::field).collect::<Vec<_>>());
        let mut copy = TableCopy::start(plan)?;
        // The table is there, and empty, even when there is no row.
        let mut current =
            vec![CurrentChange::Append(RecordBatch::new_empty(Arc::new(schema))), CurrentChange::Truncate];
        let mut bytes = 0;
        loop {
            let piece = copy.next().map_err(Error::from)?;
            let is_last = piece.is_none();
            if let Some((rows, read)) = piece {
                current.push(CurrentChange::Append(rows));
                bytes = read;
            }
            let mut changes = TableChanges {
                table: index,
                log: None,
                current: std::mem::take(&mut current),
                positions: Positions::default(),
            };
            if is_last {
                let [lsn, number] = self.keys(index);
                changes.positions.set(lsn, as_position(position));
                changes.positions.set(number, oid.into());
                return self.commit(Boundary::default(), vec![changes], 0);
            }
            fault::point("cdc.mid_copy")?;
            let piece = Changes { tables: vec![changes], boundary: None, bytes };
            if self.outlet.is_stopped() || !matches!(self.outlet.send(piece), Offer::Taken) {
                return Ok(false);
            }
        }
    }

    /// Has something committed, and waits until it is.
    fn commit(&mut self, boundary: Boundary, tables: Vec<TableChanges>, bytes: u64) -> Result<bool> {
        let changes = Changes { tables, boundary: Some(boundary), bytes };
        if !matches!(self.outlet.send(changes), Offer::Taken) {
            return Ok(false);
        }
        loop {
            if self.outlet.wait_acknowledged(TAKEN_WITHIN).is_some() {
                return Ok(true);
            }
            if self.outlet.is_gone() {
                return Ok(false);
            }
        }
    }

    fn event(&self, what: &str, detail: &str) -> RecordBatch {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let fields = vec![
            Field::new("at", time, true),
            Field::new("event", DataType::Utf8, true),
            Field::new("detail", DataType::Utf8, true),
        ];
        let schema = Arc::new(Schema::new(fields));
        let at = TimestampMicrosecondArray::from(vec![self.source.clock.now().as_micros()]).with_timezone("UTC");
        let texts = |text: &str| Arc::new(StringArray::from(vec![text.to_owned()]));
        let columns: Vec<arrow::array::ArrayRef> = vec![Arc::new(at), texts(what), texts(detail)];
        RecordBatch::try_new(Arc::clone(&schema), columns).unwrap_or_else(|_| RecordBatch::new_empty(schema))
    }
}

pub(super) fn as_position(lsn: u64) -> i64 {
    i64::try_from(lsn).unwrap_or(i64::MAX)
}

/// A table is added only when the server can say which row a change is of: publishing it otherwise would make the updates of
/// the application itself fail.
fn required_key(name: &str, catalog: &CatalogTable, config: &TableConfig) -> PgResult<Vec<String>> {
    if !matches!(catalog.kind, 'r' | 'p') {
        return Err(PgError::refused(
            format!("{name} is no table"),
            "Follow views with `mode: snapshot` or `incremental`.",
        ));
    }
    let full = "Give it a primary key, or set REPLICA IDENTITY FULL and name `key`.";
    let identity = match catalog.replica_identity {
        'd' => catalog.primary_key.clone(),
        'i' => catalog.identity_index.clone(),
        'f' => catalog.key(config),
        _ => return Err(PgError::refused(format!("{name} has REPLICA IDENTITY NOTHING"), full)),
    };
    if identity.is_empty() {
        return Err(PgError::refused(format!("nothing tells the rows of {name} apart"), full));
    }
    if let Some(excluded) = identity.iter().find(|column| config.exclude.contains(column)) {
        return Err(PgError::refused(format!("column `{excluded}` of {name} is its key"), "Remove it from `exclude`."));
    }
    match &config.key {
        Some(key) if catalog.replica_identity != 'f' && *key != identity => Err(PgError::refused(
            format!("`key` of {name} is not its replica identity, {}", identity.join(", ")),
            "Remove `key`, or set REPLICA IDENTITY FULL.",
        )),
        _ => Ok(identity),
    }
}

/// Whether rows from before a column was added have a value in it: the stream does not tell them.
pub(super) fn has_filled_rows(statements: &mut Connection, table: u32, column: &str) -> PgResult<bool> {
    let found = statements.query(&format!(
        "SELECT coalesce((to_jsonb(a) ->> 'atthasmissing')::boolean, a.atthasdef) FROM pg_attribute a \
         WHERE a.attrelid = {table} AND a.attname = {}",
        quoted_text(column)
    ))?;
    Ok(found.first(0) == Some("t"))
}

fn system_identifier(replication: &mut Connection) -> PgResult<i64> {
    let found = replication.query("IDENTIFY_SYSTEM")?;
    let number: Option<u64> = found.first(0).and_then(|text| text.parse().ok());
    // Only compared, so the top bit may go.
    number
        .map(|number| (number & (u64::MAX >> 1)).cast_signed())
        .ok_or(PgError::Protocol("a server without its number"))
}

fn gap(source: &str, problem: &str) -> PgError {
    let hint = format!(
        "Changes in between are lost to the stream. `headwater ingest --restart {source}` copies its tables again."
    );
    PgError::refused(format!("the stream of `{source}` has a gap: {problem}"), hint)
}

struct SlotState {
    confirmed: Option<u64>,
    wal_status: String,
    plugin: String,
    is_here: bool,
}

impl SlotState {
    fn read(statements: &mut Connection, slot: &str) -> PgResult<Option<Self>> {
        let found = statements.query(&format!(
            "SELECT confirmed_flush_lsn, coalesce(to_jsonb(s) ->> 'wal_status', ''), coalesce(plugin, ''), \
                    coalesce(database = current_database(), false) \
             FROM pg_replication_slots s WHERE slot_name = {}",
            quoted_text(slot)
        ))?;
        let text = |column| found.first(column).unwrap_or_default().to_owned();
        Ok((!found.rows.is_empty()).then(|| Self {
            confirmed: found.first(0).and_then(parse_lsn),
            wal_status: text(1),
            plugin: text(2),
            is_here: found.first(3) == Some("t"),
        }))
    }

    /// A slot beyond what we have would skip what lies between without a word.
    fn check(state: Option<Self>, slot: &str, taken: u64) -> Result<(), String> {
        let Some(state) = state else { return Err(format!("the slot `{slot}` is gone")) };
        if !state.is_here || state.plugin != "pgoutput" {
            return Err(format!("the slot `{slot}` is of another database or plug-in"));
        }
        if matches!(state.wal_status.as_str(), "lost" | "unreserved") {
            return Err(format!("the slot `{slot}` has lost changes: wal_status is {}", state.wal_status));
        }
        match state.confirmed {
            Some(confirmed) if confirmed > taken => {
                let (confirmed, taken) = (lsn_text(confirmed), lsn_text(taken));
                Err(format!("the slot `{slot}` stands at {confirmed}, the lake at {taken}"))
            }
            _ => Ok(()),
        }
    }
}

impl CaptureSource {
    /// Makes the publication that is ours to make name exactly the tables; one that was given must name them.
    fn ensure_publication(&self, statements: &mut Connection, tables: &[(CatalogTable, Vec<String>)]) -> PgResult<()> {
        let publication = self.publication();
        let quoted = quoted_text(&publication);
        let exists =
            !statements.query(&format!("SELECT 1 FROM pg_publication WHERE pubname = {quoted}"))?.rows.is_empty();
        let found = statements.query(&format!(
            "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = {quoted} ORDER BY 1"
        ))?;
        let named: Vec<String> = found.rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
        let mut wanted: Vec<String> =
            tables.iter().map(|(table, _)| format!("{}.{}", table.schema, table.name)).collect();
        wanted.sort();
        if self.config.publication.is_some() {
            return match wanted.iter().find(|table| !named.contains(table)) {
                None if exists => Ok(()),
                None => Err(PgError::refused(
                    format!("there is no publication `{publication}`"),
                    "Create it, or leave `publication` out.",
                )),
                Some(missing) => Err(PgError::refused(
                    format!("publication `{publication}` does not name {missing}"),
                    format!("ALTER PUBLICATION {} ADD TABLE {missing}.", quoted_name(&publication)),
                )),
            };
        }
        let list: Vec<String> = tables.iter().map(|(table, _)| table.quoted()).collect();
        let (name, list) = (quoted_name(&publication), list.join(", "));
        if !exists {
            let through_root =
                if catalog::version(statements)? >= 130_000 { " WITH (publish_via_partition_root = true)" } else { "" };
            statements.query(&format!("CREATE PUBLICATION {name} FOR TABLE {list}{through_root}"))?;
        } else if named != wanted {
            statements.query(&format!("ALTER PUBLICATION {name} SET TABLE {list}"))?;
        }
        Ok(())
    }
}

/// Where a table stands now, to notice one that was dropped and made again.
pub(super) fn table_number(statements: &mut Connection, name: &str) -> PgResult<Option<u32>> {
    let (schema, table) = split_name(name);
    let found = statements.query(&format!(
        "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = {} AND c.relname = {}",
        quoted_text(schema),
        quoted_text(table)
    ))?;
    Ok(found.first(0).and_then(|text| text.parse().ok()))
}
