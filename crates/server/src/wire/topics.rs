//! Topics of the local log.

use headwater_app::{rfc3339, view};
use serde::Serialize;

use super::Integer;

#[derive(Debug, Serialize)]
pub struct Topic {
    pub name: String,
    pub partitions: Vec<TopicPartition>,
}

#[derive(Debug, Serialize)]
pub struct TopicPartition {
    pub partition: i32,
    pub start_offset: Integer,
    pub end_offset: Integer,
    pub bytes: Integer,
}

impl From<view::TopicSummary> for Topic {
    fn from(topic: view::TopicSummary) -> Self {
        let partition = |partition: view::TopicPartition| TopicPartition {
            partition: partition.partition,
            start_offset: partition.start_offset.into(),
            end_offset: partition.end_offset.into(),
            bytes: partition.bytes.into(),
        };
        Self { name: topic.name, partitions: topic.partitions.into_iter().map(partition).collect() }
    }
}

#[derive(Debug, Serialize)]
pub struct TopicRecord {
    pub partition: i32,
    pub offset: Integer,
    pub timestamp: String,
    /// The record as text. Bytes that are not UTF-8 show as U+FFFD; `is_text` is false then.
    pub payload: String,
    pub is_text: bool,
}

impl From<view::TopicRecord> for TopicRecord {
    fn from(record: view::TopicRecord) -> Self {
        Self {
            partition: record.partition,
            offset: record.offset.into(),
            timestamp: rfc3339(record.timestamp),
            payload: String::from_utf8_lossy(&record.payload).into_owned(),
            is_text: std::str::from_utf8(&record.payload).is_ok(),
        }
    }
}

/// `GET /api/topics/{name}`.
#[derive(Debug, Serialize)]
pub struct TopicDetail {
    #[serde(flatten)]
    pub topic: Topic,
    /// Records it holds now.
    pub records: Integer,
    pub bytes: Integer,
    /// The table it is taken into, and how far.
    pub pipeline: Option<super::IngestProgress>,
}
