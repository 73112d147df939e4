//! Topics, for showing: those of the project's log, and those of any cluster it is connected to.

use std::sync::Arc;

use headwater_connectors::kafka::{KafkaLog, Target};
use headwater_ingest::RecordBuffer;
use headwater_ingest::log::{EventLog, TopicDescription};
use headwater_project::{Classify, Failure, Timestamp};

use crate::instance::Instance;
use crate::view::{TopicPartition, TopicRecord, TopicSummary};

/// Bytes read at once for a tail.
const TAIL_BYTES: usize = 1 << 20;

/// A log to look into.
#[derive(Clone, Debug)]
pub struct Topics {
    log: Arc<dyn EventLog>,
}

impl Instance {
    /// The topics of the project's log.
    pub fn log_topics(&self) -> Topics {
        Topics { log: Arc::clone(&self.log) }
    }

    /// Every topic of a connection of kind `kafka`.
    pub fn topics_of(&self, connection: &str) -> Result<Topics, Failure> {
        let target = Target::new(self.project().kafka_connection(connection)?, &self.project().root);
        let log = KafkaLog::new(target, "", None, None, Arc::clone(&self.clock));
        Ok(Topics { log: Arc::new(log) })
    }

    /// Every topic of the project's log with what it holds.
    pub async fn topics(&self) -> Result<Vec<TopicSummary>, Failure> {
        self.log_topics().list().await
    }

    /// One topic of the project's log with what it holds.
    pub async fn topic(&self, topic: &str) -> Result<TopicSummary, Failure> {
        self.log_topics().find(topic).await
    }

    /// Last records of a topic of the project's log.
    pub async fn tail(&self, topic: &str, from_end: u64, limit: usize) -> Result<Vec<TopicRecord>, Failure> {
        self.log_topics().tail(topic, from_end, limit).await
    }
}

impl Topics {
    /// Asks the log on a thread that may wait for disk or network.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn EventLog) -> Result<T, headwater_ingest::Error> + Send + 'static,
    ) -> Result<T, Failure> {
        let log = Arc::clone(&self.log);
        let asked = tokio::task::spawn_blocking(move || question(&*log)).await;
        asked.map_err(|error| Failure::internal(error.to_string()))?.map_err(|error| error.failure())
    }

    /// Every topic with what it holds.
    pub async fn list(&self) -> Result<Vec<TopicSummary>, Failure> {
        Ok(self.ask(|log| log.topics()).await?.into_iter().map(summary).collect())
    }

    /// One topic with what it holds.
    pub async fn find(&self, topic: &str) -> Result<TopicSummary, Failure> {
        let described = self.list().await?;
        let missing = || Failure::unknown("topic", topic, described.iter().map(|known| known.name.as_str()));
        described.iter().find(|known| known.name == topic).cloned().ok_or_else(missing)
    }

    /// Up to `limit` records, beginning `from_end` records before the end of each partition, by time.
    pub async fn tail(&self, topic: &str, from_end: u64, limit: usize) -> Result<Vec<TopicRecord>, Failure> {
        let found = self.find(topic).await?;
        let mut records = Vec::new();
        for partition in found.partitions {
            let name = topic.to_owned();
            let read = self.ask(move |log| tail_partition(log, &name, partition, from_end, limit)).await?;
            records.extend(read);
        }
        records.sort_by_key(|record| (record.timestamp, record.partition, record.offset));
        let surplus = records.len().saturating_sub(limit);
        records.drain(..surplus);
        Ok(records)
    }
}

fn summary(topic: TopicDescription) -> TopicSummary {
    let partition = |(partition, described): (i32, headwater_ingest::log::PartitionDescription)| TopicPartition {
        partition,
        start_offset: described.start_offset,
        end_offset: described.end_offset,
        bytes: described.bytes,
    };
    TopicSummary { name: topic.name, partitions: (0..).zip(topic.partitions).map(partition).collect() }
}

/// Marks of transactions take offsets too: where there were too many of them, it is begun further back.
fn tail_partition(
    log: &dyn EventLog,
    topic: &str,
    partition: TopicPartition,
    from_end: u64,
    limit: usize,
) -> Result<Vec<TopicRecord>, headwater_ingest::Error> {
    let wanted = usize::try_from(from_end).unwrap_or(usize::MAX).min(limit);
    let mut back = i64::try_from(from_end).unwrap_or(i64::MAX);
    let mut widened = false;
    loop {
        let offset = partition.end_offset.saturating_sub(back).max(partition.start_offset);
        let mut records = read_from(log, topic, partition, offset, if widened { usize::MAX } else { limit })?;
        if records.len() >= wanted || offset == partition.start_offset {
            let surplus = records.len().saturating_sub(wanted);
            records.drain(..surplus);
            return Ok(records);
        }
        widened = true;
        back = back.saturating_mul(2).max(1);
    }
}

fn read_from(
    log: &dyn EventLog,
    topic: &str,
    partition: TopicPartition,
    from: i64,
    most: usize,
) -> Result<Vec<TopicRecord>, headwater_ingest::Error> {
    let (mut offset, mut records) = (from, Vec::new());
    let mut buffer = RecordBuffer::default();
    while offset < partition.end_offset && records.len() < most {
        buffer.clear();
        let outcome = log.read(topic, partition.partition, offset, TAIL_BYTES, &mut buffer)?;
        records.extend(buffer.iter().map(|record| TopicRecord {
            partition: partition.partition,
            offset: record.offset,
            timestamp: Timestamp::from_millis(record.timestamp),
            payload: record.payload.to_vec(),
        }));
        offset = outcome.next_offset;
        if outcome.at_end {
            break;
        }
    }
    records.truncate(most);
    Ok(records)
}
