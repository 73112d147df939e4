//! All application transactions of a version of a table at once. Asking for them one by one replays the log each time, and
//! who reads a thousand partitions does not know their names before.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use object_store::ObjectStoreExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::{LakeError, Result};
use crate::maintain::checkpoint_version;
use crate::recover::{commit_version, log_objects};
use crate::table::{Lake, TableVersion};

/// The version each application id has reached in this version of the table.
pub(crate) async fn of(lake: &Lake, table: &TableVersion) -> Result<BTreeMap<String, i64>> {
    let store = lake.object_store();
    let objects = log_objects(lake, table.name()).await?;
    let reached = |version: &u64| *version <= table.version();
    let checkpoints = objects
        .iter()
        .filter_map(|object| Some((checkpoint_version(&object.location).filter(reached)?, &object.location)));
    let checkpoint = checkpoints.max_by_key(|(version, _)| *version);
    let mut transactions = BTreeMap::new();
    if let Some((_, path)) = checkpoint {
        let bytes = store.get(path).await?.bytes().await?;
        read_checkpoint(bytes, &mut transactions)?;
    }
    let covered = checkpoint.map(|(version, _)| version);
    for object in &objects {
        let Some(version) = commit_version(&object.location).filter(reached) else { continue };
        if covered.is_none_or(|covered| version > covered) {
            let bytes = store.get(&object.location).await?.bytes().await?;
            read_commit(&bytes, &mut transactions).map_err(|error| {
                LakeError::Internal(format!("log entry {version} of {} does not read: {error}", table.name()))
            })?;
        }
    }
    Ok(transactions)
}

fn read_commit(bytes: &[u8], into: &mut BTreeMap<String, i64>) -> serde_json::Result<()> {
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"txn\"")) {
        let action: serde_json::Value = serde_json::from_slice(line)?;
        let id = action.pointer("/txn/appId").and_then(serde_json::Value::as_str);
        let version = action.pointer("/txn/version").and_then(serde_json::Value::as_i64);
        if let (Some(id), Some(version)) = (id, version) {
            into.insert(id.to_owned(), version);
        }
    }
    Ok(())
}

fn read_checkpoint(bytes: bytes::Bytes, into: &mut BTreeMap<String, i64>) -> Result<()> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let columns = ProjectionMask::columns(builder.parquet_schema(), ["txn.appId", "txn.version"]);
    for batch in builder.with_projection(columns).build()? {
        let batch = batch?;
        let Some(transactions) = batch.column_by_name("txn").and_then(|column| column.as_struct_opt()) else {
            continue;
        };
        let ids = transactions
            .column_by_name("appId")
            .map(|ids| arrow::compute::cast(ids, &arrow::datatypes::DataType::Utf8));
        let versions = transactions.column_by_name("version").and_then(|column| column.as_primitive_opt::<Int64Type>());
        let (Some(ids), Some(versions)) = (ids.transpose()?, versions) else { continue };
        let ids = ids.as_string::<i32>();
        for row in (0..batch.num_rows()).filter(|row| transactions.is_valid(*row) && ids.is_valid(*row)) {
            into.insert(ids.value(row).to_owned(), versions.value(row));
        }
    }
    Ok(())
}
