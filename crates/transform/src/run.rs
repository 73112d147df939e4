//! What a run tells the templates about itself.

use headwater_project::Timestamp;

/// The run a compile belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunContext {
    pub started_at: Timestamp,
    pub invocation_id: String,
    /// Incremental models are built from nothing.
    pub full_refresh: bool,
    /// dbt's word for the command: `build`, `run`, `test`, `compile`, `show`.
    pub command: String,
}
