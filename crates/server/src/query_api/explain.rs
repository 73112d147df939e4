//! `POST /api/sql/explain`: how a statement would be run.

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, header};
use headwater_app::QueryLimits;
use headwater_project::Failure;

use super::{header_text, statement, turn};
use crate::api::{Answer, SharedApi};
use crate::wire;

/// Planning reads no rows.
const SECONDS: u64 = 10;

pub(crate) async fn explain(
    State(api): SharedApi,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<wire::SqlPlan> {
    let request = statement(header_text(&headers, header::CONTENT_TYPE), &body?)?;
    let _turn = turn(&api.statements).await?;
    let limits = QueryLimits { seconds: SECONDS, ..QueryLimits::default() };
    let mut stream = api.instance.query_untrusted(&format!("EXPLAIN {}", request.sql), limits).await?;
    let mut plan = wire::SqlPlan { logical: String::new(), physical: String::new() };
    while let Some(batch) = stream.next().await? {
        let [kinds, texts] = batch.columns() else { continue };
        let as_text = |column| {
            arrow::compute::cast(column, &DataType::Utf8)
                .map_err(|error| Failure::internal("the plan is no text").with_detail(error.to_string()))
        };
        let (kinds, texts) = (as_text(kinds)?, as_text(texts)?);
        for (kind, text) in kinds.as_string::<i32>().iter().zip(texts.as_string::<i32>()) {
            match kind {
                Some("logical_plan") => plan.logical = text.unwrap_or_default().to_owned(),
                Some("physical_plan") => plan.physical = text.unwrap_or_default().to_owned(),
                _ => {}
            }
        }
    }
    Ok(Json(plan))
}
