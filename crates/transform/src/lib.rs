//! dbt-compatible projects compiled to SQL and materialisation plans.
//!
//! Reads a project folder (dbt_project.yml, properties files, SQL models, macros, seeds, tests), finds out what depends on
//! what, selects nodes as dbt does, and compiles each to the SQL to run and a plan that says how its result is kept. Plans are
//! carried out elsewhere; what compiling must know of the warehouse it asks through [`Warehouse`].
//!
//! Must not know: DataFusion, Delta, Arrow, Tokio, the clock. That keeps its tests, the largest suite of the product, at about
//! a second.

pub mod artifact;
mod code_hash;
mod compile;
mod config;
mod contract;
mod defer;
mod definitions;
mod error;
mod external;
mod graph;
mod hooks;
mod jinja;
mod load;
mod materialize;
mod md5;
mod microbatch;
mod near;
mod node;
mod project;
mod run;
mod sample;
mod select;
mod snapshot;
mod unit_test;
mod volatile;
mod warehouse;

pub use compile::Compiled;
pub use config::NodeConfig;
pub use contract::{Contract, ContractColumn};
pub use defer::Deferral;
pub use definitions::Target;
pub use error::TransformError;
pub use external::{ExternalSource, FileFormat, external_source};
pub use graph::Graph;
pub use hooks::{HookMoment, RunHook};
pub use jinja::render::{Message, MessageLevel, TemplateLimits};
pub use load::macros::is_built_in_package;
pub use load::profile::{ProfileRequest, read_profile};
pub use load::{DeclaredSource, LoadOptions, load};
pub use materialize::{IncrementalStrategy, OnSchemaChange, Partition, Plan, SeedPlan, TestPlan, TestSeverity};
pub use microbatch::{BatchSize, Microbatch, parse_moment};
pub use node::{Column, Node, NodeId, NodeKind, RefCall, ResourceType, SourceCall, TestKind};
pub use project::TransformProject;
pub use run::{Batch, RunContext};
pub use sample::parse_sample;
pub use select::{IndirectSelection, PreviousNode, PreviousState, SelectionQuery, loaded_sources};
pub use snapshot::{HardDeletes, MetaColumns, SnapshotPlan, SnapshotStrategy};
pub use warehouse::{
    Cell, ColumnInfo, QueryTable, RelationInfo, RelationKind, RelationName, Warehouse, WarehouseError,
};

#[cfg(test)]
mod tests;
