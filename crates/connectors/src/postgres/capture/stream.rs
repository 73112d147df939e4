//! The stream itself: reading, putting changes into pieces, and telling the server what is safe.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use headwater_ingest::capture::{Boundary, Changes, Offer, Outlet};
use headwater_ingest::error::{Error, Result};
use headwater_ingest::pipeline::Ended;
use headwater_ingest::position::Positions;
use headwater_project::{Failure, Kind};

use super::copying::Copying;
use super::setup::{Ready, as_position};
use super::table::{At, CapturedTable};
use super::watch::SlotWatch;
use super::{CaptureSource, TableKeys, beside, progress_key};
use crate::postgres::catalog::{lsn_text, parse_lsn};
use crate::postgres::column::Kind as ColumnKind;
use crate::postgres::config::split_name;
use crate::postgres::error::{PgError, Result as PgResult};
use crate::postgres::pgoutput::{self, Event, Frame, Malformed, Relation, status_update};
use crate::postgres::wire::{Connection, quoted_name, quoted_text};

const MICROS_TO_2000: i64 = 946_684_800_000_000;
/// Bytes of changes in memory before they are handed on, whether their transaction is at its end or not. Each piece rewrites the
/// files it touches, so small ones cost more than they spare.
const PIECE_BYTES: usize = 96 << 20;
/// The server gives a silent client up after a minute.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// The longest wait for the stream; also how fast a stop is noticed.
const POLL: Duration = Duration::from_millis(100);
/// How often an idle stream's place is committed, so that the server may throw its log away, and the tables are looked up.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// A server that says nothing for so long, though asked, is gone.
const SILENCE: Duration = Duration::from_secs(180);

pub(super) struct Streaming<'a> {
    pub(super) source: &'a CaptureSource,
    pub(super) outlet: &'a mut Outlet,
    pub(super) statements: Connection,
    replication: Connection,
    /// The server's.
    pub(super) version: u32,
    pub(super) state: State,
    pub(super) copying: Copying,
    pub(super) watch: SlotWatch,
    /// Told to the server as safe.
    pub(super) safe: u64,
    /// The place of the last boundary handed on.
    pub(super) handed_on: u64,
    told_at: Duration,
    heard_at: Duration,
    heartbeat_at: Duration,
    /// When the oldest change that waits for its commit came.
    dirty_since: Option<Duration>,
    /// A piece there was no room for.
    pub(super) parked: Option<Changes>,
    /// Where to end.
    target: Option<u64>,
}

/// What the events so far come to.
pub(super) struct State {
    pub(super) tables: Vec<CapturedTable>,
    pub(super) names: Vec<(String, String)>,
    pub(super) keys: Vec<TableKeys>,
    pub(super) known: Vec<Vec<String>>,
    /// Empty where only the stream can tell.
    pub(super) key_names: Vec<Vec<String>>,
    /// Whether they are known to be gone.
    pub(super) dropped: Vec<bool>,
    /// Their numbers when the stream began, and those of their entries in the publication.
    pub(super) numbers: Vec<u32>,
    pub(super) entries: Vec<Option<i64>>,
    /// Their positions `copy`.
    pub(super) copy_numbers: Vec<i64>,
    pub(super) by_oid: HashMap<u32, usize>,
    pub(super) kinds: HashMap<(u32, i32), ColumnKind>,
    transaction: Option<Transaction>,
    /// Transactions the stream brought, while somebody wants to know.
    pub(super) delivered: Option<Vec<u32>>,
    /// Last commit that each table touched since the last boundary was in.
    pub(super) touched: BTreeMap<usize, u64>,
    /// Tables whose rows the stream no longer tells: to be copied again.
    pub(super) stale: Vec<usize>,
    /// Everything before was received.
    received: u64,
    server_at: u64,
    pub(super) rows: u64,
    bytes: usize,
    bytes_in: u64,
}

#[derive(Clone, Copy)]
struct Transaction {
    commit_lsn: u64,
    committed_at: i64,
    xid: u32,
    ordinal: i64,
}

