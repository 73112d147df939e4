//! A topic of a log as a source.

use std::sync::Arc;

use headwater_project::Clock;

use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::log::{Consumers, EventLog, PartitionDescription};
use crate::position::{Positions, log_key};
use crate::record::RecordBuffer;
use crate::schema::Provenance;
use crate::sink::Origin;
use crate::source::{Next, RawBatch, ReadLimits, Source};

/// Reads all partitions of one topic in turn. Knows its place only from the positions it is given; a place the log no longer
/// has is an error, never a silent jump.
pub struct LogSource {
    pipeline: String,
    topic: Arc<str>,
    codec: Codec,
    log: Arc<dyn EventLog>,
    consumers: Arc<Consumers>,
    clock: Arc<dyn Clock>,
    /// End once everything there is was read, instead of waiting for more.
    stop_at_end: bool,
    partitions: Vec<Cursor>,
    turn: usize,
}

struct Cursor {
    number: i32,
    key: String,
    next_offset: i64,
}

impl LogSource {
    pub fn new(
        pipeline: &str,
        topic: &str,
        codec: Codec,
        log: Arc<dyn EventLog>,
        consumers: Arc<Consumers>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (pipeline, topic) = (pipeline.to_owned(), topic.into());
        Self { pipeline, topic, codec, log, consumers, clock, stop_at_end: false, partitions: Vec::new(), turn: 0 }
    }

    #[must_use]
    pub fn stop_at_end(mut self) -> Self {
        self.stop_at_end = true;
        self
    }

    fn described(&self) -> Result<Vec<PartitionDescription>> {
        let found = self.log.topics()?.into_iter().find(|topic| *topic.name == *self.topic);
        Ok(found.ok_or_else(|| Error::UnknownTopic { topic: self.topic.to_string() })?.partitions)
    }

    fn start(&self, number: i32, committed: Option<i64>, held: PartitionDescription) -> Result<i64> {
        let (topic, partition) = (self.topic.to_string(), number);
        match committed {
            None => Ok(held.start_offset),
            Some(last) if last + 1 < held.start_offset => {
                Err(Error::Gap { topic, partition, committed: last, start: held.start_offset })
            }
            Some(last) if last + 1 > held.end_offset => {
                Err(Error::Rewound { topic, partition, committed: last, end: held.end_offset })
            }
            Some(last) => Ok(last + 1),
        }
    }

    fn batch(&self, cursor: &Cursor, records: RecordBuffer) -> RawBatch {
        let mut positions = Positions::default();
        positions.set(&cursor.key, cursor.next_offset - 1);
        let origin = Origin::Log { topic: Arc::clone(&self.topic), partition: cursor.number };
        RawBatch {
            records,
            header: Arc::default(),
            origin,
            rejected: Vec::new(),
            positions,
            boundary: true,
            replaces: false,
            info: None,
        }
    }
}

impl Source for LogSource {
    fn codec(&self) -> Option<Codec> {
        Some(self.codec.clone())
    }

    fn provenance(&self) -> Provenance {
        Provenance::Log
    }

    fn resume(&mut self, committed: &Positions) -> Result<()> {
        let mut cursors = Vec::new();
        for (number, held) in (0..).zip(self.described()?) {
            let key = log_key(&self.pipeline, &self.topic, number);
            let next_offset = self.start(number, committed.get(&key), held)?;
            self.consumers.advance(&self.pipeline, &self.topic, number, next_offset);
            cursors.push(Cursor { number, key, next_offset });
        }
        self.partitions = cursors;
        Ok(())
    }

    fn next_batch(&mut self, limits: &ReadLimits, mut buffer: RecordBuffer) -> Result<Next> {
        for _ in 0..self.partitions.len() {
            self.turn = (self.turn + 1) % self.partitions.len();
            let Some(cursor) = self.partitions.get_mut(self.turn) else { break };
            let outcome =
                self.log.read(&self.topic, cursor.number, cursor.next_offset, limits.max_bytes, &mut buffer)?;
            cursor.next_offset = outcome.next_offset;
            if let Some(cursor) = self.partitions.get(self.turn).filter(|_| !buffer.is_empty()) {
                return Ok(Next::Batch(Box::new(self.batch(cursor, buffer))));
            }
        }
        Ok(if self.stop_at_end { Next::End } else { Next::Idle })
    }

    fn committed(&mut self, positions: &Positions) -> Result<()> {
        for cursor in &self.partitions {
            let Some(last) = positions.get(&cursor.key) else { continue };
            let free = self.consumers.advance(&self.pipeline, &self.topic, cursor.number, last + 1);
            self.log.trim(&self.topic, cursor.number, free, self.clock.now())?;
        }
        Ok(())
    }

    fn lag(&self) -> Option<u64> {
        let described = self.described().ok()?;
        let waiting = self.partitions.iter().zip(&described).map(|(cursor, held)| held.end_offset - cursor.next_offset);
        u64::try_from(waiting.sum::<i64>()).ok()
    }

    /// Of about the size of the records that are kept.
    fn lag_bytes(&self) -> Option<u64> {
        let described = self.described().ok()?;
        let bytes = self.partitions.iter().zip(&described).map(|(cursor, held)| held.bytes_after(cursor.next_offset));
        Some(bytes.sum())
    }
}
