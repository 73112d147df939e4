//! One request, until it was taken, refused, or sent often enough.

use std::time::Duration;

use headwater_ingest::error::{Error, Result};
use headwater_project::config::{HttpConnection, Secret};
use headwater_project::{Failure, Kind};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::runtime::Handle;

use super::config::{Body, HttpTarget, Method};
use crate::http::auth::Authorizer;
use crate::http::client::chain;
use crate::http::retry;
use crate::sink::{Identity, Surroundings};

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(120);
/// Bytes of an answer that an error quotes.
const QUOTED: usize = 300;

pub(super) struct Delivery {
    client: Client,
    url: Url,
    target: HttpTarget,
    headers: Vec<(String, Secret)>,
    authorizer: Authorizer,
    per_second: Option<f64>,
    not_before: Duration,
    runtime: Handle,
    sink: String,
    surroundings: Surroundings,
}

struct Answer {
    status: u16,
    retry_after: Option<String>,
    text: String,
}

impl Delivery {
    pub(super) fn new(
        connection: &HttpConnection,
        target: &HttpTarget,
        identity: &Identity,
        surroundings: Surroundings,
    ) -> Result<Self> {
        let internal = |error: String| Failure::internal("no client for a web service").with_detail(error);
        let address = format!("{}{}", connection.url.trim_end_matches('/'), target.path);
        let url = Url::parse(&address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let wrong = || Failure::user(format!("`{address}` is no address")).with_hint("Write it as https://host/path.");
        // A request that is sent elsewhere may arrive there without its body.
        let client = Client::builder().connect_timeout(CONNECT).read_timeout(ANSWER).redirect(Policy::none());
        let client = client.user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION"))).build();
        Ok(Self {
            client: client.map_err(|error| internal(error.to_string()))?,
            url: url.ok_or_else(wrong)?,
            target: target.clone(),
            headers: connection.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            authorizer: Authorizer::new(connection.auth.clone()),
            per_second: connection.requests_per_second.filter(|rate| *rate > 0.0),
            not_before: Duration::ZERO,
            runtime: Handle::try_current().map_err(|error| internal(error.to_string()))?,
            sink: identity.id.clone(),
            surroundings,
        })
    }

    /// Sends a body until the service has taken it.
    pub(super) fn deliver(&mut self, key: &str, body: &[u8]) -> Result<()> {
        let body: bytes::Bytes = body.to_vec().into();
        let mut failures = 0;
        let mut renewed = false;
        loop {
            let (problem, asked) = match self.send(key, body.clone())? {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(()),
                Ok(answer) if answer.status == 401 && self.authorizer.is_renewable() && !renewed => {
                    self.authorizer.forget();
                    renewed = true;
                    continue;
                }
                // 409: a request of this key is being worked on.
                Ok(answer) if retry::is_passing(answer.status) || answer.status == 409 => {
                    let now = self.surroundings.clock.now();
                    let asked = answer.retry_after.as_deref().and_then(|header| retry::asked(header, now));
                    (answered(&answer), asked)
                }
                Ok(answer) => return Err(self.refused(key, &answer)),
                Err(problem) => (problem, None),
            };
            failures += 1;
            if failures >= self.target.tries {
                let failure = Failure::new(Kind::External { retry_after: asked }, self.failed());
                return Err(failure.with_detail(format!("{problem}.")).into());
            }
            let wait = retry::wait(failures, asked, &*self.surroundings.entropy);
            tracing::warn!(sink = self.sink, problem, wait_ms = wait.as_millis() as u64, "a request is sent again");
            self.surroundings.wait(wait)?;
        }
    }

    fn failed(&self) -> String {
        format!("sink `{}` cannot send to {}", self.sink, self.url.origin().ascii_serialization())
    }

    fn refused(&self, key: &str, answer: &Answer) -> Error {
        let hint = match answer.status {
            401 | 403 => "Check `auth` of the connection.",
            404 | 405 => "Check `path` and `method` of the sink.",
            300..=399 => "Name the address it leads to: requests with bodies do not follow.",
            413 => "Lower `batch` or `max_body` of the sink.",
            _ => "The service does not take these rows: change what is sent, or the service.",
        };
        let failure = Failure::user(self.failed()).with_detail(format!("{} to request {key}.", answered(answer)));
        failure.with_hint(hint).into()
    }

    /// The inner error says what happened on the way, without saying what was sent.
    fn send(&mut self, key: &str, body: bytes::Bytes) -> Result<Result<Answer, String>> {
        let now = self.surroundings.clock.monotonic();
        if now < self.not_before {
            self.surroundings.wait(self.not_before.saturating_sub(now))?;
        }
        let now = self.surroundings.clock.monotonic();
        self.not_before = self.per_second.map_or(now, |rate| now + Duration::from_secs_f64(1.0 / rate));
        let runtime = self.runtime.clone();
        Ok(runtime.block_on(self.exchange(key, body, now)))
    }

    async fn exchange(&mut self, key: &str, body: bytes::Bytes, now: Duration) -> Result<Answer, String> {
        let method = match self.target.method {
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
        };
        let kind = if self.target.body == Body::Lines { "application/x-ndjson" } else { "application/json" };
        let mut request = self.client.request(method, self.url.clone()).header(CONTENT_TYPE, kind);
        for (name, value) in &self.headers {
            request = request.header(name, value.reveal());
        }
        for (name, value) in &self.target.headers {
            request = request.header(name, value);
        }
        let request = request.header("Idempotency-Key", key).body(body);
        let request = self.authorizer.add(&self.client, request, now).await?;
        let failed = |error: reqwest::Error| chain(&error.without_url());
        let mut answer = request.send().await.map_err(failed)?;
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            // All of it is read, so that the connection can be used again; little of it is kept.
            bytes.extend(chunk.iter().take(QUOTED.saturating_sub(bytes.len())));
        }
        Ok(Answer { status, retry_after, text: String::from_utf8_lossy(&bytes).trim().to_owned() })
    }
}

fn answered(answer: &Answer) -> String {
    match answer.text.as_str() {
        "" => format!("the service answered {}", answer.status),
        text => format!("the service answered {}: {text}", answer.status),
    }
}
