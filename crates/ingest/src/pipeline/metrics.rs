//! What a pipeline has done, for whoever wants to look.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use headwater_project::{Failure, Timestamp};

use crate::health::SourceHealth;
use crate::position::Positions;
use crate::sink::CommitReceipt;
use crate::stream_health::CopyProgress;

/// Failures remembered.
const ERRORS: usize = 20;

/// Counts of what is committed, so that `records_in` = `rows_out` + `rejected` + `left_out` holds at any time, replays or
/// not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    pub records_in: u64,
    pub rows_out: u64,
    pub rejected: u64,
    /// Records that the project does not want.
    pub left_out: u64,
    /// Bytes of records as they came.
    pub bytes_in: u64,
    pub commits: u64,
    pub last_commit: Option<Timestamp>,
    pub table_version: Option<u64>,
    pub lag: Lag,
    /// Whether at the last look nothing waited, neither at the source nor for a commit.
    pub caught_up: bool,
    /// The last moment up to which the table had everything the source had, as far as the source was asked.
    pub caught_up_at: Option<Timestamp>,
    /// How far the source was taken, by the commits.
    pub positions: Positions,
    pub health: SourceHealth,
    /// The copy of the table that is read beside its stream now.
    pub copying: Option<CopyProgress>,
    pub failures: u64,
    /// Cleared by the next commit, and by a source that says again what waits.
    pub last_error: Option<Failure>,
    /// The newest last.
    pub errors: VecDeque<PastError>,
}

/// A failure and when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastError {
    pub at: Timestamp,
    pub failure: Failure,
}

/// What waits at the source, as of the last look and as far as it can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    pub records: Option<u64>,
    pub bytes: Option<u64>,
}

impl Lag {
    /// Whether the source can tell, and tells that nothing waits.
    pub fn is_known_to_be_none(self) -> bool {
        self.records.or(self.bytes) == Some(0)
    }
}

/// Counts of one commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
    pub(crate) left_out: u64,
    pub(crate) bytes: u64,
}

impl Counts {
    /// Everything that was read, whatever became of it.
    pub(crate) fn records(&self) -> u64 {
        self.rows + self.rejected + self.left_out
    }
}

/// One commit, as it is counted.
pub(crate) struct Committed<'a> {
    pub(crate) counts: Counts,
    pub(crate) positions: &'a Positions,
    pub(crate) receipt: CommitReceipt,
    /// What waited when the last of it had been read, and when that was.
    pub(crate) lag: Lag,
    pub(crate) read_at: Timestamp,
}

#[derive(Clone, Debug, Default)]
pub struct MetricsHandle(Arc<Mutex<Metrics>>);

impl MetricsHandle {
    pub fn read(&self) -> Metrics {
        self.look(Metrics::clone)
    }

    /// As [`MetricsHandle::read`], without a copy of what is not wanted.
    pub fn look<T>(&self, look: impl FnOnce(&Metrics) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Metrics)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The table says how far the source was taken.
    pub(crate) fn opened(&self, positions: &Positions) {
        self.change(|metrics| {
            metrics.positions = positions.clone();
            metrics.copying = None;
        });
    }

    pub(crate) fn committed(&self, commit: &Committed<'_>, now: Timestamp) {
        let Committed { counts, positions, receipt, lag, read_at } = commit;
        self.change(|metrics| {
            metrics.records_in += counts.records();
            metrics.rows_out += counts.rows;
            metrics.rejected += counts.rejected;
            metrics.left_out += counts.left_out;
            metrics.bytes_in += counts.bytes;
            metrics.commits += 1;
            metrics.last_commit = Some(now);
            metrics.table_version = Some(receipt.version);
            metrics.positions.advance(positions);
            metrics.lag = *lag;
            metrics.caught_up = lag.is_known_to_be_none();
            if metrics.caught_up {
                metrics.caught_up_at = Some(*read_at);
            }
            metrics.last_error = None;
        });
    }

