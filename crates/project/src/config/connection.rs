//! `connections` of `headwater.yml`: the systems a project reads from and writes to.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::TextList;
use super::bucket::{AzureConnection, GcsConnection, S3Connection};

/// Text that is never shown: not in errors, not by `Debug`, not over HTTP.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one call that has to send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Never written out: \"${NAME}\" takes it from the environment."
        })
    }
}

/// A system the project reads from or writes to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ConnectionConfig {
    /// A PostgreSQL database.
    Postgres(PostgresConnection),
    /// A web service.
    Http(HttpConnection),
    /// A Kafka cluster.
    Kafka(KafkaConnection),
    /// A store of objects that speaks S3.
    S3(S3Connection),
    /// Google Cloud Storage.
    Gcs(GcsConnection),
    /// Azure Blob Storage.
    Azure(AzureConnection),
}

impl ConnectionConfig {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Http(_) => "http",
            Self::Kafka(_) => "kafka",
            Self::S3(_) => "s3",
            Self::Gcs(_) => "gcs",
            Self::Azure(_) => "azure",
        }
    }
}

/// A PostgreSQL database, 10 or newer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresConnection {
    /// Name or address of the server, or the folder of its socket.
    #[serde(default = "localhost")]
    pub host: String,
    /// Port of the server.
    #[serde(default = "postgres_port")]
    pub port: u16,
    /// Database to connect to.
    pub database: String,
    /// Role to connect as.
    pub user: String,
    /// Password of the role; write "${NAME}" and set NAME in the environment.
    pub password: Option<Secret>,
    /// Whether the connection is encrypted. Default: `verify`, but `off` for this machine and for sockets.
    pub tls: Option<TlsMode>,
    /// File with the certificates to trust (PEM), relative to the project; the system's when not given.
    pub ca_file: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// Not encrypted.
    Off,
    /// Encrypted, and the server's certificate and name are checked.
    Verify,
}

/// A web service.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConnection {
    /// Start of every address, such as `https://api.example.com/v1`.
    pub url: String,
    /// How to say who asks.
    pub auth: Option<HttpAuth>,
    /// Headers sent with every request.
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, Secret>,
    /// Most requests a second.
    pub requests_per_second: Option<f64>,
}

/// A cluster of Apache Kafka 2.6 or newer, or of something that speaks its protocol.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaConnection {
    /// Where to ask first, as `host:port`; the others are learnt from there.
    pub brokers: TextList,
    /// Whether connections are encrypted. Default: `verify`, but `off` for this machine.
    pub tls: Option<TlsMode>,
    /// File with the certificates to trust (PEM), relative to the project; the system's when not given.
    pub ca_file: Option<String>,
    /// File with a certificate that says who we are (PEM), relative to the project.
    pub certificate_file: Option<String>,
    /// File with the key of that certificate (PEM), relative to the project.
    pub key_file: Option<String>,
    /// User, password, and how they are proved.
    pub sasl: Option<KafkaSasl>,
    /// Where schemas of values are, for Avro, Protobuf and JSON Schema.
    pub registry: Option<RegistryConnection>,
    /// Settings of the client library by their own names, such as `client.rack`.
    #[serde(default)]
    pub settings: std::collections::BTreeMap<String, Secret>,
}

impl KafkaConnection {
    /// Whether connections are encrypted.
    pub fn is_encrypted(&self) -> bool {
        let is_near = |broker: &String| {
            let host = broker.rsplit_once(':').map_or(broker.as_str(), |(host, _)| host);
            matches!(host.trim_matches(['[', ']']), "localhost" | "127.0.0.1" | "::1")
        };
        match self.tls {
            Some(mode) => mode == TlsMode::Verify,
            None => !self.brokers.0.iter().all(is_near),
        }
    }
}

/// User, password, and how they are proved.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaSasl {
    /// How the password is proved.
    #[serde(default)]
    pub mechanism: SaslMechanism,
    /// Name of the user.
    pub user: String,
    /// Password of the user; write "${NAME}" and set NAME in the environment.
    pub password: Secret,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// The password is sent.
    #[serde(rename = "plain")]
    Plain,
    /// The password is proved with SCRAM over SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// The password is proved with SCRAM over SHA-512.
    #[default]
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// A schema registry with the interface of Confluent's.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryConnection {
    /// Its address, such as `https://registry.example.com`.
    pub url: String,
    /// Name of the user.
    pub user: Option<String>,
    /// Password of the user.
    pub password: Option<Secret>,
}

/// How to say who asks.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum HttpAuth {
    /// User and password.
    Basic {
        /// Name of the user.
        user: String,
        /// Password of the user.
        password: Secret,
    },
    /// A token in the Authorization header.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// A key in a header or in the query.
    ApiKey {
        /// The key.
        key: Secret,
        /// Header to send it in. Default: `X-API-Key`, unless `query` is given.
        header: Option<String>,
        /// Parameter of the query to send it in.
        query: Option<String>,
    },
    /// OAuth 2 with client credentials: a token is fetched, and fetched again before it expires.
    ClientCredentials {
        /// Address that gives tokens.
        token_url: String,
        /// Name of the client.
        client_id: String,
        /// Secret of the client.
        client_secret: Secret,
        /// Scope to ask for.
        scope: Option<String>,
    },
}

fn localhost() -> String {
    String::from("localhost")
}

fn postgres_port() -> u16 {
    5432
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_in_what_debug_prints() {
        let json = serde_json::json!({
            "kind": "postgres", "database": "shop", "user": "app", "password": "canary-71",
        });
        let config: ConnectionConfig = serde_json::from_value(json).unwrap();
        let printed = format!("{config:?}");
        assert!(printed.contains("shop") && !printed.contains("canary-71"), "{printed}");
    }
}
