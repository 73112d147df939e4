//! Failed logins, counted by where they came from and by whom they named: guessing is slow either way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use headwater_project::{Failure, Kind, Timestamp};

use crate::api::ApiError;

/// Failures within [`WINDOW`] before the next try has to wait.
const MAX_FAILURES: usize = 10;
const WINDOW: Duration = Duration::from_secs(300);
/// Places and names remembered.
const MAX_ENTRIES: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    From(IpAddr),
    Named(String),
}

#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<Key, Vec<Timestamp>>>);

fn keys(peer: IpAddr, name: &str) -> [Key; 2] {
    [Key::From(peer), Key::Named(name.chars().take(64).collect())]
}

impl Attempts {
    pub(super) fn may_try(&self, peer: IpAddr, name: &str, now: Timestamp) -> Result<(), ApiError> {
        let attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys(peer, name) {
            let recent: Vec<Timestamp> =
                attempts.get(&key).into_iter().flatten().copied().filter(|at| now.since(*at) < WINDOW).collect();
            if let (true, Some(oldest)) = (recent.len() >= MAX_FAILURES, recent.first()) {
                let wait = WINDOW.saturating_sub(now.since(*oldest)).max(Duration::from_secs(1));
                let failure = Failure::new(Kind::Exhausted, "too many logins failed")
                    .with_hint(format!("Try again in {} s.", wait.as_secs()));
                return Err(ApiError::from(failure).retry_after(wait));
            }
        }
        Ok(())
    }

    pub(super) fn failed(&self, peer: IpAddr, name: &str, now: Timestamp) {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() >= MAX_ENTRIES {
            attempts.retain(|_, failures| failures.iter().any(|at| now.since(*at) < WINDOW));
        }
        for key in keys(peer, name) {
            let failures = attempts.entry(key).or_default();
            failures.retain(|at| now.since(*at) < WINDOW);
            failures.truncate(MAX_FAILURES);
            failures.push(now);
        }
    }

    /// A right password clears the name; the place stays, as others may guess from it.
    pub(super) fn succeeded(&self, _peer: IpAddr, name: &str) {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.remove(&Key::Named(name.to_owned()));
    }
}
