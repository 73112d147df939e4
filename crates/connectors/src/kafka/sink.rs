//! Rows as messages, and how far they were sent, in one transaction.
//!
//! The last message that a transaction writes to a partition carries the position in the header `headwater-next`. A
//! transaction is there whole or not at all, so the greatest position that a partition's last message has is the last that
//! was committed.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::json::LineDelimitedWriter;
use headwater_ingest::error::{Error, Result};
use headwater_ingest::log::{EventLog, TopicConfig};
use headwater_ingest::record::RecordBuffer;
use headwater_project::Clock;

use super::client::Target;
use super::config::SinkTopic;
use super::log::{KafkaLog, Writer};

/// Longest life of a transaction: all rows that are new are in one.
const TRANSACTION: Duration = Duration::from_secs(600);

pub struct KafkaSink {
    writer: Writer,
    topic: SinkTopic,
    partitions: usize,
    /// The last rows of each partition, held back for the position they are to carry.
    held: Vec<RecordBuffer>,
    position: Option<i64>,
    clock: Arc<dyn Clock>,
    turn: usize,
}

impl KafkaSink {
    /// Takes the sink over, makes its topic when it is not there, and learns how far it was sent.
    pub fn open(target: &Target, topic: &SinkTopic, id: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let log = KafkaLog::new(target.clone(), "", None, None, Arc::clone(&clock));
        let partitions = match log.count(&topic.topic)? {
            Some(partitions) => partitions,
            None => {
                let partitions = i32::from(topic.partitions);
                log.create_topic(&topic.topic, &TopicConfig { partitions, ..TopicConfig::default() })?;
                partitions
            }
        };
        let writer = Writer::open(target, id, TRANSACTION, Arc::clone(&clock))?;
        let mut position = None;
        for partition in 0..partitions {
            position = position.max(log.last_position(&topic.topic, partition)?);
        }
        let partitions = usize::try_from(partitions).unwrap_or(1);
        let held = (0..partitions).map(|_| RecordBuffer::default()).collect();
        Ok(Self { writer, topic: topic.clone(), partitions, held, position, clock, turn: 0 })
    }

    /// How far was sent when the sink was opened.
    pub fn position(&self) -> Option<i64> {
        self.position
    }

    /// Sends rows; they are there once they are committed.
    pub fn send(&mut self, rows: &RecordBatch) -> Result<()> {
        let keys = self.keys(rows)?;
        let mut writer = LineDelimitedWriter::new(Vec::new());
        writer.write(rows)?;
        writer.finish()?;
        let lines = writer.into_inner();
        let now = self.clock.now().as_millis();
        let mut next: Vec<RecordBuffer> = (0..self.partitions).map(|_| RecordBuffer::default()).collect();
        for (row, line) in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            let key = keys.as_ref().filter(|keys| keys.is_valid(row)).map(|keys| keys.value(row).as_bytes());
            let partition = match key {
                Some(key) => partition_of(key, self.partitions),
                None => {
                    self.turn = (self.turn + 1) % self.partitions;
                    self.turn
                }
            };
            if let Some(buffer) = next.get_mut(partition) {
                buffer.push_payload(now, key.unwrap_or_default(), line);
            }
        }
        for (partition, rows) in next.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let before = self.held.get_mut(partition).map(|held| std::mem::replace(held, rows));
            if let Some(before) = before.filter(|before| !before.is_empty()) {
                self.writer.send_all(&self.topic.topic, as_number(partition), &before, None)?;
            }
        }
        Ok(())
    }

    /// Makes what was sent visible, together with how far that is.
    pub fn commit(&mut self, position: i64) -> Result<()> {
        let last = std::mem::replace(&mut self.held, (0..self.partitions).map(|_| RecordBuffer::default()).collect());
        for (partition, rows) in last.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            self.writer.send_all(&self.topic.topic, as_number(partition), rows, Some(position))?;
        }
        self.writer.sync()
    }

    /// Takes back what was sent and not committed.
    pub fn abandon(&mut self) -> Result<()> {
        self.held.iter_mut().for_each(RecordBuffer::clear);
        self.writer.abort()
    }

    /// The key of each row: the text of its columns, with a comma between several.
    fn keys(&self, rows: &RecordBatch) -> Result<Option<StringArray>> {
        let mut columns: Vec<ArrayRef> = Vec::new();
        for name in &self.topic.key.0 {
            let column = rows.column_by_name(name);
            let column = column.ok_or_else(|| Error::Schema { reason: format!("rows have no key column `{name}`") })?;
            columns.push(arrow::compute::cast(column, &DataType::Utf8)?);
        }
        let texts: Vec<&StringArray> = columns.iter().map(|column| column.as_string::<i32>()).collect();
        let Some(first) = texts.first() else { return Ok(None) };
        let key = |row: usize| {
            let parts: Vec<&str> = texts.iter().filter(|text| text.is_valid(row)).map(|text| text.value(row)).collect();
            (!parts.is_empty()).then(|| parts.join(","))
        };
        Ok(Some((0..first.len()).map(key).collect()))
    }
}

fn as_number(partition: usize) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// Where the usual clients of Kafka put this key: by its Murmur2 hash.
fn partition_of(key: &[u8], partitions: usize) -> usize {
    (murmur2(key) & 0x7FFF_FFFF) as usize % partitions
}

fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5BD1_E995;
    let mix = |word: u32| {
        let word = word.wrapping_mul(M);
        (word ^ (word >> 24)).wrapping_mul(M)
    };
    let mut hash = 0x9747_B28C ^ u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut words = bytes.chunks_exact(4);
    for word in words.by_ref() {
        let word = word.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        hash = hash.wrapping_mul(M) ^ mix(word);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_where_other_clients_put_them() {
        // As the Java client hashes them.
        for (key, expected) in
            [("21", -973_932_308_i32), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536)]
        {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        }
    }
}
