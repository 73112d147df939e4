//! `GET /health` and `GET /api/status`.

use axum::Json;
use axum::extract::State;

use crate::api::SharedApi;
use crate::wire;

pub(crate) async fn health() -> Json<wire::Health> {
    Json(wire::Health { status: "ok" })
}

pub(crate) async fn status(State(api): SharedApi) -> Json<wire::Status> {
    Json(api.up.status().into())
}
