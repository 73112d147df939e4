//! Reading a table in the order of its key, a chunk at a time, while its changes go on.
//!
//! Around each chunk two messages are written into the log that the stream reads, `low` before and `high` after. What the
//! stream brings of a row between the two is at least as new as the chunk's row and wins. A transaction whose commit stands in
//! the log before `low` may yet be invisible to the chunk, for the moment (or as long as a standby makes it wait) between
//! writing its commit and being over: a chunk names the transactions its snapshot saw under way, and the stream throws it away
//! when it brought one of them before `low`. For the same reason the first chunk waits for the transactions of before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use headwater_project::{Clock, Entropy, fault};

use super::chunk_query::{Unseen, holders, range, relation, texts};
use super::image::Key;
use crate::postgres::Target;
use crate::postgres::catalog::CatalogTable;
use crate::postgres::column::{ColumnType, Kind};
use crate::postgres::config::TableConfig;
use crate::postgres::copy::CopyDecoder;
use crate::postgres::error::{PgError, Result};
use crate::postgres::wire::{Connection, Purpose, quoted_name, quoted_text};

/// Prefix of our messages in the log.
pub(super) const PREFIX: &str = "headwater";
/// Bytes of rows a chunk is made for, and those at which it is given up and read in smaller parts.
const CHUNK_BYTES: usize = 16 << 20;
const CHUNK_LIMIT: usize = 8 * CHUNK_BYTES;
const CHUNK_ROWS: std::ops::RangeInclusive<usize> = 100..=200_000;
/// How long old transactions are waited for before somebody is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which table, and how.
pub(super) struct ChunkPlan {
    pub(super) target: Target,
    /// Table as written in the configuration.
    pub(super) table: String,
    pub(super) config: TableConfig,
    /// The table's number when the copy began.
    pub(super) oid: u32,
    pub(super) key: Vec<String>,
    /// Rows of a chunk, when they are given.
    pub(super) rows: Option<usize>,
    /// Bytes of a row, as the server's statistics have it.
    pub(super) row_bytes: usize,
    pub(super) bytes_per_second: Option<u64>,
    /// Tells the messages of this reader from those of others.
    pub(super) nonce: u64,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
}

/// Asks for the rows whose keys come after one.
struct Request {
    number: u64,
    after: Option<Vec<String>>,
    pause: Duration,
}

/// Rows read between two messages.
pub(super) struct KeyedChunk {
    pub(super) rows: RecordBatch,
    /// The key of each row, as the stream writes it.
    pub(super) keys: Vec<Key>,
    /// The key that the next chunk comes after; nothing when this was the last.
    pub(super) until: Option<Vec<String>>,
    /// Transactions whose changes the chunk does not have.
    pub(super) unseen: Unseen,
    pub(super) bytes: u64,
}

/// A thread with a session that reads chunks. Dropping it ends both.
pub(super) struct ChunkReader {
    nonce: u64,
    requested: u64,
    requests: Option<SyncSender<Request>>,
    chunks: Receiver<Result<KeyedChunk>>,
    /// The requested chunk, once it came.
    arrived: Option<KeyedChunk>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What a message of the log is to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watermark {
    Low,
    High,
}

impl ChunkReader {
    pub(super) fn start(plan: ChunkPlan) -> Result<Self> {
        let (requests, asked) = sync_channel::<Request>(1);
        let (sender, chunks) = sync_channel(2);
        let stop = Arc::new(AtomicBool::new(false));
        let nonce = plan.nonce;
        let mut worker = Worker { plan, stop: Arc::clone(&stop), limit: 0, began: None, read: 0 };
        let thread = std::thread::Builder::new().name(String::from("postgres-chunks"));
        let thread = thread.spawn(move || {
            if let Err(error) = worker.work(&asked, &sender) {
                // Nobody listens any more when the copy was dropped.
                drop(sender.send(Err(error)));
            }
        });
        let thread = thread.map_err(|source| PgError::io("start a thread", source))?;
        Ok(Self { nonce, requested: 0, requests: Some(requests), chunks, arrived: None, stop, thread: Some(thread) })
    }

    /// Asks for the next chunk.
    pub(super) fn request(&mut self, after: Option<Vec<String>>, pause: Duration) -> Result<()> {
        self.requested += 1;
        self.arrived = None;
        let request = Request { number: self.requested, after, pause };
        let sent = self.requests.as_ref().is_some_and(|requests| requests.send(request).is_ok());
        // The thread's last words say why.
        if sent { Ok(()) } else { self.poll().and(Err(PgError::Closed)) }
    }

