//! Topics of the local log.

use headwater_app::{rfc3339, view};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct Topic {
    pub name: String,
    pub partitions: Vec<TopicPartition>,
}

#[derive(Debug, Serialize)]
pub struct TopicPartition {
    pub partition: i32,
    pub start_offset: i64,
    pub end_offset: i64,
    pub bytes: u64,
}

impl From<view::TopicSummary> for Topic {
    fn from(topic: view::TopicSummary) -> Self {
        let partition = |partition: view::TopicPartition| TopicPartition {
            partition: partition.partition,
            start_offset: partition.start_offset,
            end_offset: partition.end_offset,
            bytes: partition.bytes,
        };
        Self { name: topic.name, partitions: topic.partitions.into_iter().map(partition).collect() }
    }
}

#[derive(Debug, Serialize)]
pub struct TopicRecord {
    pub partition: i32,
    pub offset: i64,
    pub timestamp: String,
    /// The record as text. Bytes that are not UTF-8 show as U+FFFD; `is_text` is false then.
    pub payload: String,
    pub is_text: bool,
}

impl From<view::TopicRecord> for TopicRecord {
    fn from(record: view::TopicRecord) -> Self {
        Self {
            partition: record.partition,
            offset: record.offset,
            timestamp: rfc3339(record.timestamp),
            payload: String::from_utf8_lossy(&record.payload).into_owned(),
            is_text: std::str::from_utf8(&record.payload).is_ok(),
        }
    }
}