    /// Nothing came and nothing waits to be committed.
    pub(crate) fn waiting(&self, lag: Lag, now: Timestamp) {
        self.change(|metrics| {
            metrics.lag = lag;
            metrics.caught_up = lag.records.or(lag.bytes).is_none_or(|waiting| waiting == 0);
            if metrics.caught_up {
                metrics.caught_up_at = Some(now);
            }
            if lag.is_known_to_be_none() {
                metrics.last_error = None;
            }
        });
    }

    /// Everything there was is taken, whatever was met on the way.
    pub(crate) fn recovered(&self) {
        self.change(|metrics| metrics.last_error = None);
    }

    /// What the connector sees of its source.
    pub(crate) fn looked(&self, health: SourceHealth) {
        self.change(|metrics| metrics.health = health);
    }

    /// How far the copy beside the stream is; nothing when none is read.
    pub(crate) fn copying(&self, progress: Option<CopyProgress>) {
        self.change(|metrics| metrics.copying = progress);
    }

    pub(crate) fn failed(&self, failure: &Failure, now: Timestamp) {
        self.change(|metrics| {
            metrics.failures += 1;
            metrics.caught_up = false;
            metrics.last_error = Some(failure.clone());
            if metrics.errors.len() >= ERRORS {
                metrics.errors.pop_front();
            }
            metrics.errors.push_back(PastError { at: now, failure: failure.clone() });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Lag = Lag { records: Some(0), bytes: None };
    const UNKNOWN: Lag = Lag { records: None, bytes: None };

    fn some(records: u64) -> Lag {
        Lag { records: Some(records), bytes: None }
    }

    fn commit(metrics: &MetricsHandle, lag: Lag, read_at: i64, now: i64) {
        let (counts, positions) = (Counts { rows: 2, rejected: 1, left_out: 0, bytes: 30 }, Positions::default());
        let receipt = CommitReceipt { version: 7 };
        let committed = Committed { counts, positions: &positions, receipt, lag, read_at: Timestamp(read_at) };
        metrics.committed(&committed, Timestamp(now));
    }

    #[track_caller]
    fn check(metrics: &MetricsHandle, caught_up: bool, at: Option<i64>) {
        let found = metrics.read();
        assert_eq!((found.caught_up, found.caught_up_at), (caught_up, at.map(Timestamp)));
    }

    #[test]
    fn a_pipeline_is_caught_up_when_nothing_waits_and_everything_read_is_committed() {
        let metrics = MetricsHandle::default();
        check(&metrics, false, None);
        commit(&metrics, some(5), 10, 12);
        check(&metrics, false, None);
        // What came after the last record was read is not in the commit.
        commit(&metrics, NOTHING, 20, 25);
        check(&metrics, true, Some(20));
        metrics.waiting(NOTHING, Timestamp(30));
        check(&metrics, true, Some(30));
        metrics.waiting(some(1), Timestamp(40));
        check(&metrics, false, Some(30));
        metrics.waiting(UNKNOWN, Timestamp(50));
        check(&metrics, true, Some(50));
        commit(&metrics, UNKNOWN, 60, 61);
        check(&metrics, false, Some(50));
    }

    #[test]
    fn an_error_is_over_with_the_next_commit_or_when_the_source_answers_again() {
        let metrics = MetricsHandle::default();
        let over = || metrics.read().last_error.is_none();
        metrics.failed(&Failure::user("no"), Timestamp(1));
        metrics.waiting(UNKNOWN, Timestamp(2));
        assert!(!over());
        metrics.waiting(NOTHING, Timestamp(3));
        assert!(over());
        metrics.failed(&Failure::user("no"), Timestamp(4));
        commit(&metrics, UNKNOWN, 5, 6);
        assert!(over());
        assert_eq!(
            metrics.read().errors.iter().map(|error| error.at).collect::<Vec<_>>(),
            [Timestamp(1), Timestamp(4)]
        );
    }

    #[test]
    fn the_newest_errors_are_remembered() {
        let metrics = MetricsHandle::default();
        for at in 0..50 {
            metrics.failed(&Failure::user("no"), Timestamp(at));
        }
        let found = metrics.read();
        let (first, last) = (found.errors.front().unwrap().at, found.errors.back().unwrap().at);
        assert_eq!((found.errors.len(), first, last, found.failures), (20, Timestamp(30), Timestamp(49), 50));
    }
}
