//! Topics of a cluster as the log of a project.
//!
//! Appends are transactions of one producer, so that they are there whole or not at all, and so that a process that was
//! given up for dead cannot add anything once its successor began: the successor's producer has its transactional id, and
//! the brokers refuse the older one.
//!
//! Transactions leave marks that take offsets of their own, and so a record's offset is not its number. The last record of
//! each append therefore carries the number of the record after it, in the header `headwater-next`; the last one of a
//! partition that was committed says how many records it ever got. Topics made here keep their records until they are
//! trimmed, and trimming spares the last record.
//!
//! There are two producers, because there are two ways to append: by those who sync later and may repeat (generators), and
//! by those who wait for each record and repeat nothing (pushes). A failure of one must not pass for a success of the other.

mod reader;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_ingest::error::{Error, Result};
use headwater_ingest::log::{EventLog, PartitionDescription, ReadOutcome, TopicConfig, TopicDescription};
use headwater_ingest::record::RecordBuffer;
use headwater_project::{Clock, Timestamp};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfig;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::client::{ANSWER, Delivered, Reading, Target, metadata, ranges, watermarks};
use super::failure::{failed, of_code, passing};
use reader::Reader;
pub(super) use writer::Writer;

/// Longest life of a transaction of the log.
const TRANSACTION: Duration = Duration::from_secs(60);
/// Readers kept, each with a place in one partition.
const READERS: usize = 16;

/// The reader of each partition, by topic and number.
type Readers = HashMap<(String, i32), Arc<Mutex<Reader>>>;

pub struct KafkaLog {
    target: Target,
    /// What names of topics begin with in the cluster.
    prefix: String,
    replication: Option<u16>,
    /// Begins the transactional ids; nothing for one who only reads.
    writer_id: Option<String>,
    clock: Arc<dyn Clock>,
    later: Mutex<State>,
    at_once: Mutex<State>,
    readers: Mutex<Readers>,
    asking: Mutex<Option<Arc<Reading>>>,
}

/// A producer, made when it is needed.
enum State {
    Closed,
    Open(Box<Writer>),
    /// What was appended is gone; whoever appended must ask how much is there.
    Broken,
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KafkaLog").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KafkaLog {
    /// `writer_id` is the same for every process that writes the log, and for nobody else. Nothing is asked of the cluster yet.
    pub fn new(
        target: Target,
        prefix: &str,
        replication: Option<u16>,
        writer_id: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (later, at_once) = (Mutex::new(State::Closed), Mutex::new(State::Closed));
        let (readers, asking) = (Mutex::default(), Mutex::default());
        Self { target, prefix: prefix.to_owned(), replication, writer_id, clock, later, at_once, readers, asking }
    }

    /// The name of a topic in the cluster.
    pub fn full_name(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// A client for questions, shared by all who ask.
    fn asking(&self) -> Result<Arc<Reading>> {
        let mut asking = lock(&self.asking);
        if let Some(client) = &*asking {
            return Ok(Arc::clone(client));
        }
        let client =
            Arc::new(self.target.consumer(&BTreeMap::from([("isolation.level", "read_committed".to_owned())]))?);
        Ok(Arc::clone(asking.insert(client)))
    }

    fn admin(&self) -> Result<AdminClient<rdkafka::client::DefaultClientContext>> {
        let config = self.target.settings();
        AdminClient::from_config(&config).map_err(|error| failed("administer topics", &error))
    }

    fn partitions(&self, client: &Reading, full_name: &str) -> Result<Option<i32>> {
        let described = metadata(client, Some(full_name))?;
        let found = described.topics().iter().find(|topic| topic.name() == full_name && topic.error().is_none());
        Ok(found.map(|topic| i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX)).filter(|count| *count > 0))
    }

    fn described(&self, client: &Reading, full_name: &str, count: i32) -> Result<TopicDescription> {
        let places: Vec<(&str, i32)> = (0..count).map(|partition| (full_name, partition)).collect();
        // Brokers say how large a partition is only to administrators.
        let described = |(start_offset, end_offset)| PartitionDescription { start_offset, end_offset, bytes: 0 };
        let partitions = ranges(client, &places)?.into_iter().map(described).collect();
        let name = full_name.strip_prefix(&self.prefix).unwrap_or(full_name).to_owned();
        Ok(TopicDescription { name, partitions })
    }