    /// What a message is to the chunk that was asked for; nothing when it is of another chunk, reader or program.
    pub(super) fn watermark(&self, content: &[u8]) -> Option<Watermark> {
        let text = std::str::from_utf8(content).ok()?;
        let kind = text.strip_prefix(&format!("{:016x}/{}/", self.nonce, self.requested))?;
        match kind {
            "low" => Some(Watermark::Low),
            "high" => Some(Watermark::High),
            _ => None,
        }
    }

    /// Takes what came, without waiting; the error that ended the thread, if one did.
    pub(super) fn poll(&mut self) -> Result<()> {
        match self.chunks.try_recv() {
            Ok(chunk) => self.arrived = Some(chunk?),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) if self.arrived.is_some() => {}
            Err(TryRecvError::Disconnected) => return Err(PgError::Closed),
        }
        Ok(())
    }

    /// The chunk whose `high` the stream brought: it was sent before that was written.
    pub(super) fn take(&mut self) -> Result<KeyedChunk> {
        self.poll()?;
        self.arrived.take().ok_or(PgError::Protocol("the end of a chunk that was not read"))
    }
}

impl Drop for ChunkReader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // Its errors do not matter any more.
            drop(thread.join());
        }
    }
}

struct Worker {
    plan: ChunkPlan,
    stop: Arc<AtomicBool>,
    /// Rows of the next chunk.
    limit: usize,
    began: Option<Duration>,
    read: u64,
}

impl Worker {
    fn work(&mut self, requests: &Receiver<Request>, chunks: &SyncSender<Result<KeyedChunk>>) -> Result<()> {
        let fitting = self.plan.rows.unwrap_or(CHUNK_BYTES / self.plan.row_bytes.max(1));
        self.limit = fitting.clamp(*CHUNK_ROWS.start(), *CHUNK_ROWS.end());
        let mut session = self.open()?;
        self.wait_for_old_transactions(&mut session)?;
        self.began = Some(self.plan.clock.monotonic());
        while let Some(request) = self.next(requests) {
            self.rest(request.pause);
            let chunk = loop {
                self.mark(&mut session, request.number, "low")?;
                match self.chunk(&mut session, request.after.as_deref())? {
                    Some(chunk) => break chunk,
                    None if self.is_stopped() => return Ok(()),
                    // Rows were larger than thought. The rest of them is thrown away with the session.
                    None => {
                        self.limit = (self.limit / 16).max(1);
                        session = self.open()?;
                    }
                }
            };
            fault::point("cdc.chunk_between_watermarks").map_err(|_| PgError::Closed)?;
            let bytes = chunk.bytes;
            if chunks.send(Ok(chunk)).is_err() {
                return Ok(());
            }
            self.mark(&mut session, request.number, "high")?;
            self.pace(bytes);
        }
        Ok(())
    }

