//! The stream's part in copies beside it: beginning them, laying each chunk over what the stream brought, and saying how far
//! they are.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use headwater_ingest::capture::{Boundary, Changes, Copies, CurrentChange, LEDGER_EVENT, TableChanges};
use headwater_ingest::error::{Error, Result};
use headwater_ingest::sink::KeyedChanges;
use headwater_ingest::stream_health::CopyProgress;
use headwater_project::fault;

use super::beside::{self, Beginning, Beside, COPY_BEGUN, COPY_ENDED, CopyEvent, Size};
use super::chunk_reader::{ChunkPlan, ChunkReader, KeyedChunk, PREFIX, Watermark};
use super::image::Key;
use super::stream::Streaming;
use super::table::{CapturedTable, Window};
use super::{TAKEN_WITHIN, progress_key};
use crate::postgres::catalog::CatalogTable;
use crate::postgres::error::{PgError, Result as PgResult};
use crate::postgres::wire::{quoted_name, quoted_text};

/// How often it is asked whether somebody wants a copy.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Before a chunk is read again that did not see what the stream had brought.
const PAUSE: Duration = Duration::from_millis(50);
/// Rows whose values are asked for at once.
const ROWS_ASKED: usize = 200;

/// Copies under way.
#[derive(Default)]
pub(super) struct Copying {
    waiting: VecDeque<Beside>,
    running: Option<Running>,
    /// Rows of the progress table that the next commit brings.
    notes: Vec<(String, String)>,
    asked_at: Option<Duration>,
    /// Since the chunk was asked for, a row got NULL for a value that was not sent, because the server no longer has the row:
    /// the stream is yet to bring what became of it, and the copy must not end before.
    owes: bool,
}

struct Running {
    copy: Beside,
    reader: ChunkReader,
    /// Transactions the stream brought before the chunk began.
    before: HashSet<u32>,
    of_rows: Option<u64>,
}

impl Copying {
    pub(super) fn goes_on(&mut self, copy: Beside) {
        self.waiting.push_back(copy);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_none()
    }

    fn is_of(&self, table: usize) -> bool {
        let running = self.running.as_ref().map(|running| &running.copy);
        self.waiting.iter().chain(running).any(|copy| copy.index == table)
    }

    pub(super) fn has_notes(&self) -> bool {
        !self.notes.is_empty()
    }

    pub(super) fn take_notes(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.notes)
    }

    /// Only the last word about a copy counts.
    fn say_how_far(&mut self, table: &str, copy: &Beside) {
        self.notes.retain(|(event, _)| event != LEDGER_EVENT);
        self.notes.push((LEDGER_EVENT.to_owned(), copy.note(table)));
    }
}

