//! Wires the planes together and offers one façade of plain data to the terminal and the server.
//!
//! Implements the small traits that planes declare for what they need of each other (a lake table as an ingest sink, the
//! engine as the warehouse of templates), owns start-up and shut-down, and is the only crate that reads the real clock.
//!
//! Must not know: HTTP, terminals, command lines. Must stay thin: adapters and life cycle.

mod activity;
mod asset;
mod build;
mod catalog_file;
mod clock;
mod columns;
mod connections;
mod dashboards;
mod defer;
mod doctor;
mod examples;
mod export;
mod externals;
mod generators;
mod history;
mod home;
mod imports;
mod ingest;
mod init;
mod instance;
mod landing;
mod lineage;
mod lock;
mod mounts;
mod open_files;
mod operations;
mod packages;
mod paths;
mod place;
mod project;
mod push;
mod quarantine;
mod query;
mod running;
mod sink_file;
mod sinks;
mod source_file;
mod sources;
mod state_folder;
mod text_time;
mod topics;
mod up;
mod verify;
pub mod view;
mod worker;

pub use activity::{Activity, Happening};
pub use build::{BuildCommand, BuildRequest, QueuedRun};
pub use clock::{Stopwatch, SystemClock, SystemEntropy};
pub use connections::{ConnectionSummary, ConnectionTest};
pub use dashboards::ShowTarget;
pub use defer::DeferTo;
pub use examples::{example_names, extract_example};
pub use headwater_connectors::push::Proof;
pub use imports::ImportedSource;
pub use init::init_project;
pub use instance::{Access, Instance};
pub use open_files::raise_open_files;
pub use operations::retry_request;
pub use packages::{InstalledPackage, PackageRequest};
pub use project::{DeprecationSummary, IndirectSelection, OpenOptions, Project, Selection, is_deprecation};

pub use export::{Exported, Sent};
/// A moment of event time as it is typed: a date, with a time or without.
pub use headwater_transform::{Batch as EventTimeSpan, parse_moment, parse_sample};
pub use push::{PushReceipt, PushRefusal, PushRequest, PushRoom, PushTurn};
pub use query::{Parameter, QueryStream};
pub use running::{Announcement, RunningProcess};
pub use text_time::rfc3339;
pub use topics::Topics;
pub use up::{GenerateRequest, Up, UpHandle, UpOptions};
pub use view::{
    ColumnSummary, CompiledNode, Diagnosis, Finding, GeneratorStatus, NodeSummary, Observer, PipelineStatus, Place,
    RunReport, RunSummary, ScheduleStatus, Silent, Status, StepOutcome, StepReport, StepSummary, TableSummary,
    TileAnswer, TileRows, TopicPartition, TopicRecord, TopicSummary,
};
pub use worker::{QueryLimits, WorkerCommand, run_query_worker};