    fn next(&self, requests: &Receiver<Request>) -> Option<Request> {
        while !self.is_stopped() {
            match requests.recv_timeout(Duration::from_millis(500)) {
                Ok(request) => return Some(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        None
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn open(&self) -> Result<Connection> {
        let mut session = Connection::open(&self.plan.target, Purpose::Statements, &*self.plan.entropy)?;
        // A message has to be written before the stream can bring it, but need not wait for a standby.
        session.query("SET synchronous_commit = local; SET lock_timeout = '30s'; SET statement_timeout = 0")?;
        Ok(session)
    }

    fn mark(&self, session: &mut Connection, number: u64, kind: &str) -> Result<()> {
        let content = format!("{:016x}/{number}/{kind}", self.plan.nonce);
        let sql = format!("SELECT pg_logical_emit_message(true, {}, {})", quoted_text(PREFIX), quoted_text(&content));
        session.query(&sql).map(drop)
    }

    /// Waits until every transaction that is under way now is over.
    fn wait_for_old_transactions(&self, session: &mut Connection) -> Result<()> {
        let began = self.plan.clock.monotonic();
        // A snapshot lists what began before the last transaction that ended: with this one, all from before.
        self.mark(session, 0, "old")?;
        let mut old = Unseen::read(session)?.listed;
        let mut told = false;
        while !old.is_empty() && !self.is_stopped() {
            if !told && self.plan.clock.monotonic().saturating_sub(began) > PATIENCE {
                told = true;
                let holders = holders(session, &old)?;
                tracing::warn!(table = self.plan.table, holders, "a copy waits for transactions that began before it");
            }
            std::thread::sleep(Duration::from_millis(100));
            let now = Unseen::read(session)?;
            old.retain(|transaction| now.contains(*transaction));
        }
        Ok(())
    }

    /// Reads the next rows as of one moment; nothing when they are too many bytes, or a stop was asked for.
    fn chunk(&mut self, session: &mut Connection, after: Option<&[String]>) -> Result<Option<KeyedChunk>> {
        session.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let unseen = Unseen::read(session)?;
        let table = CatalogTable::read(session, &self.plan.table, &self.plan.config)?.without_generated();
        if table.oid != self.plan.oid {
            return Err(PgError::Closed);
        }
        let until = self.until(session, &table, after)?;
        let key = texts(&self.plan.key);
        let range = range(&self.plan.key, after, until.as_deref());
        let (list, relation) = (table.select_list(), relation(&table));
        session.copy_out(&format!("COPY (SELECT {list}, {key} FROM {relation}{range}) TO STDOUT (FORMAT binary)"))?;
        let mut columns = table.column_types();
        let width = columns.len();
        let key_column = |index| ColumnType { name: format!("key {index}"), kind: Kind::Cast };
        columns.extend((0..self.plan.key.len()).map(key_column));
        let mut decoder = CopyDecoder::new(&columns);
        let (mut batches, mut bytes) = (Vec::new(), 0);
        while let Some(message) = session.copied()? {
            bytes += message.len();
            if (bytes > CHUNK_LIMIT && self.limit > 1) || self.is_stopped() {
                return Ok(None);
            }
            decoder.feed(message)?;
            if decoder.bytes() >= CHUNK_BYTES {
                batches.push(decoder.take().map_err(|_| PgError::Protocol("columns of different lengths"))?);
            }
        }
        if !decoder.is_whole() {
            return Err(PgError::Protocol("a copy without its end"));
        }
        batches.push(decoder.take().map_err(|_| PgError::Protocol("columns of different lengths"))?);
        session.query("COMMIT")?;
        let (rows, keys) = split(&batches, width)?;
        self.adapt(rows.num_rows(), bytes);
        Ok(Some(KeyedChunk { rows, keys, until, unseen, bytes: bytes as u64 }))
    }

    /// The key of the last row of a chunk; nothing when there are fewer rows left.
    fn until(
        &self,
        session: &mut Connection,
        table: &CatalogTable,
        after: Option<&[String]>,
    ) -> Result<Option<Vec<String>>> {
        let names: Vec<String> = self.plan.key.iter().map(|name| quoted_name(name)).collect();
        let found = session.query(&format!(
            "SELECT {} FROM {}{} ORDER BY {} OFFSET {} LIMIT 1",
            texts(&self.plan.key),
            relation(table),
            range(&self.plan.key, after, None),
            names.join(", "),
            self.limit.saturating_sub(1)
        ))?;
        let row = found.rows.into_iter().next();
        Ok(row.map(|row| row.into_iter().map(Option::unwrap_or_default).collect()))
    }

    fn adapt(&mut self, rows: usize, bytes: usize) {
        if self.plan.rows.is_none() && rows > 0 {
            let fitting = CHUNK_BYTES / (bytes / rows).max(1);
            self.limit = fitting.clamp(*CHUNK_ROWS.start(), *CHUNK_ROWS.end());
        }
    }

    /// Waits as long as reading more would be faster than allowed.
    fn pace(&mut self, bytes: u64) {
        self.read += bytes;
        let Some((limit, began)) = self.plan.bytes_per_second.filter(|limit| *limit > 0).zip(self.began) else {
            return;
        };
        let due = Duration::from_secs_f64(self.read as f64 / limit as f64);
        let elapsed = self.plan.clock.monotonic().saturating_sub(began);
        self.rest(due.saturating_sub(elapsed));
    }

    /// Sleeps, but not past a stop.
    fn rest(&self, time: Duration) {
        let until = self.plan.clock.monotonic() + time;
        while !self.is_stopped() {
            let Some(left) = until.checked_sub(self.plan.clock.monotonic()).filter(|left| !left.is_zero()) else {
                return;
            };
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}

/// The table's columns in one batch, and the key of each row from the columns behind them.
fn split(batches: &[RecordBatch], width: usize) -> Result<(RecordBatch, Vec<Key>)> {
    let failed = |_| PgError::Protocol("columns of different lengths");
    let schema = batches.first().map(RecordBatch::schema).ok_or(PgError::Protocol("a copy without rows"))?;
    let all = concat_batches(&schema, batches).map_err(failed)?;
    let texts: Vec<_> = all.columns().iter().skip(width).filter_map(|column| column.as_string_opt::<i32>()).collect();
    let keys = (0..all.num_rows())
        .map(|row| Key::from_parts(texts.iter().map(|text| text.is_valid(row).then(|| text.value(row).as_bytes()))));
    let keys = keys.collect();
    let columns: Vec<usize> = (0..width).collect();
    Ok((all.project(&columns).map_err(failed)?, keys))
}
