//! Topics that keep records in order: what a log promises, and the one that lives in a local folder.

pub mod conformance;
pub mod consumers;
mod frame;
mod group;
pub mod local;
pub mod memory;
mod partition;
mod segment;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::time::Duration;

use headwater_project::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::record::RecordBuffer;

pub use consumers::Consumers;
pub use local::{LocalLog, LocalLogOptions};
pub use memory::MemoryLog;

/// Append-only topics, divided into partitions, each a sequence of records numbered from 0 without holes for the writer.
/// Readers know records by offsets, which are these numbers, or grow with them and have holes (marks of transactions).
///
/// - *Order*: within a partition, records come back in the order in which `append` calls returned, each exactly once.
///   Nothing is promised across partitions.
/// - *Durability*: `append` only buffers. Records are durable, and visible to `read` in this process, once a `sync` that
///   began after their `append` returned has succeeded. After a crash a prefix of what was appended and not synced may be
///   there. A failed `sync` leaves the log refusing every later append and sync, until it was asked with `appended` what is
///   really there; where that cannot be told, the process must restart.
/// - *Reading* at any offset between a partition's start and end is allowed; outside it fails with `OutOfRange`, so that a
///   reader notices records that are gone (offset before the start) or a topic that was cut (offset past the end). A reader
///   must go on from `next_offset`, not count.
/// - *Retention*: only `trim` allows records to go, and it may keep them longer.
/// - *Concurrency*: all methods may be called from any thread at once. Two appends to one partition are ordered by a lock.
///   Every call may block on disk or network: call from a dedicated thread or `spawn_blocking`, never from an async task.
/// - *Errors*: `Kind::External` may be retried, `Kind::Exhausted` once there is room; an `append` that failed has appended
///   nothing that `read` will return, a `sync` that failed leaves an unknown outcome.
///
/// [`conformance::check`] tests all of this for any implementation.
pub trait EventLog: Send + Sync + std::fmt::Debug {
    /// Makes a topic; a topic that exists with as many partitions is left as it is, with the new configuration.
    fn create_topic(&self, name: &str, config: &TopicConfig) -> Result<()>;

    /// Every topic with what can be read of it now, by name.
    fn topics(&self) -> Result<Vec<TopicDescription>>;

    /// Buffers the records and returns the numbers given to them, in order. The offsets in `records` are ignored.
    fn append(&self, topic: &str, partition: i32, records: &RecordBuffer) -> Result<Range<i64>>;

    /// Makes everything appended before this call durable and visible.
    fn sync(&self) -> Result<()>;

    /// As `append` and `sync` in one, by a caller who repeats nothing that was not kept; returns the offsets. A failure of it
    /// concerns no other.
    fn append_synced(&self, topic: &str, partition: i32, records: &RecordBuffer) -> Result<Range<i64>> {
        let offsets = self.append(topic, partition, records)?;
        self.sync()?;
        Ok(offsets)
    }

    /// How many records a partition ever got that are durable: the number the next will have, after a start or a failed `sync`.
    fn appended(&self, topic: &str, partition: i32) -> Result<i64> {
        let found = self.topics()?.into_iter().find(|known| known.name == topic);
        let found = found.ok_or_else(|| Error::UnknownTopic { topic: topic.to_owned() })?;
        let described = usize::try_from(partition).ok().and_then(|index| found.partitions.get(index));
        let unknown = || Error::UnknownPartition { topic: topic.to_owned(), partition };
        Ok(described.ok_or_else(unknown)?.end_offset)
    }

    /// Adds records from `from_offset` on to `into`, at least one if there is any, and stops once it added about `max_bytes`.
    /// Never waits for records to come.
    fn read(
        &self,
        topic: &str,
        partition: i32,
        from_offset: i64,
        max_bytes: usize,
        into: &mut RecordBuffer,
    ) -> Result<ReadOutcome>;

    /// Says that no consumer needs records before `before_offset` any more. They may then go, whole segments at a time, as
    /// far as the topic's retention allows. Returns the bytes freed.
    fn trim(&self, topic: &str, partition: i32, before_offset: i64, now: Timestamp) -> Result<u64>;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopicConfig {
    pub partitions: i32,
    /// A new segment file starts when this one would grow past so many bytes.
    pub segment_bytes: u64,
    /// Keep at least so many bytes of consumed records per partition.
    pub retention_bytes: Option<u64>,
    /// Keep consumed records at least so long.
    pub retention_age: Option<Duration>,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self { partitions: 1, segment_bytes: 256 << 20, retention_bytes: None, retention_age: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    pub name: String,
    pub partitions: Vec<PartitionDescription>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Offset of the first record kept.
    pub start_offset: i64,
    /// Offset the next durable record will have.
    pub end_offset: i64,
    pub bytes: u64,
}

impl PartitionDescription {
    /// Bytes of the records from an offset on, taking each for as large as the others that are kept.
    pub fn bytes_after(&self, offset: i64) -> u64 {
        let kept = u64::try_from(self.end_offset.saturating_sub(self.start_offset)).unwrap_or(0).max(1);
        let waiting = u64::try_from(self.end_offset.saturating_sub(offset)).unwrap_or(0).min(kept);
        let bytes = u128::from(self.bytes) * u128::from(waiting) / u128::from(kept);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOutcome {
    /// Where to read on.
    pub next_offset: i64,
    /// There was nothing more to read at the time.
    pub at_end: bool,
}
