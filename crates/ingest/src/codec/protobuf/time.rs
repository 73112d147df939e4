//! Times and lengths of time as Protobuf's own messages have them: seconds, and nanoseconds besides.

use super::wire::{Raw, Wire};
use crate::codec::column::Refusal;

/// The years 1 to 9999, in seconds.
const TIMES: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// Ten thousand years.
const LONGEST: i64 = 315_576_000_000;
const SECOND: i64 = 1_000_000_000;

/// Microseconds since 1970; what is finer is cut.
pub(super) fn timestamp(bytes: &[u8]) -> Result<i64, Refusal> {
    let (seconds, nanos) = parts(bytes)?;
    if !TIMES.contains(&seconds) || !(0..SECOND).contains(&nanos) {
        return Err(format!("a time of {seconds} seconds and {nanos} nanoseconds is out of range"));
    }
    Ok(seconds * 1_000_000 + nanos / 1_000)
}

/// Nanoseconds.
pub(super) fn duration(bytes: &[u8]) -> Result<i128, Refusal> {
    let (seconds, nanos) = parts(bytes)?;
    let disagree = seconds.signum() * nanos.signum() < 0;
    if seconds.unsigned_abs() > LONGEST.unsigned_abs() || nanos.unsigned_abs() >= SECOND.unsigned_abs() || disagree {
        return Err(format!("a duration of {seconds} seconds and {nanos} nanoseconds is out of range"));
    }
    Ok(i128::from(seconds) * i128::from(SECOND) + i128::from(nanos))
}

#[expect(clippy::cast_possible_truncation, reason = "nanoseconds are the lower half of the varint")]
fn parts(bytes: &[u8]) -> Result<(i64, i64), Refusal> {
    let (mut wire, mut seconds, mut nanos) = (Wire::new(bytes), 0, 0);
    while let Some((number, value)) = wire.field()? {
        match (number, value) {
            (1, Raw::Varint(value)) => seconds = value.cast_signed(),
            (2, Raw::Varint(value)) => nanos = i64::from((value as u32).cast_signed()),
            (1 | 2, other) => return Err(format!("a time holds numbers, found {}", other.name())),
            _ => {}
        }
    }
    Ok((seconds, nanos))
}
