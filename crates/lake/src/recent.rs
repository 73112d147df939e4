//! A bounded map that forgets what was used least recently.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Entries up to a total weight; the least recently used go first. The caller locks.
#[derive(Debug)]
pub struct Recent<K, V> {
    most: usize,
    weight: usize,
    /// Counts uses, so that the smallest tick is the longest unused.
    tick: u64,
    entries: HashMap<K, Entry<V>>,
    by_use: BTreeMap<u64, K>,
}

#[derive(Debug)]
struct Entry<V> {
    used: u64,
    weight: usize,
    value: V,
}

impl<K: Clone + Eq + Hash, V: Clone> Recent<K, V> {
    /// Keeps entries whose weights add up to `most` at most.
    pub fn new(most: usize) -> Self {
        Self { most, weight: 0, tick: 0, entries: HashMap::new(), by_use: BTreeMap::new() }
    }

    pub fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let entry = self.entries.get_mut(key)?;
        self.tick += 1;
        if let Some(key) = self.by_use.remove(&entry.used) {
            self.by_use.insert(self.tick, key);
        }
        entry.used = self.tick;
        Some(entry.value.clone())
    }

    /// Keeps a value, and forgets others for it. What weighs more than all may is not kept.
    pub fn put(&mut self, key: K, weight: usize, value: V) {
        self.forget(&key);
        if weight > self.most {
            return;
        }
        self.weight += weight;
        while self.weight > self.most {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.drop_entry(&oldest);
        }
        self.tick += 1;
        self.by_use.insert(self.tick, key.clone());
        self.entries.insert(key, Entry { used: self.tick, weight, value });
    }

    fn forget(&mut self, key: &K) {
        if let Some(used) = self.drop_entry(key) {
            self.by_use.remove(&used);
        }
    }

    fn drop_entry(&mut self, key: &K) -> Option<u64> {
        let entry = self.entries.remove(key)?;
        self.weight -= entry.weight;
        Some(entry.used)
    }

    /// What all entries weigh together.
    pub fn weight(&self) -> usize {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(recent: &mut Recent<u32, u32>) -> Vec<u32> {
        (0..10).filter(|key| recent.entries.contains_key(key)).collect()
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut recent = Recent::new(3);
        for key in 0..3 {
            recent.put(key, 1, key);
        }
        assert_eq!(recent.get(&0), Some(0));
        recent.put(3, 1, 3);
        assert_eq!(kept(&mut recent), [0, 2, 3]);
        recent.put(4, 2, 4);
        assert_eq!(kept(&mut recent), [3, 4]);
        assert_eq!(recent.weight(), 3);
    }

    #[test]
    fn a_value_put_again_counts_once_and_one_too_large_is_not_kept() {
        let mut recent = Recent::new(3);
        recent.put(1, 2, 1);
        recent.put(1, 3, 2);
        assert_eq!((recent.weight(), recent.get(&1)), (3, Some(2)));
        recent.put(2, 4, 0);
        assert_eq!(kept(&mut recent), [1]);
        assert_eq!(recent.by_use.len(), recent.entries.len());
    }
}
