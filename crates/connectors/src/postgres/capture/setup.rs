//! What must hold before changes are streamed: the tables, the publication, the slot, and a copy of every table that lacks one.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use headwater_ingest::capture::{Boundary, Changes, Copies, CurrentChange, Offer, Outlet, Resume, TableChanges};
use headwater_ingest::error::{Error, Result};
use headwater_ingest::position::Positions;
use headwater_project::fault;

use super::beside::{self, Beginning, Beside, COPY_BEGUN, CopyEvent, Size};
use super::shapes::has_filled_rows;
use super::slot::{SlotState, gap};
use super::{CaptureSource, TAKEN_WITHIN, TableKeys, progress_key, publication};
use crate::postgres::catalog::{self, CatalogTable, lsn_text, parse_lsn};
use crate::postgres::chunk;
use crate::postgres::column::ColumnType;
use crate::postgres::config::TableConfig;
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
    /// The server's.
    pub(super) version: u32,
}

/// What a table is to the stream.
enum Standing {
    Follows,
    /// It has to be copied, and loses its rows before if they belong to another table.
    Lacks {
        truncates: bool,
    },
}

pub(super) struct ReadyTable {
    /// Nothing where the table was dropped: its last changes may still come.
    pub(super) catalog: Option<CatalogTable>,
    /// Its number at the server, or the one it had.
    pub(super) oid: u32,
    /// Empty where only the stream can tell.
    pub(super) key: Vec<String>,
    /// The last commit the table includes.
    pub(super) position: u64,
    /// The last commit its log of changes includes.
    pub(super) log_position: u64,
    /// Columns the lake's table has.
    pub(super) known: Vec<String>,
    /// Number of its entry in the publication.
    pub(super) published: Option<i64>,
    /// Its position `copy`.
    pub(super) copy_number: i64,
    /// A copy beside the stream that is under way.
    pub(super) copying: Option<Beside>,
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
        let there: Vec<&CatalogTable> = tables.iter().filter_map(|(catalog, _)| catalog.as_ref()).collect();
        self.source.ensure_publication(&mut statements, &there)?;
        let oids: Vec<u32> =
            (0..).zip(&tables).map(|(index, (catalog, _))| self.number(index, catalog.as_ref())).collect();
        let published = self.source.published(&mut statements, &oids)?;
        let mut replication = self.connect(Purpose::Replication)?;
        let system = system_identifier(&mut replication)?;
        let Some((from, is_new)) = self.slot(&mut statements, &mut replication, system)? else { return Ok(None) };
        let version = catalog::version(&mut statements)?;
        let mut tables: Vec<ReadyTable> = tables
            .into_iter()
            .zip(published)
            .enumerate()
            .map(|(index, ((catalog, key), published))| self.ready(index, catalog, key, published))
            .collect();
        let mut to_copy = Vec::new();
        for (index, table) in tables.iter_mut().enumerate() {
            let Some(catalog) = table.catalog.clone() else { continue };
            let Standing::Lacks { truncates } = self.standing(&mut statements, index, table, &catalog)? else {
                continue;
            };
            if is_new || !self.fits_beside(&mut statements, &catalog, &table.key, version)? {
                to_copy.push(index);
            } else if !self.begin_beside(index, table, &catalog, from, truncates)? {
                return Ok(None);
            }
        }
        if !self.note_entries(&tables, &to_copy)? {
            return Ok(None);
        }
        if !to_copy.is_empty() && !self.copy(&mut statements, &mut tables, &to_copy)? {
            return Ok(None);
        }
        Ok(Some(Ready { statements, replication, tables, from, version }))
    }

    fn connect(&self, purpose: Purpose) -> Result<Connection> {
        Ok(Connection::open(&self.source.target, purpose, &*self.source.entropy)?)
    }

    fn describe(&self, statements: &mut Connection) -> Result<Vec<(Option<CatalogTable>, Vec<String>)>> {
        let mut tables = Vec::new();
        for (index, (name, config)) in self.source.tables.iter().enumerate() {
            let catalog = match CatalogTable::read(statements, name, config) {
                // One that the lake has was not mistyped: it was dropped, and the others go on.
                Err(PgError::NoSuchTable(_)) if self.stored(index, |keys| &keys.lsn).is_some() => {
                    self.refuse_renamed(statements, index)?;
                    self.source.tell_dropped(index);
                    tables.push((None, Vec::new()));
                    continue;
                }
                catalog => catalog?.without_generated(),
            };
            let key = required_key(name, &catalog, config)?;
            tables.push((Some(catalog), key));
        }
        Ok(tables)
    }

    /// A table that only has another name goes on changing: to pass it over would lose that.
    fn refuse_renamed(&self, statements: &mut Connection, index: usize) -> PgResult<()> {
        let Some(now) = publication::table_name(statements, self.number(index, None))? else { return Ok(()) };
        let name = self.source.tables.get(index).map(|(name, _)| name.as_str()).unwrap_or_default();
        let hint = format!(
            "Name it so under `tables`, with `as: {}`, or give it its name back.",
            self.source.lake_name(index)
        );
        Err(PgError::refused(format!("table {name} is called {now} now"), hint))
    }

    /// What the lake's table holds of one of its positions.
    fn stored(&self, index: usize, key: impl Fn(&TableKeys) -> &String) -> Option<i64> {
        self.from.tables.get(index)?.get(key(&self.keys(index)))
    }

    fn number(&self, index: usize, catalog: Option<&CatalogTable>) -> u32 {
        let before = || self.stored(index, |keys| &keys.oid).and_then(|oid| u32::try_from(oid).ok()).unwrap_or(0);
        catalog.map_or_else(before, |catalog| catalog.oid)
    }

    /// How far the stream was taken, with the slot made if there is none, and whether it was.
    fn slot(
        &mut self,
        statements: &mut Connection,
        replication: &mut Connection,
        system: i64,
    ) -> Result<Option<(u64, bool)>> {
        let slot = self.source.slot();
        let stored = |what| self.from.progress.get(&progress_key(&self.source.source, what));
        let state = SlotState::read(statements, &slot)?;
        if let Some(taken) = stored("lsn").and_then(|lsn| u64::try_from(lsn).ok()).filter(|lsn| *lsn > 0) {
            if stored("system") != Some(system) {
                let problem = "the connection leads to another server than before";
                return Err(gap(&self.source.source, problem).into());
            }
            SlotState::check(state, &slot, taken).map_err(|problem| gap(&self.source.source, &problem))?;
            return Ok(Some((taken, false)));
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
        let told = (String::from("slot made"), format!("{slot} at {}", lsn_text(begins)));
        let events = self.source.events(&[told]);
        let boundary = Boundary { positions, events: Some(events), ..Boundary::default() };
        Ok(self.commit(boundary, Vec::new(), 0)?.then_some((begins, true)))
    }

    /// What the lake knows of a table.
    fn ready(
        &self,
        index: usize,
        catalog: Option<CatalogTable>,
        key: Vec<String>,
        published: Option<i64>,
    ) -> ReadyTable {
        let keys = self.keys(index);
        let lake = self.from.schemas.get(index).and_then(Option::as_ref);
        let known = lake.map(|schema| schema.fields().iter().map(|field| field.name().clone()).collect());
        let place = |positions: Option<&Positions>| {
            positions.and_then(|positions| u64::try_from(positions.get(&keys.lsn)?).ok()).unwrap_or(0)
        };
        let stored = self.from.tables.get(index);
        let number = stored.and_then(|stored| stored.get(&keys.copy)).unwrap_or(0);
        let name = self.source.lake_name(index);
        // There is nothing to copy of a table that was dropped.
        let is_copying = catalog.is_some() && TableKeys::is_copying(number);
        let copying = is_copying.then(|| Beside::resumed(index, number, &name, &self.from.ledger));
        ReadyTable {
            oid: self.number(index, catalog.as_ref()),
            catalog,
            key,
            position: place(stored),
            log_position: place(self.from.logs.get(index)),
            known: known.unwrap_or_default(),
            published,
            copy_number: number,
            copying,
        }
    }

    /// Whether the stream goes on where the table was left.
    fn standing(
        &self,
        statements: &mut Connection,
        index: usize,
        table: &ReadyTable,
        catalog: &CatalogTable,
    ) -> Result<Standing> {
        if self.stored(index, |keys| &keys.lsn).is_none() {
            return Ok(Standing::Lacks { truncates: false });
        }
        let oid = self.stored(index, |keys| &keys.oid).unwrap_or(0);
        if oid != i64::from(catalog.oid) {
            // Without a number it is the same table, of which the log does not tell all.
            return Ok(Standing::Lacks { truncates: oid != 0 });
        }
        let entry = self.stored(index, |keys| &keys.published);
        if entry.is_some_and(|entry| table.published.is_some_and(|now| now != entry)) {
            return Ok(Standing::Lacks { truncates: false });
        }
        let is_new = |name: &&str| !table.known.iter().any(|known| known == name);
        for column in catalog.columns.iter().map(|column| column.column.name.as_str()).filter(is_new) {
            if has_filled_rows(statements, catalog.oid, column)? {
                return Ok(Standing::Lacks { truncates: false });
            }
        }
        Ok(Standing::Follows)
    }

    /// Whether a table is worth copying beside the stream, and can be.
    fn fits_beside(
        &self,
        statements: &mut Connection,
        catalog: &CatalogTable,
        key: &[String],
        version: u32,
    ) -> Result<bool> {
        Ok(self.outlet.copies().is_some()
            && Size::read(statements, catalog)?.is_large()
            && beside::obstacle(statements, catalog, key, version)?.is_none())
    }

    /// Has it committed that a table is copied beside the stream.
    fn begin_beside(
        &mut self,
        index: usize,
        table: &mut ReadyTable,
        catalog: &CatalogTable,
        from: u64,
        truncates: bool,
    ) -> Result<bool> {
        table.copy_number = beside::next_number(table.copy_number);
        if table.position == 0 {
            // A commit record at this place belongs to the stream.
            table.position = from.saturating_sub(1);
        }
        table.known = beside::column_names(catalog);
        table.copying = Some(Beside::new(index, table.copy_number));
        let beginning = Beginning {
            index,
            keys: &self.keys(index),
            catalog,
            number: table.copy_number,
            position: table.position,
            published: table.published,
            truncates,
        };
        let mut positions = Positions::default();
        positions.set(progress_key(&self.source.source, "lsn"), as_position(from));
        let begun = CopyEvent { table: self.source.lake_name(index), number: table.copy_number, rows: None };
        let events = Some(self.source.events(&[(COPY_BEGUN.to_owned(), begun.to_string())]));
        let boundary = Boundary { positions, events, ..Boundary::default() };
        self.commit(boundary, vec![beginning.changes()], 0)
    }

    /// Entries of the publication that were not noted when their tables were copied.
    fn note_entries(&mut self, tables: &[ReadyTable], to_copy: &[usize]) -> Result<bool> {
        let mut noted = Vec::new();
        for (index, table) in tables.iter().enumerate().filter(|(index, _)| !to_copy.contains(index)) {
            let keys = self.keys(index);
            let is_noted = self.stored(index, |keys| &keys.published).is_some();
            if let (Some(entry), false) = (table.published, is_noted || table.copying.is_some()) {
                let mut positions = Positions::default();
                positions.set(keys.published, entry);
                noted.push(TableChanges { table: index, log: None, current: Vec::new(), positions });
            }
        }
        Ok(noted.is_empty() || self.commit(Boundary::default(), noted, 0)?)
    }

    fn keys(&self, index: usize) -> TableKeys {
        TableKeys::new(&self.source.source, &self.source.lake_name(index))
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
            let Some(catalog) = table.catalog.clone() else { continue };
            table.position = at.saturating_sub(1);
            table.known = beside::column_names(&catalog);
            table.copy_number = beside::ended(table.copy_number);
            table.copying = None;
            let chunks = chunk::chunks(statements, &catalog, version)?;
            let plan = CopyPlan {
                target: self.source.target.clone(),
                snapshot: snapshot.clone(),
                chunks,
                columns: catalog.column_types(),
                select_list: catalog.select_list(),
                parallel: self.source.config.parallel.into(),
                bytes_per_second: self.source.config.max_bytes_per_second.map(|size| size.0),
                clock: Arc::clone(&self.source.clock),
                entropy: Arc::clone(&self.source.entropy),
            };
            let mut positions = Positions::default();
            let keys = self.keys(*index);
            positions.set(keys.lsn, as_position(table.position));
            positions.set(keys.oid, catalog.oid.into());
            positions.set(keys.copy, table.copy_number);
            if let Some(entry) = table.published {
                positions.set(keys.published, entry);
            }
            let wanted = self.wanted(*index)?;
            if !self.copy_table(*index, plan, positions)? {
                return Ok(false);
            }
            if let Some(copies) = wanted {
                copies.has_begun(*index)?;
            }
        }
        Ok(true)
    }

    /// Who has to be told that a copy somebody asked for is made.
    fn wanted(&self, index: usize) -> Result<Option<Arc<dyn Copies>>> {
        let Some(copies) = self.outlet.copies() else { return Ok(None) };
        Ok(copies.is_wanted(index)?.then_some(copies))
    }

    fn copy_table(&mut self, index: usize, plan: CopyPlan, positions: Positions) -> Result<bool> {
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
                changes.positions = positions;
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
}

pub(super) fn as_position(lsn: u64) -> i64 {
    i64::try_from(lsn).unwrap_or(i64::MAX)
}

/// A table is added only when the server can say which row a change is of: publishing it otherwise would make the updates of
/// the application itself fail.
pub(crate) fn required_key(name: &str, catalog: &CatalogTable, config: &TableConfig) -> PgResult<Vec<String>> {
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

fn system_identifier(replication: &mut Connection) -> PgResult<i64> {
    let found = replication.query("IDENTIFY_SYSTEM")?;
    let number: Option<u64> = found.first(0).and_then(|text| text.parse().ok());
    // Only compared, so the top bit may go.
    number
        .map(|number| (number & (u64::MAX >> 1)).cast_signed())
        .ok_or(PgError::Protocol("a server without its number"))
}
