//! Topics as a source.
//!
//! Positions, all in the commits of the table:
//! - `k/<pipeline>/<topic>/<partition>`: last offset taken; -1 when a restart forgot it.
//! - `kh/<pipeline>/<topic>/<partition>`: fingerprint of the record at that offset. Before anything else is taken, it is read
//!   again and compared: a topic that was made anew under its name, or a partition whose leader lost records, has another
//!   record there, even when it has grown past the offset since.
//! - `kc/<pipeline>`: fingerprint of the cluster's id.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headwater_ingest::codec::schemas::framed;
use headwater_ingest::codec::{Codec, avro, protobuf};
use headwater_ingest::error::{Error, Result};
use headwater_ingest::position::{Positions, cluster_key};
use headwater_ingest::record::{Record, RecordBuffer};
use headwater_ingest::schema::Provenance;
use headwater_ingest::sink::{Origin, Rejected};
use headwater_ingest::source::{Next, RawBatch, ReadLimits, Source};
use headwater_project::{Clock, Failure, fault};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::batch::Batch;
use super::client::{ANSWER, Reading, Target, is_final, ranges, watermarks};
use super::config::{KafkaConfig, Tombstones, ValueFormat};
use super::failure::{failed, of_code, passing};
use super::partitions::{Committed, Cursor, assignment, cursor, find, fingerprint, text_fingerprint};
use super::registry::{Known, Registry};

/// A batch that is small waits this long for more.
const MORE: Duration = Duration::from_millis(2);
/// Time between two questions for the ends of partitions, which only a display wants.
const ENDS_EVERY: Duration = Duration::from_secs(2);
/// Time after which a group that nothing new was committed for is told once more where the lake is: the answer that was lost, or
/// the coordinator that was moving, may have been the last of it.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// Told with topic, partition and next offset once everything before it is in the lake.
pub type AfterCommit = Box<dyn FnMut(&str, i32, i64) -> Result<()> + Send>;

/// What to read, and how.
pub struct Options {
    /// Name of the pipeline, in its positions.
    pub pipeline: String,
    pub config: KafkaConfig,
    pub provenance: Provenance,
    pub target: Target,
    pub clock: Arc<dyn Clock>,
}

/// The position keys of a pipeline; `*` stands for its topics and partitions.
pub fn position_keys(pipeline: &str) -> Vec<String> {
    vec![format!("k/{pipeline}/*"), format!("kh/{pipeline}/*"), cluster_key(pipeline)]
}

pub struct KafkaSource {
    options: Options,
    codec: Codec,
    registry: Option<Registry>,
    consumer: Option<Reading>,
    cursors: Vec<Cursor>,
    /// Where in `cursors` a topic's partitions are, by number.
    places: BTreeMap<Arc<str>, Vec<usize>>,
    /// Where partitions began of which nothing was committed then: after a failure they begin there again, not where `start`
    /// would put them by now.
    begun: BTreeMap<(Arc<str>, i32), i64>,
    committed: Positions,
    cluster: Option<i64>,
    /// The batch after the one that was given last: its partition's turn has come.
    held: Option<Batch>,
    /// Memory for a batch to come.
    spare: Option<RecordBuffer>,
    looked: Duration,
    /// When the group was told what was committed last; nothing once it was told that a second time.
    told: Option<Duration>,
    /// When the ends of partitions are asked for again.
    ends_due: Duration,
    stop_at_end: bool,
    after_commit: Option<AfterCommit>,
}

impl KafkaSource {
    pub fn new(options: Options) -> Result<Self> {
        let (codec, known) = match options.config.value {
            ValueFormat::Json | ValueFormat::JsonSchema => (Codec::Json, None),
            ValueFormat::Avro => {
                let schemas = Arc::new(avro::Schemas::default());
                (Codec::Avro(Arc::clone(&schemas)), Some(Known::Avro(schemas)))
            }
            ValueFormat::Protobuf => {
                let schemas = Arc::new(protobuf::Schemas::default());
                (Codec::Protobuf(Arc::clone(&schemas)), Some(Known::Protobuf(schemas)))
            }
            ValueFormat::Text => (Codec::Text, None),
            ValueFormat::Bytes => (Codec::Bytes, None),
        };
        let registry = match (&options.target.connection().registry, known) {
            (Some(registry), Some(known)) => Some(Registry::new(registry, known)?),
            _ => None,
        };
        Ok(Self {
            options,
            codec,
            registry,
            consumer: None,
            cursors: Vec::new(),
            places: BTreeMap::new(),
            begun: BTreeMap::new(),
            committed: Positions::default(),
            cluster: None,
            held: None,
            spare: None,
            looked: Duration::ZERO,
            told: None,
            ends_due: Duration::ZERO,
            stop_at_end: false,
            after_commit: None,
        })
    }

