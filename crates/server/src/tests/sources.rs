//! Steering a source and looking at it, over the routes.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::World;

async fn until(world: &World, state: &str) -> Value {
    world.until("/api/sources/site", "/state", state).await
}

#[tokio::test]
async fn a_source_is_paused_resumed_and_run_again() {
    let world = World::new().await;
    until(&world, "caught up").await;
    let paused = world.post("/api/sources/site/pause", json!({})).await;
    assert_eq!(paused.status, StatusCode::OK, "{}", paused.json);
    assert!(paused.json["paused_at"].is_string());
    until(&world, "paused").await;
    let again = world.post("/api/sources/site/restart", json!({})).await;
    assert_eq!((again.status, &again.json["error"]["kind"]), (StatusCode::CONFLICT, &json!("conflict")));
    let of_table = world.post("/api/sources/site/resume", json!({"table": "visits"})).await;
    assert_eq!(of_table.status, StatusCode::CONFLICT, "{}", of_table.json);
    let resumed = world.post("/api/sources/site/resume", json!({})).await;
    assert_eq!((resumed.status, &resumed.json["paused_at"]), (StatusCode::OK, &Value::Null));
    until(&world, "caught up").await;
    assert_eq!(world.post("/api/sources/site/restart", json!({})).await.status, StatusCode::OK);
    until(&world, "caught up").await;
    world.end().await;
}

#[tokio::test]
async fn one_table_is_paused_by_its_name_and_mistakes_are_told() {
    let world = World::new().await;
    let paused = world.post("/api/sources/site/pause", json!({"table": "site.visits"})).await;
    assert_eq!(paused.status, StatusCode::OK, "{}", paused.json);
    let source = until(&world, "paused").await;
    assert_eq!(source["paused_at"], Value::Null);
    assert!(source["tables"][0]["paused_at"].is_string(), "{source}");
    assert_eq!(world.post("/api/sources/site/resume", json!({"table": "visits"})).await.status, StatusCode::OK);
    for (path, body, status) in [
        ("/api/sources/sites/pause", json!({}), StatusCode::NOT_FOUND),
        ("/api/sources/site/pause", json!({"table": "views"}), StatusCode::NOT_FOUND),
        ("/api/sources/site/pause", json!({"tabel": "visits"}), StatusCode::BAD_REQUEST),
    ] {
        let refused = world.post(path, body).await;
        assert_eq!(refused.status, status, "{path}: {}", refused.json);
    }
    assert_eq!(world.ask(Method::GET, "/api/sources/none", "").await.status, StatusCode::NOT_FOUND);
    world.end().await;
}

#[tokio::test]
async fn only_a_captured_table_is_copied_again() {
    let world = World::new().await;
    for (path, body, status, told) in [
        ("/api/sources/sites/recopy", json!({"table": "visits"}), StatusCode::NOT_FOUND, "Did you mean `site`?"),
        ("/api/sources/site/recopy", json!({"table": "visits"}), StatusCode::BAD_REQUEST, "mode: capture"),
        ("/api/sources/site/recopy", json!({}), StatusCode::BAD_REQUEST, "table"),
        ("/api/sources/site/recopy", json!({"table": "visits", "now": true}), StatusCode::BAD_REQUEST, "now"),
    ] {
        let refused = world.post(path, body).await;
        assert_eq!(refused.status, status, "{path}: {}", refused.json);
        assert!(refused.json.to_string().contains(told), "{told} is not in {}", refused.json);
    }
    assert_eq!(world.get("/api/sources/site").await["tables"][0]["copy"], Value::Null);
    world.end().await;
}

#[tokio::test]
async fn a_source_tells_its_tables_configuration_and_quarantine() {
    let world = World::new().await;
    let listed = world.get("/api/sources").await;
    assert_eq!(
        (&listed[0]["name"], &listed[0]["kind"], &listed[0]["is_running"]),
        (&json!("site"), &json!("files"), &json!(true))
    );
    let source = until(&world, "caught up").await;
    assert!(source["configuration"].as_array().unwrap().iter().any(|line| line["key"] == "kind"), "{source}");
    assert_eq!(source["path"], "sources/visits.yml");
    assert_eq!(source["tables"][0]["behind_seconds"].as_f64().map(|behind| behind < 60.0), Some(true));
    let tables = world.get("/api/sources/site/tables").await;
    let table = &tables[0];
    assert!(table["rows"].as_u64().unwrap() > 0 && !table["commits"].as_array().unwrap().is_empty(), "{table}");
    assert_eq!(table["schema_changes"].as_array().unwrap().last().unwrap()["is_first"], true);
    assert_eq!(table["quarantine"]["total"], 1, "{table}");
    let metrics = world.text("/metrics").await;
    assert!(metrics.contains("headwater_ingest_state{source=\"site\",table=\"site.visits\","), "{metrics}");
    world.end().await;
}
