//! Which partitions there are, and where each is read from.

use std::sync::Arc;

use headwater_ingest::error::{Error, Result};
use headwater_ingest::position::{Positions, fingerprint_key, log_key};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use sha2::{Digest, Sha256};

use super::client::{ANSWER, Reading, metadata};
use super::config::{KafkaConfig, Start, millis, whole};
use super::failure::{failed, passing, unanswered};

/// One partition under way.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) topic: Arc<str>,
    pub(super) number: i32,
    pub(super) key: String,
    pub(super) fingerprint_key: String,
    /// Offset to read next.
    pub(super) next: i64,
    /// The record before `next`, to be met again and compared before anything is taken.
    pub(super) expected: Option<Expected>,
    /// Nothing more came since the end was met.
    pub(super) at_end: bool,
    /// Next offset of the partition when it was last asked.
    pub(super) end: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) offset: i64,
    pub(super) fingerprint: i64,
}

/// What the lake knows of a partition.
pub(super) struct Committed {
    pub(super) last: Option<i64>,
    fingerprint: Option<i64>,
    /// Whether other partitions of the topic were read before.
    pub(super) topic_is_known: bool,
}

impl Committed {
    pub(super) fn of(positions: &Positions, pipeline: &str, topic: &str, partition: i32) -> Self {
        let beginning = format!("k/{pipeline}/{topic}/");
        // Below 0: a restart forgot it.
        let last = positions.get(&log_key(pipeline, topic, partition)).filter(|last| *last >= 0);
        Self {
            last,
            fingerprint: last.and(positions.get(&fingerprint_key(pipeline, topic, partition))),
            topic_is_known: positions.0.keys().any(|key| key.starts_with(&beginning)),
        }
    }
}

/// Names of the topics to read, and how many partitions each has.
pub(super) fn find(consumer: &Reading, config: &KafkaConfig) -> Result<Vec<(Arc<str>, i32)>> {
    let mut found: Vec<(Arc<str>, i32)> = Vec::new();
    let count = |partitions: usize| i32::try_from(partitions).unwrap_or(i32::MAX);
    for name in &config.topics.0 {
        let described = metadata(consumer, Some(name))?;
        let topic = described.topics().iter().find(|topic| topic.name() == name);
        match topic.filter(|topic| topic.error().is_none() && !topic.partitions().is_empty()) {
            Some(topic) => found.push((name.as_str().into(), count(topic.partitions().len()))),
            None => return Err(Error::UnknownTopic { topic: name.clone() }),
        }
    }
    if let Some(pattern) = &config.pattern {
        let fits = whole(pattern).map_err(|error| Error::Schema { reason: error.to_string() })?;
        for topic in metadata(consumer, None)?.topics() {
            let is_known = config.topics.0.iter().any(|name| name == topic.name());
            if !is_known && !topic.name().starts_with("__") && fits.is_match(topic.name()) && topic.error().is_none() {
                found.push((topic.name().into(), count(topic.partitions().len())));
            }
        }
    }
    Ok(found)
}

/// Where to read a partition from. A place the partition no longer has is an error, never a jump.
pub(super) fn cursor(
    consumer: &Reading,
    config: &KafkaConfig,
    pipeline: &str,
    place: (&Arc<str>, i32),
    range: (i64, i64),
    committed: &Committed,
) -> Result<Cursor> {
    let (topic, number) = (Arc::clone(place.0), place.1);
    let (low, high) = range;
    let (name, partition) = (topic.to_string(), number);
    let next = match committed.last {
        Some(last) if last + 1 < low => return Err(Error::Gap { topic: name, partition, committed: last, start: low }),
        Some(last) if last + 1 > high => {
            return Err(Error::Rewound { topic: name, partition, committed: last, end: high });
        }
        Some(last) => last + 1,
        None if committed.topic_is_known => low,
        None => beginning(consumer, &config.start, &topic, number, (low, high))?,
    };
    let expected = match (committed.last, committed.fingerprint) {
        (Some(offset), Some(fingerprint)) if offset >= low => Some(Expected { offset, fingerprint }),
        _ => None,
    };
    let key = log_key(pipeline, &topic, number);
    let fingerprint_key = fingerprint_key(pipeline, &topic, number);
    Ok(Cursor { topic, number, key, fingerprint_key, next, expected, at_end: false, end: high })
}

fn beginning(consumer: &Reading, start: &Start, topic: &str, number: i32, range: (i64, i64)) -> Result<i64> {
    let (low, high) = range;
    match start {
        Start::Earliest => Ok(low),
        Start::Latest => Ok(high),
        Start::Offset(offset) => Ok((*offset).clamp(low, high)),
        Start::Timestamp(text) => {
            let doing = || format!("find the offset of {text} in topic `{topic}` partition {number}");
            let time = millis(text).ok_or_else(|| Error::Schema { reason: format!("`{text}` is no time") })?;
            let mut asked = TopicPartitionList::new();
            asked
                .add_partition_offset(topic, number, Offset::Offset(time))
                .map_err(|error| failed(&doing(), &error))?;
            let found = consumer.offsets_for_times(asked, ANSWER).map_err(|error| unanswered(&doing(), &error))?;
            let found = found.find_partition(topic, number);
            match found.as_ref().map(|one| (one.error(), one.offset())) {
                Some((Ok(()), Offset::Offset(offset))) => Ok(offset),
                // Nothing is as late as that yet.
                Some((Ok(()), Offset::End)) => Ok(high),
                Some((Err(error), _)) => Err(unanswered(&doing(), &error)),
                // No answer is not the end: what is there would be passed over.
                _ => Err(passing(format!("cannot {}: there was no answer", doing())).into()),
            }
        }
    }
}

/// The assignment of cursors to their places.
pub(super) fn assignment<'a>(cursors: impl Iterator<Item = &'a Cursor>) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for cursor in cursors {
        let from = cursor.expected.map_or(cursor.next, |expected| expected.offset);
        list.add_partition_offset(&cursor.topic, cursor.number, Offset::Offset(from))
            .map_err(|error| failed("assign partitions", &error))?;
    }
    Ok(list)
}

/// What tells a record from another at the same offset.
pub(super) fn fingerprint(timestamp: i64, key: &[u8], payload: &[u8]) -> i64 {
    let mut hash = Sha256::new();
    hash.update(timestamp.to_le_bytes());
    hash.update((key.len() as u64).to_le_bytes());
    hash.update(key);
    hash.update(payload);
    folded(&hash.finalize())
}

/// What tells a text, such as the name of a cluster, from another.
pub(super) fn text_fingerprint(text: &str) -> i64 {
    folded(&Sha256::digest(text.as_bytes()))
}

/// The first bytes of a hash as a version in the log of a table, which must not be negative.
fn folded(hash: &[u8]) -> i64 {
    let first = hash.first_chunk::<8>().copied().unwrap_or_default();
    i64::from_be_bytes(first) & i64::MAX
}
