//! What every sink is told: topics, what messages are, and how to reach brokers and registry.

use super::{Draft, Keys};

pub(super) fn read(keys: &mut Keys, draft: &mut Draft) {
    if let Some(topics) = keys.take("topics") {
        draft.topics =
            topics.split(',').map(|topic| topic.trim().to_owned()).filter(|topic| !topic.is_empty()).collect();
    }
    draft.pattern = keys.take("topics.regex");
    if draft.topics.is_empty() && draft.pattern.is_none() {
        draft.note("topics", "No topics are named. Name them under `topics`, or give a `pattern`.");
    }
    values(keys, draft);
    consumer(keys, draft);
    security(keys, draft);
    match keys.take("behavior.on.null.values").as_deref() {
        Some("ignore") => draft.tombstones = Some("drop"),
        Some("write") => draft.tombstones = Some("keep"),
        Some(_) => {
            draft.tombstones = Some("reject");
            draft.note("behavior.on.null.values", "Messages without a value go to the quarantine; the source goes on.");
        }
        None => {}
    }
}

/// The last part of a class's name.
fn short(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or_default()
}

fn values(keys: &mut Keys, draft: &mut Draft) {
    let converter = keys.take("value.converter");
    let with_schema = keys.take("value.converter.schemas.enable").is_none_or(|enabled| enabled != "false");
    draft.value = match converter.as_deref().map(short) {
        Some("JsonConverter") => {
            if with_schema {
                draft.note("value.converter.schemas.enable", "Values carry their schema: the table has the columns `schema` and `payload`, and the row is `payload`. Raw files have both, too.");
            }
            "json"
        }
        Some("AvroConverter") => "avro",
        Some("ProtobufConverter") => "protobuf",
        Some("JsonSchemaConverter") => "json_schema",
        Some("StringConverter") => "text",
        Some("ByteArrayConverter") => "bytes",
        Some(_) => {
            draft.note("value.converter", "No value of this kind is known; `bytes` keeps them as they come.");
            "bytes"
        }
        None => {
            draft.note("value.converter", "It is not in the file, so the worker's own holds. `json` is assumed: look into the worker's configuration.");
            "json"
        }
    };
    match keys.take("key.converter").as_deref().map(short) {
        None | Some("StringConverter" | "JsonConverter") => {}
        Some("ByteArrayConverter") => draft.key = Some("bytes"),
        Some(_) => {
            draft.key = Some("bytes");
            draft.note("key.converter", "Keys are kept as their bytes: those of a schema registry are not read.");
        }
    }
    let passwords = ["value.converter.basic.auth.user.info", "key.converter.basic.auth.user.info"];
    let user = keys.take_any(&passwords);
    draft.connection.registry_user = user.map(|user| user.split(':').next().unwrap_or_default().to_owned());
    let urls = keys.take_any(&["value.converter.schema.registry.url", "key.converter.schema.registry.url"]);
    if urls.as_deref().is_some_and(|urls| urls.contains(',')) {
        draft.note("value.converter.schema.registry.url", "Only the first address is used.");
    }
    draft.connection.registry = urls.map(|urls| urls.split(',').next().unwrap_or_default().trim().to_owned());
    for side in ["value", "key"] {
        keys.take(&format!("{side}.converter.basic.auth.credentials.source"));
        keys.take(&format!("{side}.converter.schemas.enable"));
    }
    let needs_registry = matches!(draft.value, "avro" | "protobuf" | "json_schema");
    if needs_registry && draft.connection.registry.is_none() {
        draft.note(
            "value.converter.schema.registry.url",
            "It is not in the file. Set REGISTRY_URL, or write the address into the connection.",
        );
        draft.connection.registry = Some("${REGISTRY_URL}".to_owned());
    }
}

/// A setting of the consumer, which may stand in the configuration of the connector or of the worker.
fn setting(keys: &mut Keys, name: &str) -> Option<String> {
    keys.take_any(&[&format!("consumer.override.{name}"), &format!("consumer.{name}"), name])
}

fn consumer(keys: &mut Keys, draft: &mut Draft) {
    draft.connection.brokers = setting(keys, "bootstrap.servers");
    if draft.connection.brokers.is_none() {
        draft.note("bootstrap.servers", "The brokers, and how they are protected, are not in the file but in the worker's. Set KAFKA_BROKERS, or write them into the connection.");
    }
    draft.latest = setting(keys, "auto.offset.reset").as_deref() == Some("latest");
    draft.read_uncommitted = setting(keys, "isolation.level").as_deref() == Some("read_uncommitted");
}

fn security(keys: &mut Keys, draft: &mut Draft) {
    let protocol = setting(keys, "security.protocol");
    draft.connection.encrypted = protocol.as_deref().map(|protocol| protocol.ends_with("SSL"));
    let mechanism = setting(keys, "sasl.mechanism");
    let known = match mechanism.as_deref() {
        Some("PLAIN") => Some("plain"),
        Some("SCRAM-SHA-256") => Some("scram-sha-256"),
        Some("SCRAM-SHA-512") => Some("scram-sha-512"),
        Some(other) => {
            draft.note(
                "sasl.mechanism",
                format!("`{other}` is not known here: use SCRAM, or certificates of the client."),
            );
            None
        }
        None => None,
    };
    if let Some(login) = setting(keys, "sasl.jaas.config") {
        draft.connection.user = quoted_after(&login, "username=");
        if known.is_none() && mechanism.is_none() {
            draft.note("sasl.jaas.config", "It comes without `sasl.mechanism`; SCRAM-SHA-512 is assumed.");
        }
        draft.connection.mechanism = known.or(mechanism.is_none().then_some("scram-sha-512"));
    } else {
        draft.connection.mechanism = known;
    }
    trust(keys, draft);
}

fn trust(keys: &mut Keys, draft: &mut Draft) {
    let is_pem = setting(keys, "ssl.truststore.type").as_deref() == Some("PEM");
    if let Some(store) = setting(keys, "ssl.truststore.location") {
        if is_pem {
            draft.connection.ca_file = Some(store);
        } else {
            let how = "keytool -exportcert -rfc writes its certificates as PEM; name that file as `ca_file` of the connection.";
            draft.note("ssl.truststore.location", how);
        }
    }
    setting(keys, "ssl.truststore.password");
    if setting(keys, "ssl.keystore.location").is_some() {
        let how = "Write certificate and key as PEM (openssl pkcs12 does) and name them as `certificate_file` and `key_file` of the connection.";
        draft.note("ssl.keystore.location", how);
    }
    for secret in ["ssl.keystore.password", "ssl.key.password", "ssl.keystore.type"] {
        setting(keys, secret);
    }
    if setting(keys, "ssl.endpoint.identification.algorithm").is_some_and(|algorithm| algorithm != "https") {
        draft.note(
            "ssl.endpoint.identification.algorithm",
            "Names in certificates are always checked. If yours do not fit, make new ones.",
        );
    }
}

/// The text in quotes, or up to the next space, that follows a mark.
fn quoted_after(text: &str, mark: &str) -> Option<String> {
    let (_, after) = text.split_once(mark)?;
    let found = match after.strip_prefix(['"', '\'']) {
        Some(quoted) => quoted.split(['"', '\'']).next(),
        None => after.split([' ', ';']).next(),
    };
    found.filter(|user| !user.is_empty()).map(str::to_owned)
}
