//! Between a statement and its reader: a short queue, and an end to patience.
//!
//! A reader that stops reading would hold a statement's process and its turn for ever, since a response body is only
//! asked for more when its reader takes some. So a task of the server asks instead, and gives up on a full queue.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream::{self, Stream, StreamExt};
use headwater_project::{Failure, Kind};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Chunks made ahead of the reader: one to send while the next is made.
const AHEAD: usize = 1;
/// How long a chunk waits for its reader.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What breaks a response off: the client sees a body cut short, never one that looks whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(super) struct BrokenOff(#[source] pub(super) Failure);

pub(super) type Chunk = Result<Bytes, BrokenOff>;

/// The queue's two ends: where [`pump`] puts chunks, and the body made of them.
pub(super) fn queue() -> (Sender<Option<Chunk>>, Body) {
    let (sender, receiver) = channel(AHEAD);
    (sender, Body::from_stream(stream::unfold(Some(receiver), next)))
}

/// The end is a message of its own: a queue that just closes was given up.
async fn next(receiver: Option<Receiver<Option<Chunk>>>) -> Option<(Chunk, Option<Receiver<Option<Chunk>>>)> {
    let mut receiver = receiver?;
    match receiver.recv().await {
        Some(chunk) => chunk.map(|chunk| (chunk, Some(receiver))),
        None => {
            let failure = Failure::new(Kind::Exhausted, "the answer was read too slowly");
            Some((Err(BrokenOff(failure)), None))
        }
    }
}

/// Moves chunks into the queue until they end, the reader has gone, or it has kept a chunk waiting too long.
pub(super) async fn pump(chunks: impl Stream<Item = Chunk> + Send, queue: Sender<Option<Chunk>>, patience: Duration) {
    let mut chunks = std::pin::pin!(chunks);
    loop {
        let chunk = tokio::select! {
            () = queue.closed() => return,
            chunk = chunks.next() => chunk,
        };
        let is_end = chunk.is_none();
        let sent = tokio::time::timeout(patience, queue.send(chunk)).await;
        if is_end || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(count: usize) -> impl Stream<Item = Chunk> + Send {
        stream::iter((0..count).map(|number| Ok(Bytes::from(number.to_string()))))
    }

    async fn read(body: Body) -> Result<Vec<u8>, axum::Error> {
        axum::body::to_bytes(body, usize::MAX).await.map(Into::into)
    }

    #[tokio::test]
    async fn a_reader_that_reads_gets_everything() {
        let (queue, body) = queue();
        let ((), bytes) = tokio::join!(pump(chunks(10), queue, PATIENCE), read(body));
        assert_eq!(bytes.unwrap(), b"0123456789");
    }

    #[tokio::test]
    async fn a_reader_that_stops_ends_the_statement_and_never_takes_the_part_for_the_whole() {
        let (queue, body) = queue();
        pump(chunks(10), queue, Duration::ZERO).await;
        assert!(read(body).await.is_err());
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_ends_the_statement() {
        let (queue, body) = queue();
        drop(body);
        pump(stream::pending(), queue, PATIENCE).await;
    }
}
