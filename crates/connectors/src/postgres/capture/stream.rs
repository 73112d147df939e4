//! The stream itself: reading, putting changes into pieces, and telling the server what is safe.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use headwater_ingest::capture::{Boundary, Changes, Offer, Outlet};
use headwater_ingest::error::{Error, Result};
use headwater_ingest::pipeline::Ended;
use headwater_ingest::position::Positions;
use headwater_project::{Failure, Kind};

use super::setup::{self, Ready, as_position};
use super::table::{At, CapturedTable, Shape};
use super::{CaptureSource, progress_key, table_keys};
use crate::postgres::catalog::{lsn_text, parse_lsn};
use crate::postgres::column::{ColumnType, Kind as ColumnKind};
use crate::postgres::config::PostgresConfig;
use crate::postgres::error::{PgError, Result as PgResult};
use crate::postgres::pgoutput::{self, Event, Frame, Malformed, Relation, status_update};
use crate::postgres::wire::{Connection, quoted_name, quoted_text};

const MICROS_TO_2000: i64 = 946_684_800_000_000;
/// Bytes of changes in memory before they are handed on, whether their transaction is at its end or not. Each piece rewrites the
/// files it touches, so small ones cost more than they spare.
const PIECE_BYTES: usize = 48 << 20;
/// The server gives a silent client up after a minute.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// The longest wait for the stream; also how fast a stop is noticed.
const POLL: Duration = Duration::from_millis(100);
/// How often an idle stream's place is committed, so that the server may throw its log away, and the tables are looked up.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// A server that says nothing for so long, though asked, is gone.
const SILENCE: Duration = Duration::from_secs(180);

pub(super) struct Streaming<'a> {
    source: &'a CaptureSource,
    outlet: &'a mut Outlet,
    statements: Connection,
    replication: Connection,
    state: State,
    /// Told to the server as safe.
    safe: u64,
    /// The place of the last boundary handed on.
    handed_on: u64,
    told_at: Duration,
    heard_at: Duration,
    heartbeat_at: Duration,
    /// When the oldest change that waits for its commit came.
    dirty_since: Option<Duration>,
    /// A piece there was no room for.
    parked: Option<Changes>,
    /// Where to end.
    target: Option<u64>,
}

/// What the events so far come to.
struct State {
    tables: Vec<CapturedTable>,
    names: Vec<(String, String)>,
    keys: Vec<[String; 2]>,
    known: Vec<Vec<String>>,
    key_names: Vec<Vec<String>>,
    by_oid: HashMap<u32, usize>,
    kinds: HashMap<(u32, i32), ColumnKind>,
    transaction: Option<Transaction>,
    /// Last commit that each table touched since the last boundary was in.
    touched: BTreeMap<usize, u64>,
    /// Tables whose rows the stream no longer tells: to be copied again.
    stale: Vec<usize>,
    /// Everything before was received.
    received: u64,
    server_at: u64,
    rows: u64,
    bytes: usize,
    bytes_in: u64,
}

