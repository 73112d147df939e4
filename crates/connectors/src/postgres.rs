//! PostgreSQL: whole tables copied, tables polled by a cursor column, and changes captured from the write-ahead log.
//!
//! One blocking client speaks to the server for all three: small statements for the catalog, binary COPY straight into
//! Arrow, and logical replication with a decoder of our own.

mod calendar;
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
mod snapshot;
mod table_copy;
mod target;
mod wire;

pub use capture::{CaptureSource, progress_keys, table_keys};
pub use config::{CursorConfig, Mode, PostgresConfig, TableConfig};
pub use incremental::{IncrementalSource, cursor_key};
pub use probe::probe;
pub use snapshot::{SnapshotSource, TableSource, snapshot_key};
pub use target::Target;
