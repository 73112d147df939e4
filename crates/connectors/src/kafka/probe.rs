//! Whether a connection works, and what is on its other end.

use headwater_project::{Classify, Failure};
use rdkafka::consumer::Consumer;
use std::collections::BTreeMap;

use super::client::{ANSWER, Target, metadata};

/// Connects, asks a few questions, and says what it learnt, a line each.
pub fn probe(target: &Target) -> Result<Vec<String>, Failure> {
    learn(target).map_err(|error| error.failure())
}

fn learn(target: &Target) -> headwater_ingest::Result<Vec<String>> {
    let consumer = target.consumer(&BTreeMap::new())?;
    let found = metadata(&consumer, None)?;
    let cluster = consumer.client().fetch_cluster_id(ANSWER).unwrap_or_else(|| String::from("without an id"));
    let brokers: Vec<String> = found.brokers().iter().map(|one| format!("{}:{}", one.host(), one.port())).collect();
    let own = found.topics().iter().filter(|topic| !topic.name().starts_with("__")).count();
    let mut lines = vec![format!("Kafka cluster {cluster}"), format!("brokers {}", brokers.join(", "))];
    lines.push(match own {
        1 => String::from("1 topic can be seen"),
        count => format!("{count} topics can be seen"),
    });
    lines.push(match &target.connection().registry {
        Some(registry) => format!("schemas at {}, asked when a message names one", registry.url),
        None => String::from("no schema registry"),
    });
    Ok(lines)
}
