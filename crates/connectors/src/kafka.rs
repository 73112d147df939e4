//! Kafka: topics as sources, and topics as the log of a project.
//!
//! Partitions are assigned by hand: who may write a table is decided by the fence in its commits, not by a consumer group.
//! Positions are in those commits; a group's offsets are told to the brokers afterwards, for their displays alone.

pub mod config;
pub mod connect;
mod debezium;
pub mod raw;

#[cfg(feature = "kafka")]
mod batch;
#[cfg(feature = "kafka")]
mod client;
#[cfg(feature = "kafka")]
mod failure;
#[cfg(feature = "kafka")]
mod log;
#[cfg(feature = "kafka")]
mod partitions;
#[cfg(feature = "kafka")]
mod probe;
#[cfg(feature = "kafka")]
mod registry;
#[cfg(feature = "kafka")]
mod sink;
#[cfg(feature = "kafka")]
mod source;

pub use config::KafkaConfig;
pub use debezium::Unwrapped;

#[cfg(feature = "kafka")]
pub use self::{
    client::Target,
    log::KafkaLog,
    probe::probe,
    sink::{KafkaSink, Messages, SinkOptions},
    source::{AfterCommit, KafkaSource, Options, position_keys},
};
