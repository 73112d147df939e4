//! A log that lives and dies with the process: for tests and for trying things out.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use headwater_project::Timestamp;

use crate::error::{Error, Result};
use crate::log::{EventLog, PartitionDescription, ReadOutcome, TopicConfig, TopicDescription};
use crate::record::{Record, RecordBuffer};

/// Keeps everything until trimmed, one record at a time; retention limits of the topic are ignored.
#[derive(Debug, Default)]
pub struct MemoryLog {
    topics: Mutex<BTreeMap<String, Vec<Partition>>>,
}

#[derive(Debug, Default)]
struct Partition {
    start: usize,
    synced: usize,
    records: RecordBuffer,
}

impl MemoryLog {
    fn lock(&self) -> Result<MutexGuard<'_, BTreeMap<String, Vec<Partition>>>> {
        self.topics.lock().map_err(|_| Error::Internal("a thread panicked while it held the topics"))
    }
}

fn partition<'a>(
    topics: &'a mut BTreeMap<String, Vec<Partition>>,
    topic: &str,
    number: i32,
) -> Result<&'a mut Partition> {
    let found = topics.get_mut(topic).ok_or_else(|| Error::UnknownTopic { topic: topic.to_owned() })?;
    let partition = usize::try_from(number).ok().and_then(|index| found.get_mut(index));
    partition.ok_or_else(|| Error::UnknownPartition { topic: topic.to_owned(), partition: number })
}

fn as_offset(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

impl EventLog for MemoryLog {
    fn create_topic(&self, name: &str, config: &TopicConfig) -> Result<()> {
        let mut topics = self.lock()?;
        let existing = topics
            .entry(name.to_owned())
            .or_insert_with(|| (0..config.partitions).map(|_| Partition::default()).collect());
        let existing = i32::try_from(existing.len()).unwrap_or(i32::MAX);
        if existing != config.partitions {
            return Err(Error::TopicExists { topic: name.to_owned(), existing, requested: config.partitions });
        }
        Ok(())
    }

    fn topics(&self) -> Result<Vec<TopicDescription>> {
        let describe = |partition: &Partition| PartitionDescription {
            start_offset: as_offset(partition.start),
            end_offset: as_offset(partition.synced),
            bytes: partition.records.bytes() as u64,
        };
        let topics = self.lock()?;
        let described = topics.iter().map(|(name, partitions)| TopicDescription {
            name: name.clone(),
            partitions: partitions.iter().map(describe).collect(),
        });
        Ok(described.collect())
    }

    fn append(&self, topic: &str, number: i32, records: &RecordBuffer) -> Result<Range<i64>> {
        let mut topics = self.lock()?;
        let partition = partition(&mut topics, topic, number)?;
        let first = as_offset(partition.records.len());
        for record in records.iter() {
            let offset = as_offset(partition.records.len());
            partition.records.push(Record { offset, ..record });
        }
        Ok(first..as_offset(partition.records.len()))
    }

    fn sync(&self) -> Result<()> {
        for partition in self.lock()?.values_mut().flatten() {
            partition.synced = partition.records.len();
        }
        Ok(())
    }

    fn read(
        &self,
        topic: &str,
        number: i32,
        from_offset: i64,
        max_bytes: usize,
        into: &mut RecordBuffer,
    ) -> Result<ReadOutcome> {
        let mut topics = self.lock()?;
        let partition = partition(&mut topics, topic, number)?;
        let (start, end) = (as_offset(partition.start), as_offset(partition.synced));
        let until_bytes = into.bytes().saturating_add(max_bytes);
        let first = usize::try_from(from_offset).ok().filter(|_| (start..=end).contains(&from_offset));
        let Some(first) = first else {
            let topic = topic.to_owned();
            return Err(Error::OutOfRange { topic, partition: number, requested: from_offset, start, end });
        };
        let mut next = first;
        while next < partition.synced && (next == first || into.bytes() < until_bytes) {
            partition.records.record(next).into_iter().for_each(|record| into.push(record));
            next += 1;
        }
        Ok(ReadOutcome { next_offset: as_offset(next), at_end: next == partition.synced })
    }

    fn trim(&self, topic: &str, number: i32, before_offset: i64, _now: Timestamp) -> Result<u64> {
        let mut topics = self.lock()?;
        let partition = partition(&mut topics, topic, number)?;
        let before = usize::try_from(before_offset).unwrap_or(0).min(partition.synced);
        let freed = (partition.start..before).map(|index| partition.records.payload(index).len() as u64).sum();
        partition.start = partition.start.max(before);
        Ok(freed)
    }
}
