//! The routes over a real instance: a small project, ingested and built, behind the real router without a socket.

mod dashboards;
mod events;
mod identities;
mod reading;
mod sinks;
mod sources;
mod world;
