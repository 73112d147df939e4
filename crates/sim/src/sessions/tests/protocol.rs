//! The contract of a generator: same records whatever the slicing, exact fields, counts that reconcile.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::SimError;
use crate::generator::{TopicCounts, TopicSpec};

fn troubled() -> Value {
    site_with(&json!({
        "n-users": 15,
        "growth-rate": 30.0,
        "attrition-rate": 5.0,
        "end-date": "2018-11-04",
        "faults": {"late": {"share": 0.1, "max-delay": 90_000}, "duplicate": {"share": 0.1}, "malformed": {"share": 0.1}},
    }))
}

/// One way to call `produce`: how far, how much at once, and whether to go through a snapshot afterwards.
#[derive(Clone, Debug)]
struct Slice {
    minutes: i64,
    records: usize,
    restore: bool,
}

fn slices() -> impl Strategy<Value = Vec<Slice>> {
    let slice = (1..2_000i64, 0..200usize, proptest::bool::weighted(0.2));
    let slice = slice.prop_map(|(minutes, records, restore)| Slice { minutes, records, restore });
    proptest::collection::vec(slice, 1..60)
}

fn restored(sessions: &Sessions, config: &SessionsConfig) -> Sessions {
    let mut snapshot = Vec::new();
    sessions.snapshot(&mut snapshot).unwrap();
    Sessions::restore(config, &mut snapshot.as_slice()).unwrap()
}

fn run_sliced(config: &SessionsConfig, slices: &[Slice]) -> (Vec<Record>, Sessions) {
    let mut sessions = Sessions::new(config).unwrap();
    let mut collected = Collected::default();
    let mut until = config.start;
    for slice in slices {
        until = Timestamp(until.0 + slice.minutes * 60_000_000);
        let before = collected.0.len();
        let produced = sessions.produce(until, slice.records, &mut collected);
        assert_eq!(produced.records, collected.0.len() - before);
        if produced.stop != Stop::Limit {
            assert!(sessions.next_time().is_none_or(|next| next >= until));
        }
        if slice.restore {
            sessions = restored(&sessions, config);
        }
    }
    sessions.produce(END_OF_TIME, usize::MAX, &mut collected);
    (collected.0, sessions)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn records_do_not_depend_on_how_they_are_asked_for(slices in slices()) {
        let config = config(&troubled());
        let (whole, one) = run(&troubled());
        let (sliced, many) = run_sliced(&config, &slices);
        prop_assert_eq!(whole.len(), sliced.len());
        prop_assert!(whole == sliced);
        prop_assert_eq!(one.counts(), many.counts());
    }
}

#[test]
fn seed_changes_the_records() {
    let first = run(&site()).0;
    assert_eq!(first, run(&site()).0);
    assert_ne!(first, run(&site_with(&json!({"seed": 43}))).0);
}

#[test]
fn delivery_times_never_go_backwards() {
    let mut sessions = Sessions::new(&config(&troubled())).unwrap();
    let mut last = Timestamp(0);
    while let Some(next) = sessions.next_time() {
        assert!(next >= last);
        last = next;
        sessions.produce(Timestamp(next.0 + 1), usize::MAX, &mut Collected::default());
    }
}

#[test]
fn snapshot_of_another_seed_is_refused() {
    let mut snapshot = Vec::new();
    Sessions::new(&config(&site())).unwrap().snapshot(&mut snapshot).unwrap();
    let other = config(&site_with(&json!({"seed": 43})));
    assert!(matches!(Sessions::restore(&other, &mut snapshot.as_slice()), Err(SimError::SnapshotMismatch)));
}

fn columns(spec: &TopicSpec) -> Vec<String> {
    spec.schema.fields().iter().map(|field| field.name().clone()).collect()
}

const DEVICE: [&str; 6] = ["zip", "city", "state", "lat", "lon", "userAgent"];
const PERSON: [&str; 5] = ["userId", "lastName", "firstName", "gender", "registration"];

