//! Who has taken how much of each partition, so that nothing goes before the slowest has it.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// The consumers of one log. All register before the first of them is asked to trim; one that was registered and has taken
/// nothing holds everything back.
#[derive(Debug, Default)]
pub struct Consumers {
    next_offsets: Mutex<BTreeMap<(String, i32), BTreeMap<String, i64>>>,
}

impl Consumers {
    /// Says where `consumer` reads on, and returns the offset before which nobody needs records any more.
    pub fn advance(&self, consumer: &str, topic: &str, partition: i32, next_offset: i64) -> i64 {
        let Ok(mut known) = self.next_offsets.lock() else { return 0 };
        let offsets = known.entry((topic.to_owned(), partition)).or_default();
        offsets.insert(consumer.to_owned(), next_offset);
        offsets.values().copied().min().unwrap_or(0)
    }

    /// The offset before which nobody needs records, as far as it was said.
    pub fn position(&self, topic: &str, partition: i32) -> Option<i64> {
        self.next_offsets.lock().ok()?.get(&(topic.to_owned(), partition))?.values().copied().min()
    }

    /// Forgets a consumer that is gone for good.
    pub fn remove(&self, consumer: &str) {
        let Ok(mut known) = self.next_offsets.lock() else { return };
        for offsets in known.values_mut() {
            offsets.remove(consumer);
        }
    }
}
