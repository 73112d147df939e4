//! Owns every byte written to tables: Delta tables on a local disk, in memory or on S3, and the protocol that commits
//! data together with the position of its source.
//!
//! Must not know: what a source is, models, HTTP, schedules.
//!
//! Invariants (each has a test that tries to break it):
//! - A batch and the positions it reaches are one atomic commit (`txn` actions of the Delta log).
//! - Every commit of a pipeline carries its owner's epoch; an owner whose epoch was passed can never commit again.
//! - An error from a commit is an unknown outcome: the table is read again and its positions decide.
//! - On a local disk nothing is acknowledged before file, directory entry and commit are synced.
//! - A checkpoint is trusted, and older log entries removed, only after the table was opened from it and compared.
//! - No file is deleted that a live, published or recent version needs.

mod column_cache;
mod commit;
mod encoding;
mod error;
mod file;
mod history;
pub mod maintain;
mod merge;
mod name;
mod pipeline;
mod provider;
mod recent;
mod recover;
mod schema;
mod stage;
mod stats;
mod store;
mod table;
mod transactions;

pub use column_cache::ColumnCache;
pub use commit::{Change, Operation};
pub use error::{LakeError, Result};
pub use file::DataFile;
pub use history::{CommitNote, SchemaNote};
pub use merge::{KeyedRows, Unchanged};
pub use name::TableName;
pub use pipeline::{CommitReceipt, INGESTED_AT, Owner, PipelineWriter, Progress};
pub use provider::{FILE_COLUMN, LakeTable, STORE_URL};
pub use recent::Recent;
pub use schema::{storable_schema, to_storable};
pub use stage::{Stage, StageOptions};
pub use store::{Credentials, Location, Storage};
pub use table::{Lake, TableVersion};
