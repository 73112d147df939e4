use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::record_batch::RecordBatch;
use headwater_app::view;
use headwater_project::{Failure, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use super::*;

fn check(value: &impl Serialize, expected: Value) {
    assert_eq!(serde_json::to_value(value).unwrap(), expected);
}

fn report() -> view::RunReport {
    let step = view::StepReport {
        id: "model.music.a".into(),
        name: "a".into(),
        kind: "model".into(),
        outcome: view::StepOutcome::Fail,
        started_at: Timestamp(1_714_564_800_000_001),
        seconds: 0.5,
        rows: Some(3),
        failure: Some(Failure::user("bad rows").with_hint("Look at them.")),
        materialized: None,
        relation: None,
        compiled: None,
    };
    view::RunReport {
        run: 7,
        command: "build".into(),
        succeeded: false,
        seconds: 1.0,
        steps: vec![step],
        published: vec![],
    }
}

#[test]
fn a_report_keeps_times_in_utc_and_the_three_texts_of_a_failure() {
    check(
        &RunReport::from(report()),
        json!({
            "run": 7, "command": "build", "succeeded": false, "seconds": 1.0, "published": [],
            "steps": [{
                "id": "model.music.a", "name": "a", "kind": "model", "outcome": "fail",
                "started_at": "2024-05-01T12:00:00.000001Z", "seconds": 0.5, "rows": 3,
                "error": {"message": "bad rows", "detail": null, "hint": "Look at them.", "kind": "user"},
            }],
        }),
    );
}

#[test]
fn a_finding_without_a_place_has_no_line() {
    let finding =
        view::Finding { is_error: true, message: "m".into(), detail: None, hint: None, event: None, place: None };
    check(
        &Finding::from(finding),
        json!({"severity": "error", "message": "m", "detail": null, "hint": null, "path": null, "line": null,
               "column": null}),
    );
}

#[test]
fn a_record_that_is_not_text_says_so() {
    let record = |payload: &[u8]| {
        TopicRecord::from(view::TopicRecord {
            partition: 0,
            offset: 1,
            timestamp: Timestamp(0),
            payload: payload.to_vec(),
        })
    };
    assert!(record(b"{}").is_text);
    assert!(!record(&[0xff]).is_text);
}

#[test]
fn a_tile_carries_exact_numbers_or_an_error() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(i64::MAX)]));
    let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let answer = |result| view::TileAnswer {
        dashboard: "d".into(),
        dashboard_title: "D".into(),
        tile: "t".into(),
        title: "T".into(),
        kind: "number".into(),
        unit: None,
        seconds: 0.0,
        result,
    };
    let rows = answer(Ok(view::TileRows { schema: batch.schema(), batches: vec![batch], truncated: false }));
    let tile = serde_json::to_value(DashboardAnswer::try_from(&rows).unwrap()).unwrap();
    assert_eq!(tile["result"]["rows"], json!([[1], ["9223372036854775807"]]));
    assert_eq!(tile["error"], Value::Null);
    let failed = answer(Err(Failure::user("no such table")));
    let tile = serde_json::to_value(DashboardAnswer::try_from(&failed).unwrap()).unwrap();
    assert_eq!((&tile["result"], &tile["error"]["message"]), (&Value::Null, &json!("no such table")));
}

#[test]
fn a_start_request_refuses_unknown_keys_and_fills_in_the_rest() {
    let request: StartRun = serde_json::from_value(json!({"select": ["a+"]})).unwrap();
    assert_eq!((request.command, request.select, request.full_refresh), (None, vec!["a+".to_owned()], false));
    assert!(serde_json::from_value::<StartRun>(json!({"selct": []})).is_err());
}
