//! The systems a project is connected to: which there are, and whether they answer.

use headwater_connectors::kafka;
use headwater_connectors::postgres::{self, Target};
use headwater_project::config::{ConnectionConfig, HttpConnection, KafkaConnection, PostgresConnection};
use headwater_project::{Diagnostic, Diagnostics, Entropy, Failure};

use crate::clock::{SystemClock, SystemEntropy};
use crate::project::Project;
use crate::sink_file::SinkConfig;
use crate::source_file::SourceConfig;

/// A connection as it may be shown: without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSummary {
    pub name: String,
    pub kind: &'static str,
    /// Where it leads.
    pub address: String,
    /// Sources and sinks that use it.
    pub used_by: Vec<String>,
}

/// What a connection's other end said.
#[derive(Clone, Debug)]
pub struct ConnectionTest {
    pub name: String,
    pub outcome: Result<Vec<String>, Failure>,
}

impl Project {
    pub fn connections(&self) -> Vec<ConnectionSummary> {
        let summary = |(name, config): (&String, &ConnectionConfig)| ConnectionSummary {
            name: name.clone(),
            kind: config.kind(),
            address: address(config),
            used_by: self.users(name),
        };
        self.config.connections.iter().map(summary).collect()
    }

    /// Sources and sinks that use a connection.
    fn users(&self, name: &String) -> Vec<String> {
        let sources = self.sources.iter().filter(|source| source.config.connection() == Some(name));
        let sinks = self.sinks.iter().filter(|sink| sink.connection() == Some(name));
        let sinks = sinks.map(|sink| format!("sink {}", sink.name()));
        sources.map(|source| source.config.name().to_owned()).chain(sinks).collect()
    }

    /// Connects to each of the named connections, or to all.
    pub fn test_connections(&self, names: &[String]) -> Result<Vec<ConnectionTest>, Failure> {
        let known = &self.config.connections;
        if let Some(unknown) = names.iter().find(|name| !known.contains_key(*name)) {
            return Err(no_such_connection(self, unknown));
        }
        let chosen = known.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
        Ok(chosen
            .map(|(name, config)| ConnectionTest { name: name.clone(), outcome: self.probe(name, config) })
            .collect())
    }

    fn probe(&self, name: &str, config: &ConnectionConfig) -> Result<Vec<String>, Failure> {
        let entropy: &dyn Entropy = &SystemEntropy;
        match config {
            ConnectionConfig::Postgres(config) => {
                let target = Target::new(config, &self.root);
                let mut lines = postgres::probe(&target, &self.slots(name), &SystemClock::start(), entropy)?;
                for sink in &self.sinks {
                    if let SinkConfig::Postgres(file) = sink
                        && file.to.connection == name
                    {
                        let found = postgres::probe_table(&target, &file.to, entropy)?;
                        lines.extend(found.into_iter().map(|line| format!("sink {}: {line}", sink.name())));
                    }
                }
                Ok(lines)
            }
            ConnectionConfig::Http(_)
            | ConnectionConfig::S3(_)
            | ConnectionConfig::Gcs(_)
            | ConnectionConfig::Azure(_) => Ok(vec![String::from("an address is asked when a source reads it")]),
            ConnectionConfig::Kafka(config) => kafka::probe(&kafka::Target::new(config, &self.root)),
        }
    }

    /// Replication slots of the sources that capture through a connection.
    fn slots(&self, connection: &str) -> Vec<String> {
        let slot = |source: &SourceConfig| match source {
            SourceConfig::Postgres(config)
                if config.from.mode == postgres::Mode::Capture && config.from.connection == connection =>
            {
                Some(postgres::slot_name(&config.name, &config.from))
            }
            _ => None,
        };
        self.sources.iter().filter_map(|source| slot(&source.config)).collect()
    }

    pub(crate) fn postgres_connection(&self, name: &str) -> Result<&PostgresConnection, Failure> {
        match self.config.connections.get(name) {
            Some(ConnectionConfig::Postgres(config)) => Ok(config),
            Some(other) => Err(wrong_kind(name, other, "postgres")),
            None => Err(no_such_connection(self, name)),
        }
    }
}

impl Project {
    /// A connection of any kind.
    pub(crate) fn connection(&self, name: &str) -> Result<&ConnectionConfig, Failure> {
        self.config.connections.get(name).ok_or_else(|| no_such_connection(self, name))
    }

