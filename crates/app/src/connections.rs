//! The systems a project is connected to: which there are, and whether they answer.

use headwater_connectors::kafka;
use headwater_connectors::postgres::{self, Target};
use headwater_project::config::{ConnectionConfig, HttpConnection, KafkaConnection, PostgresConnection};
use headwater_project::{Diagnostic, Diagnostics, Entropy, Failure};

use crate::clock::SystemEntropy;
use crate::project::Project;
use crate::source_file::SourceConfig;

/// A connection as it may be shown: without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSummary {
    pub name: String,
    pub kind: &'static str,
    /// Where it leads.
    pub address: String,
    /// Sources that use it.
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
            used_by: self
                .sources
                .iter()
                .filter(|source| source.config.connection() == Some(name))
                .map(|source| source.config.name().to_owned())
                .collect(),
        };
        self.config.connections.iter().map(summary).collect()
    }

    /// Connects to each of the named connections, or to all.
    pub fn test_connections(&self, names: &[String]) -> Result<Vec<ConnectionTest>, Failure> {
        let known = &self.config.connections;
        if let Some(unknown) = names.iter().find(|name| !known.contains_key(*name)) {
            return Err(no_such_connection(self, unknown));
        }
        let chosen = known.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
        Ok(chosen.map(|(name, config)| ConnectionTest { name: name.clone(), outcome: self.probe(config) }).collect())
    }

    fn probe(&self, config: &ConnectionConfig) -> Result<Vec<String>, Failure> {
        let entropy: &dyn Entropy = &SystemEntropy;
        match config {
            ConnectionConfig::Postgres(config) => postgres::probe(&Target::new(config, &self.root), entropy),
            ConnectionConfig::Http(_) => Ok(vec![String::from("an address is asked when a source reads it")]),
            ConnectionConfig::Kafka(config) => kafka::probe(&kafka::Target::new(config, &self.root)),
        }
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
        return Err(failure.with_hint("Values of `avro` and `json_schema` name schemas: add `registry` to it."));
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
            SourceConfig::Files(config) => (config.from.check(), Ok(())),
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
