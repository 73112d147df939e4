//! The last hour of a source.

use crate::ingest::{PipelineHandle, Sample, rate_at};
use crate::view::SourcePoint;

/// The last hour of all tables together. They are sampled at the same moments; a stream is counted once.
pub(super) fn picture(handles: &[&PipelineHandle]) -> Vec<SourcePoint> {
    let all: Vec<Vec<Sample>> = handles.iter().map(|handle| handle.history.samples()).collect();
    let shared = handles.iter().any(|handle| handle.shares_stream);
    let Some(shortest) = all.iter().map(Vec::len).min() else { return Vec::new() };
    let at = |place: usize| {
        let mut point: Option<SourcePoint> = None;
        for samples in &all {
            let index = samples.len() - shortest + place;
            let Some(sample) = samples.get(index) else { continue };
            let earlier = samples.iter().take(index).copied();
            let one = SourcePoint {
                at: sample.at,
                rows_per_second: rate_at(earlier, sample.rows_out, sample.at),
                lag_records: sample.lag.records,
                lag_bytes: sample.lag.bytes,
                behind_seconds: sample.behind_seconds,
            };
            point = Some(point.map_or(one, |point| together(point, one, shared)));
        }
        point
    };
    (1..shortest).filter_map(at).collect()
}

fn together(one: SourcePoint, other: SourcePoint, shared: bool) -> SourcePoint {
    let waiting = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (Some(one), Some(other)) => Some(if shared { one.max(other) } else { one.saturating_add(other) }),
        (one, other) => one.or(other),
    };
    SourcePoint {
        at: one.at.max(other.at),
        rows_per_second: one.rows_per_second + other.rows_per_second,
        lag_records: waiting(one.lag_records, other.lag_records),
        lag_bytes: waiting(one.lag_bytes, other.lag_bytes),
        behind_seconds: match (one.behind_seconds, other.behind_seconds) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        },
    }
}
