//! The SQLite form: one file, one connection behind a lock, every change one `BEGIN IMMEDIATE` transaction.
//!
//! The layout is documented in `sqlite/schema.sql` and `sqlite/schema-2.sql`. `synchronous = FULL` because `NORMAL` may lose the last transactions
//! at a power cut; SQLite 3.51.3 or newer because earlier ones can damage a write-ahead log that is being reset.

mod leases;
pub(crate) mod migrate;
mod paused;
mod runs;
mod steps;
mod ticks;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_project::Timestamp;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::{Error, Result};
use crate::record::{
    BootId, Fingerprint, Lease, NewRun, Paused, Published, Run, RunEnd, RunId, ScheduleRecord, Step, StepChange,
    TestResult, Tick,
};
use crate::status::RunStatus;
use crate::store::StateStore;

pub use migrate::SCHEMA_VERSION;

/// How long a call waits for another process (a reader with a long transaction, a backup) before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
const OLDEST_SQLITE: (i32, &str) = (3_051_003, "3.51.3");

#[derive(Debug)]
pub struct SqliteStore {
    pub(crate) connection: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens or creates the database, brings its schema up to date (after writing a backup beside it) and takes over
    /// from earlier lives of the process. The caller holds the lock of the data directory.
    pub fn open(path: &Path, boot: &BootId, now: Timestamp) -> Result<Self> {
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        migrate::check_writable(&connection, path, migrate::MIGRATIONS)?;
        configure(&connection)?;
        migrate::migrate(&mut connection, path, migrate::MIGRATIONS, now)?;
        let store = Self { connection: Mutex::new(connection) };
        let crashed = store.take_over(boot, now)?;
        if !crashed.is_empty() {
            tracing::warn!(runs = crashed.len(), "runs of an ended process marked as crashed");
        }
        Ok(store)
    }

