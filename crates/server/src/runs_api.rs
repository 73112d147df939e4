//! `/api/runs`: what ran, and starting a run.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use headwater_app::view::Silent;
use headwater_app::{BuildCommand, BuildRequest, Selection};
use headwater_project::Failure;
use serde::Deserialize;

use crate::api::{Answer, ApiError, SharedApi, list as wire_list};
use crate::wire;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListParameters {
    limit: Option<usize>,
}

pub(crate) async fn list(
    State(api): SharedApi,
    parameters: Result<Query<ListParameters>, QueryRejection>,
) -> Answer<Vec<wire::Run>> {
    let Query(parameters) = parameters?;
    let limit = parameters.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    Ok(wire_list(api.instance.runs(limit).await?))
}

pub(crate) async fn one(State(api): SharedApi, Path(id): Path<String>) -> Answer<wire::RunWithSteps> {
    let no_such_run = || ApiError::not_found(format!("there is no run `{id}`"), "`GET /api/runs` lists the runs.");
    let number = id.parse::<i64>().map_err(|_| no_such_run())?;
    let (run, steps) = api.instance.run(number).await.map_err(ApiError::absent)?;
    Ok(Json(wire::RunWithSteps { run: run.into(), steps: steps.into_iter().map(Into::into).collect() }))
}

/// Runs to the end even when the caller hangs up: a run is the project's, not the connection's.
pub(crate) async fn start(State(api): SharedApi, body: Result<Bytes, BytesRejection>) -> Answer<wire::RunReport> {
    let request = build_request(start_run(&body?)?)?;
    let (instance, cancel) = (api.instance.clone(), api.stop.child_token());
    let build = api.tasks.spawn(async move { instance.build(request, Arc::new(Silent), cancel).await });
    let report =
        build.await.map_err(|error| Failure::internal("the run ended unexpectedly").with_detail(error.to_string()))?;
    Ok(Json(report?.into()))
}

/// No body asks for what an empty one does.
fn start_run(body: &[u8]) -> Result<wire::StartRun, ApiError> {
    if body.is_empty() {
        return Ok(wire::StartRun::default());
    }
    Ok(serde_json::from_slice(body)
        .map_err(|error| Failure::user("the body is not the JSON this route takes").with_detail(error.to_string()))?)
}

fn build_request(body: wire::StartRun) -> Result<BuildRequest, ApiError> {
    let command = match body.command.as_deref().unwrap_or("build") {
        "build" => BuildCommand::Build,
        "run" => BuildCommand::Run,
        "test" => BuildCommand::Test,
        "seed" => BuildCommand::Seed,
        other => {
            let failure = Failure::user(format!("there is no command `{other}`"))
                .with_hint("The commands are `build`, `run`, `test` and `seed`.");
            return Err(failure.into());
        }
    };
    Ok(BuildRequest {
        command,
        selection: Selection { select: body.select, exclude: body.exclude, ..Selection::default() },
        full_refresh: body.full_refresh,
        force: false,
        threads: None,
        trigger: "api",
    })
}
