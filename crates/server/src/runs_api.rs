//! `/api/runs`: what ran, and starting a run.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use headwater_app::view::{Silent, StepSummary};
use headwater_app::{BuildCommand, BuildRequest, Selection};
use headwater_project::Failure;
use serde::Deserialize;

use crate::api::{Answer, Api, ApiError, SharedApi, list as wire_list, read_json};
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
    let number = id.parse::<i64>().map_err(|_| no_such_run(&id))?;
    let (run, steps) = api.instance.run(number).await.map_err(ApiError::absent)?;
    Ok(Json(wire::RunWithSteps { run: run.into(), steps: steps.into_iter().map(Into::into).collect() }))
}

/// What the run said so far, as text.
pub(crate) async fn log(State(api): SharedApi, Path(id): Path<String>) -> Result<Response, ApiError> {
    let number = id.parse::<i64>().map_err(|_| no_such_run(&id))?;
    api.instance.run(number).await.map_err(ApiError::absent)?;
    let log = api.instance.run_log(number)?;
    let log = log.ok_or_else(|| {
        ApiError::not_found(format!("nothing is kept of what run {id} said"), "Logs are kept of the newest runs.")
    })?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], log).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartParameters {
    wait: Option<bool>,
}

/// Runs to the end even when the caller hangs up: a run is the project's, not the connection's.
pub(crate) async fn start(
    State(api): SharedApi,
    parameters: Result<Query<StartParameters>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let Query(parameters) = parameters?;
    let request = build_request(read_json(&body?)?)?;
    if parameters.wait == Some(false) {
        return begin(&api, &request);
    }
    let (instance, cancel) = (api.instance.clone(), api.stop.child_token());
    let build = api.tasks.spawn(async move { instance.build(request, Arc::new(Silent), cancel).await });
    let report =
        build.await.map_err(|error| Failure::internal("the run ended unexpectedly").with_detail(error.to_string()))?;
    Ok(Json(wire::RunReport::from(report?)).into_response())
}

/// Answers with the queued run and lets it go on.
fn begin(api: &Api, request: &BuildRequest) -> Result<Response, ApiError> {
    let queued = api.instance.queue(request, &api.stop)?;
    let run = queued.run();
    let instance = api.instance.clone();
    api.tasks.spawn(async move {
        if let Err(failure) = instance.run_queued(queued, Arc::new(Silent)).await {
            tracing::warn!(run, message = %failure.message, detail = ?failure.detail, "a run failed to begin");
        }
    });
    Ok((StatusCode::ACCEPTED, Json(wire::RunStarted { run: run.into() })).into_response())
}

/// The same command and selection once more.
pub(crate) async fn rerun(
    State(api): SharedApi,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let asked: wire::Rerun = read_json(&body?)?;
    let number = id.parse::<i64>().map_err(|_| no_such_run(&id))?;
    let (run, steps) = api.instance.run(number).await.map_err(ApiError::absent)?;
    let select = if asked.failed_only {
        failed_and_after(&steps)
    } else {
        run.selection.split_whitespace().map(str::to_owned).collect()
    };
    if asked.failed_only && select.is_empty() {
        return Err(Failure::user(format!("nothing failed in run {id}")).into());
    }
    let command = Some(run.command);
    let request = wire::StartRun { command, select, ..wire::StartRun::default() };
    begin(&api, &BuildRequest { trigger: "retry", ..build_request(request)? })
}

/// Ends a run that waits or is under way.
pub(crate) async fn cancel(State(api): SharedApi, Path(id): Path<String>) -> Answer<wire::RunCancelled> {
    let number = id.parse::<i64>().map_err(|_| no_such_run(&id))?;
    api.instance.run(number).await.map_err(ApiError::absent)?;
    Ok(Json(wire::RunCancelled { cancelled: api.instance.cancel_run(number) }))
}

/// Selectors of what did not succeed, with what stands on it.
fn failed_and_after(steps: &[StepSummary]) -> Vec<String> {
    let bad =
        steps.iter().filter(|step| matches!(step.status.as_str(), "failed" | "skipped" | "cancelled" | "crashed"));
    bad.filter_map(|step| Some(format!("{}+", step.id.split('.').nth(2)?))).collect()
}

fn no_such_run(id: &str) -> ApiError {
    ApiError::not_found(format!("there is no run `{id}`"), "`GET /api/runs` lists the runs.")
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
        trigger: "api",
        ..BuildRequest::default()
    })
}
