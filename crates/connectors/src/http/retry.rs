//! When to ask again.

use std::time::Duration;

use chrono::DateTime;
use headwater_project::{Entropy, Timestamp};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);
/// A service may ask for patience, not for ever.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// Whether another try may get past an answer of this status.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// How long to wait after the n-th failure (from 1): what the service asked for, or twice as long each time, of which a
/// random part between half and all is taken so that clients do not come back together.
pub(super) fn wait(failures: u32, asked: Option<Duration>, entropy: &dyn Entropy) -> Duration {
    if let Some(asked) = asked {
        return asked.min(LONGEST_ASKED);
    }
    let whole = FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16))).min(LONGEST);
    let share = (entropy.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    whole.mul_f64(0.5 + share / 2.0)
}

/// `Retry-After`: seconds, or a date. What is neither asks for nothing.
pub(super) fn asked(header: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = header.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(header.trim()).ok()?;
    Some(Timestamp(until.timestamp_micros()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed(u64);

    impl Entropy for Fixed {
        fn next_u64(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn waits_double_and_end_at_a_minute() {
        for (failures, entropy, expected) in
            [(1, 0, 250), (1, u64::MAX, 500), (2, 0, 500), (3, 0, 1_000), (20, 0, 30_000), (99, u64::MAX, 60_000)]
        {
            let found = wait(failures, None, &Fixed(entropy)).as_millis();
            assert!(found.abs_diff(expected) <= 1, "{failures} failures: {found} ms, {expected} expected");
        }
    }

    #[test]
    fn what_the_service_asks_for_is_obeyed_within_reason() {
        let now = Timestamp::from_millis(1_445_412_480_000);
        let cases = [
            ("120", Some(Duration::from_secs(120))),
            (" 0 ", Some(Duration::ZERO)),
            ("Wed, 21 Oct 2015 07:28:30 GMT", Some(Duration::from_secs(30))),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(Duration::ZERO)),
            ("-5", None),
            ("soon", None),
        ];
        for (header, expected) in cases {
            assert_eq!(asked(header, now), expected, "{header}");
        }
        assert_eq!(wait(1, Some(Duration::from_secs(1 << 40)), &Fixed(0)), LONGEST_ASKED);
    }
}
