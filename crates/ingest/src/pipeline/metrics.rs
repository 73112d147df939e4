//! What a pipeline has done, for whoever wants to look.

use std::sync::{Arc, Mutex, PoisonError};

use headwater_project::{Failure, Timestamp};

use crate::sink::CommitReceipt;

/// Counts of what is committed, so that `records_in` = `rows_out` + `rejected` holds at any time, replays or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    pub records_in: u64,
    pub rows_out: u64,
    pub rejected: u64,
    /// Bytes of records as they came.
    pub bytes_in: u64,
    pub commits: u64,
    pub last_commit: Option<Timestamp>,
    pub table_version: Option<u64>,
    /// Records that wait at the source, as of the last look.
    pub lag: Option<u64>,
    pub failures: u64,
    /// Cleared by the next commit.
    pub last_error: Option<Failure>,
}

/// Counts of one commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
    pub(crate) bytes: u64,
}

#[derive(Clone, Debug, Default)]
pub struct MetricsHandle(Arc<Mutex<Metrics>>);

impl MetricsHandle {
    pub fn read(&self) -> Metrics {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Metrics)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn committed(&self, counts: Counts, receipt: CommitReceipt, lag: Option<u64>, now: Timestamp) {
        self.change(|metrics| {
            metrics.records_in += counts.rows + counts.rejected;
            metrics.rows_out += counts.rows;
            metrics.rejected += counts.rejected;
            metrics.bytes_in += counts.bytes;
            metrics.commits += 1;
            metrics.last_commit = Some(now);
            metrics.table_version = Some(receipt.version);
            metrics.lag = lag;
            metrics.last_error = None;
        });
    }

    /// Nothing came and nothing waits to be committed.
    pub(crate) fn waiting(&self, lag: Option<u64>) {
        self.change(|metrics| metrics.lag = lag);
    }

    pub(crate) fn failed(&self, failure: &Failure) {
        self.change(|metrics| {
            metrics.failures += 1;
            metrics.last_error = Some(failure.clone());
        });
    }
}
