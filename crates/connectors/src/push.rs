//! Records that others send over HTTP: who may, what a body holds, and recognising one that comes again.

mod arrow_stream;
mod body;
pub mod config;
mod csv;
mod index;
mod media_type;
mod records;
mod signature;
mod source;
mod unpack;

pub use body::{BodyError, records};
pub use config::PushConfig;
pub use index::{Begun, Known, MAX_KEY, PushIndex, body_hash, mark};
pub use records::Records;
pub use signature::{Proof, prove, prove_token};
pub use source::{PushSource, Resumed};
