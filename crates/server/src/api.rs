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
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::query_api::MAX_STATEMENTS;
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
    pub(crate) stop: CancellationToken,
}

pub(crate) type SharedApi = State<Arc<Api>>;

impl Api {
    pub(crate) fn new(
        instance: Instance,
        up: UpHandle,
        allowed_hosts: BTreeSet<String>,
        stop: CancellationToken,
    ) -> Self {
        let statements = Arc::new(Semaphore::new(MAX_STATEMENTS));
        Self { instance, up, allowed_hosts, tasks: TaskTracker::new(), statements, stop }
    }
}

/// A failure on its way to a response.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) failure: Failure,
}

/// What a handler of plain JSON returns.
pub(crate) type Answer<T> = Result<Json<T>, ApiError>;

impl ApiError {
    pub(crate) fn new(status: StatusCode, failure: Failure) -> Self {
        Self { status, failure }
    }

    /// For calls whose only mistake a user can make is the name in the path.
    pub(crate) fn absent(failure: Failure) -> Self {
        let status = if failure.kind == Kind::User { StatusCode::NOT_FOUND } else { status_of(failure.kind) };
        Self::new(status, failure)
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
        let retry_after = retry_after(self.failure.kind);
        let body = wire::ErrorBody { error: wire::Error::from(&self.failure) };
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

/// Converts a list of façade values to wire values.
pub(crate) fn list<T, W: From<T> + Serialize>(values: Vec<T>) -> Json<Vec<W>> {
    Json(values.into_iter().map(W::from).collect())
}
