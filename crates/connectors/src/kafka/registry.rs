//! A schema registry: the text of a schema for its number, asked for once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use headwater_ingest::codec::{avro, protobuf};
use headwater_ingest::error::Result;
use headwater_project::Failure;
use headwater_project::config::RegistryConnection;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use tokio::runtime::Handle;

use super::failure::passing;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(20);
/// Bytes of one answer.
const MAX_BODY: usize = 8 << 20;
/// Schemas that one refers to, those they refer to counted.
const MAX_REFERENCES: usize = 200;

/// Where schemas go that were learnt.
pub(super) enum Known {
    Avro(Arc<avro::Schemas>),
    Protobuf(Arc<protobuf::Schemas>),
}

/// Asks on a thread that may block.
pub(super) struct Registry {
    client: Client,
    connection: RegistryConnection,
    url: Url,
    known: Known,
    /// What others refer to, by subject and version: that never changes.
    versions: HashMap<(String, i32), Arc<Registered>>,
    runtime: Handle,
}

/// What a registry says of a number, or of a version of a subject.
#[derive(Deserialize)]
struct Registered {
    schema: String,
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

/// Another schema, by what the one that needs it calls it.
#[derive(Clone, Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i32,
}

/// A schema with everything it refers to, what is referred to first.
struct Whole {
    registered: Registered,
    /// Names and texts.
    referred: Vec<(String, String)>,
}

impl Registry {
    pub(super) fn new(connection: &RegistryConnection, known: Known) -> Result<Self> {
        let internal = |error: String| Failure::internal("no client for a schema registry").with_detail(error);
        let runtime = Handle::try_current().map_err(|error| internal(error.to_string()))?;
        let wrong = || Failure::user("`registry.url` of the connection is no address of a web service");
        let url = Url::parse(&connection.url).map_err(|error| wrong().with_detail(error.to_string()))?;
        if url.cannot_be_a_base() {
            return Err(wrong().into());
        }
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| internal(error.to_string()))?;
        Ok(Self { client, connection: connection.clone(), url, known, versions: HashMap::new(), runtime })
    }

    /// Sees to it that the schema of this number is known, or why it cannot be. An error is that nobody answers; what was
    /// learnt before is not asked for again, so that a registry that is down only stops records with new schemas.
    pub(super) fn ensure(&mut self, id: u32) -> Result<()> {
        let is_known = match &self.known {
            Known::Avro(schemas) => schemas.knows(id),
            Known::Protobuf(schemas) => schemas.knows(id),
        };
        if is_known {
            return Ok(());
        }
        let runtime = self.runtime.clone();
        let whole = runtime.block_on(self.whole(id))?;
        let because = |reason: String| format!("schema {id}: {reason}");
        match &self.known {
            Known::Avro(schemas) => schemas.learn(id, whole.and_then(|whole| whole.avro().map_err(because))),
            Known::Protobuf(schemas) => schemas.learn(id, whole.and_then(|whole| whole.protobuf().map_err(because))),
        }
        Ok(())
    }

    async fn whole(&mut self, id: u32) -> Result<Result<Whole, String>> {
        let Some(registered) = self.ask(&["schemas", "ids", &id.to_string()]).await? else {
            return Ok(Err(format!("the registry has no schema {id}")));
        };
        let mut referred = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        // What is on its way, the next last; with its text once everything it refers to is there.
        let mut waiting: Vec<(Reference, Option<Arc<Registered>>)> =
            registered.references.iter().rev().map(|reference| (reference.clone(), None)).collect();
        while let Some((reference, found)) = waiting.pop() {
            if let Some(found) = found {
                referred.push((reference.name, found.schema.clone()));
                continue;
            }
            if !seen.insert(reference.name.clone()) {
                continue;
            }
            if seen.len() > MAX_REFERENCES {
                return Ok(Err(format!("schema {id} refers to more than {MAX_REFERENCES} others")));
            }
            let Some(found) = self.version(&reference).await? else {
                let Reference { name, subject, version } = reference;
                let what = format!("schema {id} refers to `{name}`");
                return Ok(Err(format!("{what}: the registry has no version {version} of subject `{subject}`")));
            };
            waiting.push((reference, Some(Arc::clone(&found))));
            waiting.extend(found.references.iter().rev().map(|reference| (reference.clone(), None)));
        }
        Ok(Ok(Whole { registered, referred }))
    }

    async fn version(&mut self, reference: &Reference) -> Result<Option<Arc<Registered>>> {
        let key = (reference.subject.clone(), reference.version);
        if let Some(known) = self.versions.get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        let version = reference.version.to_string();
        let found = self.ask(&["subjects", &reference.subject, "versions", &version]).await?.map(Arc::new);
        if let Some(found) = &found {
            self.versions.insert(key, Arc::clone(found));
        }
        Ok(found)
    }

    /// Nothing where the registry says that there is no such thing.
    async fn ask(&self, path: &[&str]) -> Result<Option<Registered>> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let silent = |error: reqwest::Error| {
            let detail = error.without_url().to_string();
            passing("the schema registry does not answer").with_detail(detail).with_hint("Check `registry.url`.")
        };
        let mut request = self.client.get(url);
        if let Some(user) = &self.connection.user {
            request = request.basic_auth(user, self.connection.password.as_ref().map(|password| password.reveal()));
        }
        let mut response = request.send().await.map_err(silent)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(
                    Failure::user(format!("the schema registry answers with more than {MAX_BODY} bytes")).into()
                );
            }
            body.extend_from_slice(&chunk);
        }
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let failure = Failure::user("the schema registry does not accept who we are");
                return Err(failure.with_hint("Check `registry.user` and `registry.password`.").into());
            }
            status => return Err(passing(format!("the schema registry answers with {}", status.as_u16())).into()),
        }
        let answer = serde_json::from_slice(&body);
        Ok(Some(answer.map_err(|error| {
            passing("the schema registry answers with something else than a schema").with_detail(error.to_string())
        })?))
    }
}

impl Whole {
    fn avro(self) -> Result<avro::Schema, String> {
        match self.registered.kind.as_deref() {
            None | Some("AVRO") => avro::Schema::parse_with(&self.registered.schema, &self.referred),
            Some(other) => Err(format!("it is one of {other}, not of Avro")),
        }
    }

    fn protobuf(self) -> Result<protobuf::Schema, String> {
        match self.registered.kind.as_deref() {
            Some("PROTOBUF") => protobuf::Schema::compile(&self.registered.schema, self.referred),
            other => Err(format!("it is one of {}, not of Protobuf", other.unwrap_or("AVRO"))),
        }
    }
}