    /// End once everything there is was read, instead of waiting for more.
    #[must_use]
    pub fn stop_at_end(mut self) -> Self {
        self.stop_at_end = true;
        self
    }

    #[must_use]
    pub fn after_commit(mut self, tell: AfterCommit) -> Self {
        self.after_commit = Some(tell);
        self
    }

    /// What positions must become for the source to go on: those of partitions that cannot be read on are forgotten.
    pub fn restarted(&mut self, committed: &Positions) -> Result<Positions> {
        let mut positions = committed.clone();
        let mut changed = Positions::default();
        loop {
            let (topic, partition) = match self.resume(&positions).and_then(|()| self.compare_all()) {
                Ok(()) => return Ok(changed),
                Err(Error::Gap { topic, partition, .. }) => (topic, partition),
                Err(Error::Rewound { topic, partition, .. } | Error::Replaced { topic, partition, .. }) => {
                    (topic, partition)
                }
                Err(Error::OtherCluster) => {
                    for (key, value) in &mut positions.0 {
                        *value = -1;
                        changed.set(key.clone(), if key.starts_with("k/") { -1 } else { 0 });
                    }
                    positions.0.remove(&cluster_key(&self.options.pipeline));
                    let consumer = self.consumer()?;
                    if let Some(cluster) = cluster(consumer) {
                        changed.set(cluster_key(&self.options.pipeline), cluster);
                    }
                    continue;
                }
                Err(other) => return Err(other),
            };
            let key = headwater_ingest::position::log_key(&self.options.pipeline, &topic, partition);
            positions.set(key.clone(), -1);
            changed.set(key, -1);
        }
    }

    /// Reads the record at the position of every partition and compares it.
    fn compare_all(&mut self) -> Result<()> {
        let limits = ReadLimits { max_bytes: 1 };
        for place in 0..self.cursors.len() {
            let waits = |source: &Self| {
                source.cursors.get(place).filter(|cursor| cursor.expected.is_some() && !cursor.at_end).map(|_| ())
            };
            if waits(self).is_none() {
                continue;
            }
            let list = assignment(self.cursors.iter().skip(place).take(1))?;
            self.consumer()?.assign(&list).map_err(|error| failed("assign partitions", &error))?;
            let until = self.options.clock.monotonic() + ANSWER;
            while waits(self).is_some() {
                if self.options.clock.monotonic() > until {
                    return Err(passing("the brokers do not give the record at a position").into());
                }
                self.fill(&limits, RecordBuffer::default(), Duration::from_millis(50))?;
            }
        }
        Ok(())
    }

    fn consumer(&self) -> Result<&Reading> {
        self.consumer.as_ref().ok_or(Error::Internal("a source is read before it was resumed"))
    }

    fn open(&self) -> Result<Reading> {
        let config = &self.options.config;
        let group = config.group.clone().unwrap_or_else(|| format!("headwater-{}", self.options.pipeline));
        let isolation = if config.read_committed { "read_committed" } else { "read_uncommitted" };
        let prefetch = (config.prefetch.0 >> 10).max(1024);
        // One answer of a broker is held besides what is queued.
        let answer = (config.prefetch.0 / 4).clamp(1 << 20, 16 << 20);
        self.options.target.consumer(&BTreeMap::from([
            ("group.id", group),
            ("isolation.level", isolation.to_owned()),
            ("queued.max.messages.kbytes", prefetch.to_string()),
            ("queued.min.messages", "1000000".to_owned()),
            ("fetch.max.bytes", answer.to_string()),
            ("fetch.message.max.bytes", (answer / 2).to_string()),
            ("receive.message.max.bytes", (answer + (64 << 20)).to_string()),
            ("fetch.wait.max.ms", "100".to_owned()),
            // Otherwise a second passes, whatever was taken off a full queue meanwhile.
            ("fetch.queue.backoff.ms", "10".to_owned()),
            ("topic.metadata.refresh.interval.ms", "30000".to_owned()),
        ]))
    }

