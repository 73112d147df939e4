use std::fmt::Debug;
use std::time::Duration;

use headwater_project::Timestamp;

use crate::error::Result;
use crate::record::{
    BootId, Fingerprint, Lease, NewRun, Paused, Published, Run, RunEnd, RunId, ScheduleRecord, Step, StepChange,
    TestResult, Tick,
};
use crate::status::RunStatus;

/// Memory of runs, publications, ticks and leases.
///
/// **Atomic**: every method is one transaction; it happened whole or not at all, whether it returns an error or the
/// process dies inside it. **Durable**: when a method that changes something has returned, the change survives a power
/// cut (a form that cannot promise this says so, as [`MemoryStore`](crate::MemoryStore) does). **Concurrent**: all
/// methods may be called from any thread; changes are ordered one after another, and a read sees every change that
/// returned before it began. Calls block for up to the duration of a disk flush: call them from blocking threads.
///
/// **Errors**: a change of state names the state it starts from and its owner; when the row is not there any more the
/// method returns [`Error::Conflict`](crate::Error::Conflict) and changes nothing: the caller lost its claim and must
/// stop, not retry. A change the machine in [`RunStatus`] or [`StepStatus`](crate::StepStatus) does not allow is
/// [`Error::IllegalTransition`](crate::Error::IllegalTransition), a bug of the caller. Every other error leaves the
/// outcome as it was before the call, so the call may be repeated.
///
/// Times are the caller's; the store never reads a clock. Implementations pass the conformance suite in `src/tests`.
pub trait StateStore: Send + Sync + Debug {
    /// Takes over from earlier lives of the process: every `running` run of another owner becomes `crashed`, with its
    /// unfinished steps. Queued runs stay queued, to be started by the new owner. Returns the crashed runs in order.
    ///
    /// Only the process that holds the lock of the data directory may call it.
    fn take_over(&self, owner: &BootId, at: Timestamp) -> Result<Vec<RunId>>;

    /// Records a queued run and returns its id: one more than the largest ever given.
    fn create_run(&self, run: &NewRun, at: Timestamp) -> Result<RunId>;

    /// Lets the next run id be greater than `last_used`; needed when the lake has seen later runs than a new database.
    fn skip_run_ids(&self, last_used: RunId) -> Result<()>;

    /// `queued -> running`; the caller becomes the owner.
    fn start_run(&self, run: RunId, owner: &BootId, at: Timestamp) -> Result<()>;

    /// `queued -> cancelled`, whoever owns it.
    fn cancel_queued_run(&self, run: RunId, at: Timestamp) -> Result<()>;

    /// Ends a running run of `owner`. A success moves all its publications and fingerprints in the same transaction, so
    /// a reader of [`published`](Self::published) sees the run's models all old or all new. Steps not finished by then
    /// become `cancelled`.
    fn finish_run(&self, run: RunId, owner: &BootId, end: &RunEnd, at: Timestamp) -> Result<()>;

    fn run(&self, run: RunId) -> Result<Option<Run>>;

    /// Up to `limit` runs, newest first, with ids below `before` when given.
    fn runs(&self, before: Option<RunId>, limit: usize) -> Result<Vec<Run>>;

    /// Runs in this status, oldest first.
    fn runs_in(&self, status: RunStatus) -> Result<Vec<Run>>;

    /// Removes finished runs that ended before `before` with their steps and test results, except the newest `keep` and
    /// those a publication refers to. Returns how many. Ticks of removed runs keep their record.
    fn prune_runs(&self, before: Timestamp, keep: usize) -> Result<usize>;

    /// Applies the changes in order, all or none. The run must be running and belong to `owner`.
    fn change_steps(&self, run: RunId, owner: &BootId, changes: &[StepChange]) -> Result<()>;

    /// Steps of a run in the order they were first recorded.
    fn steps(&self, run: RunId) -> Result<Vec<Step>>;

    /// Keeps the results of a running run of `owner`; a second result of one test replaces the first.
    fn record_tests(&self, run: RunId, owner: &BootId, results: &[TestResult]) -> Result<()>;

    /// Test results of a run, by node.
    fn test_results(&self, run: RunId) -> Result<Vec<TestResult>>;

    /// The newest result of every test that ever ran, by node.
    fn latest_tests(&self) -> Result<Vec<TestResult>>;

    /// Every published name, by name; one consistent set.
    fn published(&self) -> Result<Vec<Published>>;

    /// Fingerprints of all published nodes, by node.
    fn fingerprints(&self) -> Result<Vec<Fingerprint>>;

    /// Forgets fingerprints, so that the nodes are built again even if nothing changed. Unknown nodes are ignored.
    fn forget_fingerprints(&self, nodes: &[String]) -> Result<()>;

    /// Registers a schedule from `since` on. The same definition again changes nothing; another definition takes effect
    /// at `since`, and ticks due before are nobody's. Returns what holds now.
    fn register_schedule(&self, name: &str, definition: &str, since: Timestamp) -> Result<ScheduleRecord>;

    /// All registered schedules, by name.
    fn schedules(&self) -> Result<Vec<ScheduleRecord>>;

    /// Records a tick of a registered schedule together with the queued run it causes. A tick recorded before is a
    /// conflict: a (schedule, logical time) happens once.
    fn launch_tick(&self, schedule: &str, logical_time: Timestamp, run: &NewRun, at: Timestamp) -> Result<RunId>;

    /// Records ticks that will not run, each with its reason; all or none.
    fn skip_ticks(&self, schedule: &str, ticks: &[(Timestamp, String)], at: Timestamp) -> Result<()>;

    /// Up to `limit` ticks of a schedule, newest logical time first.
    fn ticks(&self, schedule: &str, limit: usize) -> Result<Vec<Tick>>;

    /// Takes a lease that is free, expired at `now`, or held by `owner`; the epoch grows by one each time. None when
    /// somebody else holds it.
    fn take_lease(&self, name: &str, owner: &BootId, now: Timestamp, length: Duration) -> Result<Option<Lease>>;

    /// Prolongs a lease still held under this epoch; a conflict when it was lost, even if nobody took it since expiry.
    fn renew_lease(&self, lease: &Lease, now: Timestamp, length: Duration) -> Result<Lease>;

    /// Gives a lease back; its epoch stays for the next taking. A conflict when it was lost.
    fn release_lease(&self, lease: &Lease) -> Result<()>;

    /// Fixes a value under a key for ever: the first caller's value wins, and every caller gets the winner.
    fn pin(&self, key: &str, value: &str) -> Result<String>;

    fn pinned(&self, key: &str) -> Result<Option<String>>;

    /// Removes pinned values whose keys start with `prefix`; returns how many.
    fn unpin(&self, prefix: &str) -> Result<usize>;

    /// Holds something back until it is resumed, over restarts too. What is held back already keeps its time.
    fn pause(&self, name: &str, at: Timestamp) -> Result<()>;

    /// Lets something go on; whether it was held back.
    fn resume(&self, name: &str) -> Result<bool>;

    /// Everything held back, by name.
    fn paused(&self) -> Result<Vec<Paused>>;
}
