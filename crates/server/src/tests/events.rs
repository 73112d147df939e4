//! What a listener hears while a run goes on.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use futures::StreamExt;
use headwater_app::{BuildRequest, Silent};
use tokio_util::sync::CancellationToken;

use super::world::{HERE, World};

/// Longer than any look takes; the test ends as soon as it has heard what it waits for.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_listener_hears_of_runs_and_new_versions_until_the_server_stops() {
    let world = World::new().await;
    let (events, up, stop) = (Arc::clone(&world.api.events), world.up.handle(), world.api.stop.clone());
    world.api.tasks.spawn(async move { events.run(up, stop).await });
    let request = Request::get("/api/events").header(header::HOST, "localhost").body(Body::empty()).unwrap();
    let response = world.send(HERE, request).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut chunks = response.into_body().into_data_stream();
    let first = chunks.next().await.unwrap().unwrap();
    assert!(first.starts_with(b"retry: 2000\nevent: hello\n"), "{first:?}");

    let (instance, cancel) = (world.instance.clone(), CancellationToken::new());
    let again = BuildRequest { force: true, trigger: "manual", ..BuildRequest::default() };
    let build = world.api.tasks.spawn(async move { instance.build(again, Arc::new(Silent), cancel).await });
    let mut heard = String::new();
    let listening = async {
        while !(heard.contains("event: table\n") && heard.contains("\"status\":\"succeeded\"")) {
            let chunk = chunks.next().await.expect("the stream goes on").unwrap();
            heard.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    assert!(tokio::time::timeout(PATIENCE, listening).await.is_ok(), "heard only {heard}");
    assert!(heard.contains("\"table\":\"main.daily_visits\""), "{heard}");
    assert!(build.await.unwrap().unwrap().succeeded);

    world.api.stop.cancel();
    let rest = async { while chunks.next().await.is_some() {} };
    assert!(tokio::time::timeout(PATIENCE, rest).await.is_ok(), "the stream outlives the server");
    world.end().await;
}
