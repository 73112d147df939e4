//! Statements under way that their callers gave a name, so that they can be ended from beside.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headwater_project::Failure;
use tokio_util::sync::CancellationToken;

/// Name of a caller and of a statement: nobody ends the statements of others.
type Key = (Option<String>, String);

/// Letters of a statement's name.
const MAX_NAME: usize = 64;

#[derive(Default)]
pub(crate) struct Running(Mutex<HashMap<Key, CancellationToken>>);

/// A statement's entry; it goes with the statement.
pub(super) struct Entry {
    running: Option<(Arc<Running>, Key)>,
    pub(super) cancelled: CancellationToken,
}

impl Running {
    fn locked(&self) -> MutexGuard<'_, HashMap<Key, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A statement without a name is not listed.
    pub(super) fn enter(self: &Arc<Self>, caller: Option<String>, id: Option<String>) -> Result<Entry, Failure> {
        let cancelled = CancellationToken::new();
        let Some(id) = id else { return Ok(Entry { running: None, cancelled }) };
        let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
        if id.is_empty() || id.len() > MAX_NAME || !id.chars().all(is_plain) {
            return Err(Failure::user("the statement's `id` cannot name it")
                .with_hint("Use up to 64 letters, digits, `-` and `_`."));
        }
        let key = (caller, id);
        let mut running = self.locked();
        if running.contains_key(&key) {
            return Err(Failure::user(format!("a statement named `{}` is running", key.1))
                .with_hint("Give each statement a name of its own."));
        }
        running.insert(key.clone(), cancelled.clone());
        drop(running);
        Ok(Entry { running: Some((Arc::clone(self), key)), cancelled })
    }

    /// Whether there was such a statement.
    pub(super) fn cancel(&self, caller: Option<String>, id: &str) -> bool {
        let found = self.locked().get(&(caller, id.to_owned())).cloned();
        found.inspect(CancellationToken::cancel).is_some()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some((running, key)) = &self.running {
            running.locked().remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_ended_by_its_own_caller_while_it_runs() {
        let running = Arc::new(Running::default());
        let caller = || Some(String::from("ada"));
        let entry = running.enter(caller(), Some("q-1".into())).unwrap();
        assert!(!running.cancel(None, "q-1") && !running.cancel(caller(), "q-2"));
        assert!(!entry.cancelled.is_cancelled());
        assert!(running.cancel(caller(), "q-1") && entry.cancelled.is_cancelled());
        drop(entry);
        assert!(!running.cancel(caller(), "q-1"));
    }

    #[test]
    fn names_are_plain_and_used_once_at_a_time() {
        let running = Arc::new(Running::default());
        assert!(running.enter(None, Some("a b".into())).is_err());
        let _entry = running.enter(None, Some("a".into())).unwrap();
        assert!(running.enter(None, Some("a".into())).is_err());
        assert!(running.enter(Some("ada".into()), Some("a".into())).is_ok());
    }
}
