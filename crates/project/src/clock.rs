//! Time and randomness as injected things, so that every run can be replayed.
//!
//! The real clock lives in `app`, the virtual one in `sim`; nothing else reads either source.

use std::fmt::Debug;
use std::time::Duration;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Rounds down, so that a time before 1970 keeps its order.
    pub fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    pub fn saturating_add(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// Time from `earlier` to `self`; zero when the clock went backwards.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// The one way to learn what time it is.
pub trait Clock: Send + Sync + Debug {
    /// Wall-clock time; may go backwards.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start; never goes backwards. For measuring, never for storing.
    fn monotonic(&self) -> Duration;
}

/// The one source of randomness that is not a seed written in a project.
pub trait Entropy: Send + Sync + Debug {
    fn next_u64(&self) -> u64;
}
