//! `/api/sinks`: how each sink is doing.

use axum::extract::State;

use crate::api::{Answer, SharedApi, list as wire_list};
use crate::wire;

pub(crate) async fn list(State(api): SharedApi) -> Answer<Vec<wire::Sink>> {
    Ok(wire_list(api.up.sinks().await?))
}
