//! Records that others send over HTTP: who may, what a body holds, and recognising one that comes again.

mod body;
pub mod config;
mod index;
mod signature;

pub use body::{BodyError, records};
pub use config::PushConfig;
pub use index::{Begun, Known, MAX_KEY, PushIndex, body_hash, mark};
pub use signature::{Proof, prove};
