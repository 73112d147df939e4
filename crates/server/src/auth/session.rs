//! Sessions of this process: a restart ends them all.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_project::{Entropy, Timestamp};

use super::accounts::random_hex;

/// How long a login holds.
pub(super) const LIFE_SECONDS: u32 = 7 * 86_400;
/// Sessions kept; the oldest go first.
const MAX_SESSIONS: usize = 10_000;

/// By cookie: user and end.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, (String, Timestamp)>>);

impl Sessions {
    fn locked(&self) -> MutexGuard<'_, HashMap<String, (String, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, user: &str, entropy: &dyn Entropy, now: Timestamp) -> String {
        let cookie = random_hex(entropy);
        let end = now.saturating_add(Duration::from_secs(u64::from(LIFE_SECONDS)));
        let mut sessions = self.locked();
        sessions.retain(|_, (_, end)| *end > now);
        if sessions.len() >= MAX_SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, (_, end))| *end).map(|(cookie, _)| cookie.clone());
            oldest.map(|oldest| sessions.remove(&oldest));
        }
        sessions.insert(cookie.clone(), (user.to_owned(), end));
        cookie
    }

    pub(super) fn user(&self, cookie: &str, now: Timestamp) -> Option<String> {
        self.locked().get(cookie).filter(|(_, end)| *end > now).map(|(user, _)| user.clone())
    }

    pub(super) fn end(&self, cookie: &str) {
        self.locked().remove(cookie);
    }
}
