//! `GET /api/home`, `/api/lineage` and `/api/quarantine`.

use axum::Json;
use axum::extract::State;

use crate::api::{Answer, SharedApi};
use crate::wire;

pub(crate) async fn home(State(api): SharedApi) -> Answer<wire::Home> {
    let home = api.up.home().await?;
    Ok(Json(wire::Home::new(home, &api.events.rates())))
}

pub(crate) async fn lineage(State(api): SharedApi) -> Answer<wire::Lineage> {
    Ok(Json(api.up.lineage()?.into()))
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
