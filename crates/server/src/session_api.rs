//! `GET /api/session`, `POST /api/login`, `POST /api/logout`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use crate::api::{Answer, Api, ApiError, SharedApi, read_json};
use crate::auth::{Caller, Peer};
use crate::wire;

fn session(api: &Api, caller: Caller) -> Result<wire::Session, ApiError> {
    let user = caller.name.zip(caller.role).map(|(name, role)| wire::User { name, role });
    Ok(wire::Session {
        project: api.instance.project().name().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        user,
        role: caller.role,
        login_required: api.auth.login_required()?,
        read_only: api.auth.read_only,
    })
}

pub(crate) async fn show(State(api): SharedApi, Extension(caller): Extension<Caller>) -> Answer<wire::Session> {
    Ok(Json(session(&api, caller)?))
}

pub(crate) async fn log_in(
    State(api): SharedApi,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let login: wire::Login = read_json(&body?)?;
    let is_secure = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let now = api.instance.now();
    let (caller, cookie) = api.auth.log_in(&login.name, &login.password, peer.0, is_secure, now).await?;
    Ok(([(header::SET_COOKIE, cookie)], Json(session(&api, caller)?)).into_response())
}

pub(crate) async fn log_out(
    State(api): SharedApi,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let cookie = api.auth.log_out(&headers);
    let left = Caller { name: None, role: None, by_cookie: false, ..caller };
    Ok(([(header::SET_COOKIE, cookie)], Json(session(&api, left)?)).into_response())
}
