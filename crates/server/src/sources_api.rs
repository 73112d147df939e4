//! `/api/sources`: how each source is doing, and steering it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use headwater_project::{Failure, Kind};

use crate::api::{Answer, ApiError, SharedApi, list as wire_list, read_json};
use crate::wire;

pub(crate) async fn list(State(api): SharedApi) -> Answer<Vec<wire::Source>> {
    Ok(wire_list(api.up.sources().await?))
}

pub(crate) async fn one(State(api): SharedApi, Path(name): Path<String>) -> Answer<wire::SourceDetail> {
    Ok(Json(api.up.source(&name).await.map_err(ApiError::absent)?.into()))
}

/// What has to be read from the lake.
pub(crate) async fn tables(State(api): SharedApi, Path(name): Path<String>) -> Answer<Vec<wire::SourceTable>> {
    let tables = api.instance.source_tables(&name).await.map_err(ApiError::absent)?;
    let tables: Result<Vec<wire::SourceTable>, Failure> = tables.into_iter().map(TryInto::try_into).collect();
    Ok(Json(tables?))
}

/// Answers at once, with what goes on then: what was read is still being committed.
pub(crate) async fn pause(
    State(api): SharedApi,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<wire::Source> {
    let asked: wire::SteerSource = read_json(&body?)?;
    let source = api.up.pause(&name, asked.table.as_deref()).await.map_err(refused)?;
    tracing::info!(source = name, table = asked.table, "paused");
    Ok(Json(source.into()))
}

pub(crate) async fn resume(
    State(api): SharedApi,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<wire::Source> {
    let asked: wire::SteerSource = read_json(&body?)?;
    let source = api.up.resume(&name, asked.table.as_deref()).await.map_err(refused)?;
    tracing::info!(source = name, table = asked.table, "resumed");
    Ok(Json(source.into()))
}

/// Runs it once more from the positions of its tables. Nothing begins anew: that is `headwater ingest --restart`.
pub(crate) async fn restart(
    State(api): SharedApi,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<wire::Source> {
    let asked: wire::SteerSource = read_json(&body?)?;
    let source = api.up.run_again(&name, asked.table.as_deref()).await.map_err(refused)?;
    tracing::info!(source = name, table = asked.table, "run again");
    Ok(Json(source.into()))
}

/// Has a captured table copied again beside its stream. Answers when the request is stored: the copy begins with the stream's
/// next look.
pub(crate) async fn recopy(
    State(api): SharedApi,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<wire::Source> {
    let asked: wire::RecopyTable = read_json(&body?)?;
    api.instance.has_source(&name).map_err(ApiError::absent)?;
    let source = api.up.recopy(&name, &asked.table).await?;
    tracing::info!(source = name, table = asked.table, "to be copied again");
    Ok(Json(source.into()))
}

/// A user's mistake here is the name of a source or of its table.
fn refused(failure: Failure) -> ApiError {
    if failure.kind == Kind::User { ApiError::absent(failure) } else { failure.into() }
}
