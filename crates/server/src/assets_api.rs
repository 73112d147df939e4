//! `GET /api/assets`: nodes of the project and tables of the lake.

use axum::Json;
use axum::extract::{Path, State};
use headwater_app::Selection;
use headwater_app::view::{NodeSummary, TableSummary};

use crate::api::{Answer, ApiError, SharedApi};
use crate::wire;

pub(crate) async fn list(State(api): SharedApi) -> Answer<wire::Assets> {
    let nodes = api.instance.project().nodes(&Selection::default())?;
    let tables = api.instance.tables().await?;
    Ok(Json(wire::Assets {
        nodes: nodes.into_iter().map(Into::into).collect(),
        tables: tables.into_iter().map(Into::into).collect(),
    }))
}

pub(crate) async fn one(State(api): SharedApi, Path(name): Path<String>) -> Answer<wire::Asset> {
    let nodes = api.instance.project().nodes(&Selection::default())?;
    let tables = api.instance.tables().await?;
    find(&name, nodes, tables).map(Json).ok_or_else(|| {
        ApiError::not_found(format!("there is no asset `{name}`"), "`GET /api/assets` lists what there is.")
    })
}

/// A node by id, name or relation, and the table it stores; or a table no node stores.
fn find(name: &str, nodes: Vec<NodeSummary>, tables: Vec<TableSummary>) -> Option<wire::Asset> {
    let node =
        nodes.into_iter().find(|node| node.id == name || node.name == name || node.relation.as_deref() == Some(name));
    let relation = node.as_ref().and_then(|node| node.relation.clone()).unwrap_or_else(|| name.to_owned());
    let table = tables.into_iter().find(|table| table.name == relation);
    if node.is_none() && table.is_none() {
        return None;
    }
    Some(wire::Asset { node: node.map(Into::into), table: table.map(Into::into) })
}
