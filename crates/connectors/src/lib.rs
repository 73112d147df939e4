//! Sources for the systems a project reads from, and sinks for those it writes to, one folder each.
//!
//! Must not know: the lake, SQL, the orchestrator, the server, or each other. A connector implements
//! `headwater_ingest::source::Source` or [`sink::RowSink`] and brings the configuration a user writes for it; `app` opens it.

pub mod files;
pub mod http;
pub mod kafka;
pub mod keyed_hash;
pub mod postgres;
mod postgres_text;
pub mod push;
pub mod sink;
