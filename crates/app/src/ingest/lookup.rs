//! Keys that have no answer yet: a query over the lake, less what the table of answers has.

use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use headwater_connectors::http::OpenKeys;
use headwater_connectors::http::lookup::{
    ATTEMPTS_COLUMN, FETCHED_AT_COLUMN, KeyType, LookupConfig, STATUS_COLUMN, Status,
};
use headwater_engine::EngineError;
use headwater_lake::TableName;
use headwater_project::{Classify, Failure, Timestamp};
use tokio::runtime::Handle;

use crate::instance::Instance;

/// Failures after which the wait for the next try no longer doubles.
const DOUBLINGS: u32 = 6;

/// Asks the lake on a thread that may wait.
pub(super) struct LakeKeys {
    instance: Instance,
    table: TableName,
    config: LookupConfig,
}

impl LakeKeys {
    pub(super) fn new(instance: &Instance, table: &TableName, config: &LookupConfig) -> Self {
        Self { instance: instance.clone(), table: table.clone(), config: config.clone() }
    }

    async fn read(&self, limit: usize) -> Result<RecordBatch, Failure> {
        let schema = open_schema(&self.config);
        let exists = self.instance.lake.load(&self.table).await.map_err(|error| error.failure())?.is_some();
        let sql = open_sql(&self.config, exists.then_some(&self.table), self.instance.now(), limit);
        let stream = match self.instance.session()?.query(&sql, &[]).await {
            Ok(stream) => crate::query::QueryStream::from_engine(stream),
            // A model that is not built yet, or a source that brought nothing: there are no keys so far.
            Err(EngineError::NoSuchTable(name, _)) => {
                tracing::warn!(table = %self.table, missing = name, "the query of keys names a table that is not there yet");
                return Ok(RecordBatch::new_empty(schema));
            }
            Err(error) => {
                let failure = error.failure();
                let detail = failure
                    .detail
                    .clone()
                    .map_or_else(|| failure.message.clone(), |more| format!("{}: {more}", failure.message));
                let message = format!("the keys of `{}` cannot be read", self.table);
                return Err(Failure { message, detail: Some(detail), ..failure });
            }
        };
        let mut batches = Vec::new();
        for batch in stream.collect().await? {
            let columns =
                batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
            let columns = columns.collect::<Result<Vec<_>, _>>();
            let typed = columns.and_then(|columns| RecordBatch::try_new(SchemaRef::clone(&schema), columns));
            batches.push(typed.map_err(|error| Failure::internal(error.to_string()))?);
        }
        concat_batches(&schema, &batches).map_err(|error| Failure::internal(error.to_string()))
    }
}

impl OpenKeys for LakeKeys {
    fn open(&mut self, limit: usize) -> Result<RecordBatch, Failure> {
        let runtime = Handle::try_current().map_err(|error| Failure::internal(error.to_string()))?;
        runtime.block_on(self.read(limit))
    }
}

fn open_schema(config: &LookupConfig) -> SchemaRef {
    let mut fields: Vec<Field> = config.key_schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new(ATTEMPTS_COLUMN, DataType::Int64, true));
    fields.push(Field::new(STATUS_COLUMN, DataType::Utf8, true));
    Schema::new(fields).into()
}

