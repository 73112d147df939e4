//! What every log must do. An implementation passes by giving an empty log to [`check`].

use headwater_project::Timestamp;

use crate::error::Error;
use crate::log::{EventLog, PartitionDescription, TopicConfig};
use crate::record::RecordBuffer;

/// Returns what the log does wrong first. Creates topics `conformance` and `conformance-other`.
pub fn check(log: &dyn EventLog) -> Result<(), String> {
    creates_topics_once(log).map_err(|problem| format!("create_topic: {problem}"))?;
    shows_only_what_is_synced(log).map_err(|problem| format!("sync: {problem}"))?;
    reads_in_order_from_anywhere(log).map_err(|problem| format!("read: {problem}"))?;
    keeps_partitions_apart(log).map_err(|problem| format!("partitions: {problem}"))?;
    refuses_what_is_not_there(log).map_err(|problem| format!("errors: {problem}"))?;
    trims_no_more_than_allowed(log).map_err(|problem| format!("trim: {problem}"))
}

const TOPIC: &str = "conformance";

fn ensure(holds: bool, problem: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem.into()) }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape `map_err` wants")]
fn text(error: Error) -> String {
    error.to_string()
}

/// Never 0, which stands for a time that is not known: a log may put its own there.
fn time(number: i64) -> i64 {
    (number + 1) * 10
}

fn payload(number: i64) -> String {
    format!("record {number}")
}

fn batch(numbers: std::ops::Range<i64>) -> RecordBuffer {
    let mut records = RecordBuffer::default();
    for number in numbers {
        records.push_payload(time(number), format!("key {number}").as_bytes(), payload(number).as_bytes());
    }
    records
}

fn creates_topics_once(log: &dyn EventLog) -> Result<(), String> {
    let config = TopicConfig { partitions: 2, segment_bytes: 4 << 10, ..TopicConfig::default() };
    log.create_topic(TOPIC, &config).map_err(text)?;
    log.create_topic(TOPIC, &config).map_err(|error| format!("creating a topic again fails: {error}"))?;
    let more = TopicConfig { partitions: 3, ..config };
    ensure(log.create_topic(TOPIC, &more).is_err(), "the number of partitions changed")?;
    let topics = log.topics().map_err(text)?;
    let found = topics.iter().find(|topic| topic.name == TOPIC).ok_or("the topic is not listed")?;
    ensure(found.partitions.len() == 2, "not all partitions are listed")?;
    ensure(found.partitions.iter().all(|one| one.start_offset == one.end_offset), "a new partition is not empty")
}

fn shows_only_what_is_synced(log: &dyn EventLog) -> Result<(), String> {
    ensure(log.appended(TOPIC, 0).map_err(text)? == 0, "a new partition has records")?;
    let numbers = log.append(TOPIC, 0, &batch(0..10)).map_err(text)?;
    ensure(numbers == (0..10), format!("ten records got numbers {numbers:?}"))?;
    let mut found = RecordBuffer::default();
    let outcome = log.read(TOPIC, 0, 0, 1 << 20, &mut found).map_err(text)?;
    ensure(found.is_empty() && outcome.at_end, "records are visible before the sync")?;
    log.sync().map_err(text)?;
    let outcome = log.read(TOPIC, 0, 0, 1 << 20, &mut found).map_err(text)?;
    ensure(found.len() == 10 && outcome.next_offset >= 10, "records are not visible after the sync")?;
    ensure(log.appended(TOPIC, 0).map_err(text)? == 10, "ten durable records are not counted as ten")
}

fn reads_in_order_from_anywhere(log: &dyn EventLog) -> Result<(), String> {
    for start in (10..2_000).step_by(199) {
        log.append(TOPIC, 0, &batch(start..(start + 199).min(2_000))).map_err(text)?;
        log.sync().map_err(text)?;
    }
    let offsets = read_to_end(log, 0, 0, 1 << 20)?;
    for from in [0, 1, 9, 10, 777, 1_999] {
        for max_bytes in [1, 100, 10_000, 1 << 20] {
            let offset = offsets.get(from).copied().ok_or("a record has no offset")?;
            read_to_end(log, offset, i64::try_from(from).unwrap_or(i64::MAX), max_bytes)?;
        }
    }
    let mut found = RecordBuffer::default();
    let outcome = log.read(TOPIC, 0, described(log)?.end_offset, 100, &mut found).map_err(text)?;
    ensure(found.is_empty() && outcome.at_end, "there is something at the end")
}

