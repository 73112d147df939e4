//! Rows as messages, and how far they were sent, in one transaction.
//!
//! The last message that a transaction writes to a partition carries the position in the header `headwater-next`. A
//! transaction is there whole or not at all, so the greatest position that a partition's last message has is the last that
//! was committed. A transfer without messages leaves no mark: it is made again at the next start, and is as empty then.
//!
//! A message is a row, or a change of a captured table in an envelope (`crate::sink::debezium`).

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::json::LineDelimitedWriter;
use headwater_ingest::error::{Error, Result};
use headwater_ingest::log::{EventLog, TopicConfig};
use headwater_ingest::record::{Record, RecordBuffer};
use headwater_project::Clock;

use super::client::Target;
use super::log::{KafkaLog, Writer};
use crate::sink::debezium::{Encoder, EnvelopeOptions, Message, SourceTable};
use crate::sink::{RowSink, Transfer, out_of_order};

/// Longest life of a transaction: all rows that are new are in one.
const TRANSACTION: Duration = Duration::from_secs(600);
/// Rows that are messages in memory at once: each may be many times as long as its values.
const ROWS_AT_ONCE: usize = 1_024;

/// What to write, and where.
pub struct SinkOptions {
    pub target: Target,
    pub topic: String,
    /// How many the topic is made with, where it is not there.
    pub partitions: u16,
    pub messages: Messages,
    /// What its transactions are known by.
    pub id: String,
    pub clock: Arc<dyn Clock>,
}

pub struct KafkaSink {
    options: SinkOptions,
    open: Option<Open>,
    /// Where the transfer under way ends.
    position: i64,
}

/// Asks the database what a captured table is now. Blocks.
type Describe = dyn FnMut() -> Result<SourceTable> + Send;

/// What is made of rows.
pub enum Messages {
    /// Each row as JSON, under the text of these columns.
    Rows { key: Vec<String> },
    /// Each change in an envelope, of a table that is described anew for each transfer.
    Changes { describe: Box<Describe>, options: EnvelopeOptions },
}

/// A producer that owns the sink's transactions.
struct Open {
    writer: Writer,
    /// The last messages of each partition, held back for the position they are to carry.
    held: Spread,
    /// Writes envelopes, in a transfer of changes.
    encoder: Option<Encoder>,
}

/// Messages by the partition they go to.
struct Spread {
    now: i64,
    turn: usize,
    buffers: Vec<RecordBuffer>,
}

impl Spread {
    fn new(partitions: usize) -> Self {
        Self { now: 0, turn: 0, buffers: (0..partitions).map(|_| RecordBuffer::default()).collect() }
    }

    /// Without messages, as they are written at a time in milliseconds since 1970.
    fn next(&self, now: i64) -> Self {
        Self { now, turn: self.turn, ..Self::new(self.buffers.len()) }
    }

    /// Messages of one key stay in order; rows without a key go around.
    fn push_row(&mut self, key: Option<&[u8]>, payload: &[u8]) {
        let partitions = self.buffers.len();
        let partition = match key {
            Some(key) => partition_of(key, partitions),
            None => {
                self.turn = (self.turn + 1) % partitions;
                self.turn
            }
        };
        if let Some(buffer) = self.buffers.get_mut(partition) {
            buffer.push_payload(self.now, key.unwrap_or_default(), payload);
        }
    }

    /// Messages of one key stay in order; one without a key goes to the first partition.
    fn push_change(&mut self, message: Message<'_>) {
        let partition = message.key.map_or(0, |key| partition_of(key, self.buffers.len()));
        let Some(buffer) = self.buffers.get_mut(partition) else { return };
        let key = message.key.unwrap_or_default();
        match message.value {
            Some(value) => buffer.push_payload(self.now, key, value),
            None => buffer.push_absent(Record { offset: 0, timestamp: self.now, key, payload: &[] }),
        }
        if let Some((name, value)) = message.header {
            buffer.push_header(name, Some(value));
        }
    }

    /// Adds rows as JSON.
    fn push_rows(&mut self, rows: &RecordBatch, key: &[String]) -> Result<()> {
        let keys = keys(rows, key)?;
        let mut writer = LineDelimitedWriter::new(Vec::new());
        writer.write(rows)?;
        writer.finish()?;
        let lines = writer.into_inner();
        for (row, line) in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            let key = keys.as_ref().filter(|keys| keys.is_valid(row)).map(|keys| keys.value(row).as_bytes());
            self.push_row(key, line);
        }
        Ok(())
    }
}

