use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use headwater_project::{Classify, Kind, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::error::Error;

fn open(root: &Path) -> LocalLog {
    LocalLog::open(root, LocalLogOptions { min_free_bytes: 0, ..LocalLogOptions::default() }).unwrap()
}

fn batch(count: usize, bytes: usize) -> RecordBuffer {
    let mut records = RecordBuffer::default();
    for number in 0..count {
        records.push_payload(1_000 + number as i64, b"", &vec![b'a' + (number % 26) as u8; bytes]);
    }
    records
}

fn read_all(log: &dyn EventLog, topic: &str) -> Vec<i64> {
    let mut records = RecordBuffer::default();
    let mut next = 0;
    loop {
        let outcome = log.read(topic, 0, next, 1 << 20, &mut records).unwrap();
        next = outcome.next_offset;
        if outcome.at_end {
            return records.offsets().to_vec();
        }
    }
}

fn segments(root: &Path, topic: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(root.join(topic).join("0")).unwrap().map(|e| e.unwrap().path()).collect();
    found.sort();
    found
}

/// A log with one topic `t` of small segments, holding synced batches of ten records.
fn filled(root: &Path, batches: usize) -> LocalLog {
    let log = open(root);
    log.create_topic("t", &TopicConfig { segment_bytes: 4_000, ..TopicConfig::default() }).unwrap();
    for _ in 0..batches {
        log.append("t", 0, &batch(10, 100)).unwrap();
        log.sync().unwrap();
    }
    log
}

#[test]
fn the_local_log_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conformance::check(&open(folder.path())).unwrap();
}

#[test]
fn the_memory_log_conforms() {
    conformance::check(&MemoryLog::default()).unwrap();
}

#[test]
fn records_are_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path(), 20));
    let log = open(folder.path());
    assert_eq!(log.torn_bytes(), 0);
    assert_eq!(read_all(&log, "t"), (0..200).collect::<Vec<_>>());
    assert_eq!(log.append("t", 0, &batch(1, 1)).unwrap(), 200..201);
}

#[test]
fn a_second_writer_is_refused_and_told_who_holds_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path());
    let second = LocalLog::open(folder.path(), LocalLogOptions::default()).unwrap_err();
    assert_eq!(second.kind(), Kind::Conflict);
    assert!(second.hint().unwrap().contains(&std::process::id().to_string()));
}

#[test]
fn a_torn_tail_is_cut_off_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path(), 1));
    let path = segments(folder.path(), "t").pop().unwrap();
    let whole = fs::read(&path).unwrap();
    for kept in [1, 11, 12, 40, whole.len() - 1] {
        fs::write(&path, [whole.as_slice(), &whole[..kept]].concat()).unwrap();
        let log = open(folder.path());
        assert_eq!(log.torn_bytes(), kept as u64);
        assert_eq!(read_all(&log, "t").len(), 10);
        drop(log);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn damage_before_synced_frames_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path(), 3));
    let path = segments(folder.path(), "t").pop().unwrap();
    let whole = fs::read(&path).unwrap();
    for place in [0, 5, 9, 100, whole.len() / 3 + 20] {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x40;
        fs::write(&path, &damaged).unwrap();
        let error = LocalLog::open(folder.path(), LocalLogOptions::default()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "byte {place}: {error}");
        assert_eq!(fs::read(&path).unwrap(), damaged, "a damaged segment is left as it is");
    }
}

#[test]
fn damage_in_frames_that_were_never_synced_is_a_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let log = filled(folder.path(), 1);
    let path = segments(folder.path(), "t").pop().unwrap();
    let synced = fs::read(&path).unwrap().len();
    log.append("t", 0, &batch(5, 100)).unwrap();
    log.append("t", 0, &batch(5, 100)).unwrap();
    drop(log);
    let mut bytes = fs::read(&path).unwrap();
    bytes[synced + 50] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let log = open(folder.path());
    assert_eq!(log.torn_bytes(), (bytes.len() - synced) as u64);
    assert_eq!(read_all(&log, "t").len(), 10);
}

#[test]
fn damage_in_an_older_segment_is_found_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path(), 20));
    let path = segments(folder.path(), "t").remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[200] ^= 1;
    fs::write(&path, bytes).unwrap();
    let log = open(folder.path());
    let error = log.read("t", 0, 0, 1, &mut RecordBuffer::default()).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(log.read("t", 0, 190, 1, &mut RecordBuffer::default()).is_ok());
}

#[test]
fn a_reader_in_another_process_follows_the_writer_across_segments() {
    let folder = tempfile::tempdir().unwrap();
    let log = filled(folder.path(), 1);
    let reader = LocalLog::open_reader(folder.path()).unwrap();
    assert_eq!(read_all(&reader, "t").len(), 10);
    for _ in 0..12 {
        log.append("t", 0, &batch(10, 100)).unwrap();
        log.sync().unwrap();
    }
    assert!(segments(folder.path(), "t").len() > 2);
    assert_eq!(read_all(&reader, "t"), (0..130).collect::<Vec<_>>());
    assert_eq!(reader.topics().unwrap(), log.topics().unwrap());
    assert!(matches!(reader.append("t", 0, &batch(1, 1)), Err(Error::ReadOnly)));
}

