//! What a source is, and how it is driven: records with positions, the durable local log, codecs to Arrow, schema drift,
//! quarantine, rotation, retry, and acknowledgement only after the commit.
//!
//! Rows may be changed on their way by a [`rows::RowTransform`].
//!
//! Must not know: Delta, DataFusion, dbt, schedules, or any concrete service. A table is a [`sink::TableSink`], a topic is a
//! [`log::EventLog`], anything that yields records is a [`source::Source`]; `app` and `connectors` supply them.

pub mod capture;
pub mod codec;
pub mod error;
pub mod health;
pub mod limits;
pub mod log;
pub mod log_source;
pub mod pipeline;
pub mod position;
pub mod raw_files;
pub mod record;
pub mod rows;
pub mod schema;
pub mod sink;
pub mod source;
pub mod stream_health;

pub use error::{Error, Result};
pub use position::Positions;
pub use record::{Record, RecordBuffer};
