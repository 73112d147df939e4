//! Records that were set aside.

mod replay;

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use headwater_lake::TableName;
use headwater_project::{Classify, Failure, Timestamp};

use crate::asset::quoted;
use crate::ingest::quarantine_of;
use crate::instance::{Instance, parse_table_name};
use crate::query::{Parameter, QueryStream};
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
            summaries.push(self.quarantine_of_table(&of, total).await?);
        }
        Ok(summaries)
    }

    /// The newest records that were set aside of a table, as rows; those of one reason, if it is given.
    pub async fn quarantined_records(
        &self,
        table: &str,
        reason: Option<&str>,
        limit: usize,
    ) -> Result<QueryStream, Failure> {
        let of = parse_table_name(table).map(|table| quarantine_of(&table));
        let known = match &of {
            Some(table) => self.lake.load(table).await.map_err(|error| error.failure())?.is_some(),
            None => false,
        };
        let Some(of) = of.filter(|_| known) else {
            return Err(Failure::user(format!("nothing of `{table}` was set aside"))
                .with_hint("`headwater quarantine list` shows the tables that have a quarantine."));
        };
        let condition = if reason.is_some() { " WHERE reason = $reason" } else { "" };
        let sql = format!(
            "SELECT reason, topic, partition, source_file, position, record_time, length, record FROM {}{condition} \
             ORDER BY record_time DESC NULLS LAST, position DESC LIMIT {limit}",
            quoted(&of)
        );
        let bound = reason.map(|reason| (String::from("reason"), Parameter::Text(reason.to_owned())));
        self.query(&sql, bound.into_iter().collect()).await
    }

    /// The reasons and newest records of one table's quarantine, which holds `total`.
    pub(crate) async fn quarantine_of_table(&self, of: &TableName, total: u64) -> Result<QuarantineSummary, Failure> {
        let table = quarantine_of(of);
        let reasons = self.reasons(&table).await?;
        let newest = format!(
            "SELECT * FROM {} ORDER BY record_time DESC NULLS LAST, position DESC LIMIT {SAMPLE}",
            quoted(&table)
        );
        let sample = self.rows_of(&newest).await?;
        Ok(QuarantineSummary { table: table.to_string(), of: of.to_string(), total, reasons, sample })
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