    /// Opens an existing database for reading, also while another process works on it. Changes fail.
    pub fn open_read_only(path: &Path) -> Result<Self> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        migrate::check_readable(&connection, path)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Findings of SQLite's own check of the file; empty when it is sound. Reads the whole file.
    pub fn integrity_problems(&self) -> Result<Vec<String>> {
        let connection = self.lock();
        let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolled it back when it was dropped; the connection itself is sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Many reads as one consistent view.
    fn read<T>(&self, body: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        body(&transaction)
    }

    fn write<T>(&self, body: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = body(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    if rusqlite::version_number() < OLDEST_SQLITE.0 {
        return Err(Error::SqliteTooOld { found: rusqlite::version().to_owned(), required: OLDEST_SQLITE.1 });
    }
    let open = |source| Error::Open { path: path.to_path_buf(), source };
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(open)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(open)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(open)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn configure(connection: &Connection) -> Result<()> {
    let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    if mode != "wal" {
        return Err(Error::NoWriteAheadLog { mode });
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(())
}

impl StateStore for SqliteStore {
    fn take_over(&self, owner: &BootId, at: Timestamp) -> Result<Vec<RunId>> {
        self.write(|transaction| runs::take_over(transaction, owner, at))
    }

    fn create_run(&self, run: &NewRun, at: Timestamp) -> Result<RunId> {
        self.write(|transaction| runs::create(transaction, run, at))
    }

    fn skip_run_ids(&self, last_used: RunId) -> Result<()> {
        self.write(|transaction| runs::skip_ids(transaction, last_used))
    }

    fn start_run(&self, run: RunId, owner: &BootId, at: Timestamp) -> Result<()> {
        self.write(|transaction| runs::start(transaction, run, owner, at))
    }

    fn cancel_queued_run(&self, run: RunId, at: Timestamp) -> Result<()> {
        self.write(|transaction| runs::cancel_queued(transaction, run, at))
    }

    fn finish_run(&self, run: RunId, owner: &BootId, end: &RunEnd, at: Timestamp) -> Result<()> {
        self.write(|transaction| runs::finish(transaction, run, owner, end, at))
    }

    fn run(&self, run: RunId) -> Result<Option<Run>> {
        self.read(|transaction| runs::find(transaction, run))
    }

    fn runs(&self, before: Option<RunId>, limit: usize) -> Result<Vec<Run>> {
        self.read(|transaction| runs::list(transaction, before, limit))
    }

    fn runs_in(&self, status: RunStatus) -> Result<Vec<Run>> {
        self.read(|transaction| runs::list_in(transaction, status))
    }

    fn prune_runs(&self, before: Timestamp, keep: usize) -> Result<usize> {
        self.write(|transaction| runs::prune(transaction, before, keep))
    }

    fn change_steps(&self, run: RunId, owner: &BootId, changes: &[StepChange]) -> Result<()> {
        self.write(|transaction| steps::change(transaction, run, owner, changes))
    }

    fn steps(&self, run: RunId) -> Result<Vec<Step>> {
        self.read(|transaction| steps::list(transaction, run))
    }

    fn record_tests(&self, run: RunId, owner: &BootId, results: &[TestResult]) -> Result<()> {
        self.write(|transaction| steps::record_tests(transaction, run, owner, results))
    }

    fn test_results(&self, run: RunId) -> Result<Vec<TestResult>> {
        self.read(|transaction| steps::tests_of(transaction, run))
    }

    fn latest_tests(&self) -> Result<Vec<TestResult>> {
        self.read(steps::latest_tests)
    }

    fn published(&self) -> Result<Vec<Published>> {
        self.read(runs::published)
    }

    fn fingerprints(&self) -> Result<Vec<Fingerprint>> {
        self.read(runs::fingerprints)
    }

    fn forget_fingerprints(&self, nodes: &[String]) -> Result<()> {
        self.write(|transaction| runs::forget_fingerprints(transaction, nodes))
    }

    fn register_schedule(&self, name: &str, definition: &str, since: Timestamp) -> Result<ScheduleRecord> {
        self.write(|transaction| ticks::register(transaction, name, definition, since))
    }

    fn schedules(&self) -> Result<Vec<ScheduleRecord>> {
        self.read(ticks::schedules)
    }

    fn launch_tick(&self, schedule: &str, logical_time: Timestamp, run: &NewRun, at: Timestamp) -> Result<RunId> {
        self.write(|transaction| ticks::launch(transaction, schedule, logical_time, run, at))
    }

    fn skip_ticks(&self, schedule: &str, ticks: &[(Timestamp, String)], at: Timestamp) -> Result<()> {
        self.write(|transaction| ticks::skip(transaction, schedule, ticks, at))
    }

    fn ticks(&self, schedule: &str, limit: usize) -> Result<Vec<Tick>> {
        self.read(|transaction| ticks::list(transaction, schedule, limit))
    }

    fn take_lease(&self, name: &str, owner: &BootId, now: Timestamp, length: Duration) -> Result<Option<Lease>> {
        self.write(|transaction| leases::take(transaction, name, owner, now, length))
    }

    fn renew_lease(&self, lease: &Lease, now: Timestamp, length: Duration) -> Result<Lease> {
        self.write(|transaction| leases::renew(transaction, lease, now, length))
    }

    fn release_lease(&self, lease: &Lease) -> Result<()> {
        self.write(|transaction| leases::release(transaction, lease))
    }

    fn pin(&self, key: &str, value: &str) -> Result<String> {
        self.write(|transaction| leases::pin(transaction, key, value))
    }

    fn pinned(&self, key: &str) -> Result<Option<String>> {
        self.read(|transaction| leases::pinned(transaction, key))
    }

    fn unpin(&self, prefix: &str) -> Result<usize> {
        self.write(|transaction| leases::unpin(transaction, prefix))
    }

    fn pause(&self, name: &str, at: Timestamp) -> Result<()> {
        self.write(|transaction| paused::pause(transaction, name, at))
    }

    fn resume(&self, name: &str) -> Result<bool> {
        self.write(|transaction| paused::resume(transaction, name))
    }

    fn paused(&self) -> Result<Vec<Paused>> {
        self.read(paused::list)
    }
}
