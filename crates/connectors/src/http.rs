//! Records of a web service: asked for page by page, or once for each key; and rows sent to one.

mod auth;
mod cache;
mod client;
pub mod config;
mod download;
pub mod lookup;
mod pages;
mod requests;
mod retry;
mod since;
mod sink;
mod source;
#[cfg(test)]
mod test_service;

pub use config::HttpConfig;
pub use download::download;
pub use lookup::{LookupSource, OpenKeys};
pub use sink::{HttpSink, HttpTarget};
pub use source::{HttpSource, http_key};
