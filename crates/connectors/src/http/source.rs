//! The source: one look after the other, each ended by a boundary.
//!
//! The position `h/<source>` is the greatest value of the incremental field that was seen, or without one the number of the
//! look. Records that are not newer than the committed position are left out: a service may send its last ones again.

use std::sync::Arc;
use std::time::Duration;

use headwater_ingest::codec::Codec;
use headwater_ingest::error::Result;
use headwater_ingest::position::Positions;
use headwater_ingest::record::{Record, RecordBuffer};
use headwater_ingest::schema::Provenance;
use headwater_ingest::sink::{Origin, Rejected};
use headwater_ingest::source::{Next, RawBatch, ReadLimits, Source};
use headwater_project::config::HttpConnection;
use headwater_project::{Clock, Entropy, Failure, Kind};
use reqwest::Url;
use serde_json::Value;

use super::client::{Answer, Asking};
use super::config::HttpConfig;
use super::pages::{After, Pages};
use super::{retry, since};

/// The position key of a source of a web service.
pub fn http_key(source: &str) -> String {
    format!("h/{source}")
}

pub struct HttpSource {
    name: String,
    connection: HttpConnection,
    config: HttpConfig,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    stop_at_end: bool,
    asking: Option<Asking>,
    committed: Option<i64>,
    looked: Option<Duration>,
    look: Option<Look>,
    /// No request before.
    not_before: Duration,
    failures: u32,
}

/// One look through all pages.
struct Look {
    pages: Pages,
    next: Url,
    greatest: Option<i64>,
    is_first: bool,
    line: i64,
}