fn described(log: &dyn EventLog) -> Result<PartitionDescription, String> {
    let topics = log.topics().map_err(text)?;
    let found = topics.iter().find(|topic| topic.name == TOPIC).and_then(|topic| topic.partitions.first().copied());
    found.ok_or_else(|| "the topic is not listed".to_owned())
}

/// Reads from an offset, where the record with number `first` is, to the end; the offsets of the records.
fn read_to_end(log: &dyn EventLog, from: i64, first: i64, max_bytes: usize) -> Result<Vec<i64>, String> {
    let mut records = RecordBuffer::default();
    let (mut next, mut expected, mut offsets) = (from, first, Vec::new());
    loop {
        records.clear();
        let outcome = log.read(TOPIC, 0, next, max_bytes, &mut records).map_err(text)?;
        for record in records.iter() {
            let right = record.offset >= next.max(offsets.last().map_or(0, |last| last + 1))
                && record.timestamp == time(expected)
                && record.payload == payload(expected).as_bytes()
                && record.key == format!("key {expected}").as_bytes();
            ensure(right, format!("from {from}: found {record:?} as number {expected}"))?;
            expected += 1;
            offsets.push(record.offset);
        }
        let after = offsets.last().map_or(from, |last| last + 1);
        ensure(outcome.next_offset >= after, format!("read on at {}, before {after}", outcome.next_offset))?;
        next = outcome.next_offset;
        // Where transactions leave marks, the end may only show itself by the next read.
        if outcome.at_end {
            ensure(expected == 2_000, format!("the end was reported at {expected}"))?;
            return Ok(offsets);
        }
        ensure(!records.is_empty(), "a read returned nothing before the end")?;
    }
}

fn keeps_partitions_apart(log: &dyn EventLog) -> Result<(), String> {
    let offsets = log.append(TOPIC, 1, &batch(0..3)).map_err(text)?;
    ensure(offsets == (0..3), format!("the second partition begins at {offsets:?}"))?;
    log.create_topic("conformance-other", &TopicConfig::default()).map_err(text)?;
    log.sync().map_err(text)?;
    let mut found = RecordBuffer::default();
    log.read(TOPIC, 1, 0, 1 << 20, &mut found).map_err(text)?;
    log.read("conformance-other", 0, 0, 1 << 20, &mut found).map_err(text)?;
    ensure(found.len() == 3, "a partition holds records of another")
}

fn refuses_what_is_not_there(log: &dyn EventLog) -> Result<(), String> {
    let mut found = RecordBuffer::default();
    let past = log.read(TOPIC, 0, described(log)?.end_offset + 1, 10, &mut found);
    ensure(matches!(past, Err(Error::OutOfRange { .. })), "reading past the end is not `OutOfRange`")?;
    ensure(log.read(TOPIC, 7, 0, 10, &mut found).is_err(), "a partition that does not exist can be read")?;
    ensure(log.append("conformance-none", 0, &batch(0..1)).is_err(), "a topic that does not exist can be written")
}

fn trims_no_more_than_allowed(log: &dyn EventLog) -> Result<(), String> {
    // A failed append may have left the log asking to be asked.
    ensure(log.appended(TOPIC, 0).map_err(text)? == 2_000, "two thousand durable records are not counted as that")?;
    let offsets = read_to_end(log, 0, 0, 1 << 20)?;
    let allowed = offsets.get(1_500).copied().unwrap_or_default();
    log.trim(TOPIC, 0, allowed, Timestamp::from_millis(0)).map_err(text)?;
    let mut found = RecordBuffer::default();
    log.read(TOPIC, 0, allowed, 1, &mut found).map_err(|error| format!("a kept record is gone: {error}"))?;
    let numbers = log.append(TOPIC, 0, &batch(2_000..2_001)).map_err(text)?;
    ensure(numbers == (2_000..2_001), "trimming changed the numbering")?;
    log.sync().map_err(text)?;
    let start = described(log)?.start_offset;
    if start > 0 {
        let gone = log.read(TOPIC, 0, start - 1, 10, &mut found);
        ensure(matches!(gone, Err(Error::OutOfRange { .. })), "reading before the start is not `OutOfRange`")?;
    }
    ensure(start <= allowed, format!("records up to {start} went, {allowed} was allowed"))
}
