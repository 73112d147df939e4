//! Files in a folder or a store: each is taken once, whole, in one commit. And files as a sink.

mod archive;
mod avro;
mod compression;
pub mod config;
mod connect;
mod content;
mod conversion;
mod dialect;
mod discover;
mod encoding;
mod fingerprint;
mod lines;
mod objects;
mod opening;
mod pattern;
mod place;
mod rows;
mod sheet;
mod sink;
pub mod source;
#[cfg(test)]
mod tests;
mod typed;

pub use config::{FilesConfig, Format, OnChange};
pub use fingerprint::TakenFile;
pub use objects::Store;
pub use place::Place;
pub use sink::{FilesSink, FilesTarget};
pub use source::{FilesSource, Reports};
