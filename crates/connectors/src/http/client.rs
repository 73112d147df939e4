//! One request and its answer, whole.

use std::time::Duration;

use headwater_project::config::HttpConnection;
use reqwest::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LINK, RETRY_AFTER,
    SET_COOKIE, VARY,
};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response, Url};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::auth::Authorizer;

/// Bytes of one answer.
const MAX_BODY: usize = 256 << 20;
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(120);

/// An answer, of whatever status.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) link: Option<String>,
    pub(super) retry_after: Option<String>,
    pub(super) validators: Validators,
    pub(super) keeping: Keeping,
    pub(super) body: Vec<u8>,
}

/// What a service says an answer is known by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Validators {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

impl Validators {
    pub(super) fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// Whether an answer may be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Keeping {
    #[default]
    Allowed,
    /// It may be kept, and must be asked about each time.
    Checked,
    /// It is for one person, or for one moment.
    Forbidden,
}

impl Keeping {
    fn of(sets_cookie: bool, vary: &str, cache_control: &str) -> Self {
        let says = |word: &str| cache_control.split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
        // `private` and `no-cache` may name headers: then it is those that are meant, and we keep none of them.
        if sets_cookie || vary.trim() == "*" || says("no-store") || says("private") {
            Self::Forbidden
        } else if says("no-cache") {
            Self::Checked
        } else {
            Self::Allowed
        }
    }
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
    pub(super) fn ask(&mut self, url: &Url, known: Option<&Validators>, now: Duration) -> Result<Answer, String> {
        let runtime = self.runtime.clone();
        runtime.block_on(self.answer(url, known, now))
    }

    async fn answer(&mut self, url: &Url, known: Option<&Validators>, now: Duration) -> Result<Answer, String> {
        let mut request = self.client.get(url.clone()).header("Accept", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value.reveal());
        }
        for (name, value) in known.into_iter().flat_map(conditions) {
            request = request.header(name, value);
        }
        let request = self.authorizer.add(&self.client, request, now).await?;
        let failed = |error: reqwest::Error| chain(&error.without_url());
        let mut answer = request.send().await.map_err(failed)?;
        let mut found = head(&answer);
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if found.body.len() + chunk.len() > MAX_BODY {
                return Err(format!("the answer is larger than {MAX_BODY} bytes"));
            }
            found.body.extend_from_slice(&chunk);
        }
        Ok(found)
    }
}

fn conditions(known: &Validators) -> impl Iterator<Item = (HeaderName, &str)> {
    let etag = known.etag.as_deref().map(|etag| (IF_NONE_MATCH, etag));
    etag.into_iter().chain(known.last_modified.as_deref().map(|time| (IF_MODIFIED_SINCE, time)))
}

/// Everything of an answer but its body.
fn head(answer: &Response) -> Answer {
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let text = |name| header(name).unwrap_or_default();
    Answer {
        status: answer.status().as_u16(),
        content_type: text(CONTENT_TYPE),
        link: header(LINK),
        retry_after: header(RETRY_AFTER),
        validators: Validators { etag: header(ETAG), last_modified: header(LAST_MODIFIED) },
        keeping: Keeping::of(answer.headers().contains_key(SET_COOKIE), &text(VARY), &text(CACHE_CONTROL)),
        body: Vec::new(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_one_person_is_not_kept() {
        for (sets_cookie, vary, cache_control, expected) in [
            (false, "", "", Keeping::Allowed),
            (false, "Accept", "public, max-age=60", Keeping::Allowed),
            (true, "", "", Keeping::Forbidden),
            (false, "*", "", Keeping::Forbidden),
            (false, "", "max-age=60, Private", Keeping::Forbidden),
            (false, "", "no-store", Keeping::Forbidden),
            (false, "", "no-cache", Keeping::Checked),
        ] {
            assert_eq!(Keeping::of(sets_cookie, vary, cache_control), expected, "{vary} {cache_control}");
        }
    }
}
