//! The commit protocol against stores that misbehave, clocks that jump and owners that come back from the dead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at what it did not expect")]

mod commit;
mod faulty;
mod maintenance;
mod merge;
mod recovery;
mod shapes;
mod world;
