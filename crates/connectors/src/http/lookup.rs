//! Asking a service once for each key that a query over the lake gives.
//!
//! The table is the memory: a row for each key, with what became of it. A key that has an answer is not asked again, one that
//! failed is, later, and a service that does not answer at all costs nothing but time. Answers on their way when the process
//! dies are asked for once more; their rows are merged by key, so that the table does not know.

mod answers;
pub mod config;
mod rows;
mod source;
mod template;

pub use config::{KeyType, LookupConfig};
pub use rows::{ATTEMPTS_COLUMN, FETCHED_AT_COLUMN, STATUS_COLUMN, Status};
pub use source::{LookupSource, OpenKeys};
