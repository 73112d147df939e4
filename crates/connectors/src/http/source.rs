//! The source: one look after the other, each ended by a boundary.
//!
//! The position `h/<source>` is the greatest value of the incremental field that was seen, or without one the number of the
//! look. Records that are not newer than the committed position are left out: a service may send its last ones again.
//!
//! A look of one answer that is known to be in the lake is asked for on condition that it changed. What it is known by is kept
//! with the position that the lake must have, and only after it was committed: a look that was lost is never passed over.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
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

use super::cache::{LastLook, ResponseCache, address};
use super::client::{Answer, Validators};
use super::config::HttpConfig;
use super::pages::{After, Pages};
use super::requests::{Reply, Requests};
use super::since;

/// The position key of a source of a web service.
pub fn http_key(source: &str) -> String {
    format!("h/{source}")
}

pub struct HttpSource {
    name: String,
    config: HttpConfig,
    clock: Arc<dyn Clock>,
    stop_at_end: bool,
    requests: Requests,
    cache: ResponseCache,
    committed: Option<i64>,
    looked: Option<Duration>,
    look: Option<Look>,
    /// The last look, once it is in the lake; and before that.
    in_lake: Option<LastLook>,
    on_its_way: Option<LastLook>,
}

/// One look through all pages.
struct Look {
    pages: Pages,
    next: Url,
    greatest: Option<i64>,
    is_first: bool,
    line: i64,
    /// What its one answer was known by when the lake got it.
    known: Option<Validators>,
}

/// What came of asking for a page.
enum Page {
    Got(Value, Box<Answer>),
    /// Nothing changed since the last look.
    Unchanged,
    /// It has to be asked for again, later.
    Later,
}

impl HttpSource {
    /// `folder` is where answers may be kept.
    pub fn new(
        name: &str,
        connection: HttpConnection,
        config: HttpConfig,
        folder: PathBuf,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let cache = ResponseCache::new(folder, config.cache.map(|keep| keep.0));
        Self {
            name: name.to_owned(),
            requests: Requests::new(name, connection, config.tries, Arc::clone(&clock), entropy),
            in_lake: cache.last_look(),
            on_its_way: None,
            cache,
            config,
            clock,
            stop_at_end: false,
            committed: None,
            looked: None,
            look: None,
        }
    }

    /// End after one look instead of waiting for the next.
    #[must_use]
    pub fn stop_at_end(mut self) -> Self {
        self.stop_at_end = true;
        self
    }

    fn begin(&self) -> Result<Look> {
        let mut first = self.config.address(self.requests.connection())?;
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
        let next = pages.first();
        let is_known = |last: &&LastLook| Some(last.position) == self.committed && last.address == address(&next);
        let known = self.in_lake.as_ref().filter(is_known).map(|last| last.validators.clone());
        Ok(Look { next, pages, greatest: None, is_first: true, line: 0, known })
    }

    fn page(&mut self, look: &Look) -> Result<Page> {
        let (url, now) = (&look.next, self.clock.now());
        let kept = self.cache.find(url, now);
        let answer = match (&look.known, kept) {
            (Some(known), Some(kept)) if kept.is_fresh && kept.answer.validators == *known => {
                return Ok(Page::Unchanged);
            }
            (_, Some(kept)) if kept.is_fresh => kept.answer,
            (None, Some(kept)) if !kept.answer.validators.is_empty() => {
                match self.asked(url, Some(&kept.answer.validators))? {
                    // It is good again for as long as a new one.
                    Page::Unchanged => {
                        self.cache.keep(url, &kept.answer, now);
                        kept.answer
                    }
                    other => return Ok(other),
                }
            }
            (known, _) => return self.asked(url, known.as_ref()),
        };
        match serde_json::from_slice(&answer.body) {
            Ok(json) => Ok(Page::Got(json, Box::new(answer))),
            // Somebody else wrote into the file.
            Err(_) => self.asked(url, None),
        }
    }

    fn asked(&mut self, url: &Url, known: Option<&Validators>) -> Result<Page> {
        match self.requests.ask(url, known)? {
            Reply::Json(json, answer) => {
                self.cache.keep(url, &answer, self.clock.now());
                Ok(Page::Got(json, answer))
            }
            Reply::Unchanged => Ok(Page::Unchanged),
            Reply::Later => Ok(Page::Later),
            Reply::Refused(status) => {
                let hint = if matches!(status, 401 | 403) {
                    "Check `auth` of the connection."
                } else {
                    "Check `path` and `query` of the source."
                };
                Err(self.failure(Kind::User, &format!("the service answered {status}")).with_hint(hint).into())
            }
            Reply::GivenUp { asked, problem } => {
                Err(self.failure(Kind::External { retry_after: asked }, &problem).into())
            }
        }
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
                        key: Vec::new(),
                        header: Arc::default(),
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
        let address = self.requests.connection().url.trim_end_matches('/');
        Origin::File { path: format!("{address}{}", self.config.path).into() }
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
                // What was known is of the first page alone.
                look.known = None;
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
                    // Two on their way could be at one position: neither is remembered then.
                    let is_alone = self.on_its_way.is_none() && look.is_first && !answer.validators.is_empty();
                    let (address, validators) = (address(&look.next), answer.validators.clone());
                    self.on_its_way = is_alone.then_some(LastLook { position, address, validators });
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
        self.on_its_way = None;
        self.requests.reset();
        Ok(())
    }

    fn next_batch(&mut self, _: &ReadLimits, buffer: RecordBuffer) -> Result<Next> {
        let now = self.clock.monotonic();
        let is_due = self.looked.is_none_or(|looked| now.saturating_sub(looked) >= self.config.every.0);
        if self.look.is_none() && !is_due {
            return Ok(if self.stop_at_end { Next::End } else { Next::Idle });
        }
        if self.requests.is_waiting() {
            return Ok(Next::Idle);
        }
        let look = match self.look.take() {
            Some(look) => look,
            None => self.begin()?,
        };
        match self.page(&look)? {
            Page::Got(json, answer) => Ok(Next::Batch(Box::new(self.batch(look, &answer, &json, buffer)?))),
            Page::Unchanged => {
                self.looked = Some(now);
                Ok(Next::Idle)
            }
            Page::Later => {
                self.look = Some(look);
                Ok(Next::Idle)
            }
        }
    }

    fn committed(&mut self, positions: &Positions) -> Result<()> {
        let committed = positions.get(&http_key(&self.name));
        if let Some(look) = self.on_its_way.take_if(|look| Some(look.position) == committed) {
            self.cache.keep_last_look(&look);
            self.in_lake = Some(look);
        }
        Ok(())
    }

    fn lag(&self) -> Option<u64> {
        self.look.is_none().then_some(0)
    }
}
