//! How far a source was read, in the form that is committed with the data.

use std::collections::BTreeMap;

/// Position keys and how far each was taken. Keys are `k/<pipeline>/<topic>/<partition>` for logs (value: last offset taken)
/// and `f/<source>` for files (value: number of the last batch). A missing key means that nothing was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(pub BTreeMap<String, i64>);

impl Positions {
    pub fn get(&self, key: &str) -> Option<i64> {
        self.0.get(key).copied()
    }

    pub fn set(&mut self, key: impl Into<String>, value: i64) {
        self.0.insert(key.into(), value);
    }

    /// Takes over every key of `later`, whose values win.
    pub fn advance(&mut self, later: &Self) {
        for (key, value) in &later.0 {
            self.0.insert(key.clone(), *value);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The position key of one partition of a topic as one pipeline reads it.
pub fn log_key(pipeline: &str, topic: &str, partition: i32) -> String {
    format!("k/{pipeline}/{topic}/{partition}")
}

/// The key beside it with the fingerprint of the record at that position, by which a partition that was made anew is told.
pub fn fingerprint_key(pipeline: &str, topic: &str, partition: i32) -> String {
    format!("kh/{pipeline}/{topic}/{partition}")
}

/// The key with the fingerprint of the cluster that a pipeline reads.
pub fn cluster_key(pipeline: &str) -> String {
    format!("kc/{pipeline}")
}

/// The position key of a files source.
pub fn files_key(source: &str) -> String {
    format!("f/{source}")
}
