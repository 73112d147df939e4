//! What is asked of the pipelines of a running process, and keeping them to it: paused, going on, run again.
//!
//! A unit is what runs and stops as one: the pipeline of a table, or the capture of all tables of a database, which share one
//! stream. A pause is a stop like any other: what was read is committed, and the next run begins at the positions of the
//! tables. So it is safe whenever a stop is, and there is nothing else to keep.

use std::sync::{Arc, Mutex, PoisonError};

use headwater_ingest::pipeline::Ended;
use headwater_project::{Failure, Kind};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::pipelines::{Planned, Work};

/// What is wanted of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) paused: bool,
    /// Grows with each wish that it run again from where its tables are.
    pub(crate) round: u64,
}

/// What a unit does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Running,
    /// What was read is being committed.
    Pausing,
    Paused,
    Finished,
    Stopped,
    Failed,
}

/// The way to a unit, and back. The clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    order: Arc<watch::Sender<Order>>,
    phase: Arc<Mutex<Phase>>,
}

impl Default for Control {
    fn default() -> Self {
        Self { order: Arc::new(watch::Sender::new(Order::default())), phase: Arc::default() }
    }
}

impl Control {
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Whoever waits hears of it only when it changes.
    pub(crate) fn pause(&self, paused: bool) {
        self.order.send_if_modified(|order| std::mem::replace(&mut order.paused, paused) != paused);
    }

    pub(crate) fn run_again(&self) {
        self.order.send_modify(|order| order.round = order.round.wrapping_add(1));
    }

    pub(crate) fn orders(&self) -> watch::Receiver<Order> {
        self.order.subscribe()
    }
}

impl Work {
    async fn run(&mut self, stop: &CancellationToken) -> Result<Ended, Failure> {
        match self {
            Self::Table(pipeline) => pipeline.run(stop).await,
            Self::Capture(pipeline) => pipeline.run(stop).await,
        }
    }
}

/// Runs to the end once and remembers how it ended.
pub(crate) async fn run(mut planned: Planned, stop: CancellationToken) -> Result<(), Failure> {
    let result = planned.work.run(&stop).await;
    planned.control.set(phase_after(&result));
    result.map(drop)
}

/// Runs whenever it is wanted, until the stop. A unit that fails for good waits to be run again: it is no reason for the others
/// to end. `Err` is what it had failed with at the stop, or at once that somebody else owns its tables now.
pub(crate) async fn supervise(mut planned: Planned, stop: CancellationToken) -> Result<(), Failure> {
    let control = planned.control.clone();
    let tables: Vec<&str> = planned.handles.iter().map(|handle| handle.table.as_str()).collect();
    let tables = tables.join(", ");
    let mut orders = control.orders();
    loop {
        if orders.borrow_and_update().paused {
            control.set(Phase::Paused);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = orders.changed() => continue,
            }
        }
        control.set(Phase::Running);
        let round = orders.borrow().round;
        let result = run_until_ordered(&mut planned.work, &control, &mut orders, &stop).await;
        let order = *orders.borrow();
        if (order.paused || order.round != round) && !stop.is_cancelled() {
            // Whatever it met on its way is tried again when it goes on.
            continue;
        }
        control.set(phase_after(&result));
        match result {
            Err(failure) if failure.kind == Kind::Conflict || stop.is_cancelled() => return Err(failure),
            Err(failure) => stand_still(&tables, &failure, &mut orders, &stop).await?,
            Ok(_) => {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    _ = orders.changed() => {}
                }
            }
        }
    }
}

/// Says that a unit has failed and waits for the next order; at the stop it is still failed.
async fn stand_still(
    tables: &str,
    failure: &Failure,
    orders: &mut watch::Receiver<Order>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let (detail, hint) = (failure.detail.as_deref(), failure.hint.as_deref());
    tracing::error!(tables, detail, hint, "a source stopped: {failure}");
    tokio::select! {
        () = stop.cancelled() => Err(failure.clone()),
        _ = orders.changed() => Ok(()),
    }
}

/// One run, ended early by a pause or by the wish to begin again.
async fn run_until_ordered(
    work: &mut Work,
    control: &Control,
    orders: &mut watch::Receiver<Order>,
    stop: &CancellationToken,
) -> Result<Ended, Failure> {
    let round = orders.borrow().round;
    let token = stop.child_token();
    let mut running = std::pin::pin!(work.run(&token));
    loop {
        tokio::select! {
            ended = &mut running => return ended,
            _ = orders.changed() => {
                let order = *orders.borrow_and_update();
                if order.paused || order.round != round {
                    control.set(Phase::Pausing);
                    token.cancel();
                }
            }
        }
    }
}

fn phase_after(result: &Result<Ended, Failure>) -> Phase {
    match result {
        Ok(Ended::SourceEnded) => Phase::Finished,
        Ok(Ended::Stopped) => Phase::Stopped,
        Err(_) => Phase::Failed,
    }
}
