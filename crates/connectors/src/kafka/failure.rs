//! What Kafka's client says, as whose fault it is and what to do.

use headwater_ingest::Error;
use headwater_project::{Failure, Kind};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

/// Worth another try by itself.
pub(super) fn passing(message: impl Into<String>) -> Failure {
    Failure::new(Kind::External { retry_after: None }, message)
}

/// Any error of the client that no caller knows better about.
pub(super) fn failed(doing: &str, error: &KafkaError) -> Error {
    let failure = match error.rdkafka_error_code() {
        Some(code) => of_code(doing, code),
        None => passing(format!("cannot {doing}")),
    };
    Error::Failed(failure.with_detail(error.to_string()))
}

/// Why partitions that the cluster lists do not say their offsets. A topic is listed before a broker leads its partitions: until one
/// does, a broker may say that it does not know them. Of a topic that is gone, the next list tells.
pub(super) fn unanswered(doing: &str, error: &KafkaError) -> Error {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(
            Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::NotLeaderForPartition
            | Code::LeaderNotAvailable,
        ) => {
            passing(format!("cannot {doing}: no broker leads the partition yet")).with_detail(error.to_string()).into()
        }
        _ => failed(doing, error),
    }
}

/// What a code of the client or of a broker means.
pub(super) fn of_code(doing: &str, code: RDKafkaErrorCode) -> Failure {
    use RDKafkaErrorCode as Code;
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
            Failure::user(format!("cannot {doing}: the brokers do not accept who we are"))
                .with_hint("Check user, password and mechanism of the connection.")
        }
        Code::SSL => Failure::user(format!("cannot {doing}: no encrypted connection to the brokers"))
            .with_hint("Check `tls` and `ca_file` of the connection, and the name in the brokers' certificate."),
        Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            Failure::user(format!("cannot {doing}: not allowed")).with_hint("Ask for the rights to do this.")
        }
        Code::TransactionalIdAuthorizationFailed => {
            Failure::user(format!("cannot {doing}: not allowed to write in transactions"))
                .with_hint("Ask for WRITE on the transactional id.")
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            Failure::user(format!("cannot {doing}: a topic or partition is not there"))
        }
        Code::InvalidArgument | Code::InvalidConfig => Failure::user(format!("cannot {doing}: a setting is wrong")),
        Code::Fatal | Code::Fenced | Code::InvalidProducerEpoch => {
            Failure::new(Kind::Conflict, format!("cannot {doing}: another process has taken over"))
        }
        _ => passing(format!("cannot {doing}")),
    }
}
