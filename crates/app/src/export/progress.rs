//! What a sink has done since the process began, for whoever wants to look.

use std::sync::{Arc, Mutex, PoisonError};

use headwater_project::{Failure, Timestamp};

use super::Sent;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The destination was not reached yet.
    #[default]
    Starting,
    Sending,
    /// At the last look nothing waited.
    CaughtUp,
    /// It failed, and is tried again.
    Retrying,
    Failed,
    Stopped,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) phase: Phase,
    /// Whether the destination has said how far it is.
    pub(crate) is_known: bool,
    pub(crate) sent: Sent,
    /// When the last transfer was committed.
    pub(crate) sent_at: Option<Timestamp>,
    /// What it failed with last and when; cleared by the next look that ends well.
    pub(crate) failed: Option<(Timestamp, Failure)>,
}

/// The way to a sink's progress. The clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProgressHandle(Arc<Mutex<Progress>>);

impl ProgressHandle {
    pub(crate) fn read(&self) -> Progress {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The destination says how far it has the table.
    pub(super) fn opened(&self, position: Option<i64>) {
        self.change(|progress| {
            progress.is_known = true;
            progress.sent.position = position;
        });
    }

    /// Whether it has found its table since it failed last.
    pub(super) fn has_read(&self) -> bool {
        matches!(self.read().phase, Phase::Sending | Phase::CaughtUp)
    }

    pub(super) fn sending(&self) {
        self.change(|progress| progress.phase = Phase::Sending);
    }

    /// A transfer of so many rows is committed.
    pub(super) fn sent(&self, rows: u64, position: i64, now: Timestamp) {
        self.change(|progress| {
            progress.sent.rows += rows;
            progress.sent.transfers += 1;
            progress.sent.position = Some(position);
            progress.sent_at = Some(now);
        });
    }

    /// Everything there was is sent.
    pub(super) fn caught_up(&self) {
        self.change(|progress| {
            progress.phase = Phase::CaughtUp;
            progress.failed = None;
        });
    }

    pub(super) fn failed(&self, failure: &Failure, phase: Phase, now: Timestamp) {
        self.change(|progress| {
            progress.phase = phase;
            progress.failed = Some((now, failure.clone()));
        });
    }

    pub(super) fn stopped(&self) {
        self.change(|progress| progress.phase = Phase::Stopped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_until_everything_is_sent_and_counts_go_on() {
        let handle = ProgressHandle::default();
        handle.opened(Some(3));
        handle.sending();
        handle.sent(10, 4, Timestamp(1));
        handle.failed(&Failure::user("no"), Phase::Retrying, Timestamp(2));
        handle.opened(Some(4));
        assert!(!handle.has_read(), "it has not looked again yet");
        handle.sending();
        assert!(handle.has_read());
        assert!(handle.read().failed.is_some(), "it has not worked again yet");
        handle.sent(5, 6, Timestamp(3));
        handle.caught_up();
        let found = handle.read();
        assert_eq!(found.sent, Sent { rows: 15, transfers: 2, position: Some(6) });
        assert_eq!((found.phase, found.sent_at, found.failed), (Phase::CaughtUp, Some(Timestamp(3)), None));
    }
}