    /// Compares the cluster with the one read before.
    fn check_cluster(&mut self, committed: &Positions) -> Result<()> {
        self.cluster = cluster(self.consumer()?);
        match (committed.get(&cluster_key(&self.options.pipeline)), self.cluster) {
            (Some(before), Some(now)) if before != now => Err(Error::OtherCluster),
            _ => Ok(()),
        }
    }

    /// Adds those partitions of these topics that are not read yet; whether there were any. New ones are read from their
    /// first message.
    fn add(&mut self, topics: Vec<(Arc<str>, i32)>, are_new: bool) -> Result<bool> {
        let (consumer, before) = (self.consumer()?, self.cursors.len());
        let mut new: Vec<(Arc<str>, i32)> = Vec::new();
        for (topic, partitions) in topics {
            let known = i32::try_from(self.places.get(&topic).map_or(0, Vec::len)).unwrap_or(i32::MAX);
            new.extend((known..partitions).map(|number| (Arc::clone(&topic), number)));
        }
        let places: Vec<(&str, i32)> = new.iter().map(|(topic, number)| (&**topic, *number)).collect();
        let mut found = Vec::with_capacity(new.len());
        for ((topic, number), range) in new.iter().zip(ranges(consumer, &places)?) {
            let mut committed = Committed::of(&self.committed, &self.options.pipeline, topic, *number);
            committed.topic_is_known |= are_new || self.places.contains_key(topic);
            let (config, pipeline) = (&self.options.config, &self.options.pipeline);
            let cursor = cursor(consumer, config, pipeline, (topic, *number), range, &committed)?;
            found.push((cursor, committed.last.is_none().then_some(range.0)));
        }
        for (mut cursor, begins) in found {
            if let Some(low) = begins {
                let begun = *self.begun.entry((Arc::clone(&cursor.topic), cursor.number)).or_insert(cursor.next);
                cursor.next = begun.max(low);
            }
            self.places.entry(Arc::clone(&cursor.topic)).or_default().push(self.cursors.len());
            self.cursors.push(cursor);
        }
        Ok(self.cursors.len() > before)
    }

    /// New partitions of topics that are read already, and new topics of a pattern.
    fn look_again(&mut self) -> Result<()> {
        self.looked = self.options.clock.monotonic();
        let (topics, before) = (find(self.consumer()?, &self.options.config)?, self.cursors.len());
        if self.add(topics, true)? {
            let added = assignment(self.cursors.iter().skip(before))?;
            let assigned = self.consumer()?.incremental_assign(&added);
            assigned.map_err(|error| failed("assign partitions", &error))?;
        }
        Ok(())
    }

    /// Takes messages of one partition until the batch is full, another partition's turn comes, or none is there.
    fn fill(&mut self, limits: &ReadLimits, buffer: RecordBuffer, mut patience: Duration) -> Result<Option<Batch>> {
        let mut batch = self.held.take();
        self.spare = Some(buffer);
        let Some(consumer) = self.consumer.take() else {
            return Err(Error::Internal("a source is read before it was resumed"));
        };
        let filled = loop {
            if batch.as_ref().is_some_and(|batch| batch.is_full(limits)) {
                break Ok(());
            }
            let message = match consumer.poll(patience) {
                None if patience.is_zero() && batch.as_ref().is_some_and(Batch::is_small) => {
                    patience = MORE;
                    continue;
                }
                None => break Ok(()),
                Some(Ok(message)) => message,
                Some(Err(error)) => match self.event(&consumer, error) {
                    Ok(()) => continue,
                    Err(error) => break Err(error),
                },
            };
            patience = Duration::ZERO;
            let place = match self.place(&message, batch.as_ref().map(|batch| batch.cursor)) {
                Ok(Some(place)) => place,
                Ok(None) => continue,
                Err(error) => break Err(error),
            };
            if batch.as_ref().is_some_and(|batch| batch.cursor != place) {
                let mut next = Batch::new(place, self.spare.take().unwrap_or_default());
                let pushed = self.push(&mut next, &message);
                self.held = Some(next);
                break pushed;
            }
            let spare = &mut self.spare;
            let mut current = batch.unwrap_or_else(|| Batch::new(place, spare.take().unwrap_or_default()));
            let pushed = self.push(&mut current, &message);
            batch = Some(current);
            if pushed.is_err() {
                break pushed;
            }
        };
        self.consumer = Some(consumer);
        filled.map(|()| batch)
    }

