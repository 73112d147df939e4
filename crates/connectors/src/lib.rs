//! Sources for the systems a project reads from, one folder each.
//!
//! Must not know: the lake, SQL, the orchestrator, the server, or each other. A connector implements
//! `headwater_ingest::source::Source` and brings the configuration a user writes for it; `app` opens it.

pub mod files;
pub mod http;
pub mod kafka;
mod keyed_hash;
pub mod postgres;
pub mod push;
