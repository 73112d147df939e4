//! The real clock and the real source of randomness: the only place that reads either.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use headwater_project::{Clock, Entropy, Timestamp};

#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the module that reads the clock")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the module that reads the clock")]
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Timestamp(micros)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

#[derive(Debug)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the module that draws random numbers")]
    fn next_u64(&self) -> u64 {
        uuid::Uuid::new_v4().as_u64_pair().0
    }
}

/// Measures how long something takes, for callers that have no clock of their own.
#[derive(Debug)]
pub struct Stopwatch(SystemClock);

impl Stopwatch {
    pub fn start() -> Self {
        Self(SystemClock::start())
    }

    pub fn elapsed(&self) -> Duration {
        self.0.monotonic()
    }
}
