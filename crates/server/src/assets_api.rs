//! `/api/assets`: nodes of the project and tables of the lake.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use crate::api::{Answer, ApiError, SharedApi};
use crate::wire;

const SAMPLE_ROWS: usize = 50;

pub(crate) async fn list(State(api): SharedApi) -> Answer<wire::Assets> {
    let nodes = api.instance.project().all_nodes();
    let tables = api.instance.tables().await?;
    Ok(Json(wire::Assets {
        nodes: nodes.into_iter().map(Into::into).collect(),
        tables: tables.into_iter().map(Into::into).collect(),
    }))
}

pub(crate) async fn one(State(api): SharedApi, Path(name): Path<String>) -> Answer<wire::Asset> {
    Ok(Json(api.instance.asset(&name).await.map_err(ApiError::absent)?.into()))
}

pub(crate) async fn columns(State(api): SharedApi, Path(name): Path<String>) -> Answer<wire::ColumnLineage> {
    let (node, nodes) = api.instance.columns_around(&name).await.map_err(ApiError::absent)?;
    let nodes = nodes.into_iter().map(|(id, node)| (id, node.into())).collect();
    Ok(Json(wire::ColumnLineage { node, nodes }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SampleParameters {
    limit: Option<usize>,
}

pub(crate) async fn sample(
    State(api): SharedApi,
    Path(name): Path<String>,
    parameters: Result<Query<SampleParameters>, QueryRejection>,
) -> Answer<wire::Rows> {
    let Query(parameters) = parameters?;
    let limit = parameters.limit.unwrap_or(SAMPLE_ROWS);
    let rows = api.instance.sample(&name, limit).await.map_err(ApiError::absent)?;
    Ok(Json(wire::Rows::try_from(&rows)?))
}