    pub(crate) fn kafka_connection(&self, name: &str) -> Result<&KafkaConnection, Failure> {
        match self.config.connections.get(name) {
            Some(ConnectionConfig::Kafka(config)) => Ok(config),
            Some(other) => Err(wrong_kind(name, other, "kafka")),
            None => Err(no_such_connection(self, name)),
        }
    }

    pub(crate) fn http_connection(&self, name: &str) -> Result<&HttpConnection, Failure> {
        match self.config.connections.get(name) {
            Some(ConnectionConfig::Http(config)) => Ok(config),
            Some(other) => Err(wrong_kind(name, other, "http")),
            None => Err(no_such_connection(self, name)),
        }
    }
}

fn address(config: &ConnectionConfig) -> String {
    match config {
        ConnectionConfig::Postgres(config) => {
            format!("{}@{}:{}/{}", config.user, config.host, config.port, config.database)
        }
        ConnectionConfig::Http(config) => config.url.clone(),
        ConnectionConfig::Kafka(config) => config.brokers.0.join(", "),
        ConnectionConfig::S3(config) => config.endpoint.clone().unwrap_or_else(|| String::from("Amazon S3")),
        ConnectionConfig::Gcs(config) => {
            config.endpoint.clone().unwrap_or_else(|| String::from("Google Cloud Storage"))
        }
        ConnectionConfig::Azure(config) => {
            let account = config.account.as_deref().unwrap_or("Azure Blob Storage");
            config.endpoint.clone().unwrap_or_else(|| account.to_owned())
        }
    }
}

fn no_such_connection(project: &Project, name: &str) -> Failure {
    let known: Vec<&str> = project.config.connections.keys().map(String::as_str).collect();
    let hint = match headwater_project::config::suggest(name, known.iter().copied()) {
        Some(near) => format!("Did you mean `{near}`?"),
        None if known.is_empty() => String::from("Add it under `connections` of headwater.yml."),
        None => format!("headwater.yml has {}.", known.join(", ")),
    };
    Failure::user(format!("there is no connection `{name}`")).with_hint(hint)
}

fn wrong_kind(name: &str, found: &ConnectionConfig, wanted: &str) -> Failure {
    Failure::user(format!("connection `{name}` is of kind {}", found.kind()))
        .with_hint(format!("Name one of kind {wanted}."))
}

fn check_kafka(project: &Project, config: &kafka::KafkaConfig) -> Result<(), Failure> {
    let connection = project.kafka_connection(&config.connection)?;
    if config.needs_registry() && connection.registry.is_none() {
        let failure = Failure::user(format!("connection `{}` has no schema registry", config.connection));
        return Err(
            failure.with_hint("Values of `avro`, `protobuf` and `json_schema` name schemas: add `registry` to it.")
        );
    }
    Ok(())
}

/// Problems of sources that their own files do not show.
pub(crate) fn check(project: &Project, found: &mut Diagnostics) {
    if let Some(Err(failure)) = project.config.log.connection.as_ref().map(|name| project.kafka_connection(name)) {
        let finding = Diagnostic::error(format!("`log` of headwater.yml: {}", failure.message));
        found.push(Diagnostic { hint: failure.hint, ..finding });
    }
    for source in &project.sources {
        let (findings, connected) = match &source.config {
            SourceConfig::Generator(_) | SourceConfig::Push(_) => continue,
            SourceConfig::Files(config) => {
                let named = config.from.connection.as_deref().map(|name| project.connection(name));
                (config.from.check(), named.transpose().map(drop))
            }
            SourceConfig::Http(config) => {
                (config.from.check(), project.http_connection(&config.from.connection).map(drop))
            }
            SourceConfig::Kafka(config) => (config.from.check(), check_kafka(project, &config.from)),
            SourceConfig::Postgres(config) => {
                (config.from.check(), project.postgres_connection(&config.from.connection).map(drop))
            }
        };
        for finding in findings {
            let message = format!("source `{}`: {}", source.config.name(), finding.message);
            found.push(Diagnostic { message, ..finding });
        }
        if let Err(failure) = connected {
            let finding = Diagnostic::error(format!("source `{}`: {}", source.config.name(), failure.message));
            found.push(Diagnostic { hint: failure.hint, ..finding });
        }
    }
}
