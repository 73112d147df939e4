//! Clients of a cluster: how they are set up, and what they hear of it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use headwater_ingest::error::Result;
use headwater_project::Failure;
use headwater_project::config::{KafkaConnection, SaslMechanism};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::failure::{failed, of_code, passing, unanswered};

/// Longest wait for an answer of the cluster.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// Part of that wait after which it is looked whether waiting makes sense.
const PART: Duration = Duration::from_millis(500);

/// A cluster to connect to, with the paths of its files resolved.
#[derive(Clone, Debug)]
pub struct Target {
    connection: KafkaConnection,
    root: PathBuf,
}

impl Target {
    pub fn new(connection: &KafkaConnection, root: &Path) -> Self {
        Self { connection: connection.clone(), root: root.to_owned() }
    }

    pub(super) fn connection(&self) -> &KafkaConnection {
        &self.connection
    }

    /// Settings that every client has.
    pub(super) fn settings(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.connection.brokers.0.join(","));
        config.set("client.id", concat!("headwater-", env!("CARGO_PKG_VERSION")));
        config.set("socket.keepalive.enable", "true");
        config.set("reconnect.backoff.max.ms", "2000");
        config.set_log_level(RDKafkaLogLevel::Warning);
        let encrypted = self.connection.is_encrypted();
        config.set(
            "security.protocol",
            match (encrypted, &self.connection.sasl) {
                (false, None) => "PLAINTEXT",
                (true, None) => "SSL",
                (false, Some(_)) => "SASL_PLAINTEXT",
                (true, Some(_)) => "SASL_SSL",
            },
        );
        let mut file = |key: &str, path: &Option<String>| {
            if let Some(path) = path.as_ref().filter(|_| encrypted) {
                config.set(key, self.root.join(path).to_string_lossy());
            }
        };
        file("ssl.ca.location", &self.connection.ca_file);
        file("ssl.certificate.location", &self.connection.certificate_file);
        file("ssl.key.location", &self.connection.key_file);
        if let Some(sasl) = &self.connection.sasl {
            config.set(
                "sasl.mechanism",
                match sasl.mechanism {
                    SaslMechanism::Plain => "PLAIN",
                    SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
                    SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
                },
            );
            config.set("sasl.username", &sasl.user);
            config.set("sasl.password", sasl.password.reveal());
        }
        config
    }

    /// What the user set by the library's own names goes last, so that it wins.
    fn with_own(&self, mut config: ClientConfig) -> ClientConfig {
        for (key, value) in &self.connection.settings {
            config.set(key, value.reveal());
        }
        config
    }

    /// A consumer of these settings on top of the connection's.
    pub(super) fn consumer(&self, settings: &BTreeMap<&str, String>) -> Result<Reading> {
        let mut config = self.settings();
        // Where to read is said by the lake. What a group's offsets say is not asked, and an offset that is gone is told.
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "error").set("enable.partition.eof", "true");
        config.set("allow.auto.create.topics", "false").set("group.id", "headwater");
        settings.iter().for_each(|(key, value)| {
            config.set(*key, value);
        });
        let created = self.with_own(config).create_with_context(Context::default());
        created.map_err(|error| self.unusable(&error).into())
    }

    /// A producer of these settings on top of the connection's.
    pub(super) fn producer(&self, settings: &BTreeMap<&str, String>) -> Result<Writing> {
        let mut config = self.settings();
        settings.iter().for_each(|(key, value)| {
            config.set(*key, value);
        });
        let created = self.with_own(config).create_with_context(Context::default());
        created.map_err(|error| self.unusable(&error).into())
    }

    fn unusable(&self, error: &KafkaError) -> Failure {
        Failure::user(format!("the connection to {} cannot be set up", self.connection.brokers.0.join(", ")))
            .with_detail(error.to_string())
            .with_hint("Check the connection in headwater.yml.")
    }
}

pub(super) type Reading = BaseConsumer<Context>;
pub(super) type Writing = rdkafka::producer::BaseProducer<Context>;

/// What a client heard of its cluster, and of what it wrote.
#[derive(Debug, Default)]
pub(super) struct Context {
    heard: Mutex<Option<(RDKafkaErrorCode, String)>>,
    undelivered: Mutex<Option<KafkaError>>,
    delivered: Mutex<Delivered>,
}

