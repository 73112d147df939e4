//! The source: one file after the other, each ended by a boundary.
//!
//! The position `f/<source>` counts the files taken. The list of files itself travels with the commits (see [`TakenFile`]) and
//! is given back by the caller when the source is opened; within the process, files after the committed position are
//! forgotten on `resume` and taken again.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_ingest::codec::{Codec, Splitter, delimited};
use headwater_ingest::error::{Error, Result};
use headwater_ingest::limits::MAX_RECORD_BYTES;
use headwater_ingest::position::{Positions, files_key};
use headwater_ingest::record::RecordBuffer;
use headwater_ingest::schema::Provenance;
use headwater_ingest::sink::{Origin, Rejected};
use headwater_ingest::source::{Next, RawBatch, ReadLimits, Source};
use headwater_project::{Clock, Failure, Kind, Timestamp};

use crate::files::config::{FilesConfig, OnChange};
use crate::files::discover::{self, Found};
use crate::files::fingerprint::{Fingerprint, TakenFile};
use crate::files::pattern::Pattern;

const CHUNK_BYTES: usize = 256 << 10;

/// Files that were not taken, or changed after they were, with the reason. Shared with whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct Reports(Arc<Mutex<BTreeMap<String, String>>>);

impl Reports {
    pub fn read(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, path: &str, reason: &str) {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), reason.to_owned());
        if before.as_deref() != Some(reason) {
            tracing::warn!(path, reason, "file was left out");
        }
    }
}

pub struct FilesSource {
    root: PathBuf,
    config: FilesConfig,
    patterns: Vec<Pattern>,
    key: String,
    clock: Arc<dyn Clock>,
    stop_at_end: bool,
    /// The files whose rows are committed or on their way, with the position that covers each.
    taken: BTreeMap<String, (i64, Option<Fingerprint>)>,
    /// What these replaced in `taken`, to go back to if the new position is never committed.
    replaced: Vec<(i64, TakenFile, i64)>,
    /// Files that cannot be read as what they should be, until they change.
    unreadable: BTreeMap<String, (u64, i64)>,
    reports: Reports,
    position: i64,
    waiting: VecDeque<Found>,
    listed: Option<Duration>,
    reading: Option<Reading>,
}

/// The file being read.
struct Reading {
    found: Found,
    fingerprint: Fingerprint,
    input: Box<dyn Read + Send>,
    /// A second handle, to see at the end whether the file changed meanwhile.
    file: std::fs::File,
    splitter: Splitter,
    header: Option<Arc<[String]>>,
    chunk: Vec<u8>,
}

impl FilesSource {
    /// `root` is the folder of the configuration, resolved; `taken` is every file the table already holds.
    pub fn new(
        name: &str,
        root: PathBuf,
        config: FilesConfig,
        taken: Vec<TakenFile>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let mut patterns = Vec::new();
        for pattern in &config.include {
            let invalid = |problem| Failure::user(format!("invalid file pattern `{pattern}`")).with_detail(problem);
            patterns.push(Pattern::new(pattern).map_err(invalid)?);
        }
        Ok(Self {
            root,
            config,
            patterns,
            key: files_key(name),
            clock,
            stop_at_end: false,
            taken: taken.into_iter().map(|file| (file.path, (i64::MIN, file.fingerprint))).collect(),
            replaced: Vec::new(),
            unreadable: BTreeMap::new(),
            reports: Reports::default(),
            position: 0,
            waiting: VecDeque::new(),
            listed: None,
            reading: None,
        })
    }

    /// End once every settled file was taken, instead of waiting for more.
    #[must_use]
    pub fn stop_at_end(mut self) -> Self {
        self.stop_at_end = true;
        self
    }

    pub fn reports(&self) -> Reports {
        self.reports.clone()
    }

    /// Looks for files to take, at most once per polling interval.
    fn discover(&mut self) -> Result<()> {
        let now = self.clock.monotonic();
        let due =
            self.listed.is_none_or(|last| now.saturating_sub(last) >= Duration::from_secs(self.config.poll_seconds));
        if !due && !self.stop_at_end {
            return Ok(());
        }
        self.listed = Some(now);
        let (found, left_out) = discover::list(&self.root, &self.patterns)?;
        for (path, reason) in left_out {
            self.reports.add(&path, reason);
        }
        let now = self.clock.now();
        for file in found {
            if self.wanted(&file, now)? {
                self.waiting.push_back(file);
            }
        }
        Ok(())
    }

