//! Where rows go when they leave: the seam between a table that is sent and the system that takes its rows.
//!
//! Rows go out in *transfers*. A transfer is a set of rows of one table together with the position it reaches, a number that
//! only the table gives a meaning (the time of its latest commit, or its version). A sink makes the rows and the position
//! durable at the destination in one step, so that the destination itself says how far it has the table.
//!
//! ```text
//! reached() -> 17                                      whoever only looks
//! resume() -> 17
//! begin(18..=40), write(rows), write(rows), commit()     the destination has everything up to 40
//! begin(41..=55), write(rows), abandon()                 the destination has everything up to 40
//! ```

pub mod conformance;
pub mod debezium;
pub(crate) mod nested;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use headwater_ingest::error::{Error, Result};
use headwater_project::{Clock, Entropy, Failure, Kind};

/// What a destination knows a sink by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Of this sink alone, among all that write to the destination: project and name.
    pub id: String,
    /// What is sent: which table, and which of its rows. Positions of one thing say nothing about another.
    pub sends: String,
}

impl Identity {
    /// Refuses to go on where something else was sent before: its position would leave rows out. `remedy` says how to begin
    /// anew under the same name.
    pub fn require_same(&self, recorded: &str, remedy: &str) -> Result<()> {
        if recorded == self.sends {
            return Ok(());
        }
        let failure =
            Failure::user(format!("sink `{}` sent {recorded} before, now it is to send {}", self.id, self.sends));
        Err(failure.with_hint(format!("Give the sink another name, or begin anew: {remedy}.")).into())
    }
}

/// What every sink may use of the process it runs in.
#[derive(Clone)]
pub struct Surroundings {
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Whether the process is about to end: what waits, stops waiting.
    pub is_stopping: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

impl Surroundings {
    /// Waits, on a thread that may block. An error when the process is about to end first.
    pub(crate) fn wait(&self, time: Duration) -> Result<()> {
        let until = self.clock.monotonic() + time;
        while self.clock.monotonic() < until {
            if (self.is_stopping)() {
                return Err(Failure::new(Kind::External { retry_after: None }, "stopped while waiting").into());
            }
            std::thread::sleep(Duration::from_millis(50).min(time));
        }
        Ok(())
    }
}

/// A set of rows that goes out at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Columns of every batch that follows.
    pub schema: SchemaRef,
    /// How far the destination is: what the last `resume` or `commit` left.
    pub after: Option<i64>,
    /// How far it is once this is committed.
    pub position: i64,
    /// The rows are all the table has, and take the place of what was sent before.
    pub is_whole: bool,
}

/// A destination of rows.
///
/// - *Calls*: one caller, from a thread that may block and has a Tokio runtime. The order is `resume`, then any number of
///   rounds of `begin`, `write`s, and `commit` or `abandon`. After an error of any method the sink is dropped and the
///   destination opened anew, beginning with `resume`.
/// - *Atomicity*: after `commit` either every row of the transfer is at the destination and `resume` of a new sink gives its
///   position, or neither. A transfer without rows moves the position too, where the destination can keep one without rows. What was written and not committed is gone
///   with `abandon`, with a drop, and with the process, at the latest when the sink is opened again.
/// - *Unknown outcomes*: an error of `commit` says nothing about what the destination has. The sink does not find out: the
///   next `resume` does, and waits for a commit that is still under way there.
/// - *Promise*: [`Promise::ExactlyOnce`] is all of that. [`Promise::AtLeastOnce`] is for destinations that cannot keep a
///   position with the rows: rows may be there before the commit and come again, marked so that a receiver can tell.
/// - *Errors*: whose fault it is, and whether another try may help, as everywhere. A column that has no place at the
///   destination is `Kind::User` and named.
///
/// [`conformance::check`] tries all of it on any implementation.
pub trait RowSink: Send {
    /// How far the destination has the table; nothing when nothing was ever committed. Finishes or takes back what an
    /// earlier life left half done.
    fn resume(&mut self) -> Result<Option<i64>>;

    /// How far the destination has the table, for whoever only looks: nothing is made, taken over or finished there, whoever
    /// may be sending meanwhile. What is committed and not yet finished may or may not count.
    fn reached(&mut self) -> Result<Option<i64>>;

    /// What a receiver can rely on.
    fn promise(&self) -> Promise {
        Promise::ExactlyOnce
    }

    /// Whether each transfer must be one commit of the table, its rows in an order that is the same each time.
    fn is_by_commit(&self) -> bool {
        false
    }

    /// Begins a transfer. Refuses columns the destination cannot take.
    fn begin(&mut self, transfer: &Transfer) -> Result<()>;

    /// Takes rows; they need not be visible before the commit.
    fn write(&mut self, rows: &RecordBatch) -> Result<()>;

    /// Makes the rows of the transfer, and its position, durable and visible.
    fn commit(&mut self) -> Result<()>;

    /// Takes back what was written since `begin`.
    fn abandon(&mut self) -> Result<()>;
}

/// How often a row arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    ExactlyOnce,
    AtLeastOnce,
}

/// A method was called out of order, which is a bug of the caller.
pub(crate) fn out_of_order() -> Error {
    Error::Internal("rows for a sink outside of a transfer")
}

/// A clock that stands still, and no chance.
#[cfg(test)]
pub(crate) fn still_surroundings() -> Surroundings {
    #[derive(Debug)]
    struct Still;

    impl Clock for Still {
        fn now(&self) -> headwater_project::Timestamp {
            headwater_project::Timestamp::default()
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    impl Entropy for Still {
        fn next_u64(&self) -> u64 {
            7
        }
    }

    Surroundings { clock: Arc::new(Still), entropy: Arc::new(Still), is_stopping: Arc::new(|| false) }
}
