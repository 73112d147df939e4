//! The vocabulary and the inputs every plane shares: a project folder read into an immutable snapshot of files, spans and
//! diagnostics, its typed configuration, and the graph of assets.
//!
//! Must not know: Tokio, Arrow, DataFusion, the network, the wall clock. Its only I/O is reading the project folder.
//! Loading never fails as a whole: it returns what could be read together with every diagnostic.

pub mod clock;
pub mod config;
pub mod diagnostic;
pub mod failure;
pub mod fault;
pub mod graph;
pub mod span;
pub mod tree;
pub mod unwind;

pub use clock::{Clock, Entropy, Timestamp};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use failure::{Classify, Failure, Kind};
pub use span::{FileId, Files, Position, SourceFile, Span};