impl Streaming<'_> {
    /// Begins copies that were asked for, and keeps the one under way going. Between transactions only.
    pub(super) fn look_after_copies(&mut self) -> Result<()> {
        let Some(copies) = self.outlet.copies() else { return Ok(()) };
        let now = self.now();
        if self.copying.asked_at.is_none_or(|asked| now.saturating_sub(asked) >= ASK_EVERY) {
            self.begin_wanted(&*copies)?;
            if self.parked.is_some() {
                return Ok(());
            }
            self.copying.asked_at = Some(now);
        }
        if let Some(running) = &mut self.copying.running {
            running.reader.poll()?;
            return Ok(());
        }
        match self.copying.waiting.pop_front() {
            Some(copy) => self.start_copy(copy),
            None => Ok(()),
        }
    }

    fn begin_wanted(&mut self, copies: &dyn Copies) -> Result<()> {
        for index in 0..self.source.tables.len() {
            if !copies.is_wanted(index)? {
                continue;
            }
            if !self.copying.is_of(index) {
                if !self.is_settled() {
                    self.end_commit()?;
                    if self.parked.is_some() {
                        return Ok(());
                    }
                }
                self.begin_copy(index)?;
                fault::point("cdc.copy_begun_before_request_taken")?;
            }
            copies.has_begun(index)?;
        }
        Ok(())
    }

    /// Has it committed that a copy is under way.
    fn begin_copy(&mut self, index: usize) -> Result<()> {
        let source = self.source;
        let (written, config) = &source.tables[index];
        let catalog = match CatalogTable::read(&mut self.statements, written, config) {
            Err(PgError::NoSuchTable(_)) => {
                self.source.tell_dropped(index);
                return Ok(());
            }
            catalog => catalog?.without_generated(),
        };
        let key = self.state.key_names.get(index).cloned().unwrap_or_default();
        if let Some(why) = beside::obstacle(&mut self.statements, &catalog, &key, self.version)? {
            tracing::warn!(table = written, why, "the table is not copied again: it cannot be while its changes go on");
            return Ok(());
        }
        let (Some(keys), Some(number)) = (self.state.keys.get(index), self.state.copy_numbers.get_mut(index)) else {
            return Ok(());
        };
        *number = beside::next_number(*number);
        // All that was handed on is in the table; a commit that begins where that ends is not.
        let position =
            self.state.tables.get(index).map_or(0, |table| table.position).max(self.handed_on.saturating_sub(1));
        let number = *number;
        let beginning =
            Beginning { index, keys, catalog: &catalog, number, position, published: None, truncates: false };
        let changes = beginning.changes();
        let mut boundary = Boundary { acknowledge: super::setup::as_position(self.handed_on), ..Boundary::default() };
        boundary.positions.set(progress_key(&source.source, "lsn"), super::setup::as_position(self.handed_on));
        let begun = CopyEvent { table: source.lake_name(index), number, rows: None };
        boundary.events = Some(source.events(&[(COPY_BEGUN.to_owned(), begun.to_string())]));
        self.send_now(Changes { tables: vec![changes], boundary: Some(boundary), bytes: 0 })?;
        self.settle()?;
        if let Some(known) = self.state.known.get_mut(index) {
            *known = beside::column_names(&catalog);
        }
        self.copying.goes_on(Beside::new(index, number));
        Ok(())
    }

    /// Waits until all that was handed on is committed.
    fn settle(&mut self) -> Result<()> {
        while !self.outlet.is_settled() {
            match self.outlet.wait_acknowledged(TAKEN_WITHIN) {
                Some(acknowledged) => self.safe = self.safe.max(u64::try_from(acknowledged).unwrap_or(0)),
                None if self.outlet.is_gone() => return Err(Error::Internal("the writing half of a capture is gone")),
                None => {}
            }
        }
        Ok(())
    }

    fn start_copy(&mut self, copy: Beside) -> Result<()> {
        let source = self.source;
        let (written, config) = &source.tables[copy.index];
        let catalog = CatalogTable::read(&mut self.statements, written, config)?;
        let size = Size::read(&mut self.statements, &catalog)?;
        tracing::info!(table = written, rows = copy.rows, of = size.rows, "a table is copied beside the stream");
        let plan = ChunkPlan {
            target: source.target.clone(),
            table: written.clone(),
            config: config.clone(),
            oid: catalog.oid,
            key: self.state.key_names.get(copy.index).cloned().unwrap_or_default(),
            rows: source.config.chunk_rows.map(|rows| usize::try_from(rows).unwrap_or(usize::MAX)),
            row_bytes: size.row_bytes(),
            bytes_per_second: source.config.max_bytes_per_second.map(|size| size.0),
            nonce: source.entropy.next_u64(),
            clock: Arc::clone(&source.clock),
            entropy: Arc::clone(&source.entropy),
        };
        // Before the reader looks at what is under way: nothing the stream brings from here on is forgotten.
        self.state.delivered = Some(Vec::new());
        let mut reader = ChunkReader::start(plan)?;
        reader.request(copy.after.clone(), Duration::ZERO)?;
        let of_rows = Some(size.rows).filter(|rows| *rows > 0);
        self.copying.running = Some(Running { copy, reader, before: HashSet::new(), of_rows });
        self.tell_copy();
        Ok(())
    }

    /// A message of the log: ours begin and end chunks.
    pub(super) fn message(&mut self, prefix: &str, content: &[u8]) -> Result<()> {
        let Some(running) = self.copying.running.as_mut().filter(|_| prefix == PREFIX) else { return Ok(()) };
        match running.reader.watermark(content) {
            Some(Watermark::Low) => {
                running.before.extend(self.state.delivered.iter_mut().flat_map(std::mem::take));
                if let Some(table) = self.state.tables.get_mut(running.copy.index) {
                    table.open_window();
                }
                Ok(())
            }
            Some(Watermark::High) => self.end_chunk(),
            None => Ok(()),
        }
    }

    /// Lays a chunk over what the stream brought before it, under what it brought meanwhile.
    fn end_chunk(&mut self) -> Result<()> {
        let Some(mut running) = self.copying.running.take() else { return Ok(()) };
        let index = running.copy.index;
        let chunk = running.reader.take()?;
        let window = self.state.tables.get_mut(index).and_then(CapturedTable::close_window);
        let window = window.ok_or(PgError::Protocol("the end of a chunk that did not begin"))?;
        running.before.retain(|transaction| chunk.unseen.contains(*transaction));
        if !running.before.is_empty() {
            tracing::debug!(transactions = running.before.len(), "a chunk is read again: it did not see them");
            return self.read_on(running, PAUSE);
        }
        self.supply_unsent(index)?;
        let mut changes = self.take_table(index)?;
        let rows = passing(&chunk, &window)?;
        self.state.rows += rows.num_rows() as u64;
        running.copy.rows += chunk.rows.num_rows() as u64;
        if rows.num_rows() > 0 {
            let key = self.state.key_names.get(index).cloned().unwrap_or_default();
            changes.current.push(CurrentChange::Merge(put(key, rows)?));
        }
        // The table includes all there was up to here, which also makes its commit one that is known again.
        if let Some(commit_lsn) = self.state.commit_lsn() {
            self.state.touched.insert(index, commit_lsn);
        }
        match chunk.until {
            Some(until) => {
                running.copy.after = Some(until);
                let name = self.source.lake_name(index);
                self.copying.say_how_far(&name, &running.copy);
                self.read_on(running, Duration::ZERO)?;
            }
            None if self.copying.owes => self.read_on(running, PAUSE)?,
            None => self.end_copy(&running.copy, &mut changes),
        }
        fault::point("cdc.chunk_handed_on")?;
        self.offer(Changes { tables: vec![changes], boundary: None, bytes: chunk.bytes });
        Ok(())
    }

    /// Asks for the chunk after what was copied.
    fn read_on(&mut self, mut running: Running, pause: Duration) -> Result<()> {
        self.copying.owes = false;
        running.reader.request(running.copy.after.clone(), pause)?;
        self.copying.running = Some(running);
        self.tell_copy();
        Ok(())
    }

    fn end_copy(&mut self, copy: &Beside, changes: &mut TableChanges) {
        let index = copy.index;
        let (Some(keys), Some(number)) = (self.state.keys.get(index), self.state.copy_numbers.get_mut(index)) else {
            return;
        };
        *number = beside::ended(copy.number);
        changes.current.push(CurrentChange::Retire { since: keys.since.clone() });
        changes.positions.set(&keys.copy, *number);
        self.state.delivered = None;
        let name = self.source.lake_name(index);
        tracing::info!(table = name, rows = copy.rows, "a table was copied beside the stream");
        let ended = CopyEvent { table: name, number: copy.number, rows: Some(copy.rows) };
        self.copying.notes.push((COPY_ENDED.to_owned(), ended.to_string()));
        self.outlet.tell_copy(index, None);
    }

    fn tell_copy(&self) {
        if let Some(running) = &self.copying.running {
            self.outlet.tell_copy(running.copy.index, self.copy_progress());
        }
    }

    /// What a table got since the last piece. While it is copied the lake may lack a row whose long values are not sent.
    pub(super) fn take_table(&mut self, index: usize) -> Result<TableChanges> {
        if self.copying.is_of(index) {
            self.supply_unsent(index)?;
        }
        let table = self.state.tables.get_mut(index);
        Ok(table.ok_or(Error::Internal("a table of the stream is not there"))?.take()?)
    }

    /// Asks the server for values the stream left out. They are as of now, which is what the stream comes to: a change of one
    /// is sent, and a row that is gone by now is yet to be deleted, or moved and asked for again.
    fn supply_unsent(&mut self, index: usize) -> Result<()> {
        let Some(table) = self.state.tables.get(index) else { return Ok(()) };
        let unsent = table.unsent();
        if unsent.is_empty() {
            return Ok(());
        }
        let wanted: BTreeSet<usize> = unsent.iter().flat_map(|(_, columns)| columns.iter().copied()).collect();
        let names = table.column_names();
        let columns: Vec<String> =
            wanted.iter().filter_map(|column| names.get(*column)).map(|name| quoted_name(name)).collect();
        let key: Vec<String> =
            self.state.key_names.get(index).into_iter().flatten().map(|name| quoted_name(name)).collect();
        let (schema, name) = self.state.names.get(index).cloned().unwrap_or_default();
        let relation = format!("{}.{}", quoted_name(&schema), quoted_name(&name));
        for some in unsent.chunks(ROWS_ASKED) {
            let literals: Vec<String> = some.iter().map(|(key, _)| literal(key)).collect();
            let sql = format!(
                "SELECT {key}, {} FROM {relation} WHERE ({key}) IN ({})",
                columns.join(", "),
                literals.join(", "),
                key = key.join(", ")
            );
            let found = found_by_key(self.statements.query(&sql), key.len())?;
            let Some(table) = self.state.tables.get_mut(index) else { continue };
            for (row_key, _) in some {
                self.copying.owes |= !found.contains_key(row_key);
                let place = |column: usize| wanted.iter().position(|one| *one == column);
                let value = |column| found.get(row_key)?.get(place(column)?)?.clone();
                table.supply(row_key, |column| value(column).map(|text| text.into_bytes().into()));
            }
        }
        Ok(())
    }

    pub(super) fn copy_progress(&self) -> Option<CopyProgress> {
        let running = self.copying.running.as_ref()?;
        let table = self.source.lake_name(running.copy.index);
        Some(CopyProgress { table, rows: running.copy.rows, of_rows: running.of_rows })
    }
}

