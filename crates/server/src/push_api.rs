//! `POST /ingest/{name}`: records that others send. 2xx means that they are safe on disk.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use futures::StreamExt;
use headwater_app::{Proof, PushRefusal, PushRequest, PushRoom};
use headwater_project::{Failure, Kind};
use serde::Serialize;

use crate::api::{Answer, Api, ApiError, SharedApi};
use crate::auth::{Caller, authorize, unauthenticated};
use crate::routes::Policy;

/// A body that is not here by then is not coming.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// When to come again after there was no room.
const BUSY: Duration = Duration::from_secs(1);

/// So much of a body that is refused is read all the same, for so long: a sender that finds the connection closed while it
/// still sends does not read why.
const LINGER_BYTES: u64 = 64 << 20;
const LINGER: Duration = Duration::from_secs(2);

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
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let asks_itself = !matches!(api.instance.push_proof(&name, &|_| None, &[]), Some(Proof::NotAsked));
    if !asks_itself || api.auth.read_only {
        authorize(Policy::Act, &caller, api.auth.read_only)?;
    }
    if let Some(Proof::Bad(reason)) = api.instance.push_token_proof(&name, &header) {
        return Err(unauthenticated(reason));
    }
    let mut room = api.instance.push_room();
    let read = tokio::time::timeout(BODY_TIMEOUT, read_body(body, &headers, limit, &mut room)).await;
    let body =
        read.map_err(|_| ApiError::new(StatusCode::REQUEST_TIMEOUT, Failure::user("the body came too slowly")))??;
    if asks_itself && let Some(Proof::Bad(reason)) = api.instance.push_proof(&name, &header, &body) {
        return Err(unauthenticated(reason));
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (content_type, encoding, key) = (text("content-type"), text("content-encoding"), text("idempotency-key"));
    let turn = api.instance.push_turn().await?;
    let writing: Arc<Api> = Arc::clone(&api);
    let written = api.tasks.spawn_blocking(move || {
        let request = PushRequest { content_type, encoding, idempotency_key: Some(key), body: &body };
        let written = writing.instance.push(&name, &request, &turn);
        drop(room);
        written
    });
    let written =
        written.await.map_err(|error| Failure::internal("a request was not written").with_detail(error.to_string()))?;
    let receipt = written.map_err(refused)?;
    Ok(Json(Pushed { records: receipt.records, first_offset: receipt.first_offset }))
}

/// A body as it comes, up to its limit and as far as there is room.
async fn read_body(body: Body, headers: &HeaderMap, limit: usize, room: &mut PushRoom) -> Result<Vec<u8>, ApiError> {
    let over = || too_large(format!("the body is larger than {limit} bytes"));
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let (mut stream, mut bytes) = (body.into_data_stream(), Vec::new());
    if let Some(declared) = declared.filter(|declared| *declared > limit as u64) {
        // Who asks before sending reads the answer at once.
        if declared <= LINGER_BYTES && !headers.contains_key(header::EXPECT) {
            linger(&mut stream).await;
        }
        return Err(over());
    }
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Failure::user("the body broke off").with_detail(error.to_string()))?;
        if chunk.len() > limit - bytes.len() {
            linger(&mut stream).await;
            return Err(over());
        }
        if !room.take(chunk.len()) {
            let busy = Failure::new(Kind::External { retry_after: Some(BUSY) }, "too many bodies are being written");
            return Err(busy.into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Reads and forgets what a sender still sends.
async fn linger(stream: &mut BodyDataStream) {
    let forget = async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(chunk)) = stream.next().await {
            left = left.saturating_sub(chunk.len() as u64);
            if left == 0 {
                break;
            }
        }
    };
    // The answer is the same whether all of it came or not.
    drop(tokio::time::timeout(LINGER, forget).await);
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
