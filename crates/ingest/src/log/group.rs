//! One sync for all who wait for one.
//!
//! A sync covers what was written before it began. While one runs, whoever comes waits for the next, which the first of them
//! to wake leads for all: the disk is asked as often as it can answer, whatever the number of writers.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::Result;

#[derive(Debug, Default)]
pub(super) struct Group {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the last sync that began, from 1.
    begun: u64,
    /// Number of the last that succeeded: who waited for it or an earlier one is done.
    succeeded: u64,
    running: bool,
}

/// A sync under way. When it is over, however that came, another may begin.
struct Leading<'a> {
    group: &'a Group,
    number: u64,
    succeeded: bool,
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        let mut state = self.group.lock();
        state.running = false;
        if self.succeeded {
            state.succeeded = self.number;
        }
        self.group.ended.notify_all();
    }
}

impl Group {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once a sync that began after this call has succeeded, or one that this thread led has failed: a failure is
    /// told to who led, and the others try for themselves.
    pub(super) fn sync(&self, lead: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut state = self.lock();
        let wanted = state.begun + 1;
        while state.running && state.succeeded < wanted {
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.succeeded >= wanted {
            return Ok(());
        }
        state.begun += 1;
        state.running = true;
        let mut leading = Leading { group: self, number: state.begun, succeeded: false };
        drop(state);
        let result = lead();
        leading.succeeded = result.is_ok();
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::error::Error;

    /// Many threads that write and sync: each finds what it wrote synced when it returns.
    #[test]
    fn nobody_returns_before_a_sync_that_covers_what_was_written() {
        let (group, written, synced, syncs) =
            (Group::default(), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let mine = written.fetch_add(1, Ordering::SeqCst) + 1;
                        let lead = || {
                            let covers = written.load(Ordering::SeqCst);
                            std::thread::yield_now();
                            synced.fetch_max(covers, Ordering::SeqCst);
                            syncs.fetch_add(1, Ordering::SeqCst);
                            Ok(())
                        };
                        group.sync(lead).unwrap();
                        assert!(synced.load(Ordering::SeqCst) >= mine);
                    }
                });
            }
        });
        assert!(syncs.load(Ordering::SeqCst) <= 1_600);
    }

    #[test]
    fn a_failure_is_told_to_who_led_and_the_next_tries_again() {
        let group = Group::default();
        assert!(group.sync(|| Err(Error::Poisoned)).is_err());
        assert!(group.sync(|| Ok(())).is_ok());
        // A sync that began before does not cover what came after.
        let mut led = false;
        group
            .sync(|| {
                led = true;
                Ok(())
            })
            .unwrap();
        assert!(led);
    }
}
