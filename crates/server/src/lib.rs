//! The face of Headwater over HTTP: routes, wire shapes, limits and the accept loop around them.
//!
//! The only crate that knows HTTP. It must not know connectors, Delta tables, Jinja or the command line: everything it
//! answers comes from the plain-data façade of `app`, converted to the shapes in [`wire`].
//!
//! # The API
//! Every route is one line of the table in `routes.rs`, with its policy. Bodies are JSON in UTF-8 unless said otherwise.
//!
//! | route | answer |
//! | --- | --- |
//! | `GET /` | a page for people: what this process has |
//! | `GET /health` | `{"status": "ok"}` while the process serves |
//! | `GET /api/status` | [`wire::Status`] |
//! | `GET /api/assets` | [`wire::Assets`]: nodes of the project and tables of the lake |
//! | `GET /api/assets/{name}` | [`wire::Asset`]: the node, its table, or both |
//! | `GET /api/runs?limit=50` | list of [`wire::Run`], newest first |
//! | `GET /api/runs/{id}` | [`wire::RunWithSteps`] |
//! | `POST /api/runs` | [`wire::StartRun`] in, [`wire::RunReport`] out; `409` while another run holds the project |
//! | `GET /api/topics` | list of [`wire::Topic`] |
//! | `GET /api/topics/{name}/tail?limit=20` | list of [`wire::TopicRecord`], oldest first |
//! | `POST /api/sql` | rows; body `{"sql": "..."}` or the statement as `text/plain` |
//! | `GET /api/dashboards` | list of [`wire::Dashboard`] |
//! | `GET /api/dashboards/{name}` | list of [`wire::Tile`]: the answers of every tile |
//!
//! # Rows
//! `POST /api/sql` answers in the format of `?format=json|csv|arrow`, or of `Accept`; JSON when neither says.
//! Rows are sent as the engine makes them, and only as fast as the client reads.
//! - **JSON**: `{"columns": [{"name", "type"}], "rows": [[...], ...], "row_count": n, "truncated": false}`. Numbers are
//!   exact: a 64-bit integer is a JSON number up to 2^53 - 1 in size and a string beyond, a decimal is a string, and
//!   `NaN`, `Infinity` and `-Infinity` are strings. Dates and times are ISO 8601 strings, binary is hexadecimal. When the
//!   row limit is reached, `truncated` is true. A failure after the first rows ends the object with
//!   `"error"` in place of `row_count`.
//! - **CSV** (with a header) and **Arrow** (IPC stream): past the server's row limit, or after a failure, the connection
//!   breaks off, so that a client never takes half an answer for the whole. `?limit=` ends an answer cleanly.
//!
//! # Errors
//! `{"error": {"message", "detail", "hint", "kind"}}`; `kind` is `user` (400, or 404, 405, 413, 415, 421), `conflict`
//! (409), `exhausted` (429), `external` (503) or `internal` (500).
//!
//! # Who may call
//! The process listens on the loopback address. A request whose `Host` is not loopback (or allowed by name) is refused
//! with 421, so that a web page cannot reach it through a name it controls; an unsafe method with a foreign `Origin` is
//! refused with 403, so that a web page cannot act through the reader's browser.

mod api;
mod assets_api;
pub mod auth;
mod dash_api;
mod error;
mod events_api;
mod guard;
mod listen;
mod overview_api;
mod query_api;
mod routes;
pub mod rows;
mod runs_api;
mod session_api;
mod status_api;
mod topics_api;
mod ui;
pub mod wire;

#[cfg(test)]
mod tests;

pub use error::ServerError;
pub use listen::{Server, ServerOptions};
