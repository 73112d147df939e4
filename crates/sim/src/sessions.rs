//! The session simulator: users of a site move over its pages by a Markov chain, with daily, weekly and personal rhythms,
//! and leave the events of a music service behind.
//!
//! [`config`] reads a configuration (the format eventsim users have), [`lint`] judges it, [`chain`] compiles it for speed,
//! [`simulation`] runs it, [`render`] writes records, [`world`] holds people, places, devices and songs.

pub mod calendar;
pub mod catalog;
pub mod chain;
pub mod config;
pub mod dates;
pub mod faults;
pub mod lint;
pub mod render;
pub mod rhythm;
pub mod simulation;
pub mod state;
pub mod world;

#[cfg(test)]
mod tests;
