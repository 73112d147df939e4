//! Each kind of sink: what is wrong with its file, and how its destination is opened. Nothing else here knows kinds.

use std::sync::Arc;

use headwater_connectors::files::FilesSink;
use headwater_connectors::http::HttpSink;
use headwater_connectors::kafka::{self, KafkaSink, Messages};
use headwater_connectors::postgres::{self, PostgresSink};
use headwater_connectors::sink::{Identity, RowSink, Surroundings};
use headwater_project::{Diagnostic, Failure};
use tokio_util::sync::CancellationToken;

use super::captured::Captured;
use crate::instance::Instance;
use crate::project::Project;
use crate::sink_file::{Send, SinkConfig};

/// What a destination knows the sink by.
fn identity(project: &Project, config: &SinkConfig) -> Identity {
    let sends = match config.send() {
        Send::Added => format!("added rows of {}", config.table()),
        Send::All => format!("all rows of {}", config.table()),
    };
    Identity { id: format!("{}/{}", project.name(), config.name()), sends }
}

/// Where rows go, with the names of the captured table in the place of what stands for them.
pub(crate) fn shown(project: &Project, config: &SinkConfig) -> String {
    let resolved = match config {
        SinkConfig::Kafka(file) => file.to.changes().and_then(|options| {
            let captured = Captured::of_log(project, &file.table).ok()?;
            Some(captured.topic(&file.to, &options))
        }),
        _ => None,
    };
    resolved.unwrap_or_else(|| config.destination().to_owned())
}

/// A sink that is not connected to anything yet.
pub(super) fn open(
    instance: &Instance,
    config: &SinkConfig,
    stop: &CancellationToken,
) -> Result<Box<dyn RowSink>, Failure> {
    let project = instance.project();
    let identity = identity(project, config);
    let (clock, token) = (Arc::clone(&instance.clock), stop.clone());
    let surroundings = Surroundings {
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&instance.entropy),
        is_stopping: Arc::new(move || token.is_cancelled()),
    };
    Ok(match config {
        SinkConfig::Kafka(file) => {
            let target = kafka::Target::new(project.kafka_connection(&file.to.connection)?, &project.root);
            let id = format!("headwater/{}/sink/{}", project.name(), file.name);
            let (topic, messages) = match file.to.changes() {
                Some(options) => {
                    let captured = Captured::of_log(project, &file.table)?;
                    (captured.topic(&file.to, &options), captured.messages(instance, &options)?)
                }
                None => (file.to.topic().to_owned(), Messages::Rows { key: file.to.key.0.clone() }),
            };
            let partitions = file.to.partitions;
            Box::new(KafkaSink::new(kafka::SinkOptions { target, topic, partitions, messages, id, clock }))
        }
        SinkConfig::Postgres(file) => {
            let target = postgres::Target::new(project.postgres_connection(&file.to.connection)?, &project.root);
            let sends_all = file.send == Send::All;
            Box::new(PostgresSink::new(target, file.to.clone(), sends_all, identity, surroundings))
        }
        SinkConfig::Files(file) => Box::new(FilesSink::new(project.root.clone(), file.to.clone(), identity)),
        SinkConfig::Http(file) => {
            let connection = project.http_connection(&file.to.connection)?.clone();
            let path = instance.paths.sink_progress(&file.name);
            Box::new(HttpSink::new(connection, file.to.clone(), identity, &path, surroundings))
        }
    })
}

/// Everything wrong with where a sink sends, without asking anybody.
pub(super) fn check(project: &Project, config: &SinkConfig) -> Vec<Diagnostic> {
    let sends_all = config.send() == Send::All;
    let (mut found, connected) = match config {
        SinkConfig::Kafka(file) => {
            let mut found = file.to.check();
            if file.to.changes().is_some() {
                found.extend(check_changes(project, config));
            }
            (found, project.kafka_connection(&file.to.connection).map(drop))
        }
        SinkConfig::Postgres(file) => {
            (file.to.check(sends_all), project.postgres_connection(&file.to.connection).map(drop))
        }
        SinkConfig::Files(file) => (file.to.check(sends_all), Ok(())),
        SinkConfig::Http(file) => (file.to.check(), project.http_connection(&file.to.connection).map(drop)),
    };
    if let Err(failure) = connected {
        found.push(Diagnostic { hint: failure.hint, ..Diagnostic::error(failure.message) });
    }
    let columns = config.columns();
    let left_out = config.needed_columns().iter().find(|needed| !columns.is_empty() && !columns.contains(needed));
    if let Some(column) = left_out {
        let hint = "Add it to `columns`.";
        found.push(Diagnostic::error(format!("column `{column}` is needed and not sent")).hint(hint));
    }
    found
}

/// Everything wrong with a sink of changes: it needs the log of a captured table, all of it.
fn check_changes(project: &Project, config: &SinkConfig) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if config.send() == Send::All {
        let hint = "Remove `send: all`: what a table holds already is sent before its first change.";
        found.push(Diagnostic::error("changes are sent as they are added").hint(hint));
    }
    if !config.columns().is_empty() {
        let hint = "Remove `columns`, and list what is to stay out under `exclude` of the source's table.";
        found.push(Diagnostic::error("changes are sent with all their columns").hint(hint));
    }
    if let Err(failure) = Captured::of_log(project, config.table()) {
        found.push(Diagnostic { hint: failure.hint, ..Diagnostic::error(failure.message) });
    }
    found
}