#[derive(Clone, Copy)]
struct Transaction {
    commit_lsn: u64,
    committed_at: i64,
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
        let Ready { statements, replication, tables, from } = ready;
        let mut state = State {
            tables: Vec::new(),
            names: Vec::new(),
            keys: Vec::new(),
            known: Vec::new(),
            key_names: Vec::new(),
            by_oid: HashMap::new(),
            kinds: HashMap::new(),
            transaction: None,
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
            let (written, config) = &source.tables[index];
            state.keys.push(table_keys(&source.source, &PostgresConfig::lake_name(written, config)));
            state.names.push((table.catalog.schema, table.catalog.name));
            state.known.push(table.known);
            state.key_names.push(table.key);
        }
        Self {
            source,
            outlet,
            statements,
            replication,
            state,
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
        let command = format!(
            "START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {})",
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

    fn now(&self) -> Duration {
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
            let at = self.state.received.max(self.state.server_at);
            if self.target.is_some_and(|target| at >= target) {
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
    fn is_settled(&self) -> bool {
        self.state.touched.is_empty() && self.state.rows == 0 && self.handed_on >= self.state.received
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
                Frame::Data(data) => {
                    self.state.bytes_in += data.len() as u64;
                    let event = pgoutput::event(data).map_err(PgError::from)?;
                    if let Event::Relation(relation) = event {
                        self.relation(&relation)?;
                    } else {
                        self.state.event(event)?;
                    }
                }
            }
            wait = Duration::ZERO;
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

    /// A table is about to be named by its number, with these columns.
    fn relation(&mut self, relation: &Relation) -> Result<()> {
        let is_named = |(schema, name): &(String, String)| *schema == relation.schema && *name == relation.name;
        let Some(index) = self.state.names.iter().position(is_named) else { return Ok(()) };
        let shape = self.shape(index, relation)?;
        self.state.by_oid.retain(|_, table| *table != index);
        self.state.by_oid.insert(relation.oid, index);
        if self.state.tables.get(index).is_some_and(|table| table.has_shape(&shape)) {
            return Ok(());
        }
        self.look_for_filled(index, relation.oid, &shape)?;
        // Rows of before and after have different columns: they are different batches.
        let mut before = None;
        if let Some(table) = self.state.tables.get_mut(index) {
            if !table.is_empty() {
                before = Some(table.take()?);
            }
            table.reshape(shape);
        }
        if let Some(changes) = before {
            self.send_now(Changes { tables: vec![changes], boundary: None, bytes: 0 })?;
        }
        Ok(())
    }

    /// A column that came with values for the rows there were: the stream will not tell them.
    fn look_for_filled(&mut self, index: usize, oid: u32, shape: &Shape) -> Result<()> {
        for column in &shape.columns {
            let is_known = self.state.known.get(index).is_some_and(|known| known.contains(&column.name));
            if !is_known {
                if setup::has_filled_rows(&mut self.statements, oid, &column.name)?
                    && !self.state.stale.contains(&index)
                {
                    self.state.stale.push(index);
                }
                if let Some(known) = self.state.known.get_mut(index) {
                    known.push(column.name.clone());
                }
            }
        }
        Ok(())
    }

    fn shape(&mut self, index: usize, relation: &Relation) -> Result<Shape> {
        let (_, config) = &self.source.tables[index];
        let mut shape = Shape { columns: Vec::new(), places: Vec::new(), key: Vec::new() };
        for column in &relation.columns {
            if config.exclude.contains(&column.name) {
                shape.places.push(None);
                continue;
            }
            let kind = if config.as_text.contains(&column.name) {
                ColumnKind::Cast
            } else {
                self.kind(column.type_oid, column.modifier)?
            };
            shape.places.push(Some(shape.columns.len()));
            shape.columns.push(ColumnType { name: column.name.clone(), kind });
        }
        for name in self.state.key_names.get(index).into_iter().flatten() {
            let place = shape.columns.iter().position(|column| column.name == *name);
            let place = place.ok_or_else(|| {
                let table = &relation.name;
                PgError::refused(format!("{table} no longer has its key column `{name}`"), "Name another `key`.")
            })?;
            shape.key.push(place);
        }
        let is_key = |place: usize| {
            let column = relation.columns.iter().zip(&shape.places).find(|(_, at)| **at == Some(place));
            column.is_some_and(|(column, _)| column.is_key)
        };
        if let Some(place) = shape.key.iter().find(|place| !is_key(**place)) {
            let column = shape.columns.get(*place).map(|column| column.name.clone()).unwrap_or_default();
            let message =
                format!("key column `{column}` of {} is no longer part of its replica identity", relation.name);
            return Err(PgError::refused(message, "Set REPLICA IDENTITY back, or name another `key`.").into());
        }
        Ok(shape)
    }

    /// How values of a type are kept; types that are not the server's own are looked up once.
    fn kind(&mut self, oid: u32, modifier: i32) -> Result<ColumnKind> {
        const FIRST_OWN: u32 = 16_384;
        if oid < FIRST_OWN {
            return Ok(ColumnKind::of(oid, modifier, "b"));
        }
        if let Some(kind) = self.state.kinds.get(&(oid, modifier)) {
            return Ok(*kind);
        }
        let found = self.statements.query(&format!(
            "WITH RECURSIVE chain AS (\
               SELECT oid, typtype, typbasetype, CASE WHEN typtype = 'd' THEN typtypmod ELSE {modifier} END AS modifier \
               FROM pg_type WHERE oid = {oid} \
               UNION ALL \
               SELECT t.oid, t.typtype, t.typbasetype, \
                      CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE chain.modifier END \
               FROM chain JOIN pg_type t ON t.oid = chain.typbasetype WHERE chain.typtype = 'd') \
             SELECT oid, modifier, typtype FROM chain WHERE typtype <> 'd'"
        ))?;
        let number = |column: usize| found.first(column).and_then(|text| text.parse::<i64>().ok());
        let base = number(0).and_then(|oid| u32::try_from(oid).ok()).unwrap_or(oid);
        let below = number(1).and_then(|modifier| i32::try_from(modifier).ok()).unwrap_or(-1);
        let kind = ColumnKind::of(base, below, found.first(2).unwrap_or("b"));
        self.state.kinds.insert((oid, modifier), kind);
        Ok(kind)
    }

    /// Hands on what is due.
    fn hand_on(&mut self) -> Result<()> {
        let now = self.now();
        if self.state.rows > 0 || !self.state.touched.is_empty() {
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

    /// A table that was dropped and made again is another one, which the publication does not name.
    fn look_for_new_tables(&mut self) -> Result<()> {
        for (oid, index) in &self.state.by_oid {
            let (name, _) = &self.source.tables[*index];
            if setup::table_number(&mut self.statements, name)?.is_some_and(|now| now != *oid) {
                let kind = Kind::External { retry_after: None };
                return Err(Failure::new(kind, format!("table {name} was made anew; it is copied again")).into());
            }
        }
        Ok(())
    }

    fn piece(&mut self) -> Result<Changes> {
        let mut tables = Vec::new();
        for table in self.state.tables.iter_mut().filter(|table| !table.is_empty()) {
            tables.push(table.take()?);
        }
        self.state.bytes = 0;
        let bytes = std::mem::take(&mut self.state.bytes_in);
        Ok(Changes { tables, boundary: None, bytes })
    }

    /// Hands on everything, to be committed.
    fn end_commit(&mut self) -> Result<()> {
        let mut piece = self.piece()?;
        for (index, commit_lsn) in std::mem::take(&mut self.state.touched) {
            let Some([key, _]) = self.state.keys.get(index) else { continue };
            let mut positions = Positions::default();
            positions.set(key, as_position(commit_lsn));
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
        piece.boundary = Some(Boundary { positions, events: None, acknowledge: as_position(received), lag: Some(lag) });
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
            if let Some([_, number]) = self.state.keys.get(index) {
                let mut positions = Positions::default();
                positions.set(number, 0);
                match piece.tables.iter_mut().find(|changes| changes.table == index) {
                    Some(changes) => changes.positions = positions,
                    None => piece.tables.push(moved(index, positions)),
                }
            }
        }
        for (index, commit_lsn) in std::mem::take(&mut self.state.touched) {
            let Some([key, _]) = self.state.keys.get(index) else { continue };
            match piece.tables.iter_mut().find(|changes| changes.table == index) {
                Some(changes) => changes.positions.set(key, as_position(commit_lsn)),
                None => {
                    let mut positions = Positions::default();
                    positions.set(key, as_position(commit_lsn));
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

    fn offer(&mut self, changes: Changes) {
        if let Offer::Full(changes) = self.outlet.offer(changes) {
            self.parked = Some(changes);
        }
    }

    /// Hands a piece on before anything else may follow.
    fn send_now(&mut self, changes: Changes) -> Result<()> {
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
    fn alive(&mut self, server_at: u64) {
        self.server_at = self.server_at.max(server_at);
        // Between transactions, everything up to there has been sent, or is not for us.
        if self.transaction.is_none() {
            self.received = self.received.max(server_at);
        }
    }

    fn event(&mut self, event: Event<'_>) -> PgResult<()> {
        match event {
            Event::Begin { commit_lsn, committed_at } => {
                self.transaction = Some(Transaction { commit_lsn, committed_at, ordinal: 0 });
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
                if let Some((table, at)) = self.touch(relation)? {
                    table.insert(at, &new)?;
                }
            }
            Event::Update { relation, old, new } => {
                if let Some((table, at)) = self.touch(relation)? {
                    table.update(at, old.as_ref(), &new)?;
                }
            }
            Event::Delete { relation, old } => {
                if let Some((table, at)) = self.touch(relation)? {
                    table.delete(at, &old)?;
                }
            }
            Event::Truncate { relations } => {
                for relation in relations {
                    if let Some((table, at)) = self.touch(relation)? {
                        table.truncate(at)?;
                    }
                }
            }
            Event::Relation(_) | Event::Other => {}
        }
        self.bytes = self.tables.iter().map(CapturedTable::bytes).sum();
        Ok(())
    }

    /// The table a change is of; nothing when it has it already, or is not ours.
    fn touch(&mut self, relation: u32) -> PgResult<Option<(&mut CapturedTable, At)>> {
        let transaction = self.transaction.as_mut().ok_or(PgError::Protocol("a change outside of a transaction"))?;
        let at = At {
            commit_lsn: transaction.commit_lsn,
            committed_at: transaction.committed_at,
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
