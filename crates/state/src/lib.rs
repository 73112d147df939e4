//! What the process remembers about its own work: runs and their steps, test results, which table version each model
//! name stands for, fingerprints of what was built, schedule ticks, leases and pinned values. One trait, [`StateStore`],
//! with a SQLite form for the product and an in-memory form for tests and throw-away projects.
//!
//! Must not know: the SQL engine, HTTP, how a run executes, what time it is. Every time is a parameter.
//!
//! Nothing here decides where a source resumes: positions live in the lake commit. Deleting the state database loses
//! history and forces one full build; it never loses or doubles a record.

mod error;
mod memory;
mod record;
mod sqlite;
mod status;
mod store;
#[cfg(test)]
mod tests;

pub use error::{Error, Result};
pub use memory::MemoryStore;
pub use record::{
    BootId, Fingerprint, Lease, NewRun, Paused, Publication, Published, PublishedAs, Run, RunEnd, RunId,
    ScheduleRecord, Step, StepChange, StepResult, TestOutcome, TestResult, TestSeverity, Tick, TickOutcome, Trigger,
};
pub use sqlite::{SCHEMA_VERSION, SqliteStore};
pub use status::{RunStatus, StepStatus};
pub use store::StateStore;