/// Where records went since the last transaction began.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    /// Least offset that a record got.
    pub(super) first: Option<i64>,
    /// Greatest offset by topic and partition.
    pub(super) last: HashMap<String, BTreeMap<i32, i64>>,
}

impl Delivered {
    fn note(&mut self, topic: &str, partition: i32, offset: i64) {
        self.first = Some(self.first.map_or(offset, |first| first.min(offset)));
        if !self.last.contains_key(topic) {
            self.last.insert(topic.to_owned(), BTreeMap::new());
        }
        if let Some(partitions) = self.last.get_mut(topic) {
            let last = partitions.entry(partition).or_insert(offset);
            *last = offset.max(*last);
        }
    }
}

impl Context {
    /// The worst that was heard since the last call.
    pub(super) fn heard(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Where records went since the last call.
    pub(super) fn delivered(&self) -> Delivered {
        std::mem::take(&mut *self.delivered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why the first record that was not delivered was not.
    pub(super) fn undelivered(&self) -> Option<KafkaError> {
        self.undelivered.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Whether trying the same again leads nowhere.
pub(super) fn is_final(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism | Code::SSL)
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, "kafka client: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.as_ref().is_none_or(|(before, _)| !is_final(*before)) {
            *heard = Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {
        match result {
            Ok(message) => {
                let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
                delivered.note(message.topic(), message.partition(), message.offset());
            }
            Err((error, _)) => {
                let mut undelivered = self.undelivered.lock().unwrap_or_else(PoisonError::into_inner);
                undelivered.get_or_insert_with(|| error.clone());
            }
        }
    }
}

/// What the cluster says of itself and of one topic or all; an error says why there is no answer.
pub(super) fn metadata(consumer: &Reading, topic: Option<&str>) -> Result<Metadata> {
    let mut waited = Duration::ZERO;
    loop {
        let error = match consumer.fetch_metadata(topic, PART) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        // Without an assignment nothing but events can come.
        drop(consumer.poll(Duration::ZERO));
        waited += PART;
        let heard = consumer.context().heard();
        let is_over = waited >= ANSWER || heard.as_ref().is_some_and(|(code, _)| is_final(*code));
        match heard {
            Some((code, reason)) if is_over => {
                return Err(of_code("reach the brokers", code).with_detail(reason).into());
            }
            None if is_over => {
                let failure = passing("cannot reach the brokers").with_detail(error.to_string());
                return Err(failure.with_hint("Check the addresses, and whether the brokers run.").into());
            }
            _ => {}
        }
    }
}

/// First offset kept and next offset of each of these partitions: two questions to each broker, however many they are.
pub(super) fn ranges(consumer: &Reading, places: &[(&str, i32)]) -> Result<Vec<(i64, i64)>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let ask = |which: Offset| {
        let doing = "ask for the offsets";
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (topic, partition) in places {
            list.add_partition_offset(topic, *partition, which).map_err(|error| failed(doing, &error))?;
        }
        // In the place of a time these stand for the first and the next offset.
        let found = consumer.offsets_for_times(list, ANSWER).map_err(|error| unanswered(doing, &error))?;
        let offset = |(topic, partition): &(&str, i32)| {
            let one = found.find_partition(topic, *partition);
            match one.map(|one| (one.error(), one.offset())) {
                Some((Ok(()), Offset::Offset(offset))) => Ok(offset),
                Some((Err(error), _)) => {
                    Err(unanswered(&format!("{doing} of topic `{topic}` partition {partition}"), &error))
                }
                _ => Err(passing(format!("topic `{topic}` partition {partition} does not say its offsets")).into()),
            }
        };
        places.iter().map(offset).collect::<Result<Vec<i64>>>()
    };
    let (low, high) = (ask(Offset::Beginning)?, ask(Offset::End)?);
    Ok(low.into_iter().zip(high).collect())
}

/// First offset kept and next offset of a partition.
pub(super) fn watermarks(consumer: &Reading, topic: &str, partition: i32) -> Result<(i64, i64)> {
    let found = consumer.fetch_watermarks(topic, partition, ANSWER);
    found.map_err(|error| unanswered(&format!("ask for the offsets of topic `{topic}` partition {partition}"), &error))
}