    /// The producer of a state, made when there is none.
    fn open<'a>(&self, state: &'a mut State, kind: &str) -> Result<&'a mut Writer> {
        if !matches!(state, State::Open(_)) {
            let id = self.writer_id.as_ref().ok_or(Error::ReadOnly)?;
            *state = State::Open(Box::new(Writer::open(
                &self.target,
                &format!("{id}/{kind}"),
                TRANSACTION,
                Arc::clone(&self.clock),
            )?));
        }
        match state {
            State::Open(writer) => Ok(writer),
            State::Closed | State::Broken => Err(Error::Internal("a producer that was made is gone")),
        }
    }

    fn reader(&self, full_name: &str, partition: i32) -> Result<Arc<Mutex<Reader>>> {
        let mut readers = lock(&self.readers);
        let place = (full_name.to_owned(), partition);
        if let Some(reader) = readers.get(&place) {
            return Ok(Arc::clone(reader));
        }
        if readers.len() >= READERS {
            readers.clear();
        }
        let reader = Arc::new(Mutex::new(Reader::open(&self.target, full_name, partition, Arc::clone(&self.clock))?));
        readers.insert(place, Arc::clone(&reader));
        Ok(reader)
    }

    /// How many partitions a topic has, if it is there.
    pub(super) fn count(&self, full_name: &str) -> Result<Option<i32>> {
        self.partitions(&*self.asking()?, full_name)
    }

    /// What the last record of a partition carries, if there ever was one.
    pub(super) fn last_position(&self, full_name: &str, partition: i32) -> Result<Option<i64>> {
        let (low, high) = watermarks(&*self.asking()?, full_name, partition)?;
        if high == 0 {
            return Ok(None);
        }
        let mut reader = Reader::open(&self.target, full_name, partition, Arc::clone(&self.clock))?;
        reader.last_number(low, high)
    }

    /// A transaction is decided before every partition it wrote to shows its records.
    fn wait_until_visible(&self, delivered: &Delivered) -> Result<()> {
        let (client, until) = (self.asking()?, self.clock.monotonic() + ANSWER);
        let lasts = || delivered.last.iter().flat_map(|(topic, all)| all.iter().map(move |one| (topic.as_str(), one)));
        let places: Vec<(&str, i32)> = lasts().map(|(topic, (partition, _))| (topic, *partition)).collect();
        loop {
            let found = ranges(&client, &places)?;
            if lasts().zip(found).all(|((_, (_, last)), (_, end))| end > *last) {
                return Ok(());
            }
            if self.clock.monotonic() > until {
                return Err(passing("what was written is not shown yet").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How many records a partition ever got, as its last record says.
    fn numbered(&self, full_name: &str, partition: i32) -> Result<i64> {
        Ok(self.last_position(full_name, partition)?.unwrap_or(0))
    }
}

fn unknown(topic: &str) -> Error {
    Error::UnknownTopic { topic: topic.to_owned() }
}

impl EventLog for KafkaLog {
    fn create_topic(&self, name: &str, config: &TopicConfig) -> Result<()> {
        let full_name = self.full_name(name);
        let client = self.asking()?;
        if let Some(existing) = self.partitions(&client, &full_name)? {
            let requested = config.partitions;
            let topic = name.to_owned();
            let fits = existing == requested;
            return if fits { Ok(()) } else { Err(Error::TopicExists { topic, existing, requested }) };
        }
        let copies = self.replication.map_or(-1, i32::from);
        let topic = NewTopic::new(&full_name, config.partitions, TopicReplication::Fixed(copies))
            .set("cleanup.policy", "delete")
            .set("retention.ms", "-1")
            .set("retention.bytes", "-1")
            // Event time may run ahead of the brokers' clock, which brokers of these days refuse after an hour.
            .set("message.timestamp.after.max.ms", "9223372036854775807")
            .set("max.message.bytes", "17825792");
        let admin = self.admin()?;
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
        let doing = format!("make topic `{full_name}`");
        let made = futures::executor::block_on(admin.create_topics([&topic], &options));
        for result in made.map_err(|error| failed(&doing, &error))? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(of_code(&doing, code).with_detail(code.to_string()).into()),
            }
        }
        // Its leaders may take a moment: the topic is there when it can be described.
        let until = self.clock.monotonic() + ANSWER;
        while self.partitions(&client, &full_name)? != Some(config.partitions) {
            if self.clock.monotonic() > until {
                return Err(unknown(name));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn topics(&self) -> Result<Vec<TopicDescription>> {
        let client = self.asking()?;
        let mut described = Vec::new();
        for topic in metadata(&client, None)?.topics() {
            let (name, count) = (topic.name(), topic.partitions().len());
            if name.starts_with(&self.prefix) && !name.starts_with("__") && topic.error().is_none() {
                described.push(self.described(&client, name, i32::try_from(count).unwrap_or(i32::MAX))?);
            }
        }
        described.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(described)
    }

    fn append(&self, topic: &str, partition: i32, records: &RecordBuffer) -> Result<Range<i64>> {
        let full_name = self.full_name(topic);
        let mut state = lock(&self.later);
        if matches!(*state, State::Broken) {
            return Err(Error::Unsynced);
        }
        let writer = self.open(&mut state, "log")?;
        let next = match writer.next_number(&full_name, partition) {
            Some(next) => next,
            None => {
                self.partitions(&*self.asking()?, &full_name)?.ok_or_else(|| unknown(topic))?;
                self.numbered(&full_name, partition)?
            }
        };
        let appended = writer.append(&full_name, partition, records, next);
        if appended.is_err() {
            *state = State::Broken;
        }
        appended
    }

    fn sync(&self) -> Result<()> {
        let mut state = lock(&self.later);
        let synced = match &mut *state {
            State::Closed => Ok(()),
            State::Broken => Err(Error::Unsynced),
            State::Open(writer) => writer.sync().and_then(|()| self.wait_until_visible(&writer.delivered())),
        };
        if synced.is_err() {
            *state = State::Broken;
        }
        synced
    }

    fn append_synced(&self, topic: &str, partition: i32, records: &RecordBuffer) -> Result<Range<i64>> {
        let full_name = self.full_name(topic);
        let mut state = lock(&self.at_once);
        let writer = self.open(&mut state, "push")?;
        let appended = writer.append(&full_name, partition, records, 0).and_then(|_| writer.sync());
        let delivered = writer.delivered();
        if let Err(error) = appended {
            // The next who comes begins with a new producer, and this one's records are not there.
            *state = State::Closed;
            return Err(error);
        }
        self.wait_until_visible(&delivered)?;
        let first = delivered.first.unwrap_or_default();
        Ok(first..first + i64::try_from(records.len()).unwrap_or(i64::MAX))
    }

    fn appended(&self, topic: &str, partition: i32) -> Result<i64> {
        let mut state = lock(&self.later);
        if matches!(*state, State::Broken) {
            *state = State::Closed;
        }
        // What an earlier process had under way is ended before it is counted.
        self.open(&mut state, "log")?;
        self.numbered(&self.full_name(topic), partition)
    }

    fn read(
        &self,
        topic: &str,
        partition: i32,
        from_offset: i64,
        max_bytes: usize,
        into: &mut RecordBuffer,
    ) -> Result<ReadOutcome> {
        let full_name = self.full_name(topic);
        let client = self.asking()?;
        let reader = self.reader(&full_name, partition)?;
        let mut reader = lock(&reader);
        if let Some(outcome) = reader.take(from_offset, max_bytes, into)? {
            return Ok(outcome);
        }
        let partitions = self.partitions(&client, &full_name)?.ok_or_else(|| unknown(topic))?;
        if !(0..partitions).contains(&partition) {
            return Err(Error::UnknownPartition { topic: topic.to_owned(), partition });
        }
        let (start, end) = watermarks(&client, &full_name, partition)?;
        if !(start..=end).contains(&from_offset) {
            let (topic, requested) = (topic.to_owned(), from_offset);
            return Err(Error::OutOfRange { topic, partition, requested, start, end });
        }
        if from_offset == end {
            return Ok(ReadOutcome { next_offset: end, at_end: true });
        }
        reader.find(from_offset, end, max_bytes, into)
    }

    fn trim(&self, topic: &str, partition: i32, before_offset: i64, _now: Timestamp) -> Result<u64> {
        let full_name = self.full_name(topic);
        let (low, _) = watermarks(&*self.asking()?, &full_name, partition)?;
        // The last record that was taken stays. If it is the last there is, it says how many there were; what comes after it
        // may be a transaction that was aborted.
        let before = before_offset - 1;
        if before <= low {
            return Ok(0);
        }
        let mut list = TopicPartitionList::new();
        let doing = format!("trim topic `{topic}` partition {partition}");
        list.add_partition_offset(&full_name, partition, Offset::Offset(before))
            .map_err(|error| failed(&doing, &error))?;
        let admin = self.admin()?;
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
        let trimmed = futures::executor::block_on(admin.delete_records(&list, &options));
        trimmed.map_err(|error| failed(&doing, &error))?;
        Ok(0)
    }
}
