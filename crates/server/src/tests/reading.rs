//! The other pages: what each route answers for the small project.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::World;

fn named<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|item| item[key] == value).unwrap_or_else(|| panic!("no {value} in {list}"))
}

#[tokio::test]
async fn lineage_leads_from_sources_to_tiles() {
    let world = World::new().await;
    let graph = world.get("/api/lineage").await;
    let at = |id: &str| named(&graph["nodes"], "id", id)["x"].as_f64().unwrap();
    let path = [
        "source.site.site.visits",
        "model.site.stg_visits",
        "model.site.daily_visits",
        "tile.visits.total",
        "dashboard.visits",
    ];
    for pair in path.windows(2) {
        assert!(at(pair[0]) < at(pair[1]), "{pair:?}");
        let has_edge =
            graph["edges"].as_array().unwrap().iter().any(|edge| edge["from"] == pair[0] && edge["to"] == pair[1]);
        assert!(has_edge, "{pair:?}");
    }
    assert_eq!(named(&graph["nodes"], "id", "model.site.daily_visits")["status"], "ok");
    world.end().await;
}

#[tokio::test]
async fn an_asset_tells_what_it_is_how_it_came_and_who_reads_it() {
    let world = World::new().await;
    for name in ["daily_visits", "model.site.daily_visits", "main.daily_visits"] {
        let asset = world.get(&format!("/api/assets/{name}")).await;
        assert_eq!(asset["node"]["description"], "Visits by day and country.", "{name}");
        assert_eq!(named(&asset["table"]["columns"], "name", "visits")["data_type"], "BIGINT");
        assert_eq!(named(&asset["tests"], "outcome", "pass")["failures"], 0);
        assert!(asset["raw_sql"].as_str().unwrap().contains("ref('stg_visits')"));
        assert!(!asset["compiled_sql"].as_str().unwrap().contains("ref("));
        assert_eq!(asset["upstream"][0]["name"], "stg_visits");
        assert!(asset["downstream"].as_array().unwrap().iter().any(|link| link["id"] == "tile.visits.total"));
        let versions = asset["versions"].as_array().unwrap();
        assert!(versions.iter().any(|commit| commit["run"] == 1 && commit["at"].is_string()), "{versions:?}");
    }
    let sample = world.get("/api/assets/daily_visits/sample?limit=2").await;
    assert_eq!(sample["row_count"], 2);
    let source = world.get("/api/assets/site.visits").await;
    assert_eq!(source["table"]["name"], "site.visits");
    let missing = world.ask(Method::GET, "/api/assets/daily_visit", "").await;
    assert_eq!(
        (missing.status, &missing.json["error"]["hint"]),
        (StatusCode::NOT_FOUND, &json!("Did you mean `daily_visits`?"))
    );
    world.end().await;
}

#[tokio::test]
async fn runs_tell_their_steps_and_run_again() {
    let world = World::new().await;
    let run = world.get("/api/runs/1").await;
    assert_eq!(run["status"], "succeeded");
    let step = named(&run["steps"], "id", "model.site.daily_visits");
    assert!(step["compiled_sql"].as_str().unwrap().contains("group by"));
    assert!(step["started_at"].is_string() && step["finished_at"].is_string());
    let log = world.text("/api/runs/1/log").await;
    for said in ["build", "steps planned", "model daily_visits started", "model daily_visits: success", "run succeeded"]
    {
        assert!(log.contains(said), "{said} is in\n{log}");
    }
    assert_eq!(world.ask(Method::GET, "/api/runs/999/log", "").await.status, StatusCode::NOT_FOUND);
    let again = world.post("/api/runs/1/rerun", json!({})).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.json);
    let id = again.json["run"].as_i64().unwrap();
    let none_failed = world.post("/api/runs/1/rerun", json!({"failed_only": true})).await;
    assert_eq!(none_failed.status, StatusCode::BAD_REQUEST);
    let report = world.post("/api/runs", json!({"select": ["daily_visits"]})).await;
    assert_eq!(report.json["succeeded"], true, "{}", report.json);
    assert_eq!(world.get(&format!("/api/runs/{id}")).await["trigger"], "retry");
    assert_eq!(world.ask(Method::GET, "/api/runs/999", "").await.status, StatusCode::NOT_FOUND);
    world.end().await;
}

#[tokio::test]
async fn home_quarantine_topics_and_catalog_tell_what_there_is() {
    let world = World::new().await;
    let home = world.get("/api/home").await;
    assert_eq!(named(&home["tables"], "table", "main.daily_visits")["rows"].as_i64().map(|rows| rows > 0), Some(true));
    assert_eq!(home["recent_runs"][0]["status"], "succeeded");
    assert!(home["disk"]["free_bytes"].as_i64().unwrap() > 0 && home["memory"]["resident_bytes"].as_i64().unwrap() > 0);
    let quarantine = world.get("/api/quarantine").await;
    assert_eq!(quarantine["total"], home["quarantined"]);
    let held = named(&quarantine["tables"], "of", "site.visits");
    assert_eq!((&held["total"], &held["reasons"][0]["count"]), (&json!(1), &json!(1)), "{held}");
    assert_eq!(held["sample"]["row_count"], 1);
    assert_eq!(world.get("/api/topics").await, json!([]));
    assert_eq!(world.ask(Method::GET, "/api/topics/none", "").await.status, StatusCode::NOT_FOUND);
    let catalog = world.get("/api/catalog").await;
    assert!(catalog["functions"].as_array().unwrap().iter().any(|name| name == "date_trunc"));
    named(&catalog["tables"], "name", "daily_visits");
    let status = world.get("/api/status").await;
    assert_eq!(status["project"], "site");
    assert_eq!(world.get("/health").await, json!({"status": "ok"}));
    world.end().await;
}
