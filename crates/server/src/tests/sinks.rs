//! How sinks are doing, over the route.

use headwater_app::rfc3339;
use serde_json::{Value, json};

use super::world::World;

async fn caught_up(world: &World) -> Value {
    let sinks = world.until("/api/sinks", "/0/state", "caught up").await;
    assert_eq!(sinks.as_array().map(Vec::len), Some(1), "{sinks}");
    sinks[0].clone()
}

#[tokio::test]
async fn a_sink_tells_what_it_sends_where_to_and_how_far_it_is() {
    let world = World::new().await;
    let sink = caught_up(&world).await;
    let rows = world.get("/api/sources/site/tables").await[0]["rows"].clone();
    let told = json!({
        "name": "visits", "kind": "files", "table": "site.visits", "sends": "added", "destination": "out",
        "description": "What others read", "is_running": true, "rows_sent": rows, "waiting_rows": 0, "behind_seconds": 0.0,
        "version": null, "error": null,
    });
    for (key, value) in told.as_object().unwrap() {
        assert_eq!(sink[key], *value, "{key} of {sink}");
    }
    assert!(sink["up_to"].is_string() && sink["last_sent_at"].is_string(), "{sink}");
    let asked = world.instance.sinks_at_rest().await.unwrap();
    assert_eq!((asked[0].state, asked[0].waiting_rows, asked[0].rows_sent), ("not running", Some(0), None));
    assert_eq!(
        asked[0].up_to.map(rfc3339).as_deref(),
        sink["up_to"].as_str(),
        "the destination says what the process does"
    );
    world.end().await;
}
