//! The topic of pushed records as a source: what was set aside when it was sent goes to quarantine with its reason.

use headwater_ingest::codec::Codec;
use headwater_ingest::error::Result;
use headwater_ingest::position::Positions;
use headwater_ingest::record::RecordBuffer;
use headwater_ingest::schema::Provenance;
use headwater_ingest::source::{Next, RawBatch, ReadLimits, Source};

use super::records::{aside, rejected};

/// Told the offset the lake reads on from, whenever that is learnt from the lake itself.
pub type Resumed = Box<dyn FnMut(i64) + Send>;

pub struct PushSource {
    topic: Box<dyn Source>,
    /// Position key of the topic's partition.
    key: String,
    resumed: Resumed,
}

impl PushSource {
    pub fn new(topic: Box<dyn Source>, key: String, resumed: Resumed) -> Self {
        Self { topic, key, resumed }
    }
}

/// Takes what was set aside out of the records.
fn sort_out(batch: &mut RawBatch) {
    let is_aside = |index: usize| aside(batch.records.payload(index)).is_some();
    if !(0..batch.records.len()).any(is_aside) {
        return;
    }
    let mut kept = RecordBuffer::default();
    for record in batch.records.iter() {
        match rejected(record, &batch.origin) {
            Some(bad) => batch.rejected.push(bad),
            None => kept.push(record),
        }
    }
    batch.records = kept;
}

impl Source for PushSource {
    fn codec(&self) -> Option<Codec> {
        self.topic.codec()
    }

    fn provenance(&self) -> Provenance {
        self.topic.provenance()
    }

    fn resume(&mut self, committed: &Positions) -> Result<()> {
        self.topic.resume(committed)?;
        if let Some(last) = committed.get(&self.key) {
            (self.resumed)(last + 1);
        }
        Ok(())
    }

    fn next_batch(&mut self, limits: &ReadLimits, buffer: RecordBuffer) -> Result<Next> {
        let mut next = self.topic.next_batch(limits, buffer)?;
        if let Next::Batch(batch) = &mut next {
            sort_out(batch);
        }
        Ok(next)
    }

    fn committed(&mut self, positions: &Positions) -> Result<()> {
        self.topic.committed(positions)
    }

    fn lag(&self) -> Option<u64> {
        self.topic.lag()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use headwater_ingest::log::{Consumers, EventLog, MemoryLog, TopicConfig};
    use headwater_ingest::log_source::LogSource;
    use headwater_ingest::position::log_key;
    use headwater_project::{Clock, Timestamp};

    use super::super::records::Records;
    use super::*;

    #[derive(Debug)]
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }

        fn monotonic(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }
    }

    #[test]
    fn what_was_set_aside_is_rejected_at_its_offset() {
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
        log.create_topic("t", &TopicConfig::default()).unwrap();
        let mut records = Records::default();
        records.push(b"{\"a\": 1}");
        records.set_aside("line 3: no row", b"x");
        records.push(b"{\"a\": 2}");
        let mut buffer = RecordBuffer::default();
        records.iter().for_each(|record| buffer.push_payload(5, b"mark", record));
        log.append_synced("t", 0, &buffer).unwrap();
        let topic = LogSource::new("p", "t", Codec::Json, log, Arc::new(Consumers::default()), Arc::new(Still));
        let next = Arc::new(AtomicI64::new(-1));
        let told = Arc::clone(&next);
        let resumed: Resumed = Box::new(move |offset| told.store(offset, Ordering::Relaxed));
        let mut source = PushSource::new(Box::new(topic), log_key("p", "t", 0), resumed);
        let mut committed = Positions::default();
        source.resume(&committed).unwrap();
        assert_eq!(next.load(Ordering::Relaxed), -1);
        let limits = ReadLimits { max_bytes: 1 << 20 };
        let Next::Batch(batch) = source.next_batch(&limits, RecordBuffer::default()).unwrap() else { panic!() };
        assert_eq!(batch.records.offsets(), [0, 2]);
        let bad: Vec<_> = batch.rejected.iter().map(|bad| (bad.offset, bad.reason.as_str(), bad.length)).collect();
        assert_eq!(bad, [(1, "line 3: no row", 1)]);
        committed.set(log_key("p", "t", 0), 2);
        source.resume(&committed).unwrap();
        assert_eq!(next.load(Ordering::Relaxed), 3);
    }
}