    fn wanted(&mut self, file: &Found, now: Timestamp) -> Result<bool> {
        let age = now.since(Timestamp::from_millis(file.modified));
        if age < Duration::from_secs(self.config.settle_seconds)
            || self.unreadable.get(&file.path) == Some(&(file.size, file.modified))
        {
            return Ok(false);
        }
        let Some((_, taken)) = self.taken.get_mut(&file.path) else { return Ok(true) };
        let Some(taken) = taken.as_mut().filter(|taken| (taken.size, taken.modified) != (file.size, file.modified))
        else {
            return Ok(false);
        };
        // Gone, or not to be opened: the next look says which.
        let Ok(mut opened) = discover::open(&self.root, &file.path) else { return Ok(false) };
        let fingerprint = Fingerprint::of(&mut opened, file.size, file.modified);
        let fingerprint =
            fingerprint.map_err(|source| Error::io("read", discover::full_path(&self.root, &file.path), source))?;
        if taken.same_content(&fingerprint) {
            *taken = fingerprint;
            return Ok(false);
        }
        if self.config.on_change == OnChange::Report {
            self.reports.add(&file.path, "it changed after it was taken");
        }
        Ok(self.config.on_change == OnChange::Append)
    }

    /// Begins the next file that can be read.
    fn begin(&mut self) -> Result<Option<Reading>> {
        while let Some(found) = self.waiting.pop_front() {
            match self.open(&found) {
                Ok(Some(reading)) => return Ok(Some(reading)),
                // It changed since the listing; the next one decides.
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.give_up(&found, &format!("it cannot be opened: {error}")),
            }
        }
        Ok(None)
    }

    fn open(&self, found: &Found) -> io::Result<Option<Reading>> {
        let mut file = discover::open(&self.root, &found.path)?;
        if !discover::unchanged(&file, found)? {
            return Ok(None);
        }
        let fingerprint = Fingerprint::of(&mut file, found.size, found.modified)?;
        let handle = file.try_clone()?;
        let input: Box<dyn Read + Send> = match found.path.rsplit_once('.').map(|(_, extension)| extension) {
            Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(CHUNK_BYTES, file))),
            Some("zst") => Box::new(zstd::stream::read::Decoder::new(file)?),
            _ => Box::new(file),
        };
        let header = match self.config.codec() {
            Codec::Delimited(_) => self.config.columns.as_ref().map(|columns| columns.clone().into()),
            Codec::Json | Codec::Text | Codec::Bytes | Codec::Avro(_) => Some(Arc::default()),
        };
        let splitter = Splitter::new(self.config.framing(), MAX_RECORD_BYTES);
        let chunk = vec![0; CHUNK_BYTES];
        Ok(Some(Reading { found: found.clone(), fingerprint, input, file: handle, splitter, header, chunk }))
    }

    fn give_up(&mut self, found: &Found, reason: &str) {
        self.reports.add(&found.path, reason);
        self.unreadable.insert(found.path.clone(), (found.size, found.modified));
    }

    /// A file that turns out bad after some of it was handed on: everything since the last commit is read again, without it.
    fn abandon(&mut self, found: &Found, reason: &str) -> Error {
        self.give_up(found, reason);
        let failure = Failure::new(Kind::External { retry_after: None }, format!("cannot take file `{}`", found.path));
        failure.with_detail(reason).into()
    }

    fn take(&mut self, reading: &Reading) -> String {
        self.position += 1;
        let file = TakenFile { path: reading.found.path.clone(), fingerprint: Some(reading.fingerprint.clone()) };
        let before = self.taken.insert(file.path.clone(), (self.position, file.fingerprint.clone()));
        if let Some((position, fingerprint)) = before {
            self.replaced.push((self.position, TakenFile { path: file.path.clone(), fingerprint }, position));
        }
        serde_json::json!({ "file": file }).to_string()
    }

    fn batch(&self, found: &Found, header: Arc<[String]>, records: RecordBuffer, rejected: Vec<Rejected>) -> RawBatch {
        let origin = Origin::File { path: found.path.as_str().into() };
        RawBatch {
            records,
            header,
            origin,
            rejected,
            positions: Positions::default(),
            boundary: false,
            replaces: false,
            info: None,
        }
    }
}

