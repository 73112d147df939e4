//! `POST /api/sql`: a statement of the caller, answered row by row.

mod accept;
mod catalog;
mod explain;
mod pump;
mod running;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use headwater_app::QueryLimits;
use headwater_project::{Failure, Kind};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::{ApiError, SharedApi};
use crate::auth::Caller;
use crate::rows::RowFormat;
use crate::wire;

pub(crate) use catalog::catalog;
pub(crate) use explain::explain;
pub(crate) use running::Running;

/// Statements run at once: each is a process with memory of its own.
pub(crate) const MAX_STATEMENTS: usize = 4;
/// How long a statement waits for others to end.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// How many rows are sent.
#[derive(Clone, Copy, Debug)]
struct RowLimit {
    rows: usize,
    /// The caller named the number, and so is not surprised by an answer that ends there.
    is_asked: bool,
}

impl RowLimit {
    fn new(asked: Option<usize>) -> Self {
        let most = QueryLimits::default().rows;
        Self { rows: asked.unwrap_or(most).min(most), is_asked: asked.is_some_and(|rows| rows <= most) }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryParameters {
    format: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn query(
    State(api): SharedApi,
    Extension(caller): Extension<Caller>,
    parameters: Result<Query<QueryParameters>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let Query(parameters) = parameters?;
    let format = accept::format(parameters.format.as_deref(), header_text(&headers, header::ACCEPT))?;
    let request = statement(header_text(&headers, header::CONTENT_TYPE), &body?)?;
    let entry = api.running.enter(caller.name, request.id)?;
    let cancelled = entry.cancelled.clone();
    let row_limit = RowLimit::new(parameters.limit);
    // One row more than is sent tells whether the answer is cut.
    let rows = row_limit.rows.saturating_add(1);
    let limits = QueryLimits { rows, ..QueryLimits::default() };
    let started = async {
        let turn = turn(&api.statements).await?;
        let stream = api.instance.query_untrusted(&request.sql, limits).await?;
        stream::start(&api.tasks, stream, (turn, entry), format, row_limit).await
    };
    let body = tokio::select! {
        started = started => started?,
        () = cancelled.cancelled() => return Err(was_cancelled().into()),
    };
    Ok(response(format, body))
}

fn was_cancelled() -> Failure {
    Failure::user("the statement was cancelled")
}

pub(crate) async fn cancel(
    State(api): SharedApi,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Json<wire::SqlCancelled> {
    Json(wire::SqlCancelled { cancelled: api.running.cancel(caller.name, &id) })
}

/// Held while the statement runs and its rows are sent.
async fn turn(statements: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    let busy = || {
        Failure::new(Kind::Exhausted, "too many statements run at once").with_hint("Try again when others have ended.")
    };
    let waited = tokio::time::timeout(MAX_WAIT, Arc::clone(statements).acquire_owned()).await.map_err(|_| busy())?;
    waited.map_err(|_| busy())
}

fn response(format: RowFormat, body: Body) -> Response {
    let content_type = HeaderValue::from_static(format.content_type());
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// The statement of a body: JSON when the content type says so, else the text itself.
fn statement(content_type: &str, body: &[u8]) -> Result<wire::SqlRequest, ApiError> {
    let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" => json_statement(body),
        // What curl sends with `--data` when it is not told otherwise.
        "" | "text/plain" | "application/sql" | "application/x-www-form-urlencoded" => text_statement(body),
        other => {
            let failure = Failure::user(format!("a statement cannot be read from `{other}`"))
                .with_hint("Send `application/json` with a `sql` key, or the statement as `text/plain`.");
            Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, failure))
        }
    }
}

fn json_statement(body: &[u8]) -> Result<wire::SqlRequest, ApiError> {
    Ok(serde_json::from_slice(body).map_err(|error| {
        Failure::user("the body is not the JSON this route takes")
            .with_detail(error.to_string())
            .with_hint("Send `{\"sql\": \"select ...\"}`.")
    })?)
}

fn text_statement(body: &[u8]) -> Result<wire::SqlRequest, ApiError> {
    let text = std::str::from_utf8(body).map_err(|_| Failure::user("the statement is not UTF-8"))?;
    if text.trim().is_empty() {
        return Err(Failure::user("the body holds no statement").into());
    }
    Ok(wire::SqlRequest { sql: text.to_owned(), id: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: &str, body: &str, expected: Result<&str, StatusCode>) {
        let found = statement(content_type, body.as_bytes()).map(|request| request.sql).map_err(|error| error.status);
        assert_eq!(found.as_deref().map_err(|status| *status), expected, "{content_type}: {body}");
    }

    #[test]
    fn a_statement_comes_as_json_or_as_text() {
        check("application/json; charset=utf-8", r#"{"sql": "select 1"}"#, Ok("select 1"));
        check("text/plain", "select 1", Ok("select 1"));
        check("", "select 1", Ok("select 1"));
        check("application/x-www-form-urlencoded", "select 1 + 1", Ok("select 1 + 1"));
    }

    #[test]
    fn what_is_no_statement_is_the_callers_fault() {
        check("application/json", "select 1", Err(StatusCode::BAD_REQUEST));
        check("application/json", r#"{"sql": "select 1", "more": 1}"#, Err(StatusCode::BAD_REQUEST));
        check("text/plain", "  \n", Err(StatusCode::BAD_REQUEST));
        check("image/png", "select 1", Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
}
