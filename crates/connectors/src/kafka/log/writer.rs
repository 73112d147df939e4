//! The appending half: one producer and its transactions.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use headwater_ingest::error::{Error, Result};
use headwater_ingest::limits::MAX_RECORD_BYTES;
use headwater_ingest::record::RecordBuffer;
use headwater_project::{Clock, fault};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};

use super::super::client::{Delivered, Target, Writing};
use super::super::failure::failed;

/// Header of the last record of an append: the number of the record after it, eight bytes, the lowest first.
pub(super) const NEXT_HEADER: &str = "headwater-next";

/// Longest wait for the beginning or the end of a transaction.
const ANSWER: Duration = Duration::from_secs(60);
/// Bytes after which an append commits by itself, so that what waits for memory and for readers stays small.
const MOST_UNSYNCED: u64 = 32 << 20;
/// Records sent between two looks at what was delivered.
const SENT_BETWEEN_LOOKS: usize = 1_000;

pub(in super::super) struct Writer {
    producer: Writing,
    clock: Arc<dyn Clock>,
    /// Number of the next record by topic and partition, as far as they were written to.
    numbers: HashMap<(String, i32), i64>,
    in_transaction: bool,
    unsynced: u64,
}

impl Writer {
    /// Takes the transactional id over: what an earlier producer of it had under way is ended. `longest` is how long a
    /// transaction may take before the brokers end it.
    pub(in super::super) fn open(target: &Target, id: &str, longest: Duration, clock: Arc<dyn Clock>) -> Result<Self> {
        let producer = target.producer(&BTreeMap::from([
            ("transactional.id", id.to_owned()),
            ("transaction.timeout.ms", longest.as_millis().to_string()),
            ("enable.idempotence", "true".to_owned()),
            ("acks", "all".to_owned()),
            ("linger.ms", "5".to_owned()),
            ("batch.size", "1000000".to_owned()),
            ("compression.type", "lz4".to_owned()),
            ("message.max.bytes", (MAX_RECORD_BYTES + (1 << 20)).to_string()),
            ("queue.buffering.max.messages", "500000".to_owned()),
            ("queue.buffering.max.kbytes", "65536".to_owned()),
        ]))?;
        // Errors of the connection come as events, and say more than that time is up.
        producer.poll(Duration::ZERO);
        producer.init_transactions(ANSWER).map_err(|error| blame(&producer, "begin to write", &error))?;
        Ok(Self { producer, clock, numbers: HashMap::new(), in_transaction: false, unsynced: 0 })
    }

    pub(super) fn next_number(&self, topic: &str, partition: i32) -> Option<i64> {
        self.numbers.get(&(topic.to_owned(), partition)).copied()
    }

    /// Where records went since the last call, or since the last transaction began.
    pub(super) fn delivered(&self) -> Delivered {
        self.producer.client().context().delivered()
    }

    /// Adds records to the transaction under way, the first with number `first`.
    pub(super) fn append(
        &mut self,
        topic: &str,
        partition: i32,
        records: &RecordBuffer,
        first: i64,
    ) -> Result<Range<i64>> {
        let next = first.saturating_add(i64::try_from(records.len()).unwrap_or(i64::MAX));
        if records.is_empty() {
            return Ok(first..first);
        }
        if let Some(bytes) = records.iter().map(|record| record.payload.len()).find(|bytes| *bytes > MAX_RECORD_BYTES) {
            return Err(Error::RecordTooLarge { bytes, limit: MAX_RECORD_BYTES });
        }
        self.send_all(topic, partition, records, Some(next))?;
        self.numbers.insert((topic.to_owned(), partition), next);
        self.unsynced += records.bytes() as u64;
        if self.unsynced > MOST_UNSYNCED {
            self.sync()?;
        }
        Ok(first..next)
    }

    /// Adds records to the transaction under way, with their headers, the last of them with this number, if there is one.
    pub(in super::super) fn send_all(
        &mut self,
        topic: &str,
        partition: i32,
        records: &RecordBuffer,
        number: Option<i64>,
    ) -> Result<()> {
        self.begin()?;
        for (index, record) in records.iter().enumerate() {
            let mut message = BaseRecord::<[u8], [u8]>::to(topic).partition(partition).timestamp(record.timestamp);
            if !records.is_absent(index) {
                message = message.payload(record.payload);
            }
            if !record.key.is_empty() {
                message = message.key(record.key);
            }
            let number = number.filter(|_| index + 1 == records.len()).map(i64::to_le_bytes);
            let own = number.iter().map(|number| (NEXT_HEADER, Some(&number[..])));
            let headers: Vec<_> = records.headers(index).chain(own).collect();
            if !headers.is_empty() {
                let insert = |all: OwnedHeaders, (key, value): (&str, Option<&[u8]>)| all.insert(Header { key, value });
                message = message.headers(headers.into_iter().fold(OwnedHeaders::new(), insert));
            }
            self.send(message, topic)?;
            if index % SENT_BETWEEN_LOOKS == 0 {
                self.producer.poll(Duration::ZERO);
            }
        }
        Ok(())
    }

    /// Takes back what the transaction under way has.
    pub(in super::super) fn abort(&mut self) -> Result<()> {
        if std::mem::take(&mut self.in_transaction) {
            self.producer
                .abort_transaction(ANSWER)
                .map_err(|error| blame(&self.producer, "abort a transaction", &error))?;
            self.unsynced = 0;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        if !self.in_transaction {
            drop(self.delivered());
            self.producer.begin_transaction().map_err(|error| failed("begin a transaction", &error))?;
            self.in_transaction = true;
        }
        Ok(())
    }

    /// Waits while the producer's memory is full.
    fn send(&mut self, record: BaseRecord<'_, [u8], [u8]>, topic: &str) -> Result<()> {
        let mut record = record;
        let until = self.clock.monotonic() + ANSWER;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if self.clock.monotonic() < until =>
                {
                    record = back;
                    self.producer.poll(Duration::from_millis(20));
                }
                Err((error, _)) => return Err(blame(&self.producer, &format!("write to topic `{topic}`"), &error)),
            }
        }
    }

    /// Makes everything appended durable and visible, or nothing of it. An error leaves the outcome unknown.
    pub(in super::super) fn sync(&mut self) -> Result<()> {
        if !self.in_transaction {
            return Ok(());
        }
        fault::point("k.before_transaction_commit")?;
        let until = self.clock.monotonic() + ANSWER;
        loop {
            let error = match self.producer.commit_transaction(Duration::from_secs(5)) {
                Ok(()) => break,
                Err(error) => error,
            };
            let again = match &error {
                KafkaError::Transaction(inner) => inner.is_retriable(),
                KafkaError::Flush(_) => true,
                _ => false,
            };
            if !again || self.clock.monotonic() > until {
                return Err(blame(&self.producer, "commit a transaction", &error));
            }
        }
        self.in_transaction = false;
        self.unsynced = 0;
        fault::point("k.after_transaction_commit")?;
        Ok(())
    }
}

/// Why something failed: what was heard of the cluster, or of a record, says more than the error of the call.
fn blame(producer: &Writing, doing: &str, error: &KafkaError) -> Error {
    producer.poll(Duration::ZERO);
    let context = producer.client().context();
    if let Some(undelivered) = context.undelivered() {
        return failed(doing, &undelivered);
    }
    match context.heard() {
        Some((code, reason)) => super::super::failure::of_code(doing, code).with_detail(reason).into(),
        None => failed(doing, error),
    }
}
