//! What every handler shares, and how handlers answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use headwater_app::{Instance, UpHandle};
use headwater_project::{Failure, Kind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::events_api::Events;
use crate::query_api::{MAX_STATEMENTS, Running};
use crate::wire;

/// Shared by all requests.
pub(crate) struct Api {
    pub(crate) instance: Instance,
    pub(crate) up: UpHandle,
    pub(crate) allowed_hosts: BTreeSet<String>,
    /// Runs started over HTTP, which outlive the connection that asked for them, and statements being answered.
    pub(crate) tasks: TaskTracker,
    /// Turns of untrusted statements.
    pub(crate) statements: Arc<Semaphore>,
    pub(crate) running: Arc<Running>,
    pub(crate) events: Arc<Events>,
    pub(crate) auth: Auth,
    /// Names this life of the process, so that a page notices the next.
    pub(crate) boot: String,
    pub(crate) stop: CancellationToken,
}

pub(crate) type SharedApi = State<Arc<Api>>;

impl Api {
    pub(crate) fn new(
        instance: Instance,
        up: UpHandle,
        allowed_hosts: BTreeSet<String>,
        auth: Auth,
        stop: CancellationToken,
    ) -> Self {
        Self {
            boot: instance.boot_name().to_owned(),
            instance,
            up,
            allowed_hosts,
            tasks: TaskTracker::new(),
            statements: Arc::new(Semaphore::new(MAX_STATEMENTS)),
            running: Arc::default(),
            events: Arc::new(Events::new()),
            auth,
            stop,
        }
    }
}

/// A failure on its way to a response.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    /// Boxed, since most answers are none.
    pub(crate) failure: Box<Failure>,
    retry_after: Option<Duration>,
}

/// What a handler of plain JSON returns.
pub(crate) type Answer<T> = Result<Json<T>, ApiError>;

impl ApiError {
    pub(crate) fn new(status: StatusCode, failure: Failure) -> Self {
        Self { status, failure: Box::new(failure), retry_after: None }
    }

    /// For calls whose only mistake a user can make is the name in the path.
    pub(crate) fn absent(failure: Failure) -> Self {
        let status = if failure.kind == Kind::User { StatusCode::NOT_FOUND } else { status_of(failure.kind) };
        Self::new(status, failure)
    }

    /// When to try again.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    pub(crate) fn not_found(message: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, Failure::user(message).with_hint(hint))
    }
}

/// The status that says whose fault it is.
pub(crate) fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::User => StatusCode::BAD_REQUEST,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        Kind::External { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        Self::new(status_of(failure.kind), failure)
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        let failure = Failure::user("the query string cannot be read").with_detail(rejection.body_text());
        Self::new(rejection.status(), failure)
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        let failure = Failure::user("the body cannot be read").with_detail(rejection.body_text());
        Self::new(rejection.status(), failure)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(message = %self.failure.message, detail = ?self.failure.detail, "request failed");
        }
        let retry_after = self.retry_after.map(|wait| wait.as_secs()).or_else(|| retry_after(self.failure.kind));
        let mut error = wire::Error::from(&*self.failure);
        match self.status {
            StatusCode::UNAUTHORIZED => error.kind = "unauthenticated",
            StatusCode::FORBIDDEN => error.kind = "forbidden",
            _ => {}
        }
        let body = wire::ErrorBody { error };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn retry_after(kind: Kind) -> Option<u64> {
    match kind {
        Kind::External { retry_after: Some(wait) } => Some(wait.max(Duration::from_secs(1)).as_secs()),
        _ => None,
    }
}

/// A JSON body; no body says what an empty object does.
pub(crate) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    Ok(serde_json::from_slice(body)
        .map_err(|error| Failure::user("the body is not the JSON this route takes").with_detail(error.to_string()))?)
}

/// Converts a list of façade values to wire values.
pub(crate) fn list<T, W: From<T> + Serialize>(values: Vec<T>) -> Json<Vec<W>> {
    Json(values.into_iter().map(W::from).collect())
}
