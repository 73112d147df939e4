//! `POST /ingest/{name}`: records that others send. 2xx means that they are safe on disk.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use headwater_app::{Proof, PushRefusal, PushRequest};
use headwater_project::Failure;
use serde::Serialize;

use crate::api::{Answer, Api, ApiError, SharedApi};
use crate::auth::{Caller, authorize, unauthenticated};
use crate::routes::Policy;

/// A body that is not here by then is not coming.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// What was taken: so many records, with offsets from the first on.
#[derive(Debug, Serialize)]
pub(crate) struct Pushed {
    records: u64,
    first_offset: i64,
}

pub(crate) async fn push(
    State(api): SharedApi,
    Path(name): Path<String>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Pushed> {
    // Whoever may not push learns nothing of which sources there are, nor is its body read.
    let Some(limit) = api.instance.push_limit(&name) else {
        authorize(Policy::Act, &caller, api.auth.read_only)?;
        return Err(ApiError::not_found(format!("there is no push source `{name}`"), "Add a source of `kind: push`."));
    };
    let asks_itself = !matches!(api.instance.push_proof(&name, &|_| None, &[]), Some(Proof::NotAsked));
    if !asks_itself || api.auth.read_only {
        authorize(Policy::Act, &caller, api.auth.read_only)?;
    }
    let body = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, limit)).await;
    let body =
        body.map_err(|_| ApiError::new(StatusCode::REQUEST_TIMEOUT, Failure::user("the body came too slowly")))?;
    let body = body.map_err(|_| too_large(format!("the body is larger than {limit} bytes")))?;
    if asks_itself {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Some(Proof::Bad(reason)) = api.instance.push_proof(&name, &header, &body) {
            return Err(unauthenticated(reason));
        }
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (content_type, encoding, key) = (text("content-type"), text("content-encoding"), text("idempotency-key"));
    let writing: Arc<Api> = Arc::clone(&api);
    let written = api.tasks.spawn_blocking(move || {
        let request = PushRequest { content_type, encoding, idempotency_key: Some(key), body: &body };
        writing.instance.push(&name, &request)
    });
    let written =
        written.await.map_err(|error| Failure::internal("a request was not written").with_detail(error.to_string()))?;
    let receipt = written.map_err(refused)?;
    Ok(Json(Pushed { records: receipt.records, first_offset: receipt.first_offset }))
}

fn too_large(message: String) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, Failure::user(message).with_hint("Send fewer records at once."))
}

fn refused(refusal: PushRefusal) -> ApiError {
    match refusal {
        PushRefusal::TooLarge(failure) => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, failure),
        PushRefusal::UnsupportedType(failure) => ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, failure),
        PushRefusal::KeyReused(failure) => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, failure),
        PushRefusal::KeyBusy(failure) => {
            ApiError::new(StatusCode::CONFLICT, failure).retry_after(Duration::from_secs(1))
        }
        PushRefusal::TooManyWaiting(failure) => {
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, failure).retry_after(Duration::from_secs(5))
        }
        PushRefusal::Failed(failure) => failure.into(),
    }
}