/// Rows by their key. A column that was dropped by now has no values.
fn found_by_key(
    found: PgResult<crate::postgres::wire::Rows>,
    width: usize,
) -> PgResult<HashMap<Key, Vec<Option<String>>>> {
    const NO_SUCH_COLUMN: &str = "42703";
    let found = match found {
        Err(PgError::Server { code, .. }) if code == NO_SUCH_COLUMN => return Ok(HashMap::new()),
        found => found?,
    };
    let keyed = found.rows.into_iter().map(|mut row| {
        let values = row.split_off(width.min(row.len()));
        (Key::from_parts(row.iter().map(|text| text.as_deref().map(str::as_bytes))), values)
    });
    Ok(keyed.collect())
}

fn literal(key: &Key) -> String {
    let values = key
        .values()
        .into_iter()
        .map(|value| value.map_or_else(|| String::from("NULL"), |bytes| quoted_text(&String::from_utf8_lossy(bytes))));
    format!("({})", values.collect::<Vec<_>>().join(", "))
}

/// Rows of a chunk that nothing happened to while it was read.
fn passing(chunk: &KeyedChunk, window: &Window) -> Result<RecordBatch> {
    let passes: BooleanArray = chunk.keys.iter().map(|key| Some(window.lets_pass(key))).collect();
    Ok(filter_record_batch(&chunk.rows, &passes)?)
}

/// Rows that take the places of those of their keys.
fn put(key: Vec<String>, rows: RecordBatch) -> Result<KeyedChanges> {
    let columns: Result<Vec<usize>, _> = key.iter().map(|name| rows.schema_ref().index_of(name)).collect();
    let removed = RecordBatch::new_empty(Arc::new(rows.schema_ref().project(&columns?)?));
    Ok(KeyedChanges { key: key.into(), rows, removed, unchanged: Vec::new() })
}