    /// The cursor of a message that is to be taken; nothing for one that only shows that the partition is what it was.
    fn place(&mut self, message: &BorrowedMessage<'_>, current: Option<usize>) -> Result<Option<usize>> {
        // To look at the name of a topic takes longer than to look at a number.
        let one_topic = self.places.len() == 1;
        let fits =
            |cursor: &Cursor| cursor.number == message.partition() && (one_topic || *cursor.topic == *message.topic());
        let place = match current.filter(|place| self.cursors.get(*place).is_some_and(fits)) {
            Some(place) => place,
            None => {
                let number = usize::try_from(message.partition()).unwrap_or(usize::MAX);
                let places = self.places.get(message.topic());
                places
                    .and_then(|places| places.get(number))
                    .copied()
                    .ok_or(Error::Internal("a message of no partition"))?
            }
        };
        let Some(cursor) = self.cursors.get_mut(place) else { return Ok(None) };
        cursor.at_end = false;
        // Where it was compacted away there is nothing to compare with.
        if let Some(expected) = cursor.expected.take()
            && message.offset() == expected.offset
        {
            if fingerprint_of(message) == expected.fingerprint {
                return Ok(None);
            }
            let (topic, partition) = (cursor.topic.to_string(), cursor.number);
            return Err(Error::Replaced { topic, partition, committed: expected.offset });
        }
        if message.offset() < cursor.next {
            return Ok(None);
        }
        cursor.next = message.offset() + 1;
        Ok(Some(place))
    }

    fn push(&mut self, batch: &mut Batch, message: &BorrowedMessage<'_>) -> Result<()> {
        let timestamp = message.timestamp().to_millis().unwrap_or(0);
        let (key, payload) = (message.key().unwrap_or_default(), message.payload());
        let record = Record { offset: message.offset(), timestamp, key, payload: payload.unwrap_or_default() };
        batch.taken += 1;
        let rejected = self.take(batch, record, payload.is_none())?;
        batch.note(record);
        if let Some(reason) = rejected {
            let origin = Origin::Log { topic: message.topic().into(), partition: message.partition() };
            batch.rejected.push(Rejected::new(record, reason, &origin));
        } else if self.options.config.headers
            && batch.records.offsets().last() == Some(&record.offset)
            && let Some(headers) = message.headers()
        {
            headers.iter().for_each(|header| batch.records.push_header(header.key, header.value));
        }
        Ok(())
    }

    /// Adds a record to a batch, or says why it has no place there.
    fn take(&mut self, batch: &mut Batch, record: Record<'_>, is_absent: bool) -> Result<Option<String>> {
        let limit = self.options.config.max_message.0;
        if record.payload.len() as u64 > limit {
            return Ok(Some(format!("message of {} bytes is over the limit of {limit}", record.payload.len())));
        }
        if is_absent {
            match self.options.config.tombstones {
                Tombstones::Keep => batch.records.push_absent(record),
                Tombstones::Drop => {}
                Tombstones::Reject => return Ok(Some("message has no value".to_owned())),
            }
            return Ok(None);
        }
        match self.value(record.payload)? {
            Ok(payload) => batch.records.push(Record { payload, ..record }),
            Err(reason) => return Ok(Some(reason)),
        }
        Ok(None)
    }