/// `table` is that of the answers, if it is there.
fn open_sql(config: &LookupConfig, table: Option<&TableName>, now: Timestamp, limit: usize) -> String {
    let names: Vec<String> = config.key.keys().map(|name| quoted(name)).collect();
    let typed: Vec<String> =
        config.key.iter().map(|(name, kind)| format!("{} AS {}", typed(name, *kind), quoted(name))).collect();
    let there: Vec<String> = names.iter().map(|name| format!("{name} IS NOT NULL")).collect();
    // The query may end in a comment.
    let given = config.keys.trim().trim_end_matches(';');
    let keys =
        format!("SELECT DISTINCT {} FROM (\n{given}\n) AS given WHERE {}", typed.join(", "), there.join(" AND "));
    let keys = format!("SELECT * FROM ({keys}) AS typed WHERE {}", there.join(" AND "));
    let columns: Vec<String> = names.iter().map(|name| format!("k.{name}")).collect();
    let columns = columns.join(", ");
    let (attempts, status) = (quoted(ATTEMPTS_COLUMN), quoted(STATUS_COLUMN));
    let Some(table) = table else {
        return format!(
            "SELECT {columns}, CAST(NULL AS BIGINT) AS {attempts}, CAST(NULL AS VARCHAR) AS {status} \
             FROM ({keys}) AS k LIMIT {limit}"
        );
    };
    let same: Vec<String> = names.iter().map(|name| format!("k.{name} = t.{name}")).collect();
    format!(
        "SELECT {columns}, t.{attempts}, t.{status} FROM ({keys}) AS k LEFT JOIN {}.{} AS t ON {} WHERE {} LIMIT {limit}",
        quoted(&table.schema),
        quoted(&table.table),
        same.join(" AND "),
        open_condition(config, now)
    )
}

/// Which rows of the table are to be asked for: none yet, those whose time to be tried again has come, and answers that are
/// too old.
fn open_condition(config: &LookupConfig, now: Timestamp) -> String {
    let (attempts, status) = (quoted(ATTEMPTS_COLUMN), quoted(STATUS_COLUMN));
    let asked = format!("CAST(t.{} AS BIGINT)", quoted(FETCHED_AT_COLUMN));
    let (now, retry) = (now.as_micros(), config.retry.0.as_micros());
    let (pending, failed) = (Status::Pending.as_str(), Status::Failed.as_str());
    let mut conditions = vec![
        format!("t.{status} IS NULL"),
        format!("t.{status} = '{pending}'"),
        format!(
            "(t.{status} = '{failed}' AND CAST({asked} AS DOUBLE) \
             + {retry}.0 * power(2.0, CAST(LEAST(t.{attempts} - 1, {DOUBLINGS}) AS DOUBLE)) <= {now}.0)"
        ),
    ];
    if let Some(ttl) = config.ttl {
        let before = now.saturating_sub(i64::try_from(ttl.0.as_micros()).unwrap_or(i64::MAX));
        let answered = format!("'{}', '{}'", Status::Ok.as_str(), Status::NotFound.as_str());
        conditions.push(format!("(t.{status} IN ({answered}) AND {asked} <= {before})"));
    }
    format!("({})", conditions.join(" OR "))
}

fn typed(name: &str, kind: KeyType) -> String {
    let name = quoted(name);
    match kind {
        KeyType::Text => format!("CAST({name} AS VARCHAR)"),
        KeyType::Integer => format!("CAST({name} AS BIGINT)"),
        KeyType::Number => format!("CAST({name} AS DOUBLE)"),
        KeyType::Boolean => format!("CAST({name} AS BOOLEAN)"),
        KeyType::Date => format!("CAST({name} AS DATE)"),
        KeyType::Timestamp => format!("arrow_cast({name}, 'Timestamp(Microsecond, Some(\"UTC\"))')"),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_keys_is_wrapped_as_it_is() {
        let config = serde_json::json!({"keys": "select a from x.y -- all;\n;", "key": {"a": "number"}, "ttl": "1d"});
        let config: LookupConfig = serde_json::from_value(config).unwrap();
        let sql = open_sql(&config, Some(&TableName::new("s", "t")), Timestamp(2_000_000), 10);
        for part in [
            "FROM (\nselect a from x.y -- all;\n\n) AS given WHERE \"a\" IS NOT NULL",
            "LEFT JOIN \"s\".\"t\" AS t ON k.\"a\" = t.\"a\"",
            "+ 600000000.0 * power(2.0, CAST(LEAST(t.\"_attempts\" - 1, 6) AS DOUBLE)) <= 2000000.0",
            "IN ('ok', 'not_found') AND CAST(t.\"_fetched_at\" AS BIGINT) <= -86398000000",
        ] {
            assert!(sql.contains(part), "{part}\n{sql}");
        }
        assert!(open_sql(&config, None, Timestamp(0), 10).contains("CAST(NULL AS BIGINT) AS \"_attempts\""));
    }
}
