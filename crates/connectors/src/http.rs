//! Records of a web service, asked for page by page.

mod auth;
mod client;
pub mod config;
mod download;
mod pages;
mod retry;
mod since;
mod source;

pub use config::HttpConfig;
pub use download::download;
pub use source::{HttpSource, http_key};
