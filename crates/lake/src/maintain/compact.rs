//! Merging small files: same rows, same order inside a partition, fewer files.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use headwater_project::fault;
use url::Url;

use super::Policy;
use crate::commit::{Change, Operation};
use crate::error::{LakeError, Result};
use crate::file::DataFile;
use crate::name::TableName;
use crate::provider::{LakeTable, STORE_URL};
use crate::stage::StageOptions;
use crate::table::{Lake, TableVersion};

/// Bytes of small files merged at once, so that one round stays short and small.
const BYTES_PER_ROUND: u64 = 512 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    pub files_before: usize,
    pub files_after: usize,
    pub bytes: u64,
}

pub(super) async fn compact(lake: &Lake, name: &TableName, policy: Policy) -> Result<Option<Compacted>> {
    let table = lake.require(name).await?;
    let small = small_files(&table, policy);
    if small.is_empty() {
        return Ok(None);
    }
    let merged = rewrite(lake, &table, small.clone(), policy).await?;
    let rows = |files: &[DataFile]| files.iter().map(|file| file.rows).sum::<Option<u64>>();
    if rows(&merged) != rows(&small) {
        return Err(LakeError::Internal(format!("compaction of {name} would change its number of rows")));
    }
    let compacted = Compacted {
        files_before: small.len(),
        files_after: merged.len(),
        bytes: merged.iter().map(|file| file.size).sum(),
    };
    fault::point("mt.optimize_after_write_before_commit")?;
    let mut change = Change::new(Operation::Compact);
    change.remove = small;
    change.add = merged;
    match lake.commit(&table, change).await {
        Ok(_) => Ok(Some(compacted)),
        // Somebody rewrote one of the files meanwhile; the next round looks again.
        Err(LakeError::Conflict(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The oldest small files of the partition that has the most, enough to be worth a rewrite.
fn small_files(table: &TableVersion, policy: Policy) -> Vec<DataFile> {
    let mut by_partition: BTreeMap<_, Vec<&DataFile>> = BTreeMap::new();
    for file in table.files().iter().filter(|file| file.size < policy.target_file_bytes / 2 && file.rows.is_some()) {
        by_partition.entry(&file.partition).or_default().push(file);
    }
    let Some(mut files) = by_partition.into_values().max_by_key(Vec::len) else { return Vec::new() };
    if files.len() < policy.small_files {
        return Vec::new();
    }
    files.sort_by(|one, other| (one.modified, &one.path).cmp(&(other.modified, &other.path)));
    let mut bytes = 0;
    files
        .into_iter()
        .take_while(|file| {
            bytes += file.size;
            bytes <= BYTES_PER_ROUND
        })
        .cloned()
        .collect()
}

async fn rewrite(lake: &Lake, table: &TableVersion, files: Vec<DataFile>, policy: Policy) -> Result<Vec<DataFile>> {
    let options = StageOptions { target_file_bytes: policy.target_file_bytes as usize, ..StageOptions::default() };
    let mut stage = lake.stage(table.name(), Arc::clone(table.schema()), table.partition_columns(), options)?;
    let mut stream = read(lake, table, files).await?;
    while let Some(batch) = stream.try_next().await? {
        stage.write(&batch).await?;
    }
    stage.finish().await
}

async fn read(lake: &Lake, table: &TableVersion, files: Vec<DataFile>) -> Result<SendableRecordBatchStream> {
    let runtime = RuntimeEnvBuilder::new().build_arc()?;
    let url = Url::parse(STORE_URL).map_err(|error| LakeError::Internal(error.to_string()))?;
    runtime.register_object_store(&url, lake.object_store());
    let context = SessionContext::new_with_config_rt(SessionConfig::new().with_target_partitions(1), runtime);
    let provider = Arc::new(LakeTable::over(table.clone(), files, false));
    Ok(context.read_table(provider)?.execute_stream().await?)
}