/// The fields a record must have, in order.
fn expected_fields(record: &Record, json: &Value) -> Vec<&'static str> {
    let own: &[&str] = match record.topic {
        LISTEN => &["artist", "song", "duration", "ts", "sessionId", "auth", "level", "itemInSession"],
        VIEW => &["ts", "sessionId", "page", "auth", "method", "status", "level", "itemInSession"],
        STATUS => &["ts", "sessionId", "auth", "level", "itemInSession"],
        AUTH => &["ts", "sessionId", "level", "itemInSession", "success"],
        _ => &["ts", "userId", "lastName", "firstName", "gender", "registration", "level"],
    };
    let shown = match (record.topic, json["auth"].as_str()) {
        (AUTH, _) => json["success"] == true,
        (_, auth) => matches!(auth, Some("Logged In" | "Cancelled")),
    };
    let mut fields = own.to_vec();
    if record.topic != USER {
        fields.extend(DEVICE);
        if shown {
            fields.extend(PERSON);
            fields.push("tag");
        }
    }
    if json["page"] == "PlayAd" {
        fields.push("ad_revenue");
    }
    fields
}

#[test]
fn records_have_exactly_the_specified_fields_in_the_declared_order() {
    let (records, sessions) = run(&site_with(&json!({"tag": "t", "n-users": 100})));
    let declared: Vec<Vec<String>> = sessions.topics().iter().map(columns).collect();
    let names: Vec<&str> = sessions.topics().iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, ["listen_events", "page_view_events", "status_change_events", "auth_events", "user_info"]);
    let mut seen = [0; 5];
    for record in &records {
        let json = record.json();
        let fields: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, expected_fields(record, &json), "{json}");
        let mut rest = declared[record.topic].iter();
        assert!(fields.iter().all(|field| rest.any(|column| column == field)), "{fields:?}");
        assert_eq!(json["ts"], record.at);
        seen[record.topic] += 1;
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[test]
fn records_parse_into_their_declared_columns() {
    let (records, sessions) = run(&site_with(&json!({"tag": "t"})));
    for (index, topic) in sessions.topics().iter().enumerate() {
        let mut decoder =
            arrow::json::ReaderBuilder::new(topic.schema.clone()).with_strict_mode(true).build_decoder().unwrap();
        let mut rows = 0;
        for record in records.iter().filter(|record| record.topic == index) {
            assert_eq!(decoder.decode(&record.payload).unwrap(), record.payload.len());
            rows += decoder.flush().unwrap().unwrap().num_rows();
        }
        assert_eq!(rows, records.iter().filter(|record| record.topic == index).count());
    }
}

#[test]
fn advertising_revenue_is_a_price_in_tenths_of_a_cent() {
    let (records, _) = run(&site_with(&json!({"n-users": 200})));
    let mut prices: HashMap<String, u32> = HashMap::new();
    for record in records.iter().filter(|record| record.topic == VIEW) {
        let text = String::from_utf8(record.payload.clone()).unwrap();
        if let Some((_, price)) = text.split_once("\"ad_revenue\":") {
            *prices.entry(price.trim_end_matches('}').to_owned()).or_default() += 1;
        }
    }
    let mut found: Vec<String> = prices.into_keys().collect();
    found.sort();
    assert_eq!(found, ["0.005", "0.006", "0.007", "0.008", "0.009", "0.010"]);
}

#[test]
fn user_info_comes_once_at_the_first_event_that_is_not_a_guests() {
    let (records, _) = run(&site_with(&json!({"n-users": 200})));
    let mut introduced: HashMap<u64, i64> = HashMap::new();
    let mut first: HashMap<u64, i64> = HashMap::new();
    for record in &records {
        match record.topic {
            USER => assert_eq!(introduced.insert(record.key, record.at), None),
            VIEW if record.json()["auth"] != "Guest" => drop(first.entry(record.key).or_insert(record.at)),
            _ => {}
        }
    }
    assert!(introduced.len() > 120);
    assert_eq!(introduced, first);
}

#[test]
fn sessions_have_one_user_and_number_their_items_from_zero() {
    let (records, _) = run(&site());
    let mut items: HashMap<u64, (u64, u64)> = HashMap::new();
    for record in records.iter().filter(|record| record.topic == VIEW) {
        let json = record.json();
        let (session, item) = (json["sessionId"].as_u64().unwrap(), json["itemInSession"].as_u64().unwrap());
        let (user, next) = items.entry(session).or_insert((record.key, 0));
        assert_eq!((*user, *next), (record.key, item));
        *next += 1;
    }
    assert!(items.len() > 100);
}

