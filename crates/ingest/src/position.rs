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

/// The key that counts replays of what a pipeline set aside, in its table and in the quarantine.
pub fn replay_key(pipeline: &str) -> String {
    format!("replay/{pipeline}")
}

/// The key that counts the commits that bring or take back rejected records of a pipeline, in the quarantine: by it one of
/// unknown outcome is recognised.
pub fn rejected_key(pipeline: &str) -> String {
    format!("rejected/{pipeline}")
}

/// The key, in a table and in its quarantine, of the moment of the commit that last set records of a pipeline aside: of the last
/// that is there, in the quarantine, and of the last whose records the table has taken, in the table. The quarantine's is of
/// its own clock, and the table's a copy of it. Where the quarantine's is later, its last commit is half of two whose other half
/// never was.
pub fn set_aside_key(pipeline: &str) -> String {
    format!("rejected-at/{pipeline}")
}

/// The position key of a files source.
pub fn files_key(source: &str) -> String {
    format!("f/{source}")
}