impl From<Malformed> for PgError {
    fn from(problem: Malformed) -> Self {
        Self::Protocol(problem.0)
    }
}

impl<'a> Streaming<'a> {
    pub(super) fn new(source: &'a CaptureSource, ready: Ready, outlet: &'a mut Outlet) -> Self {
        let now = source.clock.monotonic();
        let Ready { statements, replication, tables, from, version } = ready;
        let mut copying = Copying::default();
        let mut state = State {
            tables: Vec::new(),
            names: Vec::new(),
            keys: Vec::new(),
            known: Vec::new(),
            key_names: Vec::new(),
            dropped: Vec::new(),
            numbers: Vec::new(),
            entries: Vec::new(),
            copy_numbers: Vec::new(),
            by_oid: HashMap::new(),
            kinds: HashMap::new(),
            transaction: None,
            delivered: None,
            touched: BTreeMap::new(),
            stale: Vec::new(),
            received: from,
            server_at: from,
            rows: 0,
            bytes: 0,
            bytes_in: 0,
        };
        for (index, table) in tables.into_iter().enumerate() {
            state.tables.push(CapturedTable::new(index, table.position, table.log_position));
            state.keys.push(TableKeys::new(&source.source, &source.lake_name(index)));
            state.numbers.push(table.oid);
            state.entries.push(table.published);
            state.copy_numbers.push(table.copy_number);
            table.copying.into_iter().for_each(|copy| copying.goes_on(copy));
            let (schema, name) = split_name(&source.tables[index].0);
            state.names.push((schema.to_owned(), name.to_owned()));
            state.dropped.push(table.catalog.is_none());
            state.known.push(table.known);
            state.key_names.push(table.key);
        }
        Self {
            source,
            outlet,
            statements,
            replication,
            version,
            state,
            copying,
            watch: SlotWatch::default(),
            safe: from,
            handed_on: from,
            told_at: now,
            heard_at: now,
            heartbeat_at: now,
            dirty_since: None,
            parked: None,
            target: None,
        }
    }

