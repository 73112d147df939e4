//! The last hour of a pipeline, a sample every few seconds; kept in memory only.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_ingest::pipeline::Lag;
use headwater_project::Timestamp;

/// Time between two samples.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// What a rate is taken over. Commits come every few seconds: over less a rate would jump between nothing and double.
pub(crate) const RATE_OVER: Duration = Duration::from_secs(60);
/// An hour of samples, and what the rate of the first of them is taken over.
const SAMPLES: usize = 366;

/// What was counted at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) at: Timestamp,
    pub(crate) rows_out: u64,
    pub(crate) lag: Lag,
    pub(crate) behind_seconds: Option<f64>,
}

/// The newest samples, oldest first. The clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Arc<Mutex<VecDeque<Sample>>>);

impl History {
    pub(crate) fn keep(&self, sample: Sample) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() >= SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Rows per second over the last minute, or since the first sample when that is shorter.
    pub(crate) fn rate(&self, rows_out: u64, now: Timestamp) -> f64 {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rate_at(samples.iter().copied(), rows_out, now)
    }
}

/// The rate at a moment at which so many rows were counted, of samples before it, oldest first.
pub(crate) fn rate_at(earlier: impl Iterator<Item = Sample>, rows_out: u64, now: Timestamp) -> f64 {
    let window = |sample: &Sample| now.since(sample.at) <= RATE_OVER + SAMPLE_EVERY / 2;
    let Some(first) = earlier.filter(|sample| sample.at < now).find(window) else { return 0.0 };
    let seconds = now.since(first.at).as_secs_f64().max(1.0);
    let rows = rows_out.saturating_sub(first.rows_out);
    // Rows of a minute are far below 2^32.
    f64::from(u32::try_from(rows).unwrap_or(u32::MAX)) / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(second: i64, rows_out: u64) -> Sample {
        Sample { at: Timestamp(second * 1_000_000), rows_out, lag: Lag::default(), behind_seconds: None }
    }

    #[track_caller]
    fn check(samples: &[(i64, u64)], rows_out: u64, second: i64, expected: f64) {
        let samples = samples.iter().map(|(second, rows)| sample(*second, *rows));
        let found = rate_at(samples, rows_out, Timestamp(second * 1_000_000));
        assert!((found - expected).abs() < 1e-9, "{found}, {expected} expected");
    }

    #[test]
    fn a_rate_is_of_the_last_minute_or_of_what_there_is() {
        check(&[], 100, 10, 0.0);
        check(&[(0, 0)], 100, 10, 10.0);
        check(&[(0, 0), (10, 50), (20, 100), (30, 100), (40, 100)], 160, 80, 1.0);
        check(&[(0, 0)], 100, 500, 0.0);
    }

    #[test]
    fn an_hour_is_kept() {
        let history = History::default();
        (0..1_000).for_each(|second| history.keep(sample(second * 10, 0)));
        let kept = history.samples();
        assert_eq!((kept.len(), kept[0].at), (SAMPLES, Timestamp(6_340 * 1_000_000)));
    }
}
