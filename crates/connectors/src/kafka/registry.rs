//! A schema registry: the text of a schema for its number, asked for once.

use std::sync::Arc;
use std::time::Duration;

use headwater_ingest::codec::avro::{Schema, Schemas};
use headwater_ingest::error::Result;
use headwater_project::Failure;
use headwater_project::config::RegistryConnection;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use tokio::runtime::Handle;

use super::failure::passing;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(20);
/// Bytes of one answer.
const MAX_BODY: usize = 8 << 20;

/// Asks on a thread that may block.
pub(super) struct Registry {
    client: Client,
    connection: RegistryConnection,
    schemas: Arc<Schemas>,
    runtime: Handle,
}

/// What a registry says of a number.
#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<serde_json::Value>,
}

impl Registry {
    pub(super) fn new(connection: &RegistryConnection, schemas: Arc<Schemas>) -> Result<Self> {
        let internal = |error: String| Failure::internal("no client for a schema registry").with_detail(error);
        let runtime = Handle::try_current().map_err(|error| internal(error.to_string()))?;
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| internal(error.to_string()))?;
        Ok(Self { client, connection: connection.clone(), schemas, runtime })
    }

    /// Sees to it that the schema of this number is known, or why it cannot be. An error is that nobody answers; what was
    /// learnt before is not asked for again, so that a registry that is down only stops records with new schemas.
    pub(super) fn ensure(&mut self, id: u32) -> Result<()> {
        if !self.schemas.knows(id) {
            let runtime = self.runtime.clone();
            let answer = runtime.block_on(self.ask(id))?;
            self.schemas.learn(id, answer.and_then(|answer| read(id, &answer)));
        }
        Ok(())
    }

    async fn ask(&self, id: u32) -> Result<Result<Answer, String>> {
        let url = format!("{}/schemas/ids/{id}", self.connection.url.trim_end_matches('/'));
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
                return Ok(Err(format!("schema {id} is larger than {MAX_BODY} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(Err(format!("the registry has no schema {id}"))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let failure = Failure::user("the schema registry does not accept who we are");
                return Err(failure.with_hint("Check `registry.user` and `registry.password`.").into());
            }
            status => return Err(passing(format!("the schema registry answers with {}", status.as_u16())).into()),
        }
        let answer = serde_json::from_slice(&body);
        Ok(Ok(answer.map_err(|error| {
            passing("the schema registry answers with something else than a schema").with_detail(error.to_string())
        })?))
    }
}

fn read(id: u32, answer: &Answer) -> Result<Schema, String> {
    match answer.kind.as_deref() {
        None | Some("AVRO") => {}
        Some(other) => return Err(format!("schema {id} is one of {other}, not of Avro")),
    }
    if !answer.references.is_empty() {
        return Err(format!("schema {id} refers to other schemas of the registry, which is not supported"));
    }
    Schema::parse(&answer.schema).map_err(|reason| format!("schema {id}: {reason}"))
}
