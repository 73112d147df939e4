//! Asking a service until it answers, or it is time to give up. Never waits: who asks comes again.

use std::sync::Arc;
use std::time::Duration;

use headwater_ingest::error::Result;
use headwater_project::config::HttpConnection;
use headwater_project::{Clock, Entropy, Failure};
use reqwest::Url;
use serde_json::Value;

use super::client::{Answer, Asking, Validators};
use super::retry;

/// What came of asking.
pub(super) enum Reply {
    Json(Value, Box<Answer>),
    /// It is as it was when the validators were given.
    Unchanged,
    /// Another try does not help.
    Refused(u16),
    /// To be asked again once [`Requests::is_waiting`] no longer holds.
    Later,
    /// As many tries as are allowed failed; the service may have said when to come again.
    GivenUp {
        asked: Option<Duration>,
        problem: String,
    },
}

pub(super) struct Requests {
    source: String,
    connection: HttpConnection,
    tries: u32,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    asking: Option<Asking>,
    /// No request before.
    not_before: Duration,
    failures: u32,
}

impl Requests {
    pub(super) fn new(
        source: &str,
        connection: HttpConnection,
        tries: u32,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let source = source.to_owned();
        Self { source, connection, tries, clock, entropy, asking: None, not_before: Duration::ZERO, failures: 0 }
    }

    pub(super) fn connection(&self) -> &HttpConnection {
        &self.connection
    }

    /// Begins anew: what failed before does not count.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Whether it is too early to ask.
    pub(super) fn is_waiting(&self) -> bool {
        self.clock.monotonic() < self.not_before
    }

    pub(super) fn ask(&mut self, url: &Url, known: Option<&Validators>) -> Result<Reply> {
        let now = self.clock.monotonic();
        let asking = match &mut self.asking {
            Some(asking) => asking,
            none => none.insert(Asking::new(&self.connection).map_err(Failure::internal)?),
        };
        if let Some(rate) = self.connection.requests_per_second.filter(|rate| *rate > 0.0) {
            self.not_before = now + Duration::from_secs_f64(1.0 / rate);
        }
        let answer = match asking.ask(url, known, now) {
            Ok(answer) => answer,
            Err(problem) => return Ok(self.again(None, problem)),
        };
        if answer.status == 304 && known.is_some() {
            self.failures = 0;
            return Ok(Reply::Unchanged);
        }
        if (200..300).contains(&answer.status) {
            return Ok(self.read(answer));
        }
        let problem = format!("the service answered {}", answer.status);
        if answer.status == 401 && asking.authorizer().is_renewable() && self.failures == 0 {
            asking.authorizer().forget();
            return Ok(self.again(Some(Duration::ZERO), problem));
        }
        if retry::is_passing(answer.status) {
            let asked = answer.retry_after.as_deref().and_then(|header| retry::asked(header, self.clock.now()));
            return Ok(self.again(asked, problem));
        }
        self.failures = 0;
        Ok(Reply::Refused(answer.status))
    }

    fn read(&mut self, answer: Answer) -> Reply {
        let is_empty = answer.status == 204 && answer.body.is_empty();
        match if is_empty { Ok(Value::Null) } else { serde_json::from_slice(&answer.body) } {
            Ok(json) => {
                self.failures = 0;
                Reply::Json(json, Box::new(answer))
            }
            Err(error) => {
                let problem = format!("the answer is not JSON but {}: {error}", answer.content_type);
                self.again(None, problem)
            }
        }
    }

    /// Notes a failed request; too many in a row are given up.
    fn again(&mut self, asked: Option<Duration>, problem: String) -> Reply {
        self.failures += 1;
        if self.failures >= self.tries {
            self.failures = 0;
            return Reply::GivenUp { asked, problem };
        }
        let wait = retry::wait(self.failures, asked, &*self.entropy);
        tracing::warn!(source = self.source, problem, wait_ms = wait.as_millis() as u64, "a request is sent again");
        self.not_before = self.clock.monotonic() + wait;
        Reply::Later
    }
}