impl HttpSource {
    pub fn new(
        name: &str,
        connection: HttpConnection,
        config: HttpConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            connection,
            config,
            clock,
            entropy,
            stop_at_end: false,
            asking: None,
            committed: None,
            looked: None,
            look: None,
            not_before: Duration::ZERO,
            failures: 0,
        }
    }

    /// End after one look instead of waiting for the next.
    #[must_use]
    pub fn stop_at_end(mut self) -> Self {
        self.stop_at_end = true;
        self
    }

    fn begin(&self) -> Result<Look> {
        let address = format!("{}{}", self.connection.url.trim_end_matches('/'), self.config.path);
        let invalid = |problem: String| {
            Failure::user(format!("`{address}` is no address"))
                .with_detail(problem)
                .with_hint("Write it as https://host/path.")
        };
        let mut first = Url::parse(&address).map_err(|error| invalid(error.to_string()))?;
        if !matches!(first.scheme(), "http" | "https") {
            return Err(invalid(format!("Its scheme is {}.", first.scheme())).into());
        }
        if !self.config.query.is_empty() {
            first.query_pairs_mut().extend_pairs(&self.config.query);
        }
        if let Some(incremental) = &self.config.incremental {
            let reached = self.committed.and_then(|position| since::write(incremental.format, position));
            if let Some(value) = reached.or_else(|| incremental.start.clone()) {
                first.query_pairs_mut().append_pair(&incremental.parameter, &value);
            }
        }
        let pages = Pages::new(self.config.pagination.clone(), first);
        Ok(Look { next: pages.first(), pages, greatest: None, is_first: true, line: 0 })
    }

    /// Asks for a page. `None` when it has to be asked for again, later.
    fn page(&mut self, url: &Url) -> Result<Option<(Value, Answer)>> {
        let now = self.clock.monotonic();
        let asking = match &mut self.asking {
            Some(asking) => asking,
            None => self.asking.insert(Asking::new(&self.connection).map_err(Failure::internal)?),
        };
        if let Some(rate) = self.connection.requests_per_second.filter(|rate| *rate > 0.0) {
            self.not_before = now + Duration::from_secs_f64(1.0 / rate);
        }
        let answer = match asking.ask(url, now) {
            Ok(answer) => answer,
            Err(problem) => return self.again(None, &problem).map(|()| None),
        };
        if (200..300).contains(&answer.status) {
            return match serde_json::from_slice(&answer.body) {
                Ok(json) => {
                    self.failures = 0;
                    Ok(Some((json, answer)))
                }
                Err(error) => {
                    let problem = format!("the answer is not JSON but {}: {error}", answer.content_type);
                    self.again(None, &problem).map(|()| None)
                }
            };
        }
        let problem = format!("the service answered {}", answer.status);
        if answer.status == 401 && asking.authorizer().is_renewable() && self.failures == 0 {
            asking.authorizer().forget();
            return self.again(Some(Duration::ZERO), &problem).map(|()| None);
        }
        if retry::is_passing(answer.status) {
            let asked = answer.retry_after.as_deref().and_then(|header| retry::asked(header, self.clock.now()));
            return self.again(asked, &problem).map(|()| None);
        }
        let hint = if matches!(answer.status, 401 | 403) {
            "Check `auth` of the connection."
        } else {
            "Check `path` and `query` of the source."
        };
        Err(self.failure(Kind::User, &problem).with_hint(hint).into())
    }

    /// Notes a failed request; too many in a row fail the look.
    fn again(&mut self, asked: Option<Duration>, problem: &str) -> Result<()> {
        self.failures += 1;
        if self.failures >= self.config.tries {
            self.failures = 0;
            return Err(self.failure(Kind::External { retry_after: asked }, problem).into());
        }
        let wait = retry::wait(self.failures, asked, &*self.entropy);
        tracing::warn!(source = self.name, problem, wait_ms = wait.as_millis() as u64, "a request is sent again");
        self.not_before = self.clock.monotonic() + wait;
        Ok(())
    }

    fn failure(&self, kind: Kind, problem: &str) -> Failure {
        Failure::new(kind, format!("cannot read source `{}`", self.name)).with_detail(format!("{problem}."))
    }

    /// The records of a page that are new.
    fn records(&self, look: &mut Look, answer: &Value, buffer: &mut RecordBuffer) -> Result<(usize, Vec<Rejected>)> {
        let found = answer.pointer(&self.config.records).ok_or_else(|| {
            self.failure(Kind::User, &format!("an answer has nothing at `{}`", self.config.records))
                .with_hint("Check `records` of the source.")
        })?;
        let list = match found {
            Value::Array(list) => list.as_slice(),
            Value::Null => &[],
            one => std::slice::from_ref(one),
        };
        let mut rejected = Vec::new();
        let timestamp = self.clock.now().as_millis();
        for record in list {
            look.line += 1;
            let payload = record.to_string();
            if let Some(incremental) = &self.config.incremental {
                let value = record.pointer(&incremental.field).and_then(|value| since::read(incremental.format, value));
                let Some(value) = value else {
                    rejected.push(Rejected {
                        reason: format!("`{}` is not what the source says it is", incremental.field),
                        length: payload.len() as u64,
                        bytes: payload.into_bytes(),
                        origin: self.origin(),
                        offset: look.line,
                        timestamp,
                    });
                    continue;
                };
                if self.committed.is_some_and(|committed| value <= committed) {
                    continue;
                }
                look.greatest = look.greatest.max(Some(value));
            }
            buffer.push(Record { offset: look.line, timestamp, key: &[], payload: payload.as_bytes() });
        }
        Ok((list.len(), rejected))
    }

    /// Where records come from: without the query, which may hold a key.
    fn origin(&self) -> Origin {
        Origin::File { path: format!("{}{}", self.connection.url.trim_end_matches('/'), self.config.path).into() }
    }

    fn batch(&mut self, mut look: Look, answer: &Answer, json: &Value, mut buffer: RecordBuffer) -> Result<RawBatch> {
        let (count, rejected) = self.records(&mut look, json, &mut buffer)?;
        let after = look.pages.after(&answer.body, json, count, answer.link.as_deref());
        let after = after
            .map_err(|problem| self.failure(Kind::User, &problem).with_hint("Check `pagination` of the source."))?;
        let mut batch = RawBatch {
            records: buffer,
            header: Arc::default(),
            origin: self.origin(),
            rejected,
            positions: Positions::default(),
            boundary: false,
            replaces: look.is_first && self.config.incremental.is_none(),
            info: None,
        };
        match after {
            After::Page(next) => {
                look.next = next;
                look.is_first = false;
                self.look = Some(look);
            }
            After::End => {
                let position = match &self.config.incremental {
                    Some(_) => look.greatest.max(self.committed),
                    None => Some(self.committed.map_or(1, |number| number.saturating_add(1))),
                };
                if let Some(position) = position {
                    batch.positions.set(http_key(&self.name), position);
                    self.committed = Some(position);
                }
                batch.boundary = true;
                self.looked = Some(self.clock.monotonic());
            }
        }
        Ok(batch)
    }
}

impl Source for HttpSource {
    fn codec(&self) -> Option<Codec> {
        Some(Codec::Json)
    }

    fn provenance(&self) -> Provenance {
        Provenance::File
    }

    fn resume(&mut self, committed: &Positions) -> Result<()> {
        self.committed = committed.get(&http_key(&self.name));
        self.look = None;
        self.looked = None;
        self.failures = 0;
        Ok(())
    }

    fn next_batch(&mut self, _: &ReadLimits, buffer: RecordBuffer) -> Result<Next> {
        let now = self.clock.monotonic();
        let is_due = self.looked.is_none_or(|looked| now.saturating_sub(looked) >= self.config.every.0);
        if self.look.is_none() && !is_due {
            return Ok(if self.stop_at_end { Next::End } else { Next::Idle });
        }
        if now < self.not_before {
            return Ok(Next::Idle);
        }
        let look = match self.look.take() {
            Some(look) => look,
            None => self.begin()?,
        };
        let Some((json, answer)) = self.page(&look.next)? else {
            self.look = Some(look);
            return Ok(Next::Idle);
        };
        let batch = self.batch(look, &answer, &json, buffer)?;
        Ok(Next::Batch(Box::new(batch)))
    }

    fn committed(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }

    fn lag(&self) -> Option<u64> {
        self.look.is_none().then_some(0)
    }
}
