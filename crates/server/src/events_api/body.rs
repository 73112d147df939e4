//! Events as the lines of `text/event-stream`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures::stream::{self, Stream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::wire::Event;

/// Pause after which something is sent, so that a dead connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Milliseconds a browser waits before it connects again.
const RETRY: u32 = 2_000;

struct Listener {
    first: Option<Event>,
    receiver: Receiver<Arc<Event>>,
    stop: CancellationToken,
    is_over: bool,
}

/// Ends at the stop, and after a listener was told that it missed something.
pub(super) fn stream(
    first: Event,
    receiver: Receiver<Arc<Event>>,
    stop: CancellationToken,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    let listener = Listener { first: Some(first), receiver, stop, is_over: false };
    stream::unfold(listener, |mut listener| async move {
        let lines = listener.next().await?;
        Some((Ok(Bytes::from(lines)), listener))
    })
}

impl Listener {
    async fn next(&mut self) -> Option<String> {
        if self.is_over {
            return None;
        }
        if let Some(first) = self.first.take() {
            return Some(format!("retry: {RETRY}\n{}", lines(&first)));
        }
        let received = tokio::select! {
            () = self.stop.cancelled() => return None,
            received = tokio::time::timeout(HEARTBEAT, self.receiver.recv()) => received,
        };
        match received {
            Err(_) => Some(String::from(":\n\n")),
            Ok(Ok(event)) => Some(lines(&event)),
            Ok(Err(RecvError::Lagged(missed))) => {
                tracing::info!(missed, "a listener fell behind");
                self.is_over = true;
                Some(lines(&Event::Reload))
            }
            Ok(Err(RecvError::Closed)) => None,
        }
    }
}

/// JSON holds no bare line break, so one `data:` line is enough.
fn lines(event: &Event) -> String {
    match serde_json::to_string(event) {
        Ok(json) => format!("event: {}\ndata: {json}\n\n", event.name()),
        Err(error) => {
            tracing::error!(%error, "an event cannot be written");
            String::from(":\n\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tokio::sync::broadcast;

    use super::*;

    fn table(name: &str) -> Arc<Event> {
        Arc::new(Event::Table { table: name.into(), version: 1_u64.into(), at: "t".into() })
    }

    async fn rest(stream: impl Stream<Item = Result<Bytes, Infallible>>) -> Vec<String> {
        stream.map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap()).collect().await
    }

    #[tokio::test]
    async fn a_listener_hears_hello_and_what_happens_until_the_end() {
        let (sender, receiver) = broadcast::channel(8);
        sender.send(table("a\nb")).unwrap();
        drop(sender);
        let found = rest(stream(Event::Hello { boot: "x".into() }, receiver, CancellationToken::new())).await;
        assert_eq!(
            found,
            [
                "retry: 2000\nevent: hello\ndata: {\"event\":\"hello\",\"boot\":\"x\"}\n\n",
                "event: table\ndata: {\"event\":\"table\",\"table\":\"a\\nb\",\"version\":1,\"at\":\"t\"}\n\n",
            ]
        );
    }

    #[tokio::test]
    async fn a_slow_listener_is_told_to_reload_and_let_go() {
        let (sender, receiver) = broadcast::channel(2);
        for number in 0..9 {
            sender.send(table(&number.to_string())).unwrap();
        }
        let found = rest(stream(Event::Reload, receiver, CancellationToken::new())).await;
        assert_eq!(found[1..], ["event: reload\ndata: {\"event\":\"reload\"}\n\n"]);
    }

    #[tokio::test]
    async fn the_stop_ends_every_stream() {
        let (_sender, receiver) = broadcast::channel::<Arc<Event>>(2);
        let stop = CancellationToken::new();
        stop.cancel();
        assert_eq!(rest(stream(Event::Reload, receiver, stop)).await.len(), 1);
    }
}
