//! One request and its answer, whole.

use std::time::Duration;

use headwater_project::config::HttpConnection;
use reqwest::header::{CONTENT_TYPE, LINK, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Url};
use tokio::runtime::Handle;

use super::auth::Authorizer;

/// Bytes of one answer.
const MAX_BODY: usize = 256 << 20;
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(120);

/// An answer, of whatever status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) link: Option<String>,
    pub(super) retry_after: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Asks on a thread that may block.
pub(super) struct Asking {
    client: Client,
    authorizer: Authorizer,
    headers: Vec<(String, headwater_project::config::Secret)>,
    runtime: Handle,
}

impl Asking {
    pub(super) fn new(connection: &HttpConnection) -> Result<Self, String> {
        let runtime = Handle::try_current().map_err(|error| error.to_string())?;
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(ANSWER)
            .redirect(Policy::custom(same_server))
            .user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())?;
        let headers = connection.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Self { client, authorizer: Authorizer::new(connection.auth.clone()), headers, runtime })
    }

    pub(super) fn authorizer(&mut self) -> &mut Authorizer {
        &mut self.authorizer
    }

    /// An error says what happened without saying what was sent.
    pub(super) fn ask(&mut self, url: &Url, now: Duration) -> Result<Answer, String> {
        let runtime = self.runtime.clone();
        runtime.block_on(self.answer(url, now))
    }

    async fn answer(&mut self, url: &Url, now: Duration) -> Result<Answer, String> {
        let mut request = self.client.get(url.clone()).header("Accept", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value.reveal());
        }
        let request = self.authorizer.add(&self.client, request, now).await?;
        let failed = |error: reqwest::Error| chain(&error.without_url());
        let mut answer = request.send().await.map_err(failed)?;
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, link, retry_after) = (answer.status().as_u16(), header(LINK), header(RETRY_AFTER));
        let content_type = header(CONTENT_TYPE).unwrap_or_default();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(format!("the answer is larger than {MAX_BODY} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, content_type, link, retry_after, body })
    }
}

/// Credentials and requests stay on the server they are for.
fn same_server(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let is_same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if !is_same {
        return attempt.error("the answer leads to another server");
    }
    if attempt.previous().len() > 5 {
        attempt.error("the answer leads from one place to the next")
    } else {
        attempt.follow()
    }
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
