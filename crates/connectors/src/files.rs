//! Files in a folder: each is taken once, whole, in one commit.

pub mod config;
mod discover;
mod fingerprint;
mod pattern;
pub mod source;
#[cfg(test)]
mod tests;

pub use config::{FilesConfig, Format, OnChange};
pub use fingerprint::TakenFile;
pub use source::{FilesSource, Reports};
