//! Drives the built binary: what a person types, and what comes out on stdout, on stderr and as the exit code.
//!
//! Links nothing of the product: it only spawns it.

mod invocation;

mod broken_projects;
mod first_project;
mod formats;
mod manners;
mod serving;