#[test]
fn a_reader_stops_before_a_frame_that_is_still_being_written() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path(), 1));
    let path = segments(folder.path(), "t").pop().unwrap();
    let whole = fs::read(&path).unwrap();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&whole[..60]).unwrap();
    let reader = LocalLog::open_reader(folder.path()).unwrap();
    assert_eq!(read_all(&reader, "t").len(), 10);
}

#[test]
fn trimming_frees_whole_segments_as_retention_allows() {
    let check = |config: TopicConfig, before: i64, now: i64, kept_from_at_most: i64, frees: bool| {
        let folder = tempfile::tempdir().unwrap();
        let log = filled(folder.path(), 20);
        log.create_topic("t", &TopicConfig { segment_bytes: 4_000, ..config }).unwrap();
        let freed = log.trim("t", 0, before, Timestamp::from_millis(now)).unwrap();
        let described = log.topics().unwrap();
        let start = described[0].partitions[0].start_offset;
        assert!(start <= kept_from_at_most && start <= before, "kept from {start}");
        assert_eq!(freed > 0, frees);
        assert_eq!(start > 0, frees);
        drop(log);
        assert_eq!(open(folder.path()).topics().unwrap(), described);
    };
    let plain = TopicConfig::default();
    check(plain.clone(), 0, 0, 0, false);
    check(plain.clone(), 100, 0, 100, true);
    check(plain.clone(), 1_000, 0, 200, true);
    let aged = TopicConfig { retention_age: Some(Duration::from_secs(60)), ..plain };
    check(aged.clone(), 200, 2_000, 0, false);
    check(aged, 200, 100_000, 200, true);
    check(TopicConfig { retention_bytes: Some(1 << 30), ..plain }, 200, 0, 0, false);
}

#[test]
fn nothing_goes_before_the_slowest_consumer_has_it() {
    let consumers = Consumers::default();
    assert_eq!(consumers.advance("slow", "t", 0, 0), 0);
    assert_eq!(consumers.advance("fast", "t", 0, 90), 0);
    assert_eq!(consumers.advance("slow", "t", 0, 40), 40);
    consumers.remove("slow");
    assert_eq!(consumers.advance("fast", "t", 0, 95), 95);
}

#[test]
fn appends_are_refused_while_the_disk_is_nearly_full_and_go_on_after() {
    let folder = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(10));
    let shown = Arc::clone(&free);
    let free_space: local::FreeSpace = Arc::new(move |_: &Path| Ok(shown.load(Ordering::SeqCst)));
    let options = LocalLogOptions { min_free_bytes: 1_000, free_space, ..LocalLogOptions::default() };
    let log = LocalLog::open(folder.path(), options).unwrap();
    log.create_topic("t", &TopicConfig::default()).unwrap();
    for _ in 0..2 {
        assert_eq!(log.append("t", 0, &batch(1, 1)).unwrap_err().kind(), Kind::Exhausted);
    }
    free.store(5_000, Ordering::SeqCst);
    assert_eq!(log.append("t", 0, &batch(1, 1)).unwrap(), 0..1);
}

#[test]
fn a_record_over_the_limit_is_refused_with_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let log = filled(folder.path(), 1);
    let mut records = batch(1, 10);
    records.push_payload(0, b"", &vec![0; crate::limits::MAX_RECORD_BYTES + 1]);
    assert!(matches!(log.append("t", 0, &records), Err(Error::RecordTooLarge { .. })));
    assert_eq!(log.append("t", 0, &batch(1, 1)).unwrap(), 10..11);
}

#[test]
fn topic_names_cannot_leave_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    for name in ["", "..", ".x", "a/b", "a\\b", "a b", "\0", "ä"] {
        assert!(log.create_topic(name, &TopicConfig::default()).is_err(), "{name:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is cut off or overwritten past the last sync, what was synced comes back and numbering goes on.
    #[test]
    fn a_crash_keeps_what_was_synced_and_a_prefix_of_the_rest(
        synced in prop::collection::vec(1_usize..8, 1..6),
        unsynced in prop::collection::vec(1_usize..8, 0..4),
        cut in 0.0_f64..1.0,
        flip in prop::option::of(0.0_f64..1.0),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        log.create_topic("t", &TopicConfig::default()).unwrap();
        for count in &synced {
            log.append("t", 0, &batch(*count, 50)).unwrap();
            log.sync().unwrap();
        }
        let path = segments(folder.path(), "t").pop().unwrap();
        let durable = fs::metadata(&path).unwrap().len() as usize;
        for count in &unsynced {
            log.append("t", 0, &batch(*count, 50)).unwrap();
        }
        drop(log);
        let mut bytes = fs::read(&path).unwrap();
        let tail = bytes.len() - durable;
        bytes.truncate(durable + (tail as f64 * cut) as usize);
        let left = bytes.len() - durable;
        if let Some(at) = flip.filter(|_| left > 0) {
            bytes[durable + (left as f64 * at) as usize] ^= 0x10;
        }
        fs::write(&path, bytes).unwrap();
        let log = open(folder.path());
        let found = read_all(&log, "t");
        let (least, most) = (synced.iter().sum::<usize>(), synced.iter().chain(&unsynced).sum::<usize>());
        prop_assert!((least..=most).contains(&found.len()));
        let next = found.len() as i64;
        prop_assert_eq!(found, (0..next).collect::<Vec<_>>());
        prop_assert_eq!(log.append("t", 0, &batch(1, 1)).unwrap(), next..next + 1);
    }
}