    /// What is to be decoded of a value; its schema is known then, or the reason why it cannot be.
    fn value<'a>(&mut self, payload: &'a [u8]) -> Result<Result<&'a [u8], String>> {
        if !self.options.config.needs_registry() {
            return Ok(Ok(payload));
        }
        let (id, body) = match framed(payload) {
            Ok(framed) => framed,
            Err(reason) => return Ok(Err(reason)),
        };
        // JSON says by itself what it is.
        let Some(registry) = &mut self.registry else { return Ok(Ok(body)) };
        registry.ensure(id)?;
        Ok(Ok(payload))
    }

    /// What the consumer says besides messages.
    fn event(&mut self, consumer: &Reading, error: KafkaError) -> Result<()> {
        if let KafkaError::PartitionEOF(number) = error {
            // It does not say of which topic: of several the others are looked at when it matters.
            self.cursors.iter_mut().filter(|cursor| cursor.number == number).for_each(|cursor| cursor.at_end = true);
            return Ok(());
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => self.out_of_range(consumer),
            Some(code) if is_final(code) || code == RDKafkaErrorCode::AllBrokersDown => {
                let reason = consumer.context().heard().map_or_else(|| error.to_string(), |(_, reason)| reason);
                Err(of_code("read from the brokers", code).with_detail(reason).into())
            }
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition,
            ) => Err(passing("a topic or partition was not there").with_detail(error.to_string()).into()),
            Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::Fatal) => {
                Err(failed("read messages", &error))
            }
            // The library tries again by itself.
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::BrokerNotAvailable
                | RDKafkaErrorCode::ReplicaNotAvailable
                | RDKafkaErrorCode::NetworkException,
            ) => Ok(()),
            Some(RDKafkaErrorCode::NotImplemented) => {
                let failure = Failure::user("messages are packed in a way this build cannot unpack");
                Err(failure.with_detail(error.to_string()).into())
            }
            // Anything else may have cost messages: they are read again from what is committed.
            _ => Err(passing("messages were not read").with_detail(error.to_string()).into()),
        }
    }

    /// Which partition has not what is read of it.
    fn out_of_range(&self, consumer: &Reading) -> Result<()> {
        for cursor in &self.cursors {
            let (low, high) = watermarks(consumer, &cursor.topic, cursor.number)?;
            let (topic, partition, committed) = (cursor.topic.to_string(), cursor.number, cursor.next - 1);
            if cursor.next < low {
                return Err(Error::Gap { topic, partition, committed, start: low });
            }
            if cursor.next > high {
                return Err(Error::Rewound { topic, partition, committed, end: high });
            }
        }
        Err(passing("a partition did not have the offset that was read").into())
    }

    fn finish(&self, batch: Batch) -> Result<RawBatch> {
        let cursor = self.cursors.get(batch.cursor).ok_or(Error::Internal("a batch of no partition"))?;
        let mut positions = Positions::default();
        let Record { offset, timestamp, key, payload } = batch.last();
        positions.set(&cursor.key, offset);
        positions.set(&cursor.fingerprint_key, fingerprint(timestamp, key, payload));
        if let Some(cluster) = self.cluster {
            positions.set(cluster_key(&self.options.pipeline), cluster);
        }
        Ok(RawBatch {
            records: batch.records,
            header: Arc::default(),
            origin: Origin::Log { topic: Arc::clone(&cursor.topic), partition: cursor.number },
            rejected: batch.rejected,
            positions,
            boundary: true,
            replaces: false,
            info: None,
        })
    }

    /// The ends of partitions, for the display of what waits. The more there are the more seldom.
    fn ask_ends(&mut self) -> Result<()> {
        let began = self.options.clock.monotonic();
        if began < self.ends_due {
            return Ok(());
        }
        let Some(consumer) = &self.consumer else { return Ok(()) };
        let waiting = self.cursors.iter().filter(|cursor| !cursor.at_end);
        let places: Vec<(&str, i32)> = waiting.map(|cursor| (&*cursor.topic, cursor.number)).collect();
        let found = ranges(consumer, &places)?;
        for (cursor, (_, end)) in self.cursors.iter_mut().filter(|cursor| !cursor.at_end).zip(found) {
            cursor.end = end;
        }
        let took = self.options.clock.monotonic().saturating_sub(began);
        self.ends_due = began + ENDS_EVERY.max(took * 20);
        Ok(())
    }

    /// Whether every partition was read to its end. Of several topics each partition is asked by a client of its own: only
    /// the first thing that one hears says whether there is a message, or nothing but marks of transactions.
    fn is_finished(&mut self) -> Result<bool> {
        if self.held.is_some() || !self.cursors.iter().all(|cursor| cursor.at_end) {
            return Ok(false);
        }
        if self.places.len() < 2 {
            return Ok(true);
        }
        let probe = self.open()?;
        for cursor in &mut self.cursors {
            let mut list = TopicPartitionList::new();
            let from = cursor.expected.map_or(cursor.next, |expected| expected.offset + 1);
            let assigned = list.add_partition_offset(&cursor.topic, cursor.number, Offset::Offset(from));
            let assigned = assigned.and_then(|()| probe.assign(&list));
            assigned.map_err(|error| failed("look for the end of a partition", &error))?;
            let until = self.options.clock.monotonic() + ANSWER;
            cursor.at_end = loop {
                match probe.poll(Duration::from_millis(100)) {
                    Some(Ok(_)) => break false,
                    Some(Err(KafkaError::PartitionEOF(_))) => break true,
                    _ if self.options.clock.monotonic() > until => break false,
                    _ => {}
                }
            };
        }
        Ok(self.cursors.iter().all(|cursor| cursor.at_end))
    }

    /// Says once when the group stands somewhere else: the lake decides where to read.
    fn compare_group(&self) {
        let Ok(consumer) = self.consumer() else { return };
        let Ok(list) = assignment(self.cursors.iter()) else { return };
        let Ok(found) = consumer.committed_offsets(list, Duration::from_secs(3)) else { return };
        for cursor in &self.cursors {
            let group = found.find_partition(&cursor.topic, cursor.number).map(|one| one.offset());
            if let Some(Offset::Offset(offset)) = group
                && offset > cursor.next
            {
                let (topic, partition) = (&*cursor.topic, cursor.number);
                tracing::warn!(
                    topic,
                    partition,
                    group = offset,
                    lake = cursor.next,
                    "the group is ahead of the lake; the lake decides"
                );
            }
        }
    }
}

