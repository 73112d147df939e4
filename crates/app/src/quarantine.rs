//! Records that were set aside.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use headwater_lake::TableName;
use headwater_project::{Failure, Timestamp};

use crate::asset::quoted;
use crate::ingest::quarantine_of;
use crate::instance::{Instance, parse_table_name};
use crate::view::{QuarantineReason, QuarantineSummary, TileRows};

/// Reasons and records told of one table.
const REASONS: usize = 50;
const SAMPLE: usize = 20;

impl Instance {
    /// Every quarantine that holds something, with its reasons and newest records.
    pub async fn quarantine(&self) -> Result<Vec<QuarantineSummary>, Failure> {
        let mut summaries = Vec::new();
        for (name, total) in self.quarantined().await? {
            let Some(of) = parse_table_name(&name).filter(|_| total > 0) else { continue };
            let table = quarantine_of(&of);
            let reasons = self.reasons(&table).await?;
            let newest = format!(
                "SELECT * FROM {} ORDER BY record_time DESC NULLS LAST, position DESC LIMIT {SAMPLE}",
                quoted(&table)
            );
            let sample = self.rows_of(&newest).await?;
            summaries.push(QuarantineSummary { table: table.to_string(), of: name, total, reasons, sample });
        }
        Ok(summaries)
    }

    async fn reasons(&self, table: &TableName) -> Result<Vec<QuarantineReason>, Failure> {
        let sql = format!(
            "SELECT coalesce(reason, '') AS reason, count(*) AS records, CAST(max(record_time) AS BIGINT) AS last_at \
             FROM {} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {REASONS}",
            quoted(table)
        );
        let TileRows { batches, .. } = self.rows_of(&sql).await?;
        let mut reasons = Vec::new();
        for batch in &batches {
            let wrong = |error: arrow::error::ArrowError| Failure::internal(error.to_string());
            let [reason, records, last_at] = batch.columns() else { continue };
            let texts = arrow::compute::cast(reason, &DataType::Utf8).map_err(wrong)?;
            let counts = arrow::compute::cast(records, &DataType::Int64).map_err(wrong)?;
            let texts = Arc::new(texts.as_string::<i32>().clone());
            let (counts, last_at) = (counts.as_primitive::<Int64Type>(), last_at.as_primitive::<Int64Type>());
            for ((reason, count), last_at) in texts.iter().zip(counts).zip(last_at) {
                reasons.push(QuarantineReason {
                    reason: reason.unwrap_or_default().to_owned(),
                    count: count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
                    last_at: last_at.map(Timestamp),
                });
            }
        }
        Ok(reasons)
    }
}
