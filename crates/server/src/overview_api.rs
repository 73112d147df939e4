//! `GET /api/home`, `/api/lineage` and `/api/quarantine`.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use headwater_app::view::LineagePicture;
use serde::Deserialize;

use crate::api::{Answer, SharedApi};
use crate::wire;

pub(crate) async fn home(State(api): SharedApi) -> Answer<wire::Home> {
    let home = api.up.home().await?;
    Ok(Json(wire::Home::new(home, &api.events.rates())))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineageParameters {
    /// Kinds the picture leaves out, separated by commas.
    hide: Option<String>,
    focus: Option<String>,
    /// Only the focus, what it is made from and what is made from it.
    only: Option<bool>,
}

pub(crate) async fn lineage(
    State(api): SharedApi,
    parameters: Result<Query<LineageParameters>, QueryRejection>,
) -> Answer<wire::Lineage> {
    let Query(parameters) = parameters?;
    let hidden_kinds = parameters.hide.iter().flat_map(|kinds| kinds.split(',')).map(str::to_owned).collect();
    let family_of = parameters.focus.clone().filter(|_| parameters.only == Some(true));
    let picture = LineagePicture { hidden_kinds, focus: parameters.focus, family_of };
    Ok(Json(api.up.lineage(&picture)?.into()))
}

pub(crate) async fn quarantine(State(api): SharedApi) -> Answer<wire::Quarantine> {
    let mut tables = Vec::new();
    let mut total = 0;
    for table in api.instance.quarantine().await? {
        total += table.total;
        tables.push(wire::QuarantineTable::try_from(table)?);
    }
    Ok(Json(wire::Quarantine { total: total.into(), tables }))
}
