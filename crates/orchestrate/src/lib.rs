//! What to run next: jobs as code, schedules with time zones, and two pure machines: [`decide`] says which runs to
//! launch, retry, start or skip, [`RunMachine`] says which steps of a run are ready.
//!
//! Must not know: SQL, Arrow, HTTP, files, the real clock. There is no I/O, no randomness and no `async` here, so a year
//! of schedules, crashes and clock jumps is simulated in milliseconds.

mod decide;
mod error;
mod job;
mod run_machine;
mod schedule;
#[cfg(test)]
mod tests;

pub use decide::{Action, Event, FinishedRun, JobView, MISSED_CAP, SKIP_GRACE, View, decide};
pub use error::Error;
pub use job::{Command, Job, JobConfig, MissedTicks, RetriesConfig, ScheduleConfig};
pub use run_machine::{Outcome, RunMachine, StepState};
pub use schedule::Schedule;
