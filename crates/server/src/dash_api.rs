//! `/api/dashboards`: which there are, what they are made of, and the answers of their tiles.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};

use crate::api::{Answer, ApiError, SharedApi, read_json};
use crate::wire;

pub(crate) async fn list(State(api): SharedApi) -> Json<Vec<wire::DashboardSummary>> {
    let summary = |(name, title, description)| wire::DashboardSummary { name, title, description };
    Json(api.instance.project().dashboards().into_iter().map(summary).collect())
}

pub(crate) async fn one(State(api): SharedApi, Path(name): Path<String>) -> Answer<wire::Dashboard> {
    let page = api.instance.dashboard_page(&name).await.map_err(ApiError::absent)?;
    Ok(Json(page.into()))
}

pub(crate) async fn tile(
    State(api): SharedApi,
    Path((dashboard, tile)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<wire::TileAnswer> {
    let request: wire::TileRequest = read_json(&body?)?;
    require_tile(&api, &dashboard, &tile)?;
    let mut answered = api.instance.ask_tile(&dashboard, &tile, &request.filters).await?;
    if answered.standing.stale.is_none() {
        answered.standing.stale = stale_source(&api, &answered.standing.relations);
    }
    Ok(Json(answered.try_into()?))
}

/// A source that is not taken in any more makes everything on it stale.
fn stale_source(api: &crate::api::Api, relations: &[String]) -> Option<String> {
    let pipelines = api.up.pipelines();
    let failing = pipelines.iter().find(|pipeline| {
        matches!(pipeline.state.as_str(), "failed" | "retrying") && relations.contains(&pipeline.table)
    })?;
    Some(format!("`{}` is {}: newer records are not taken in", failing.table, failing.state))
}

pub(crate) async fn detail(
    State(api): SharedApi,
    Path((dashboard, tile)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<wire::Rows> {
    let request: wire::DetailRequest = read_json(&body?)?;
    require_tile(&api, &dashboard, &tile)?;
    let conditions: Vec<_> =
        request.conditions.into_iter().map(|condition| (condition.column, condition.value)).collect();
    let rows = api.instance.tile_detail(&dashboard, &tile, &request.filters, &conditions).await?;
    Ok(Json(wire::Rows::try_from(&rows)?))
}

/// A name that is not there is 404; a value that does not fit is 400.
fn require_tile(api: &crate::api::Api, dashboard: &str, tile: &str) -> Result<(), ApiError> {
    api.instance.project().require_tile(dashboard, tile).map_err(ApiError::absent)
}
