//! The commit protocol against stores that misbehave, clocks that jump and owners that come back from the dead.

mod commit;
mod faulty;
mod maintenance;
mod recovery;
mod world;