fn fingerprint_of(message: &BorrowedMessage<'_>) -> i64 {
    let timestamp = message.timestamp().to_millis().unwrap_or(0);
    fingerprint(timestamp, message.key().unwrap_or_default(), message.payload().unwrap_or_default())
}

fn cluster(consumer: &Reading) -> Option<i64> {
    consumer.client().fetch_cluster_id(ANSWER).map(|id| text_fingerprint(&id))
}

impl KafkaSource {
    /// For displays alone: whether the brokers take it makes no difference to what is read.
    fn tell_group(&mut self, positions: &Positions) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for cursor in &self.cursors {
            let Some(last) = positions.get(&cursor.key) else { continue };
            let added = list.add_partition_offset(&cursor.topic, cursor.number, Offset::Offset(last + 1));
            added.map_err(|error| failed("tell the group where the lake is", &error))?;
        }
        if list.count() == 0 {
            return Ok(());
        }
        self.told = Some(self.options.clock.monotonic());
        if let Err(error) = self.consumer()?.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "the group was not told where the lake is");
        }
        Ok(())
    }
}

impl Source for KafkaSource {
    fn codec(&self) -> Option<Codec> {
        Some(self.codec.clone())
    }

    fn provenance(&self) -> Provenance {
        self.options.provenance
    }

    fn partitions(&self) -> Option<usize> {
        Some(self.cursors.len())
    }

    fn resume(&mut self, committed: &Positions) -> Result<()> {
        // The client of before may hold messages, and errors, of another life.
        self.consumer = None;
        self.cursors.clear();
        self.places.clear();
        self.held = None;
        self.committed = committed.clone();
        self.consumer = Some(self.open()?);
        self.looked = self.options.clock.monotonic();
        let topics = find(self.consumer()?, &self.options.config)?;
        self.check_cluster(committed)?;
        self.add(topics, false)?;
        fault::point("k.before_assign")?;
        self.compare_group();
        let list = assignment(self.cursors.iter())?;
        self.consumer()?.assign(&list).map_err(|error| failed("assign partitions", &error))?;
        if let Some(tell) = &mut self.after_commit {
            for cursor in &self.cursors {
                tell(&cursor.topic, cursor.number, cursor.next)?;
            }
        }
        Ok(())
    }

    fn next_batch(&mut self, limits: &ReadLimits, buffer: RecordBuffer) -> Result<Next> {
        let now = self.options.clock.monotonic();
        if now.saturating_sub(self.looked) >= self.options.config.look_every.0 {
            self.look_again()?;
        }
        match self.fill(limits, buffer, Duration::ZERO)? {
            Some(batch) => {
                fault::point("k.after_poll")?;
                self.ask_ends()?;
                Ok(Next::Batch(Box::new(self.finish(batch)?)))
            }
            None if self.stop_at_end && self.is_finished()? => Ok(Next::End),
            None => {
                let now = self.options.clock.monotonic();
                if self.told.is_some_and(|told| now.saturating_sub(told) >= TELL_AGAIN) {
                    self.tell_group(&self.committed.clone())?;
                    self.told = None;
                }
                Ok(Next::Idle)
            }
        }
    }

    fn committed(&mut self, positions: &Positions) -> Result<()> {
        self.committed.advance(positions);
        fault::point("k.after_lake_commit_before_group_commit")?;
        if let Some(tell) = &mut self.after_commit {
            for cursor in &self.cursors {
                let Some(last) = positions.get(&cursor.key) else { continue };
                tell(&cursor.topic, cursor.number, last + 1)?;
            }
        }
        self.tell_group(positions)
    }

    fn lag(&self) -> Option<u64> {
        let waiting = self.cursors.iter().filter(|cursor| !cursor.at_end);
        u64::try_from(waiting.map(|cursor| (cursor.end - cursor.next).max(0)).sum::<i64>()).ok()
    }
}
