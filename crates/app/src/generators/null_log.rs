//! A log that throws everything away, to see how fast a generator alone is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use headwater_ingest::log::{EventLog, PartitionDescription, ReadOutcome, TopicConfig, TopicDescription};
use headwater_ingest::{Error, RecordBuffer, Result};
use headwater_project::Timestamp;

/// Counts records by topic and partition; keeps none.
#[derive(Debug)]
pub(crate) struct NullLog {
    partitions: usize,
    topics: Mutex<BTreeMap<String, Vec<i64>>>,
}

impl NullLog {
    pub(crate) fn new(partitions: usize) -> Self {
        Self { partitions, topics: Mutex::new(BTreeMap::new()) }
    }

    fn topics(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<i64>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventLog for NullLog {
    fn create_topic(&self, name: &str, _config: &TopicConfig) -> Result<()> {
        self.topics().entry(name.to_owned()).or_insert_with(|| vec![0; self.partitions]);
        Ok(())
    }

    fn topics(&self) -> Result<Vec<TopicDescription>> {
        let described = |end: &i64| PartitionDescription { start_offset: *end, end_offset: *end, bytes: 0 };
        Ok(NullLog::topics(self)
            .iter()
            .map(|(name, ends)| TopicDescription {
                name: name.clone(),
                partitions: ends.iter().map(described).collect(),
            })
            .collect())
    }

    fn append(&self, topic: &str, partition: i32, records: &RecordBuffer) -> Result<Range<i64>> {
        let mut topics = NullLog::topics(self);
        let unknown = || Error::UnknownTopic { topic: topic.to_owned() };
        let ends = topics.get_mut(topic).ok_or_else(unknown)?;
        let end = usize::try_from(partition).ok().and_then(|index| ends.get_mut(index)).ok_or_else(unknown)?;
        let first = *end;
        *end += i64::try_from(records.len()).unwrap_or(i64::MAX);
        Ok(first..*end)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn read(&self, _: &str, _: i32, from_offset: i64, _: usize, _: &mut RecordBuffer) -> Result<ReadOutcome> {
        Ok(ReadOutcome { next_offset: from_offset, at_end: true })
    }

    fn trim(&self, _: &str, _: i32, _: i64, _: Timestamp) -> Result<u64> {
        Ok(0)
    }
}