#[test]
fn level_changes_state_the_level_before() {
    let (records, _) = run(&site_with(&json!({"n-users": 200})));
    let pages: HashMap<(u64, i64), Value> = records
        .iter()
        .filter(|record| record.topic == VIEW)
        .map(|record| ((record.key, record.at), record.json()))
        .collect();
    let changes: Vec<&Record> = records.iter().filter(|record| record.topic == STATUS).collect();
    assert!(changes.len() > 10);
    for change in changes {
        let page = &pages[&(change.key, change.at)];
        let before = if page["page"] == "Submit Upgrade" { "free" } else { "paid" };
        assert!(page["page"].as_str().unwrap().starts_with("Submit "));
        assert_eq!(change.json()["level"], before);
    }
}

fn reconcile(counts: &TopicCounts) {
    assert_eq!(counts.delivered, counts.good + counts.duplicates + counts.malformed);
    assert_eq!((counts.waiting, counts.faults_skipped), (0, 0));
}

#[test]
fn faults_are_counted_and_leave_the_good_data_complete() {
    let clean = run(&site_with(&json!({"n-users": 100}))).0;
    let faults = json!({"late": {"share": 0.05, "max-delay": 90_000}, "duplicate": {"share": 0.03}, "malformed": {"share": 0.02}});
    let (records, sessions) = run(&site_with(&json!({"n-users": 100, "faults": faults})));
    let mut copies: HashMap<&Record, i64> = HashMap::new();
    clean.iter().for_each(|record| *copies.entry(record).or_default() += 1);
    let mut malformed = [0u64; 5];
    let mut duplicates = [0u64; 5];
    for record in &records {
        match copies.get_mut(record) {
            Some(left) => *left -= 1,
            None => malformed[record.topic] += 1,
        }
    }
    for (record, left) in &copies {
        assert!(*left <= 0, "lost {record:?}");
        duplicates[record.topic] += left.unsigned_abs();
    }
    for (index, counts) in sessions.counts().topics.iter().enumerate() {
        reconcile(counts);
        assert_eq!(counts.good, clean.iter().filter(|record| record.topic == index).count() as u64);
        assert_eq!((counts.malformed, counts.duplicates), (malformed[index], duplicates[index]), "topic {index}");
    }
    let views = sessions.counts().topics[VIEW];
    let share = |count: u64| count as f64 / views.good as f64;
    assert!((share(views.late) - 0.05).abs() < 0.01, "{views:?}");
    assert!((share(views.duplicates) - 0.03).abs() < 0.01, "{views:?}");
    assert!((share(views.malformed) - 0.02).abs() < 0.01, "{views:?}");
}

#[test]
fn late_records_arrive_late_by_at_most_the_delay_and_keep_their_time() {
    let value = site_with(&json!({"faults": {"late": {"share": 1.0, "max-delay": 3_600}}}));
    let mut sessions = Sessions::new(&config(&value)).unwrap();
    let mut delays = Vec::new();
    while let Some(next) = sessions.next_time() {
        let mut collected = Collected::default();
        sessions.produce(Timestamp(next.0 + 1), usize::MAX, &mut collected);
        delays.extend(collected.0.iter().map(|record| next.as_millis() - record.at));
    }
    assert!(delays.iter().all(|delay| (1..=3_600_000).contains(delay)));
    assert!(delays.iter().any(|delay| *delay > 3_000_000));
}

#[test]
fn malformed_records_do_not_decode_and_stay_on_one_line() {
    let value = site_with(&json!({"n-users": 100, "faults": {"malformed": {"share": 1.0}}}));
    let (records, sessions) = run(&value);
    let good: std::collections::HashSet<Record> = run(&site_with(&json!({"n-users": 100}))).0.into_iter().collect();
    let bad: Vec<&Record> = records.iter().filter(|record| !good.contains(record)).collect();
    assert_eq!(bad.len(), good.len());
    for record in bad.iter().step_by(7) {
        assert!(!record.payload.is_empty() && !record.payload.contains(&b'\n'));
        let schema = sessions.topics()[record.topic].schema.clone();
        let mut decoder = arrow::json::ReaderBuilder::new(schema).build_decoder().unwrap();
        let decoded = decoder.decode(&record.payload).and_then(|_| decoder.flush());
        assert!(!matches!(decoded, Ok(Some(_))), "{}", String::from_utf8_lossy(&record.payload));
    }
}
