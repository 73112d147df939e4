//! Records that others send: into a topic of the local log, and answered once they are safe there.
//!
//! The topic has the source's name and one partition; a pipeline takes it into the lake like any other.

mod waiting;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_connectors::push::{
    Begun, BodyError, MAX_KEY, Proof, PushIndex, Records, body_hash, mark, prove, prove_token, records,
};
use headwater_ingest::Error as IngestError;
use headwater_ingest::log::{PartitionDescription, TopicConfig};
use headwater_ingest::position::log_key;
use headwater_ingest::record::RecordBuffer;
use headwater_lake::TableName;
use headwater_project::{Classify, Failure, Kind, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::instance::Instance;
use crate::source_file::{PushSourceConfig, SourceConfig};
use waiting::Waiting;

/// Requests that are unpacked and written at once; more wait for their turn.
const AT_ONCE: usize = 32;
/// Bytes of bodies that are here and not written yet, of all requests together.
const ROOM: usize = 128 << 20;
const READ_BYTES: usize = 4 << 20;
/// Bytes that are read to see how large records are.
const SAMPLE_BYTES: usize = 256 << 10;

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
#[derive(Debug)]
pub(crate) struct Pushes {
    indexes: Mutex<BTreeMap<String, Shared<PushIndex>>>,
    waiting: Mutex<BTreeMap<String, Shared<Waiting>>>,
    turns: Arc<Semaphore>,
    /// Bytes of [`ROOM`] that are taken.
    taken: AtomicUsize,
}

/// Something of one source, made when it is first asked for.
type Shared<T> = Arc<Mutex<Option<T>>>;

impl Default for Pushes {
    fn default() -> Self {
        let (indexes, waiting) = (Mutex::default(), Mutex::default());
        Self { indexes, waiting, turns: Arc::new(Semaphore::new(AT_ONCE)), taken: AtomicUsize::new(0) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn of_source<T>(all: &Mutex<BTreeMap<String, Shared<T>>>, source: &str) -> Shared<T> {
    Arc::clone(lock(all).entry(source.to_owned()).or_insert_with(|| Arc::new(Mutex::new(None))))
}

/// The right to write one request.
#[derive(Debug)]
pub struct PushTurn {
    _permit: OwnedSemaphorePermit,
}

/// Memory that a request's body takes; given back when this is dropped.
#[derive(Debug)]
pub struct PushRoom {
    instance: Instance,
    bytes: usize,
}

impl PushRoom {
    /// Takes room for more of the body. False when others have all of it: one body alone may be as large as its source allows.
    pub fn take(&mut self, bytes: usize) -> bool {
        let taken = self.instance.pushes.taken.fetch_add(bytes, Ordering::Relaxed);
        let is_free = taken.saturating_sub(self.bytes) < ROOM;
        if is_free {
            self.bytes += bytes;
        } else {
            self.instance.pushes.taken.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_free
    }
}

impl Drop for PushRoom {
    fn drop(&mut self) {
        self.instance.pushes.taken.fetch_sub(self.bytes, Ordering::Relaxed);
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

    /// What a request proves before its body is here: the token alone.
    pub fn push_token_proof(&self, source: &str, header: &dyn Fn(&str) -> Option<String>) -> Option<Proof> {
        Some(prove_token(&self.push_source(source)?.from, header))
    }

    /// Room for a body to come.
    pub fn push_room(&self) -> PushRoom {
        PushRoom { instance: self.clone(), bytes: 0 }
    }

    /// Waits until a request may be written.
    pub async fn push_turn(&self) -> Result<PushTurn, Failure> {
        let permit = Arc::clone(&self.pushes.turns).acquire_owned().await;
        permit.map(|permit| PushTurn { _permit: permit }).map_err(|error| Failure::internal(error.to_string()))
    }

    /// Largest body a source takes, packed or not.
    pub fn push_limit(&self, source: &str) -> Option<usize> {
        self.push_source(source).map(|config| usize::try_from(config.from.max_body.0).unwrap_or(usize::MAX))
    }

    pub(crate) fn is_push(&self, name: &str) -> bool {
        self.push_source(name).is_some()
    }

    fn push_source(&self, name: &str) -> Option<&PushSourceConfig> {
        self.project().sources.iter().find_map(|source| match &source.config {
            SourceConfig::Push(config) if config.name == name => Some(config),
            _ => None,
        })
    }

    /// Writes the records of a request. Blocks on the disk. `Ok` means that they survive a power cut.
    pub fn push(&self, source: &str, request: &PushRequest<'_>, _: &PushTurn) -> Result<PushReceipt, PushRefusal> {
        let config =
            self.push_source(source).ok_or_else(|| Failure::user(format!("there is no push source `{source}`")))?;
        self.refuse_when_too_many_wait(config)?;
        let records = records(&request.content_type, &request.encoding, request.body, &config.from).map_err(refusal)?;
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
        records: &Records,
        total: u32,
    ) -> Result<PushReceipt, PushRefusal> {
        let shared = of_source(&self.pushes.indexes, &config.name);
        let (now, hash) = (self.now(), body_hash(body));
        let begun = self.open_index(&shared, config, now)?.as_mut().map(|index| index.begin(key, hash, total, now));
        match begun {
            Some(Begun::From(from)) => {
                let appended = self.append(&config.name, records, from, |number| mark(key, hash, total, number));
                let mut index = lock(&shared);
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
        let mut index = lock(shared);
        let window = i64::try_from(config.from.key_window.0.as_micros()).unwrap_or(i64::MAX);
        let horizon = Timestamp(now.as_micros().saturating_sub(window));
        match index.as_mut() {
            Some(index) => index.forget_in_passing(horizon),
            None => *index = Some(self.read_index(&config.name, horizon)?),
        }
        Ok(index)
    }

    fn read_index(&self, topic: &str, horizon: Timestamp) -> Result<PushIndex, Failure> {
        let mut index = PushIndex::default();
        let failed = |error: IngestError| error.failure();
        let Some(held) = self.held(topic)? else { return Ok(index) };
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
        records: &Records,
        from: u32,
        mark: impl Fn(u32) -> Vec<u8>,
    ) -> Result<i64, PushRefusal> {
        let mut buffer = RecordBuffer::default();
        let now = self.now().as_millis();
        for (number, record) in (0_u32..).zip(records.iter()).skip(from as usize) {
            buffer.push_payload(now, &mark(number), record);
        }
        let written = self.log.append_synced(topic, 0, &buffer).map(|offsets| {
            if let Some(waiting) = lock(&of_source(&self.pushes.waiting, topic)).as_mut() {
                waiting.added(offsets.end, buffer.bytes() as u64);
            }
            offsets.start
        });
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
        Ok(self.held(topic)?.map_or(0, |partition| partition.end_offset))
    }

    fn held(&self, topic: &str) -> Result<Option<PartitionDescription>, Failure> {
        let topics = self.log.topics().map_err(|error| error.failure())?;
        Ok(topics.iter().find(|known| known.name == topic).and_then(|topic| topic.partitions.first()).copied())
    }

    /// A lake that cannot keep up holds the senders back. How far it is, its own commits say, wherever the log is.
    fn refuse_when_too_many_wait(&self, config: &PushSourceConfig) -> Result<(), PushRefusal> {
        let bytes = self.waiting_bytes(&config.name)?;
        if bytes <= config.from.max_waiting.0 {
            return Ok(());
        }
        let failure = Failure::new(Kind::Exhausted, format!("{bytes} bytes of records wait for the lake"));
        Err(PushRefusal::TooManyWaiting(failure.with_hint("Send again later.")))
    }

    /// About how many bytes were sent that the lake does not have.
    fn waiting_bytes(&self, topic: &str) -> Result<u64, Failure> {
        let shared = of_source(&self.pushes.waiting, topic);
        let taken = self.consumers.position(topic, 0);
        let mut waiting = lock(&shared);
        let waiting = match &mut *waiting {
            Some(waiting) => waiting,
            none => none.insert(self.count_waiting(topic, taken)?),
        };
        Ok(waiting.bytes(taken))
    }

    /// What was sent to a source and is not in the lake yet: records, and about how many bytes. Nothing when nobody ever sent.
    pub(crate) fn waiting_pushes(&self, topic: &str) -> Result<(u64, u64), Failure> {
        let Some(held) = self.held(topic)? else { return Ok((0, 0)) };
        let taken = self.consumers.position(topic, 0).unwrap_or(held.start_offset).max(held.start_offset);
        let records = u64::try_from(held.end_offset - taken).unwrap_or(0);
        Ok((records, self.waiting_bytes(topic)?))
    }

    /// What waits from an earlier life of the process.
    fn count_waiting(&self, topic: &str, taken: Option<i64>) -> Result<Waiting, Failure> {
        let Some(held) = self.held(topic)? else { return Ok(Waiting::new(0, 0, 0)) };
        let from = taken.unwrap_or(held.start_offset).clamp(held.start_offset, held.end_offset);
        let mut sample = RecordBuffer::default();
        if from < held.end_offset {
            self.log.read(topic, 0, from, SAMPLE_BYTES, &mut sample).map_err(|error| error.failure())?;
        }
        let mean = sample.bytes().checked_div(sample.len()).unwrap_or(0);
        Ok(Waiting::new(held.start_offset, held.end_offset, mean as u64))
    }

    /// Records and bytes that a topic of the project's log holds beyond what was taken; nothing of a topic that nobody in this
    /// process has taken from: the log may keep what the lake has.
    pub(crate) fn waiting_in(&self, topic: &str) -> Result<Option<(u64, u64)>, Failure> {
        let topics = self.log.topics().map_err(|error| error.failure())?;
        let Some(held) = topics.iter().find(|known| known.name == topic) else { return Ok(None) };
        let (mut records, mut bytes) = (0, 0);
        for (number, partition) in (0..).zip(&held.partitions) {
            let Some(taken) = self.consumers.position(topic, number) else { return Ok(None) };
            let taken = taken.max(partition.start_offset);
            records += u64::try_from(partition.end_offset.saturating_sub(taken)).unwrap_or(0);
            bytes += partition.bytes_after(taken);
        }
        Ok(Some((records, bytes)))
    }

    /// Says how far a push source was taken when its pipeline does not begin: what the lake has does not wait, though the log
    /// may keep it for a while.
    pub(crate) async fn note_taken_pushes(&self, config: &PushSourceConfig) -> Result<(), Failure> {
        let table = TableName::new(config.name.clone(), config.table().to_owned());
        let Some(version) = self.lake.load(&table).await.map_err(|error| error.failure())? else { return Ok(()) };
        let key = log_key(&config.name, &config.name, 0);
        let taken = version.transaction(&key).await.map_err(|error| error.failure())?;
        if let (Some(last), true) = (taken, self.kafka_log.is_none()) {
            self.consumers.advance(&config.name, &config.name, 0, last.saturating_add(1));
        }
        Ok(())
    }
}

fn refusal(error: BodyError) -> PushRefusal {
    match error {
        BodyError::TooLarge { limit } => {
            PushRefusal::TooLarge(Failure::user(format!("the body is larger than {limit} bytes")))
        }
        BodyError::TooMany { limit } => {
            PushRefusal::TooLarge(Failure::user(format!("the body has more than {limit} records")))
        }
        BodyError::UnsupportedType(kind) => {
            PushRefusal::UnsupportedType(Failure::user(format!("bodies of type `{kind}` are not taken")).with_hint(
                "Send application/json, application/x-ndjson, text/csv or application/vnd.apache.arrow.stream.",
            ))
        }
        BodyError::UnsupportedEncoding(encoding) => PushRefusal::UnsupportedType(
            Failure::user(format!("bodies packed with `{encoding}` are not taken"))
                .with_hint("Send it plain, with gzip or with zstd."),
        ),
        BodyError::Malformed(problem) => {
            Failure::user("the body is not what it says it is").with_detail(problem).into()
        }
    }
}
