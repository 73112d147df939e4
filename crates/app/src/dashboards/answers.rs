//! Answers kept by what they depend on, each made once however many ask.
//!
//! A key names the query, its parameters and the versions of the tables read: an entry is never wrong, only no longer
//! asked for. Whoever asks first runs the query; the others wait for the same answer. When the first goes away, the next
//! takes over; when all go away, the query ends.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_project::{Failure, Kind, Timestamp};
use tokio::sync::{OnceCell, Semaphore};

use crate::view::TileRows;

/// Bytes of rows kept; the least recently asked for go first.
const MAX_BYTES: usize = 128 << 20;
const MAX_ENTRIES: usize = 2_000;
/// How long one query may take, the wait for its turn included.
const MAX_TIME: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) rows: TileRows,
    pub(crate) computed_at: Timestamp,
    pub(crate) seconds: f64,
}

#[derive(Debug)]
struct Entry {
    last_asked: u64,
    cell: Arc<OnceCell<Arc<Answer>>>,
}

#[derive(Debug, Default)]
struct Kept {
    tick: u64,
    entries: HashMap<String, Entry>,
}

#[derive(Debug)]
pub(crate) struct Answers {
    kept: Mutex<Kept>,
    /// Queries of dashboards run at once: they share the engine with builds.
    turns: Semaphore,
}

impl Answers {
    pub(crate) fn new(turns: usize) -> Self {
        Self { kept: Mutex::default(), turns: Semaphore::new(turns.max(1)) }
    }

    /// The answer of a key, and whether it was there before or another made it.
    pub(crate) async fn get<F>(&self, key: &str, make: F) -> Result<(Arc<Answer>, bool), Failure>
    where
        F: Future<Output = Result<Answer, Failure>>,
    {
        let cell = self.cell(key);
        let mut was_made_here = false;
        let made = cell
            .get_or_try_init(|| async {
                was_made_here = true;
                self.in_turn(make).await.map(Arc::new)
            })
            .await
            .cloned();
        if was_made_here {
            self.tidy();
        }
        made.map(|answer| (answer, !was_made_here))
    }

    async fn in_turn(&self, make: impl Future<Output = Result<Answer, Failure>>) -> Result<Answer, Failure> {
        let turn_and_answer = async {
            let _turn = self.turns.acquire().await.map_err(|error| Failure::internal(error.to_string()))?;
            make.await
        };
        tokio::time::timeout(MAX_TIME, turn_and_answer).await.unwrap_or_else(|_| {
            let message = format!("the query took more than {} s and was ended", MAX_TIME.as_secs());
            Err(Failure::new(Kind::Exhausted, message).with_hint("Aggregate in a model what the tile aggregates now."))
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cell(&self, key: &str) -> Arc<OnceCell<Arc<Answer>>> {
        let mut kept = self.kept();
        kept.tick += 1;
        let tick = kept.tick;
        let entry = kept.entries.entry(key.to_owned()).or_insert_with(|| Entry { last_asked: 0, cell: Arc::default() });
        entry.last_asked = tick;
        Arc::clone(&entry.cell)
    }

    /// Forgets what failed and, beyond the limits, what was not asked for longest.
    fn tidy(&self) {
        let mut kept = self.kept();
        kept.entries.retain(|_, entry| entry.cell.initialized() || Arc::strong_count(&entry.cell) > 1);
        let mut by_age: Vec<(u64, String, usize)> =
            kept.entries.iter().map(|(key, entry)| (entry.last_asked, key.clone(), bytes(entry))).collect();
        by_age.sort_unstable_by_key(|(last_asked, _, _)| std::cmp::Reverse(*last_asked));
        let mut total = 0;
        for (count, (_, key, bytes)) in by_age.into_iter().enumerate() {
            total += bytes;
            if total > MAX_BYTES || count >= MAX_ENTRIES {
                kept.entries.remove(&key);
            }
        }
    }
}

fn bytes(entry: &Entry) -> usize {
    entry.cell.get().map_or(0, |answer| answer.rows.batches.iter().map(|batch| batch.get_array_memory_size()).sum())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn answer() -> Answer {
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let rows = TileRows { schema, batches: Vec::new(), truncated: false };
        Answer { rows, computed_at: Timestamp(0), seconds: 0.0 }
    }

    #[tokio::test]
    async fn many_who_ask_at_once_cost_one_query() {
        let (answers, made) = (Answers::new(4), AtomicUsize::new(0));
        let ask = || {
            answers.get("key", async {
                made.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok(answer())
            })
        };
        let found = futures::future::join_all((0..200).map(|_| ask())).await;
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert_eq!(found.into_iter().filter(|found| !found.as_ref().unwrap().1).count(), 1);
    }

    #[tokio::test]
    async fn a_failure_is_told_and_not_kept() {
        let answers = Answers::new(1);
        let failed = answers.get("key", async { Err(Failure::user("no")) }).await;
        assert!(failed.is_err());
        assert!(!answers.get("key", async { Ok(answer()) }).await.unwrap().1);
        assert!(answers.get("key", async { Err(Failure::user("not asked")) }).await.unwrap().1);
    }

    #[tokio::test]
    async fn the_next_takes_over_when_the_first_goes_away() {
        let answers = Answers::new(1);
        {
            let first = answers.get("key", std::future::pending());
            let mut first = std::pin::pin!(first);
            assert!(futures::poll!(first.as_mut()).is_pending());
        }
        assert!(answers.get("key", async { Ok(answer()) }).await.is_ok());
    }

    #[tokio::test]
    async fn other_keys_are_other_answers_and_the_oldest_go_first() {
        let answers = Answers::new(1);
        for number in 0..MAX_ENTRIES + 5 {
            assert!(!answers.get(&number.to_string(), async { Ok(answer()) }).await.unwrap().1);
        }
        assert!(!answers.get("0", async { Ok(answer()) }).await.unwrap().1);
        let last = (MAX_ENTRIES + 4).to_string();
        assert!(answers.get(&last, async { Ok(answer()) }).await.unwrap().1);
    }
}
