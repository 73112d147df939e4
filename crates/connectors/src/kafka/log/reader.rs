//! The reading half: one partition, from any offset on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_ingest::error::{Error, Result};
use headwater_ingest::log::ReadOutcome;
use headwater_ingest::record::{Record, RecordBuffer};
use headwater_project::{Clock, Failure};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::super::client::{ANSWER, Reading, Target};
use super::super::failure::{failed, passing};
use super::writer::NEXT_HEADER;

const MORE: Duration = Duration::from_millis(5);

pub(super) struct Reader {
    consumer: Reading,
    clock: Arc<dyn Clock>,
    topic: String,
    partition: i32,
    /// Offset of the next message that comes, once a place was assigned.
    next: Option<i64>,
}

/// What a poll brought.
enum Came<'a> {
    Message(BorrowedMessage<'a>),
    End,
    Nothing,
}

impl Reader {
    pub(super) fn open(target: &Target, topic: &str, partition: i32, clock: Arc<dyn Clock>) -> Result<Self> {
        let consumer = target.consumer(&BTreeMap::from([
            ("isolation.level", "read_committed".to_owned()),
            ("queued.max.messages.kbytes", "8192".to_owned()),
            ("fetch.max.bytes", "4194304".to_owned()),
            ("fetch.wait.max.ms", "50".to_owned()),
            // Otherwise a second passes once the queue was full.
            ("fetch.queue.backoff.ms", "10".to_owned()),
        ]))?;
        Ok(Self { consumer, clock, topic: topic.to_owned(), partition, next: None })
    }

    fn assign(&mut self, offset: i64) -> Result<()> {
        let mut list = TopicPartitionList::new();
        let added = list.add_partition_offset(&self.topic, self.partition, Offset::Offset(offset));
        let assigned = added.and_then(|()| self.consumer.assign(&list));
        assigned.map_err(|error| failed(&format!("read topic `{}`", self.topic), &error))?;
        self.next = Some(offset);
        Ok(())
    }

    fn poll(&self, patience: Duration) -> Result<Came<'_>> {
        match self.consumer.poll(patience) {
            None => Ok(Came::Nothing),
            Some(Ok(message)) => Ok(Came::Message(message)),
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(Came::End),
            Some(Err(error)) => Err(failed(&format!("read topic `{}`", self.topic), &error)),
        }
    }

    /// Records that are here already, if this is where the last read ended.
    pub(super) fn take(&mut self, from: i64, max_bytes: usize, into: &mut RecordBuffer) -> Result<Option<ReadOutcome>> {
        if self.next != Some(from) {
            return Ok(None);
        }
        let until = into.bytes().saturating_add(max_bytes);
        let (mut next, mut patience) = (from, Duration::ZERO);
        while next == from || into.bytes() < until {
            match self.poll(patience)? {
                Came::Message(message) => next = push(&message, into),
                // It may be older than what came since.
                Came::End => {}
                Came::Nothing if next == from && patience.is_zero() => patience = MORE,
                Came::Nothing => break,
            }
        }
        self.next = Some(next);
        Ok((next > from).then_some(ReadOutcome { next_offset: next, at_end: false }))
    }

    /// The first records from `from` on, below `end`, which the partition had a moment ago. After a new assignment the first
    /// that comes is a message, or the end: then there is nothing but marks of transactions in between.
    pub(super) fn find(
        &mut self,
        from: i64,
        end: i64,
        max_bytes: usize,
        into: &mut RecordBuffer,
    ) -> Result<ReadOutcome> {
        self.assign(from)?;
        let until = self.clock.monotonic() + ANSWER;
        loop {
            match self.poll(Duration::from_millis(100))? {
                Came::Message(message) => {
                    let next = push(&message, into);
                    self.next = Some(next);
                    let left = max_bytes.saturating_sub(into.bytes());
                    let more = if left > 0 { self.take(next, left, into)? } else { None };
                    return Ok(more.unwrap_or(ReadOutcome { next_offset: next, at_end: false }));
                }
                Came::End => {
                    self.next = None;
                    return Ok(ReadOutcome { next_offset: end, at_end: true });
                }
                Came::Nothing if self.clock.monotonic() > until => {
                    return Err(passing(format!("the brokers give no records of topic `{}`", self.topic)).into());
                }
                Came::Nothing => {}
            }
        }
    }

    /// What the last committed record says is the number of the next. Looked for from the end, further and further back,
    /// because aborted transactions may lie between.
    pub(super) fn last_number(&mut self, low: i64, high: i64) -> Result<Option<i64>> {
        let mut back = 16;
        loop {
            let from = high.saturating_sub(back).max(low);
            let last = self.last_from(from)?;
            match last {
                Some(Some(number)) => return Ok(Some(number)),
                Some(None) => return Err(foreign(&self.topic, self.partition)),
                None if from > low => back *= 16,
                // Nothing was ever committed, or nobody knows what was.
                None if low == 0 => return Ok(None),
                None => return Err(foreign(&self.topic, self.partition)),
            }
        }
    }

    /// The header of the last record at or after an offset, if there is a record.
    fn last_from(&mut self, from: i64) -> Result<Option<Option<i64>>> {
        self.assign(from)?;
        let until = self.clock.monotonic() + ANSWER;
        let mut last = None;
        loop {
            match self.poll(Duration::from_millis(100))? {
                Came::Message(message) => last = Some(number(&message)),
                Came::End => return Ok(last),
                Came::Nothing if self.clock.monotonic() > until => {
                    return Err(passing(format!("the brokers give no records of topic `{}`", self.topic)).into());
                }
                Came::Nothing => {}
            }
        }
    }
}

fn number(message: &BorrowedMessage<'_>) -> Option<i64> {
    let headers = message.headers()?;
    let value = headers.iter().find(|header| header.key == NEXT_HEADER)?.value?;
    value.first_chunk::<8>().map(|bytes| i64::from_le_bytes(*bytes))
}

/// Adds a message to the records; the offset after it.
fn push(message: &BorrowedMessage<'_>, into: &mut RecordBuffer) -> i64 {
    into.push(Record {
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(0),
        key: message.key().unwrap_or_default(),
        payload: message.payload().unwrap_or_default(),
    });
    message.offset() + 1
}

fn foreign(topic: &str, partition: i32) -> Error {
    Failure::user(format!("topic `{topic}` partition {partition} was written by somebody else too"))
        .with_detail("Its last record does not say how many records this project wrote.")
        .with_hint("Give the log another `prefix`, or remove the topic.")
        .into()
}