    pub(super) fn run(mut self) -> Result<Ended> {
        if self.source.stop_at_end {
            let found = self.statements.query("SELECT pg_current_wal_flush_lsn()")?;
            self.target = found.first(0).and_then(parse_lsn);
        }
        let messages = if self.version >= beside::MESSAGES { ", messages 'true'" } else { "" };
        let command = format!(
            "START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {}{messages})",
            quoted_name(&self.source.slot()),
            lsn_text(self.safe),
            quoted_text(&quoted_name(&self.source.publication()))
        );
        self.replication.start_replication(&command)?;
        self.tell(true)?;
        loop {
            if let Some(ended) = self.look_around()? {
                return Ok(ended);
            }
            if self.parked.is_some() {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            self.receive()?;
            self.hand_on()?;
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.source.clock.monotonic()
    }

    /// Everything but reading: acknowledgements, signs of life, a stop, the end.
    fn look_around(&mut self) -> Result<Option<Ended>> {
        if let Some(acknowledged) = self.outlet.acknowledged() {
            self.safe = self.safe.max(u64::try_from(acknowledged).unwrap_or(0));
            self.tell(false)?;
        }
        let now = self.now();
        if now.saturating_sub(self.told_at) >= STATUS_EVERY {
            self.tell(true)?;
        }
        if now.saturating_sub(self.heard_at) > SILENCE {
            return Err(PgError::Closed.into());
        }
        self.look_at_slot(now)?;
        if let Some(parked) = self.parked.take() {
            self.offer(parked);
        }
        if self.outlet.is_gone() {
            return Ok(Some(Ended::Stopped));
        }
        if self.parked.is_some() {
            return Ok(None);
        }
        if self.outlet.is_stopped() {
            // What lies in an unfinished transaction is streamed again.
            if self.state.transaction.is_none() && !self.is_settled() {
                self.end_commit()?;
                return Ok(None);
            }
            return Ok(Some(Ended::Stopped));
        }
        if self.state.transaction.is_none() {
            if !self.state.stale.is_empty() {
                return self.copy_again().map(Some);
            }
            self.look_after_copies()?;
            if self.parked.is_some() {
                return Ok(None);
            }
            let at = self.state.received.max(self.state.server_at);
            if self.target.is_some_and(|target| at >= target) && self.copying.is_idle() {
                if !self.is_settled() {
                    self.end_commit()?;
                    return Ok(None);
                }
                self.tell_the_end()?;
                return Ok(Some(Ended::SourceEnded));
            }
        }
        Ok(None)
    }

    /// Whether everything received was handed on for a commit.
    pub(super) fn is_settled(&self) -> bool {
        self.state.touched.is_empty()
            && self.state.rows == 0
            && !self.copying.has_notes()
            && self.handed_on >= self.state.received
    }

    fn tell(&mut self, asks: bool) -> PgResult<()> {
        let now = self.source.clock.now().as_micros().saturating_sub(MICROS_TO_2000);
        self.told_at = self.now();
        self.replication.send_copy_data(&status_update(self.safe, now, asks))
    }

    /// Waits until all is committed and tells the server, which may then throw its log away before we come again.
    fn tell_the_end(&mut self) -> Result<()> {
        while self.safe < self.handed_on && !self.outlet.is_gone() {
            if let Some(acknowledged) = self.outlet.wait_acknowledged(POLL) {
                self.safe = self.safe.max(u64::try_from(acknowledged).unwrap_or(0));
            }
        }
        Ok(self.tell(false)?)
    }

    /// Takes what has come, or waits a little for something to come.
    fn receive(&mut self) -> Result<()> {
        let mut wants_answer = false;
        let mut wait = POLL;
        // Not for ever, however much there is: acknowledgements have to be passed on.
        for _ in 0..4096 {
            let Some(bytes) = self.replication.streamed(wait)? else { break };
            match pgoutput::frame(bytes).map_err(PgError::from)? {
                Frame::KeepAlive { server_at, wants_answer: wants } => {
                    self.state.alive(server_at);
                    wants_answer |= wants;
                }
                Frame::Data { at, message } => {
                    self.state.bytes_in += message.len() as u64;
                    match pgoutput::event(message).map_err(PgError::from)? {
                        Event::Relation(relation) => self.relation(&relation)?,
                        Event::Message { prefix, content } => {
                            let content = content.to_vec();
                            self.message(&prefix, &content)?;
                        }
                        event => self.state.event(at, event)?,
                    }
                }
            }
            wait = Duration::ZERO;
            if self.parked.is_some() {
                break;
            }
            if self.state.bytes >= PIECE_BYTES || !self.replication.has_buffered() || !self.state.stale.is_empty() {
                break;
            }
        }
        if wait.is_zero() {
            self.heard_at = self.now();
        }
        if wants_answer {
            self.tell(false)?;
        }
        Ok(())
    }

    /// Hands on what is due.
    fn hand_on(&mut self) -> Result<()> {
        if self.parked.is_some() {
            return Ok(());
        }
        let now = self.now();
        if self.state.rows > 0 || !self.state.touched.is_empty() || self.copying.has_notes() {
            self.dirty_since.get_or_insert(now);
        }
        let rotation = self.source.rotation;
        let waited =
            |since: Option<Duration>| since.is_some_and(|since| now.saturating_sub(since) >= rotation.interval);
        let is_due = waited(self.dirty_since) || self.state.rows >= rotation.rows;
        if self.state.transaction.is_none() && is_due {
            return self.end_commit();
        }
        if self.state.bytes >= PIECE_BYTES {
            let piece = self.piece()?;
            self.offer(piece);
        }
        if self.state.transaction.is_none() && now.saturating_sub(self.heartbeat_at) >= HEARTBEAT {
            self.heartbeat_at = now;
            self.look_for_new_tables()?;
            if self.state.touched.is_empty() && self.state.received > self.handed_on {
                return self.end_commit();
            }
        }
        Ok(())
    }

    fn piece(&mut self) -> Result<Changes> {
        let mut tables = Vec::new();
        for index in 0..self.state.tables.len() {
            if self.state.tables.get(index).is_some_and(|table| !table.is_empty()) {
                tables.push(self.take_table(index)?);
            }
        }
        self.state.bytes = 0;
        let bytes = std::mem::take(&mut self.state.bytes_in);
        Ok(Changes { tables, boundary: None, bytes })
    }

    /// Hands on everything, to be committed.
    pub(super) fn end_commit(&mut self) -> Result<()> {
        let mut piece = self.piece()?;
        for (index, commit_lsn) in std::mem::take(&mut self.state.touched) {
            let Some(keys) = self.state.keys.get(index) else { continue };
            let mut positions = Positions::default();
            positions.set(&keys.lsn, as_position(commit_lsn));
            match piece.tables.iter_mut().find(|changes| changes.table == index) {
                Some(changes) => changes.positions = positions,
                // Its rows went ahead in pieces of their own.
                None => piece.tables.push(moved(index, positions)),
            }
        }
        let mut positions = Positions::default();
        let received = self.state.received;
        positions.set(progress_key(&self.source.source, "lsn"), as_position(received));
        let lag = self.state.server_at.saturating_sub(received);
        let notes = self.copying.take_notes();
        let events = (!notes.is_empty()).then(|| self.source.events(&notes));
        piece.boundary = Some(Boundary { positions, events, acknowledge: as_position(received), lag: Some(lag) });
        self.handed_on = received;
        self.state.rows = 0;
        self.dirty_since = None;
        self.offer(piece);
        Ok(())
    }

    /// Notes that tables have to be copied, and fails in a way that is tried again: the next set-up copies them.
    fn copy_again(&mut self) -> Result<Ended> {
        let mut names = Vec::new();
        let stale = std::mem::take(&mut self.state.stale);
        let mut piece = self.piece()?;
        for index in stale {
            names.push(self.source.tables[index].0.clone());
            if let Some(keys) = self.state.keys.get(index) {
                let mut positions = Positions::default();
                positions.set(&keys.oid, 0);
                match piece.tables.iter_mut().find(|changes| changes.table == index) {
                    Some(changes) => changes.positions = positions,
                    None => piece.tables.push(moved(index, positions)),
                }
            }
        }
        for (index, commit_lsn) in std::mem::take(&mut self.state.touched) {
            let Some(keys) = self.state.keys.get(index) else { continue };
            match piece.tables.iter_mut().find(|changes| changes.table == index) {
                Some(changes) => changes.positions.set(&keys.lsn, as_position(commit_lsn)),
                None => {
                    let mut positions = Positions::default();
                    positions.set(&keys.lsn, as_position(commit_lsn));
                    piece.tables.push(moved(index, positions));
                }
            }
        }
        piece.boundary = Some(Boundary { acknowledge: as_position(self.safe), ..Boundary::default() });
        self.send_now(piece)?;
        while !self.outlet.is_gone() {
            if self.outlet.wait_acknowledged(super::TAKEN_WITHIN).is_some() {
                let kind = Kind::External { retry_after: None };
                let message = format!("{} gained a column with values for the rows there were", names.join(", "));
                return Err(Failure::new(kind, message).with_hint("The table is copied again by itself.").into());
            }
        }
        Ok(Ended::Stopped)
    }

    pub(super) fn offer(&mut self, changes: Changes) {
        if let Offer::Full(changes) = self.outlet.offer(changes) {
            self.parked = Some(changes);
        }
    }

    /// Hands a piece on before anything else may follow.
    pub(super) fn send_now(&mut self, changes: Changes) -> Result<()> {
        if let Some(parked) = self.parked.take()
            && matches!(self.outlet.send(parked), Offer::Gone)
        {
            return Err(Error::Internal("the writing half of a capture is gone"));
        }
        match self.outlet.send(changes) {
            Offer::Taken => Ok(()),
            Offer::Full(_) | Offer::Gone => Err(Error::Internal("the writing half of a capture is gone")),
        }
    }
}

fn moved(table: usize, positions: Positions) -> headwater_ingest::capture::TableChanges {
    headwater_ingest::capture::TableChanges { table, log: None, current: Vec::new(), positions }
}

impl State {
    /// The table that a relation is: by its number, whatever it was called when it changed, or one that was made anew by its name.
    pub(super) fn table_of(&self, relation: &Relation) -> Option<usize> {
        let is_named = |(schema, name): &(String, String)| *schema == relation.schema && *name == relation.name;
        let numbered = self.numbers.iter().position(|number| *number == relation.oid);
        numbered.or_else(|| self.names.iter().position(is_named))
    }

    /// Place of the commit of the transaction the stream is in.
    pub(super) fn commit_lsn(&self) -> Option<u64> {
        self.transaction.map(|transaction| transaction.commit_lsn)
    }

    fn alive(&mut self, server_at: u64) {
        self.server_at = self.server_at.max(server_at);
        // Between transactions, everything up to there has been sent, or is not for us.
        if self.transaction.is_none() {
            self.received = self.received.max(server_at);
        }
    }

    /// `lsn` is the place of the event in the log.
    fn event(&mut self, lsn: u64, event: Event<'_>) -> PgResult<()> {
        match event {
            Event::Begin { commit_lsn, committed_at, xid } => {
                self.delivered.iter_mut().for_each(|delivered| delivered.push(xid));
                self.transaction = Some(Transaction { commit_lsn, committed_at, xid, ordinal: 0 });
            }
            Event::Commit { commit_lsn, end_lsn } => {
                let begun = self.transaction.take().ok_or(PgError::Protocol("the end of no transaction"))?;
                if begun.commit_lsn != commit_lsn {
                    return Err(PgError::Protocol("the end of another transaction"));
                }
                self.received = self.received.max(end_lsn);
                self.server_at = self.server_at.max(end_lsn);
            }
            Event::Insert { relation, new } => {
                if let Some((table, at)) = self.touch(relation, lsn)? {
                    table.insert(at, &new)?;
                }
            }
            Event::Update { relation, old, new } => {
                if let Some((table, at)) = self.touch(relation, lsn)? {
                    table.update(at, old.as_ref(), &new)?;
                }
            }
            Event::Delete { relation, old } => {
                if let Some((table, at)) = self.touch(relation, lsn)? {
                    table.delete(at, &old)?;
                }
            }
            Event::Truncate { relations } => {
                for relation in relations {
                    if let Some((table, at)) = self.touch(relation, lsn)? {
                        table.truncate(at)?;
                    }
                }
            }
            Event::Relation(_) | Event::Message { .. } | Event::Other => {}
        }
        self.bytes = self.tables.iter().map(CapturedTable::bytes).sum();
        Ok(())
    }

    /// The table a change is of; nothing when it has it already, or is not ours.
    fn touch(&mut self, relation: u32, lsn: u64) -> PgResult<Option<(&mut CapturedTable, At)>> {
        let transaction = self.transaction.as_mut().ok_or(PgError::Protocol("a change outside of a transaction"))?;
        let at = At {
            commit_lsn: transaction.commit_lsn,
            committed_at: transaction.committed_at,
            xid: transaction.xid,
            lsn,
            ordinal: transaction.ordinal,
        };
        transaction.ordinal += 1;
        let Some(index) = self.by_oid.get(&relation).copied() else { return Ok(None) };
        let Some(table) = self.tables.get_mut(index).filter(|table| at.commit_lsn > table.position) else {
            return Ok(None);
        };
        self.touched.insert(index, at.commit_lsn);
        self.rows += 1;
        Ok(Some((table, at)))
    }
}
