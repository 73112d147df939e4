//! Dashboards: what they are made of, asked tile by tile, narrowed, followed to their rows.

use axum::http::StatusCode;
use serde_json::json;

use super::world::World;

#[tokio::test]
async fn a_dashboard_says_everything_needed_to_draw_and_ask_it() {
    let world = World::new().await;
    let list = world.get("/api/dashboards").await;
    assert_eq!(list[0]["name"], "filtered");
    let page = world.get("/api/dashboards/filtered").await;
    assert_eq!(page["filters"][0]["options"], json!(["BR", "DE", "NO"]), "{page}");
    assert_eq!(
        (&page["filters"][1]["default"], &page["filters"][1]["presets"][0]["name"]),
        (&json!("all"), &json!("today"))
    );
    let tile = &page["tiles"][0];
    assert_eq!(tile["grid"], json!({"column": 0, "row": 0, "width": 6, "height": 6}));
    assert_eq!((&tile["filters"], &tile["tables"]), (&json!(["countries"]), &json!(["main.daily_visits"])));
    assert_eq!(tile["select"], json!({"filter": "countries", "column": "country"}));
    let missing = world.ask(axum::http::Method::GET, "/api/dashboards/filterd", "").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.json["error"]["hint"], "Did you mean `filtered`?");
    world.end().await;
}

#[tokio::test]
async fn a_tile_is_asked_with_bound_values_and_kept_for_the_next() {
    let world = World::new().await;
    let path = "/api/dashboards/filtered/tiles/by_country";
    let first = world.post(path, json!({})).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.json);
    assert_eq!(first.json["columns"][1], json!({"name": "visits", "type": "Int64"}));
    assert_eq!(first.json["cached"], false);
    assert_eq!(first.json["versions"][0]["table"], "main.daily_visits");
    assert!(first.json["as_of"].is_string() && first.json["stale"].is_null(), "{}", first.json);
    assert_eq!((&first.json["tests"]["passed"], &first.json["tests"]["failed"]), (&json!(3), &json!(0)));
    let second = world.post(path, json!({"filters": {}})).await;
    assert_eq!((&second.json["cached"], &second.json["rows"]), (&json!(true), &first.json["rows"]));
    let one = world.post(path, json!({"filters": {"countries": ["NO"]}})).await;
    assert_eq!((&one.json["row_count"], &one.json["rows"][0][0]), (&json!(1), &json!("NO")));
    let hostile = world.post(path, json!({"filters": {"countries": ["NO') or 1=1 --"]}})).await;
    assert_eq!(hostile.json["row_count"], 0);
    world.end().await;
}

#[tokio::test]
async fn wrong_values_and_columns_are_told_with_a_remedy() {
    let world = World::new().await;
    let cases = [
        ("by_country", json!({"filters": {"country": []}}), "no filter `country`"),
        ("by_country", json!({"filters": {"countries": "NO"}}), "a list of texts"),
        ("by_country", json!({"filters": {"days": "2024-02-01..2024-01-01"}}), "ends before it starts"),
        ("by_country", json!({"filtres": {}}), "not the JSON"),
        ("broken", json!({}), "no column `land`"),
        ("words", json!({}), "has no query"),
    ];
    for (tile, body, message) in cases {
        let found = world.post(&format!("/api/dashboards/filtered/tiles/{tile}"), body).await;
        assert_eq!(found.status, StatusCode::BAD_REQUEST, "{}", found.json);
        assert!(found.json["error"]["message"].as_str().unwrap().contains(message), "{}", found.json);
    }
    let missing = world.post("/api/dashboards/filtered/tiles/by_contry", json!({})).await;
    assert_eq!(
        (missing.status, &missing.json["error"]["hint"]),
        (StatusCode::NOT_FOUND, &json!("Did you mean `by_country`?"))
    );
    world.end().await;
}

#[tokio::test]
async fn a_mark_leads_to_its_rows() {
    let world = World::new().await;
    let path = "/api/dashboards/filtered/tiles/by_country";
    let whole = world.post(path, json!({})).await.json;
    let visits = whole["rows"].as_array().unwrap().iter().find(|row| row[0] == "NO").unwrap()[1].clone();
    let detail = world.post(&format!("{path}/detail"), json!({"where": [{"column": "country", "value": "NO"}]})).await;
    assert_eq!(detail.json["row_count"], visits, "{}", detail.json);
    let none =
        world.post(&format!("{path}/detail"), json!({"where": [{"column": "country", "value": "x' or '1'='1"}]})).await;
    assert_eq!(none.json["row_count"], 0);
    let wrong = world.post(&format!("{path}/detail"), json!({"where": [{"column": "1=1 --", "value": 1}]})).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    world.end().await;
}
