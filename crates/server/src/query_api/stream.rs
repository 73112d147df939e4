//! A query's rows as a response body. At most two chunks are made ahead of the client.

use arrow::error::ArrowError;
use axum::body::{Body, Bytes};
use futures::stream::{self, StreamExt};
use headwater_app::QueryStream;
use headwater_project::{Failure, Kind};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::TaskTracker;

use super::RowLimit;
use super::pump::{self, BrokenOff, PATIENCE};
use super::running::Entry;
use crate::api::ApiError;
use crate::rows::{End, RowEncoder, RowFormat};

/// Rows on their way out.
struct Rows {
    stream: QueryStream,
    encoder: Box<dyn RowEncoder>,
    format: RowFormat,
    left: usize,
    may_truncate: bool,
    /// Kept until the rows have ended: the turn, and the name to end them by.
    held: (OwnedSemaphorePermit, Entry),
    is_done: bool,
}

/// Waits for the first rows, so that a statement that fails at once gets the status it deserves.
pub(super) async fn start(
    tasks: &TaskTracker,
    stream: QueryStream,
    held: (OwnedSemaphorePermit, Entry),
    format: RowFormat,
    limit: RowLimit,
) -> Result<Body, ApiError> {
    let encoder = format.encoder(&stream.schema).map_err(|error| encoding_failed(&error))?;
    let mut rows = Rows {
        stream,
        encoder,
        format,
        left: limit.rows,
        held,
        may_truncate: limit.is_asked || format.tells_its_end(),
        is_done: false,
    };
    let mut head = Vec::new();
    rows.encoder.start(&mut head).map_err(|error| encoding_failed(&error))?;
    rows.step(&mut head).await?;
    let rest = stream::unfold(rows, |mut rows| async move { rows.next().await.map(|chunk| (chunk, rows)) });
    let (queue, body) = pump::queue();
    tasks.spawn(pump::pump(stream::iter([Ok(Bytes::from(head))]).chain(rest), queue, PATIENCE));
    Ok(body)
}

impl Rows {
    async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        if self.is_done {
            return None;
        }
        let mut chunk = Vec::new();
        match self.step(&mut chunk).await {
            Ok(()) => Some(Ok(Bytes::from(chunk))),
            Err(failure) => Some(self.break_off(failure, chunk)),
        }
    }

    /// Encodes one batch, or the end.
    async fn step(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let next = tokio::select! {
            next = self.stream.next() => next?,
            () = self.held.1.cancelled.cancelled() => return Err(super::was_cancelled()),
        };
        let Some(batch) = next else {
            self.is_done = true;
            return self.encoder.finish(End::default(), out).map_err(|error| encoding_failed(&error));
        };
        let taken = batch.slice(0, batch.num_rows().min(self.left));
        self.left = self.left.saturating_sub(taken.num_rows());
        self.encoder.batch(&taken, out).map_err(|error| encoding_failed(&error))?;
        if taken.num_rows() < batch.num_rows() {
            return self.truncate(out);
        }
        Ok(())
    }

    fn truncate(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.is_done = true;
        if self.may_truncate {
            let end = End { truncated: true, failure: None };
            return self.encoder.finish(end, out).map_err(|error| encoding_failed(&error));
        }
        Err(Failure::new(Kind::Exhausted, "the answer has more rows than are sent")
            .with_hint("Add a `limit` to the statement."))
    }

    fn break_off(&mut self, failure: Failure, mut chunk: Vec<u8>) -> Result<Bytes, BrokenOff> {
        self.is_done = true;
        tracing::info!(message = %failure.message, detail = ?failure.detail, "an answer broke off");
        if !self.format.tells_its_end() {
            return Err(BrokenOff(failure));
        }
        let end = End { truncated: false, failure: Some(&failure) };
        match self.encoder.finish(end, &mut chunk) {
            Ok(()) => Ok(Bytes::from(chunk)),
            Err(_) => Err(BrokenOff(failure)),
        }
    }
}

fn encoding_failed(error: &ArrowError) -> Failure {
    Failure::internal("the rows cannot be written in this format").with_detail(error.to_string())
}
