//! Records that others send: into a topic of the local log, and answered once they are safe there.
//!
//! The topic has the source's name and one partition; a pipeline takes it into the lake like any other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_connectors::push::{
    Begun, BodyError, MAX_KEY, Proof, PushConfig, PushIndex, body_hash, mark, prove, records,
};
use headwater_ingest::Error as IngestError;
use headwater_ingest::log::TopicConfig;
use headwater_ingest::record::RecordBuffer;
use headwater_project::{Classify, Failure, Kind, Timestamp};

use crate::instance::Instance;
use crate::source_file::{PushSourceConfig, SourceConfig};

/// Requests that are unpacked and written at once; each holds its body in memory.
const AT_ONCE: usize = 32;
const READ_BYTES: usize = 4 << 20;

/// A request as it came.
pub struct PushRequest<'a> {
    pub content_type: String,
    pub encoding: String,
    pub idempotency_key: Option<String>,
    pub body: &'a [u8],
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushReceipt {
    pub records: u64,
    /// Offset of its first record; the others follow.
    pub first_offset: i64,
}

/// Why a request was not taken. What another try may get past comes as [`Failure`].
#[derive(Debug)]
pub enum PushRefusal {
    TooLarge(Failure),
    UnsupportedType(Failure),
    /// The key stands for another body.
    KeyReused(Failure),
    /// The same request is being written.
    KeyBusy(Failure),
    TooManyWaiting(Failure),
    Failed(Failure),
}

impl From<Failure> for PushRefusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What pushes share.
#[derive(Debug, Default)]
pub(crate) struct Pushes {
    indexes: Mutex<BTreeMap<String, Arc<Mutex<Option<PushIndex>>>>>,
    under_way: Mutex<usize>,
}

impl Pushes {
    fn index(&self, source: &str) -> Arc<Mutex<Option<PushIndex>>> {
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(indexes.entry(source.to_owned()).or_default())
    }

    fn enter(&self) -> Option<UnderWay<'_>> {
        let mut count = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        (*count < AT_ONCE).then(|| {
            *count += 1;
            UnderWay(self)
        })
    }
}

struct UnderWay<'a>(&'a Pushes);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

/// The topic of a source, made when it is not there.
pub(crate) fn ensure_topic(instance: &Instance, config: &PushSourceConfig) -> Result<(), Failure> {
    let topic = TopicConfig { retention_age: Some(config.from.key_window.0), ..TopicConfig::default() };
    instance.log.create_topic(&config.name, &topic).map_err(|error| error.failure())
}

