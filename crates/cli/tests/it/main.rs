//! Drives the built binary: what a person types, and what comes out on stdout, on stderr and as the exit code.
//!
//! Links nothing of the product: it only spawns it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends at what it did not expect, and waits for real processes"
)]

mod invocation;

mod broken_projects;
mod columns;
mod first_project;
mod formats;
mod manners;
mod serving;