impl KafkaSink {
    pub fn new(options: SinkOptions) -> Self {
        Self { options, open: None, position: 0 }
    }

    /// Takes the sink over, makes its topic when it is not there, and learns how far it was sent.
    fn take_over(&self) -> Result<(Open, Option<i64>)> {
        let (topic, log) = (&self.options.topic, self.log());
        let partitions = match log.count(topic)? {
            Some(partitions) => partitions,
            None => {
                let partitions = i32::from(self.options.partitions);
                log.create_topic(topic, &TopicConfig { partitions, ..TopicConfig::default() })?;
                partitions
            }
        };
        let writer =
            Writer::open(&self.options.target, &self.options.id, TRANSACTION, Arc::clone(&self.options.clock))?;
        let position = self.position_in(&log, partitions)?;
        let held = Spread::new(usize::try_from(partitions).unwrap_or(1));
        Ok((Open { writer, held, encoder: None }, position))
    }

    fn log(&self) -> KafkaLog {
        KafkaLog::new(self.options.target.clone(), "", None, None, Arc::clone(&self.options.clock))
    }

    /// The greatest position that the last message of a partition carries.
    fn position_in(&self, log: &KafkaLog, partitions: i32) -> Result<Option<i64>> {
        let mut position = None;
        for partition in 0..partitions {
            position = position.max(log.last_position(&self.options.topic, partition)?);
        }
        Ok(position)
    }

    fn opened(&mut self) -> Result<&mut Open> {
        self.open.as_mut().ok_or_else(out_of_order)
    }

    /// Adds rows to the messages that are held back, and sends those that were.
    fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let now = self.options.clock.now();
        let open = self.open.as_mut().ok_or_else(out_of_order)?;
        let mut next = open.held.next(now.as_millis());
        match (&self.options.messages, &open.encoder) {
            (Messages::Rows { key }, _) => next.push_rows(rows, key)?,
            (Messages::Changes { .. }, Some(encoder)) => encoder.encode(rows, now, &mut |message| {
                next.push_change(message);
                Ok(())
            })?,
            (Messages::Changes { .. }, None) => return Err(out_of_order()),
        }
        open.held.turn = next.turn;
        for (partition, rows) in next.buffers.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let before = open.held.buffers.get_mut(partition).map(|held| std::mem::replace(held, rows));
            if let Some(before) = before.filter(|before| !before.is_empty()) {
                open.writer.send_all(&self.options.topic, as_number(partition), &before, None)?;
            }
        }
        Ok(())
    }
}

/// The key of each row: the text of its columns, with a comma between several.
fn keys(rows: &RecordBatch, names: &[String]) -> Result<Option<StringArray>> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    for name in names {
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

impl RowSink for KafkaSink {
    fn resume(&mut self) -> Result<Option<i64>> {
        // The producer before goes first: two of one id fence each other.
        self.open = None;
        let (open, position) = self.take_over()?;
        self.open = Some(open);
        // Whoever describes it remembers it, should it be dropped before its last changes are sent.
        if let Messages::Changes { describe, .. } = &mut self.options.messages
            && let Err(error) = describe()
        {
            tracing::debug!(topic = self.options.topic, %error, "the table of a sink could not be described yet");
        }
        Ok(position)
    }

    fn reached(&mut self) -> Result<Option<i64>> {
        let log = self.log();
        match log.count(&self.options.topic)? {
            Some(partitions) => self.position_in(&log, partitions),
            None => Ok(None),
        }
    }

    fn begin(&mut self, transfer: &Transfer) -> Result<()> {
        self.position = transfer.position;
        let encoder = match &mut self.options.messages {
            Messages::Rows { .. } => None,
            Messages::Changes { describe, options } => {
                Some(Encoder::new(describe()?, options.clone(), &transfer.schema)?)
            }
        };
        self.opened()?.encoder = encoder;
        Ok(())
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut at = 0;
        while at < rows.num_rows() {
            let count = ROWS_AT_ONCE.min(rows.num_rows() - at);
            self.add(&rows.slice(at, count))?;
            at += count;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let (topic, position) = (self.options.topic.clone(), self.position);
        let open = self.opened()?;
        let empty = open.held.next(0);
        let last = std::mem::replace(&mut open.held, empty);
        for (partition, rows) in last.buffers.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            open.writer.send_all(&topic, as_number(partition), rows, Some(position))?;
        }
        open.writer.sync()
    }

    fn abandon(&mut self) -> Result<()> {
        let open = self.opened()?;
        open.held.buffers.iter_mut().for_each(RecordBuffer::clear);
        open.writer.abort()
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