impl Reading {
    /// Reads records until there are about `max_bytes`, or the file ends (true).
    fn fill(&mut self, max_bytes: usize, records: &mut RecordBuffer) -> io::Result<bool> {
        while records.bytes() < max_bytes {
            let read = match self.input.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                self.splitter.finish(self.found.modified, records);
                return Ok(true);
            }
            self.splitter.feed(self.chunk.get(..read).unwrap_or_default(), self.found.modified, records);
        }
        Ok(false)
    }

    fn rejected(&mut self) -> Vec<Rejected> {
        let origin = Origin::File { path: self.found.path.as_str().into() };
        let lost = self.splitter.take_unframed().into_iter().map(|lost| Rejected {
            reason: lost.reason.to_owned(),
            length: lost.bytes.len() as u64,
            bytes: lost.bytes,
            origin: origin.clone(),
            offset: lost.line,
            timestamp: self.found.modified,
        });
        lost.collect()
    }

    /// Takes the header off the first records of a delimited file.
    fn read_header(&mut self, marks: delimited::Delimiters, records: &mut RecordBuffer) -> Result<(), String> {
        if self.header.is_some() {
            return Ok(());
        }
        let Some(first) = records.record(0) else { return Ok(()) };
        self.header = Some(delimited::header(first.payload, marks)?.into());
        let mut rest = RecordBuffer::default();
        records.iter().skip(1).for_each(|record| rest.push(record));
        *records = rest;
        Ok(())
    }
}

impl Source for FilesSource {
    fn codec(&self) -> Option<Codec> {
        Some(self.config.codec())
    }

    fn provenance(&self) -> Provenance {
        Provenance::File
    }

    fn resume(&mut self, committed: &Positions) -> Result<()> {
        let committed = committed.get(&self.key).unwrap_or(0);
        self.taken.retain(|_, (position, _)| *position <= committed);
        while let Some((position, file, before)) = self.replaced.pop() {
            if position > committed && before <= committed {
                self.taken.insert(file.path, (before, file.fingerprint));
            }
        }
        self.position = committed;
        self.waiting.clear();
        self.listed = None;
        self.reading = None;
        Ok(())
    }

    fn next_batch(&mut self, limits: &ReadLimits, mut buffer: RecordBuffer) -> Result<Next> {
        if self.reading.is_none() && self.waiting.is_empty() {
            self.discover()?;
        }
        let reading = match self.reading.take() {
            Some(reading) => Some(reading),
            None => self.begin()?,
        };
        let Some(mut reading) = reading else { return Ok(if self.stop_at_end { Next::End } else { Next::Idle }) };
        let found = reading.found.clone();
        let ended = match reading.fill(limits.max_bytes, &mut buffer) {
            Ok(ended) => ended,
            Err(error) => return Err(self.abandon(&found, &format!("it cannot be read: {error}"))),
        };
        if let Err(reason) = reading.read_header(self.config.delimiters(), &mut buffer) {
            return Err(self.abandon(&found, &reason));
        }
        let header = reading.header.clone().unwrap_or_default();
        let mut batch = self.batch(&found, header, buffer, reading.rejected());
        if ended {
            if !discover::unchanged(&reading.file, &found).unwrap_or(false) {
                let failure = Failure::new(Kind::External { retry_after: None }, "a file changed while it was read");
                return Err(failure.with_detail(found.path).into());
            }
            batch.info = Some(self.take(&reading));
            batch.positions.set(&self.key, self.position);
            batch.boundary = true;
        } else {
            self.reading = Some(reading);
        }
        Ok(Next::Batch(Box::new(batch)))
    }

    fn committed(&mut self, positions: &Positions) -> Result<()> {
        if let Some(committed) = positions.get(&self.key) {
            self.replaced.retain(|(position, _, _)| *position > committed);
        }
        Ok(())
    }

    fn lag(&self) -> Option<u64> {
        None
    }
}
