//! `GET /api/events`: what happens, to everybody who looks.
//!
//! One task looks at the process four times a second and only while somebody listens; each listener has a bounded queue.
//! A listener that falls behind is told to load everything anew, and its stream ends: a page never shows half the truth.

mod body;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use headwater_app::{Activity, Happening, UpHandle};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::api::SharedApi;
use crate::wire::Event;

/// Events a listener may be behind.
const QUEUE: usize = 1_024;
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looks between two reports of ingest progress, which changes at every look.
const INGEST_EVERY: u32 = 4;

/// Where events come from and go to.
pub(crate) struct Events {
    sender: broadcast::Sender<Arc<Event>>,
    /// Somebody came.
    woken: Notify,
    /// Rows per second by table, as last told.
    rates: Mutex<BTreeMap<String, f64>>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::Sender::new(QUEUE), woken: Notify::new(), rates: Mutex::default() }
    }

    /// The route's part: from here on everything that happens is in the queue.
    fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        let receiver = self.sender.subscribe();
        self.woken.notify_one();
        receiver
    }

    pub(crate) fn rates(&self) -> BTreeMap<String, f64> {
        self.locked_rates().clone()
    }

    fn locked_rates(&self) -> MutexGuard<'_, BTreeMap<String, f64>> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks and tells until the stop.
    pub(crate) async fn run(&self, up: UpHandle, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if self.sender.receiver_count() == 0 {
                self.locked_rates().clear();
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.woken.notified() => {}
                }
            }
            self.tell_while_heard(&up, &stop).await;
        }
    }

    async fn tell_while_heard(&self, up: &UpHandle, stop: &CancellationToken) {
        let Some(mut last) = look(up).await else { return };
        let mut last_ingest = last.clone();
        let mut looks = 0_u32;
        while self.sender.receiver_count() > 0 {
            let waited = tokio::time::timeout(LOOK_EVERY, stop.cancelled()).await;
            if waited.is_ok() {
                return;
            }
            let Some(now) = look(up).await else { continue };
            looks = looks.wrapping_add(1);
            let mut happened = now.since(&last);
            happened.retain(|happening| !matches!(happening, Happening::Ingest { .. }));
            if looks.is_multiple_of(INGEST_EVERY) {
                let progress = now.since(&last_ingest);
                happened.extend(progress.into_iter().filter(|happening| matches!(happening, Happening::Ingest { .. })));
                last_ingest = now.clone();
            }
            happened.into_iter().for_each(|happening| self.tell(happening));
            last = now;
        }
    }

    fn tell(&self, happening: Happening) {
        if let Happening::Ingest { pipeline, rows_per_second } = &happening {
            self.locked_rates().insert(pipeline.table.clone(), *rows_per_second);
        }
        // Nobody listening any more is no error.
        drop(self.sender.send(Arc::new(happening.into())));
    }
}

/// The state store is read on a blocking thread.
async fn look(up: &UpHandle) -> Option<Activity> {
    let up = up.clone();
    match tokio::task::spawn_blocking(move || up.look()).await {
        Ok(Ok(activity)) => Some(activity),
        Ok(Err(failure)) => {
            tracing::warn!(message = %failure.message, detail = ?failure.detail, "the process cannot be looked at");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "the look at the process ended unexpectedly");
            None
        }
    }
}

pub(crate) async fn events(State(api): SharedApi) -> Response {
    let receiver = api.events.listen();
    let hello = Event::Hello { boot: api.boot.clone() };
    let stream = body::stream(hello, receiver, api.stop.clone());
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
}
