//! The face of Headwater over HTTP: routes, wire shapes, limits and the accept loop around them.
//!
//! The only crate that knows HTTP. It must not know connectors, Delta tables, Jinja or the command line: everything it
//! answers comes from the plain-data façade of `app`, converted to the shapes in [`wire`].
//!
//! # The API
//! Every route is one line of the table in `routes.rs`, with its policy; `API.md` beside this crate's manifest says what
//! each takes and answers, who may call it, and how rows, events and errors look.

mod api;
mod assets_api;
pub mod auth;
mod dash_api;
mod error;
mod events_api;
mod guard;
mod listen;
mod metrics_api;
mod overview_api;
mod push_api;
mod query_api;
mod routes;
pub mod rows;
mod runs_api;
mod session_api;
mod sinks_api;
mod sources_api;
mod status_api;
mod topics_api;
mod ui;
pub mod wire;

#[cfg(test)]
mod tests;

pub use error::ServerError;
pub use listen::{Server, ServerOptions};
