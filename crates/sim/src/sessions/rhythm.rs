//! When people come back: personal gaps, bent by the hour of the day and thinned on days off.

use super::calendar::{DAY_SECONDS, DailyWarp, WeekendDamping};
use super::config::SessionsConfig;
use crate::random::Stream;

/// When people act.
#[derive(Debug)]
pub struct Rhythm {
    pub alpha: f64,
    pub beta: f64,
    pub session_gap: f64,
    pub warp: DailyWarp,
    pub weekend: WeekendDamping,
}

impl Rhythm {
    pub fn new(config: &SessionsConfig) -> Self {
        let start_seconds = config.start.as_millis().div_euclid(1_000);
        let (offset, scale) = (config.weekend_damping_offset * 60.0, config.weekend_damping_scale * 60.0);
        Self {
            alpha: config.alpha,
            beta: config.beta,
            session_gap: config.session_gap,
            warp: DailyWarp::new(config.damping),
            weekend: WeekendDamping::new(config.weekend_damping, offset, scale, start_seconds),
        }
    }

    /// Start of the session after `last`, in seconds.
    pub fn next_session(&self, last: f64, beta: f64, stream: &mut Stream) -> f64 {
        let mut from = last;
        loop {
            let mut plain = from;
            let mut candidate = from;
            // The warp may move a time back before the last event; waiting longer always gets past it.
            while candidate <= from {
                plain += self.session_gap + stream.exponential(beta).max(0.001);
                candidate = self.warp.apply(plain);
            }
            if !stream.chance(self.weekend.at(candidate)) {
                return candidate;
            }
            from = candidate;
        }
    }

    /// First session at or after `start` of a user who has been around for long: the habit is followed from some time
    /// before, so that no start is special.
    pub fn ongoing_session(&self, start: f64, beta: f64, stream: &mut Stream) -> f64 {
        let lead = (DAY_SECONDS as f64).min(50.0 * (beta + self.session_gap));
        let mut at = start - lead;
        while at < start {
            at = self.next_session(at, beta, stream);
        }
        at
    }
}
