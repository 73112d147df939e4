//! Produces data and trouble: seeded generators that a project names as sources.
//!
//! A [`Generator`] is a deterministic stream of records. Its output depends on its configuration and nothing else, so the
//! k-th record of a (topic, partition) is the same bytes in every process that runs it; a restarted process restores the
//! last snapshot, produces again and skips what its durable log already holds. That makes a generator an exactly-once
//! source without any store of its own.
//!
//! Must not know: the lake, the SQL engine, the log its records are written to, Tokio, the wall clock (the caller says
//! what "now" is and how far to go), any source of randomness other than the seed.

pub mod error;
pub mod generator;
pub mod random;
pub mod sessions;

pub use error::SimError;
pub use generator::{Counts, Generated, Generator, Produced, RecordSink, ReferenceTable, Stop, TopicCounts, TopicSpec};
pub use sessions::config::{FaultShares, Overrides, SessionsConfig};
pub use sessions::lint::lint;
pub use sessions::simulation::Sessions;
