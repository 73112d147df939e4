//! One table copied as of one snapshot, by several sessions at once.
//!
//! The ledger is the list of parts not copied yet. A part is handed on only when all of it was read, so one that broke off
//! goes back to the list and is read again; the snapshot lives as long as the session that exported it. A relation without
//! pages is one part of any size: it is handed on as it comes, and breaks the whole copy when it breaks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::array::RecordBatch;
use headwater_project::{Classify, Clock, Entropy, Kind};

use crate::postgres::Target;
use crate::postgres::chunk::Chunk;
use crate::postgres::column::ColumnType;
use crate::postgres::copy::CopyDecoder;
use crate::postgres::error::{PgError, Result};
use crate::postgres::wire::{Connection, Purpose, quoted_text};

/// Bytes of rows in one batch.
const BATCH_BYTES: usize = 4 << 20;
/// Times a part is begun.
const TRIES: u32 = 4;

/// A batch of rows and the bytes they came in.
pub(crate) type Piece = (RecordBatch, u64);

/// What to copy, and how.
pub(crate) struct CopyPlan {
    pub(crate) target: Target,
    /// Name of the exported snapshot.
    pub(crate) snapshot: String,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) columns: Vec<ColumnType>,
    pub(crate) select_list: String,
    pub(crate) parallel: usize,
    pub(crate) bytes_per_second: Option<u64>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

struct Shared {
    plan: CopyPlan,
    waiting: Mutex<VecDeque<(Chunk, u32)>>,
    /// Parts handed on whole.
    done: AtomicUsize,
    read: AtomicU64,
    began: Duration,
    stop: AtomicBool,
}

/// A copy under way. Dropping it ends its sessions.
pub(crate) struct TableCopy {
    shared: Arc<Shared>,
    pieces: Option<Receiver<Result<Vec<Piece>>>>,
    workers: Vec<JoinHandle<()>>,
    ready: VecDeque<Piece>,
}

impl TableCopy {
    pub(crate) fn start(plan: CopyPlan) -> Result<Self> {
        let parallel = plan.parallel.clamp(1, plan.chunks.len().max(1));
        let waiting = plan.chunks.iter().cloned().map(|chunk| (chunk, 0)).collect();
        let began = plan.clock.monotonic();
        let shared = Shared {
            plan,
            waiting: Mutex::new(waiting),
            done: AtomicUsize::new(0),
            read: AtomicU64::new(0),
            began,
            stop: AtomicBool::new(false),
        };
        let shared = Arc::new(shared);
        let (sender, pieces) = sync_channel(1);
        let mut copy =
            Self { shared: Arc::clone(&shared), pieces: Some(pieces), workers: Vec::new(), ready: VecDeque::new() };
        for _ in 0..parallel {
            let (shared, sender) = (Arc::clone(&shared), sender.clone());
            let worker = std::thread::Builder::new().name(String::from("postgres-copy"));
            let worker = worker.spawn(move || shared.work(&sender));
            copy.workers.push(worker.map_err(|source| PgError::io("start a thread", source))?);
        }
        Ok(copy)
    }

    /// The next rows, in no particular order; nothing once all were read.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            let Some(Ok(pieces)) = self.pieces.as_ref().map(Receiver::recv) else {
                let is_whole = self.shared.done.load(Ordering::SeqCst) == self.shared.plan.chunks.len();
                return if is_whole { Ok(None) } else { Err(PgError::Protocol("a copying thread ended early")) };
            };
            self.ready.extend(pieces?);
        }
    }
}

impl Drop for TableCopy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.pieces = None;
        for worker in self.workers.drain(..) {
            // A thread that panicked has nothing to tell that its missing part does not.
            drop(worker.join());
        }
    }
}

impl Shared {
    fn work(&self, sender: &SyncSender<Result<Vec<Piece>>>) {
        let mut session = None;
        while !self.stop.load(Ordering::SeqCst) {
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((chunk, tries)) = next else { return };
            match self.copy(&chunk, &mut session, sender) {
                Ok(pieces) => {
                    if sender.send(Ok(pieces)).is_err() {
                        return;
                    }
                    self.done.fetch_add(1, Ordering::SeqCst);
                }
                Err((error, was_sent)) => {
                    session = None;
                    let passing = matches!(error.kind(), Kind::External { .. });
                    if was_sent || !passing || tries + 1 >= TRIES {
                        // Nobody listens any more when the copy was dropped.
                        drop(sender.send(Err(error)));
                        return;
                    }
                    tracing::warn!(%error, "a part of a table is copied again");
                    self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back((chunk, tries + 1));
                    std::thread::sleep(Duration::from_millis(200) * 2_u32.pow(tries));
                }
            }
        }
    }

    /// Reads one part. The error says whether rows of the part were handed on already.
    fn copy(
        &self,
        chunk: &Chunk,
        session: &mut Option<Connection>,
        sender: &SyncSender<Result<Vec<Piece>>>,
    ) -> Result<Vec<Piece>, (PgError, bool)> {
        let mut was_sent = false;
        let mut read = || -> Result<Vec<Piece>> {
            let connection = match session {
                Some(connection) => connection,
                None => session.insert(self.open()?),
            };
            connection.copy_out(&chunk.copy_statement(&self.plan.select_list))?;
            let mut decoder = CopyDecoder::new(&self.plan.columns);
            let mut pieces = Vec::new();
            while let Some(bytes) = connection.copied()? {
                decoder.feed(bytes)?;
                if decoder.bytes() >= BATCH_BYTES {
                    pieces.push(self.piece(&mut decoder)?);
                    if !chunk.is_bounded() {
                        was_sent = true;
                        if sender.send(Ok(std::mem::take(&mut pieces))).is_err() {
                            return Ok(Vec::new());
                        }
                    }
                }
            }
            if !decoder.is_whole() {
                return Err(PgError::Protocol("a copy without its end"));
            }
            if decoder.rows() > 0 {
                pieces.push(self.piece(&mut decoder)?);
            }
            Ok(pieces)
        };
        let result = read();
        result.map_err(|error| (error, was_sent))
    }

    fn piece(&self, decoder: &mut CopyDecoder) -> Result<Piece> {
        let bytes = decoder.bytes() as u64;
        let rows = decoder.take().map_err(|_| PgError::Protocol("columns of different lengths"))?;
        self.pace(bytes);
        Ok((rows, bytes))
    }

    /// Waits as long as reading more would be faster than allowed.
    fn pace(&self, bytes: u64) {
        let read = self.read.fetch_add(bytes, Ordering::SeqCst) + bytes;
        let Some(limit) = self.plan.bytes_per_second.filter(|limit| *limit > 0) else { return };
        let due = Duration::from_secs_f64(read as f64 / limit as f64);
        while !self.stop.load(Ordering::SeqCst) {
            let elapsed = self.plan.clock.monotonic().saturating_sub(self.began);
            let Some(early) = due.checked_sub(elapsed).filter(|early| !early.is_zero()) else { return };
            std::thread::sleep(early.min(Duration::from_millis(100)));
        }
    }

    fn open(&self) -> Result<Connection> {
        let mut connection = Connection::open(&self.plan.target, Purpose::Statements, &*self.plan.entropy)?;
        connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        connection.query(&format!("SET TRANSACTION SNAPSHOT {}", quoted_text(&self.plan.snapshot)))?;
        connection.query("SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = 0")?;
        Ok(connection)
    }
}
