//! One data file of a table as its log describes it.

use std::collections::BTreeMap;

use deltalake_core::kernel::{Add, LogicalFileView, Remove};

/// A Parquet file that belongs to a table or is about to.
#[derive(Clone, Debug, PartialEq)]
pub struct DataFile {
    /// Relative to the table's folder.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Rows, when the log says so.
    pub rows: Option<u64>,
    /// Text form of each partition column's value; `None` is NULL.
    pub partition: BTreeMap<String, Option<String>>,
    /// Statistics in Delta's JSON form.
    pub stats: Option<String>,
    /// Milliseconds since the epoch.
    pub modified: i64,
}

impl DataFile {
    pub(crate) fn from_view(view: &LogicalFileView) -> Self {
        let stats = view.stats();
        let rows = view.num_records().map(|rows| rows as u64).or_else(|| stats.as_deref().and_then(crate::stats::rows));
        Self {
            path: view.path().into_owned(),
            size: u64::try_from(view.size()).unwrap_or(0),
            rows,
            partition: view.partition_values_map().into_iter().collect(),
            stats,
            modified: view.modification_time(),
        }
    }

    pub(crate) fn add(&self, data_change: bool) -> Add {
        Add {
            path: self.path.clone(),
            partition_values: self.partition.clone().into_iter().collect(),
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            modification_time: self.modified,
            data_change,
            stats: self.stats.clone(),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        }
    }

    pub(crate) fn remove(&self, data_change: bool, now_millis: i64) -> Remove {
        Remove {
            path: self.path.clone(),
            data_change,
            deletion_timestamp: Some(now_millis),
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition.clone().into_iter().collect()),
            size: i64::try_from(self.size).ok(),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
        }
    }
}
