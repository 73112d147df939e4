use arrow::array::{ArrayRef, Int64Array, StringArray};

use super::*;
use crate::http::test_service::{Ticking, service};

/// Places with the tries and the status their rows have.
type Keys = Vec<(&'static str, Option<i64>, Option<&'static str>)>;

struct Fixed(Vec<Keys>);

impl OpenKeys for Fixed {
    fn open(&mut self, _: usize) -> Result<RecordBatch, Failure> {
        let keys = if self.0.is_empty() { Keys::new() } else { self.0.remove(0) };
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("place", Arc::new(keys.iter().map(|key| Some(key.0)).collect::<StringArray>())),
            (ATTEMPTS_COLUMN, Arc::new(keys.iter().map(|key| key.1).collect::<Int64Array>())),
            (STATUS_COLUMN, Arc::new(keys.iter().map(|key| key.2).collect::<StringArray>())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .map_err(|error| Failure::internal(error.to_string()))
    }
}

fn rows_of(batch: &RecordBatch) -> Vec<String> {
    let text = |name: &str, row: usize| batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
    let attempts = batch.column_by_name(ATTEMPTS_COLUMN).unwrap().as_primitive::<Int64Type>();
    let row = |row| format!("{} {} {}", text("place", row), text(STATUS_COLUMN, row), attempts.value(row));
    (0..batch.num_rows()).map(row).collect()
}

/// Runs to the end as `headwater ingest` does, each batch committed at once; the rows of each.
fn check(answer: fn(&str) -> (u16, &'static str), looks: Vec<Keys>, expected: &[&[&str]]) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let place = |head: &str| head.split(' ').nth(1).unwrap().rsplit('/').next().unwrap().to_owned();
    let (address, asked) = service(move |head| {
        let (status, body) = answer(&place(head));
        (status, String::new(), body.to_owned())
    });
    let connection: HttpConnection = serde_json::from_value(serde_json::json!({ "url": address })).unwrap();
    let config: HttpConfig = serde_json::from_value(serde_json::json!({
        "connection": "c", "path": "/at/{place}", "tries": 2,
        "lookup": {"keys": "k", "key": {"place": "text"}, "fields": {"t": {"type": "number"}}},
    }))
    .unwrap();
    let lookup = config.lookup.clone().unwrap();
    let clock = Arc::new(Ticking::default());
    let tools: (Arc<dyn Clock>, Arc<dyn Entropy>) = (Arc::clone(&clock) as _, clock);
    let keys = Box::new(Fixed(looks));
    let mut source = LookupSource::new("w", connection, (config, lookup), keys, None, tools).unwrap().stop_at_end();
    source.resume(&Positions::default()).unwrap();
    let mut found = Vec::new();
    loop {
        match source.next_batch(&ReadLimits { max_bytes: 1 }, RecordBuffer::default()).unwrap() {
            Next::Rows(batch) => {
                found.push(rows_of(&batch.rows));
                source.committed(&batch.positions).unwrap();
            }
            Next::Idle => {}
            Next::End => break,
            Next::Batch(_) => panic!("rows are typed"),
        }
    }
    assert_eq!(found, expected);
    asked.lock().unwrap().iter().map(|head| place(head)).collect()
}

const PENDING: [&str; 2] = ["a pending 0", "b pending 0"];

#[test]
fn new_keys_have_rows_before_and_after_they_are_asked_for() {
    let answer = |place: &str| if place == "a" { (200, r#"{"t": 1}"#) } else { (404, "{}") };
    let asked = check(
        answer,
        vec![vec![("a", None, None), ("b", None, None), ("old", Some(3), Some("failed"))]],
        &[&PENDING, &["a ok 1", "b not_found 1", "old not_found 4"]],
    );
    assert_eq!(asked, ["a", "b", "old"]);
}

#[test]
fn a_table_is_made_without_keys() {
    assert!(check(|_| (200, "{}"), vec![], &[&[]]).is_empty());
}

#[test]
fn a_service_that_does_not_answer_ends_the_look() {
    let keys = || vec![vec![("a", None, None), ("b", None, None)]];
    assert_eq!(check(|_| (0, ""), keys(), &[&PENDING, &["a failed 1"]]), ["a", "a"]);
    assert_eq!(check(|_| (401, ""), keys(), &[&PENDING, &["a failed 1"]]), ["a"]);
    assert_eq!(check(|_| (400, ""), keys(), &[&PENDING, &["a failed 1", "b failed 1"]]), ["a", "b"]);
}

#[test]
fn a_failure_does_not_take_an_answer_away() {
    let keys =
        vec![vec![("a", Some(1), Some("ok")), ("b", Some(1), Some("not_found")), ("c", Some(1), Some("failed"))]];
    assert_eq!(check(|_| (400, ""), keys, &[&[], &["c failed 2"]]), ["a", "b", "c"]);
}

#[test]
fn a_value_that_does_not_fit_is_a_failure_of_its_key() {
    let answer = |place: &str| if place == "a" { (200, r#"{"t": "warm"}"#) } else { (200, r#"{"t": 2.5}"#) };
    check(answer, vec![vec![("a", None, None), ("b", None, None)]], &[&PENDING, &["a failed 1", "b ok 1"]]);
}
