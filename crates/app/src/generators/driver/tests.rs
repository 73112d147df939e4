use serde_json::json;

use super::*;
use crate::clock::SystemClock;
use crate::generators::null_log::NullLog;

const MADE_BEFORE: u64 = 1_000;

fn config() -> SessionsConfig {
    let home = |auth: &str| json!({"page": "Home", "auth": auth, "level": "free", "method": "GET", "status": 200});
    let mut start = home("Logged In");
    start["weight"] = json!(1);
    let value = json!({
        "seed": 7, "alpha": 60.0, "beta": 3_600.0,
        "levels": [{"level": "free", "weight": 1}],
        "auths": [{"auth": "Logged In", "weight": 1}],
        "new-session": [start],
        "transitions": [{"source": home("Logged In"), "dest": home("Logged In"), "p": 0.9}],
        "start-date": "2018-11-01", "end-date": "2018-12-01", "n-users": 20, "songs": 10,
    });
    let (config, found) =
        SessionsConfig::read(&value, &Default::default(), Timestamp(1_543_536_000_000_000), &|_| None);
    config.unwrap_or_else(|| panic!("{found:?}"))
}

fn driver(log: &Arc<NullLog>, snapshot: PathBuf, until: Until) -> Driver {
    let config = config();
    Driver {
        source: "site".into(),
        generator: Sessions::new(&config).unwrap(),
        config,
        log: Arc::clone(log) as Arc<dyn EventLog>,
        clock: Arc::new(SystemClock::start()),
        partitions: 2,
        retention_bytes: None,
        snapshot,
        until,
        max_records: Some(MADE_BEFORE),
        status: Arc::default(),
        log_recovers: false,
    }
}

fn records(log: &NullLog) -> i64 {
    EventLog::topics(log)
        .unwrap()
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|partition| partition.end_offset)
        .sum()
}

/// A log with records, no snapshot of the generator that made them, and a generator that starts again.
#[track_caller]
fn check_repeats(until: Until, expected: bool) {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(NullLog::new(2));
    driver(&log, folder.path().join("first"), Until::BacklogDone).run(&CancellationToken::new()).unwrap();
    let held = records(&log);
    assert!(held >= MADE_BEFORE as i64, "{held}");

    let mut again = driver(&log, folder.path().join("second"), until);
    let topics = again.generator.topics().to_vec();
    let mut buffers = again.buffers(&topics).unwrap();
    assert!(buffers.is_behind());
    again.repeat_past(&topics, &mut buffers, &CancellationToken::new()).unwrap();
    assert_eq!(!buffers.is_behind(), expected, "{until:?}");
    // What was only made again is not appended again; at most one call runs past the end of what the log holds.
    assert!(records(&log) - held <= RECORDS_PER_REPEAT as i64, "{until:?}");
    assert_eq!((records(&log) - held) as u64, buffers.appended, "{until:?}");
}

#[test]
fn what_the_log_holds_is_made_again_at_once_where_event_time_is_not_the_clocks() {
    check_repeats(Until::Live { speed: 60.0 }, true);
    check_repeats(Until::Live { speed: 0.5 }, true);
    // In step with the clock the past is due at once anyway.
    check_repeats(Until::Live { speed: 1.0 }, false);
    check_repeats(Until::BacklogDone, false);
}

#[test]
fn a_generator_that_repeats_its_past_stops_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(NullLog::new(2));
    driver(&log, folder.path().join("first"), Until::BacklogDone).run(&CancellationToken::new()).unwrap();
    let mut again = driver(&log, folder.path().join("second"), Until::Live { speed: 60.0 });
    let topics = again.generator.topics().to_vec();
    let mut buffers = again.buffers(&topics).unwrap();
    let stopped = CancellationToken::new();
    stopped.cancel();
    again.repeat_past(&topics, &mut buffers, &stopped).unwrap();
    assert!(buffers.is_behind());
}