impl Instance {
    /// What a request proves to a source; nothing when there is no such source.
    pub fn push_proof(&self, source: &str, header: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Option<Proof> {
        Some(prove(&self.push_source(source)?.from, header, body, self.now()))
    }

    /// Largest body a source takes, packed or not.
    pub fn push_limit(&self, source: &str) -> Option<usize> {
        self.push_source(source).map(|config| usize::try_from(config.from.max_body.0).unwrap_or(usize::MAX))
    }

    fn push_source(&self, name: &str) -> Option<&PushSourceConfig> {
        self.project().sources.iter().find_map(|source| match &source.config {
            SourceConfig::Push(config) if config.name == name => Some(config),
            _ => None,
        })
    }

    /// Writes the records of a request. Blocks on the disk. `Ok` means that they survive a power cut.
    pub fn push(&self, source: &str, request: &PushRequest<'_>) -> Result<PushReceipt, PushRefusal> {
        let config =
            self.push_source(source).ok_or_else(|| Failure::user(format!("there is no push source `{source}`")))?;
        let Some(_under_way) = self.pushes.enter() else {
            let busy = Kind::External { retry_after: Some(Duration::from_secs(1)) };
            return Err(Failure::new(busy, "too many requests are being written").into());
        };
        self.refuse_when_too_many_wait(&config.from, source)?;
        let limit = usize::try_from(config.from.max_body.0).unwrap_or(usize::MAX);
        let records = records(&request.content_type, &request.encoding, request.body, limit).map_err(refusal)?;
        let total = u32::try_from(records.len()).map_err(|_| Failure::user("the body has too many records"))?;
        if total == 0 {
            return Ok(PushReceipt { records: 0, first_offset: self.end_offset(source)? });
        }
        let Some(key) = request.idempotency_key.as_deref().filter(|key| !key.is_empty()) else {
            let first_offset = self.append(source, &records, 0, |_| Vec::new())?;
            return Ok(PushReceipt { records: total.into(), first_offset });
        };
        if key.len() > MAX_KEY {
            return Err(Failure::user(format!("the Idempotency-Key is longer than {MAX_KEY} bytes")).into());
        }
        self.push_with_key(config, key, request.body, &records, total)
    }

    fn push_with_key(
        &self,
        config: &PushSourceConfig,
        key: &str,
        body: &[u8],
        records: &[Vec<u8>],
        total: u32,
    ) -> Result<PushReceipt, PushRefusal> {
        let shared = self.pushes.index(&config.name);
        let (now, hash) = (self.now(), body_hash(body));
        let begun = self.open_index(&shared, config, now)?.as_mut().map(|index| index.begin(key, hash, total, now));
        match begun {
            Some(Begun::From(from)) => {
                let appended = self.append(&config.name, records, from, |number| mark(key, hash, total, number));
                let mut index = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(index) = index.as_mut() {
                    index.end(key, from, appended.as_ref().ok().copied());
                }
                let first_offset = appended? - i64::from(from);
                Ok(PushReceipt { records: total.into(), first_offset })
            }
            Some(Begun::Done { first_offset, total }) => Ok(PushReceipt { records: total.into(), first_offset }),
            Some(Begun::Busy) => Err(PushRefusal::KeyBusy(Failure::user("the same request is being written"))),
            Some(Begun::Other) => {
                let failure = Failure::user("this Idempotency-Key came with another body");
                Err(PushRefusal::KeyReused(failure.with_hint("Use a new key for each new body.")))
            }
            None => Err(Failure::internal("an index that was read is gone").into()),
        }
    }

    /// The index of a source, read from the log at first.
    fn open_index<'a>(
        &self,
        shared: &'a Mutex<Option<PushIndex>>,
        config: &PushSourceConfig,
        now: Timestamp,
    ) -> Result<MutexGuard<'a, Option<PushIndex>>, Failure> {
        let mut index = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let window = i64::try_from(config.from.key_window.0.as_micros()).unwrap_or(i64::MAX);
        let horizon = Timestamp(now.as_micros().saturating_sub(window));
        match index.as_mut() {
            Some(index) => index.forget(horizon),
            None => *index = Some(self.read_index(&config.name, horizon)?),
        }
        Ok(index)
    }

    fn read_index(&self, topic: &str, horizon: Timestamp) -> Result<PushIndex, Failure> {
        let mut index = PushIndex::default();
        let failed = |error: IngestError| error.failure();
        let topics = self.log.topics().map_err(failed)?;
        let Some(held) = topics.iter().find(|known| known.name == topic).and_then(|topic| topic.partitions.first())
        else {
            return Ok(index);
        };
        let mut next = held.start_offset;
        let mut buffer = RecordBuffer::default();
        while next < held.end_offset {
            buffer.clear();
            let read = self.log.read(topic, 0, next, READ_BYTES, &mut buffer).map_err(failed)?;
            for record in buffer.iter() {
                index.read(record.key, record.offset, Timestamp::from_millis(record.timestamp));
            }
            if read.next_offset <= next {
                break;
            }
            next = read.next_offset;
        }
        index.forget(horizon);
        Ok(index)
    }

    /// Writes records from `from` on and waits until they are durable; the offset of the first written.
    fn append(
        &self,
        topic: &str,
        records: &[Vec<u8>],
        from: u32,
        mark: impl Fn(u32) -> Vec<u8>,
    ) -> Result<i64, PushRefusal> {
        let mut buffer = RecordBuffer::default();
        let now = self.now().as_millis();
        for (number, record) in (0_u32..).zip(records).skip(from as usize) {
            buffer.push_payload(now, &mark(number), record);
        }
        let written = self.log.append_synced(topic, 0, &buffer).map(|offsets| offsets.start);
        written.map_err(|error| match error {
            IngestError::RecordTooLarge { .. } => PushRefusal::TooLarge(error.failure()),
            // There will be room again, and the request loses nothing by waiting.
            IngestError::LowDisk { .. } => {
                let wait = Some(Duration::from_secs(30));
                Failure { kind: Kind::External { retry_after: wait }, ..error.failure() }.into()
            }
            error => error.failure().into(),
        })
    }

    fn end_offset(&self, topic: &str) -> Result<i64, Failure> {
        let topics = self.log.topics().map_err(|error| error.failure())?;
        let held = topics.iter().find(|known| known.name == topic).and_then(|topic| topic.partitions.first());
        Ok(held.map_or(0, |partition| partition.end_offset))
    }

    /// A lake that cannot keep up holds the senders back.
    fn refuse_when_too_many_wait(&self, config: &PushConfig, topic: &str) -> Result<(), PushRefusal> {
        let topics = self.log.topics().map_err(|error| error.failure())?;
        let Some(held) = topics.iter().find(|known| known.name == topic).and_then(|topic| topic.partitions.first())
        else {
            return Ok(());
        };
        let kept = u64::try_from(held.end_offset - held.start_offset).unwrap_or(0).max(1);
        let taken = self.consumers.position(topic, 0).unwrap_or(held.start_offset);
        let waiting = u64::try_from(held.end_offset - taken).unwrap_or(0).min(kept);
        // Of about the size of those that are kept.
        let bytes = u128::from(held.bytes) * u128::from(waiting) / u128::from(kept);
        if bytes <= u128::from(config.max_waiting.0) {
            return Ok(());
        }
        let failure = Failure::new(Kind::Exhausted, format!("{waiting} records wait for the lake"));
        Err(PushRefusal::TooManyWaiting(failure.with_hint("Send again later.")))
    }
}

fn refusal(error: BodyError) -> PushRefusal {
    match error {
        BodyError::TooLarge { limit } => {
            PushRefusal::TooLarge(Failure::user(format!("the body is larger than {limit} bytes")))
        }
        BodyError::UnsupportedType(kind) => PushRefusal::UnsupportedType(
            Failure::user(format!("bodies of type `{kind}` are not taken"))
                .with_hint("Send application/json or application/x-ndjson."),
        ),
        BodyError::UnsupportedEncoding(encoding) => PushRefusal::UnsupportedType(
            Failure::user(format!("bodies packed with `{encoding}` are not taken"))
                .with_hint("Send it plain or with gzip."),
        ),
        BodyError::Malformed(problem) => {
            Failure::user("the body is not what it says it is").with_detail(problem).into()
        }
    }
}
