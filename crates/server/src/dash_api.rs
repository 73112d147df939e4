//! `/api/dashboards`: which there are, and the answers of their tiles.

use axum::Json;
use axum::extract::{Path, State};

use crate::api::{Answer, ApiError, SharedApi, list as wire_list};
use crate::wire;

pub(crate) async fn list(State(api): SharedApi) -> Json<Vec<wire::Dashboard>> {
    wire_list(api.instance.project().dashboards())
}

pub(crate) async fn one(State(api): SharedApi, Path(name): Path<String>) -> Answer<Vec<wire::Tile>> {
    if !api.instance.project().dashboards().iter().any(|(known, _)| *known == name) {
        let message = format!("there is no dashboard `{name}`");
        return Err(ApiError::not_found(message, "`GET /api/dashboards` lists what there is."));
    }
    let answers = api.instance.dashboard(Some(&name)).await?;
    let tiles = answers.iter().map(wire::Tile::try_from).collect::<Result<Vec<_>, _>>();
    Ok(Json(tiles?))
}
