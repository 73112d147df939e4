//! `/api/topics`: the local log's topics and their last records.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use crate::api::{Answer, ApiError, SharedApi, list as wire_list};
use crate::wire;

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TailParameters {
    limit: Option<usize>,
}

pub(crate) async fn list(State(api): SharedApi) -> Answer<Vec<wire::Topic>> {
    Ok(wire_list(api.instance.topics().await?))
}

pub(crate) async fn one(State(api): SharedApi, Path(name): Path<String>) -> Answer<wire::TopicDetail> {
    let topic = api.instance.topic(&name).await.map_err(ApiError::absent)?;
    let records: i64 = topic.partitions.iter().map(|partition| partition.end_offset - partition.start_offset).sum();
    let bytes: u64 = topic.partitions.iter().map(|partition| partition.bytes).sum();
    let rates = api.events.rates();
    let pipelines = api.up.pipelines();
    let pipeline = pipelines.into_iter().find(|pipeline| pipeline.table.ends_with(&format!(".{name}")));
    let pipeline = pipeline.map(|pipeline| wire::IngestProgress {
        rows_per_second: rates.get(&pipeline.table).copied().unwrap_or_default(),
        pipeline: pipeline.into(),
    });
    Ok(Json(wire::TopicDetail { topic: topic.into(), records: records.into(), bytes: bytes.into(), pipeline }))
}

pub(crate) async fn tail(
    State(api): SharedApi,
    Path(name): Path<String>,
    parameters: Result<Query<TailParameters>, QueryRejection>,
) -> Answer<Vec<wire::TopicRecord>> {
    let Query(parameters) = parameters?;
    let limit = parameters.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    let from_end = u64::try_from(limit).unwrap_or(u64::MAX);
    Ok(wire_list(api.instance.tail(&name, from_end, limit).await.map_err(ApiError::absent)?))
}
