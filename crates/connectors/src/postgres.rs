//! PostgreSQL: whole tables copied, tables polled by a cursor column, and changes captured from the write-ahead log.
//!
//! One blocking client speaks to the server for all three: small statements for the catalog, binary COPY straight into
//! Arrow, and logical replication with a decoder of our own.

mod capture;
mod catalog;
mod chunk;
mod column;
pub mod config;
mod copy;
mod error;
mod incremental;
mod numeric;
mod pgoutput;
mod probe;
mod sink;
mod snapshot;
mod table_copy;
mod target;
mod topic_table;
mod wire;

pub use capture::{
    COPY_BEGUN, COPY_ENDED, CaptureSource, CopyEvent, TableKeys, check_copy_beside, progress_keys, slot_name,
};
pub use config::{CursorConfig, Mode, OnExceed, PostgresConfig, SlotSafety, TableConfig, split_name};
pub use incremental::{IncrementalSource, cursor_key};
pub use probe::probe;
pub use sink::{PostgresSink, PostgresTable, WriteMode, probe_table};
pub use snapshot::{SnapshotSource, TableSource, snapshot_key};
pub use target::Target;
pub use topic_table::TopicTable;
