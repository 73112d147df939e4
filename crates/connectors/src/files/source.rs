//! The source: one file after the other, each ended by a boundary.
//!
//! The position `f/<source>` counts the files taken. The list of files itself travels with the commits (see [`TakenFile`]) and
//! is given back by the caller when the source is opened; within the process, files after the committed position are
//! forgotten on `resume` and taken again.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{Schema, SchemaRef};
use headwater_ingest::codec::{Codec, Unframed};
use headwater_ingest::error::{Error, Result};
use headwater_ingest::position::{Positions, files_key};
use headwater_ingest::record::RecordBuffer;
use headwater_ingest::schema::{Provenance, SOURCE_FILE_COLUMN, drift, without_provenance};
use headwater_ingest::sink::{Origin, Rejected};
use headwater_ingest::source::{Effect, Next, RawBatch, ReadLimits, RowBatch, Source};
use headwater_project::{Clock, Failure, Kind, Timestamp};

use crate::files::archive::Member;
use crate::files::config::{FilesConfig, OnChange};
use crate::files::content::{Content, Trouble};
use crate::files::discover::{Found, LeftOut};
use crate::files::fingerprint::{Fingerprint, TakenFile};
use crate::files::opening::{Opener, Opening, Reading, Waiting};
use crate::files::pattern::Pattern;
use crate::files::place::Place;

/// Files that were not taken, or changed after they were, with the reason. Shared with whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct Reports(Arc<Mutex<BTreeMap<String, String>>>);

impl Reports {
    pub fn read(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn left_out(&self, path: &str, reason: &str) {
        if self.is_new(path, reason) {
            tracing::warn!(path, reason, "file was left out");
        }
    }

    fn taken_with_loss(&self, path: &str, reason: &str) {
        if self.is_new(path, reason) {
            tracing::warn!(path, reason, "file was taken, but not all of each value");
        }
    }

    fn is_new(&self, path: &str, reason: &str) -> bool {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), reason.to_owned());
        before.as_deref() != Some(reason)
    }
}

pub struct FilesSource {
    opener: Opener,
    patterns: Vec<Pattern>,
    /// Columns the table has, as far as typed rows must know them.
    known: Option<SchemaRef>,
    key: String,
    clock: Arc<dyn Clock>,
    stop_at_end: bool,
    /// The files whose rows are committed or on their way, with the position that covers each.
    taken: BTreeMap<String, (i64, Option<Fingerprint>)>,
    /// What these replaced in `taken`, to go back to if the new position is never committed.
    replaced: Vec<(i64, TakenFile, i64)>,
    /// Files that cannot be read as what they should be, until they change.
    unreadable: BTreeMap<String, Found>,
    /// Archives whose members were looked at, until they change.
    opened_archives: BTreeMap<String, Found>,
    reports: Reports,
    position: i64,
    waiting: VecDeque<Waiting>,
    listed: Option<Duration>,
    reading: Option<Box<Reading>>,
}

impl FilesSource {
    /// `taken` is every file the table already holds.
    pub fn new(
        name: &str,
        place: Place,
        config: FilesConfig,
        taken: Vec<TakenFile>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let patterns = Pattern::all(&config.include)?;
        Ok(Self {
            opener: Opener::new(name, place, config)?,
            patterns,
            known: None,
            key: files_key(name),
            clock,
            stop_at_end: false,
            taken: taken.into_iter().map(|file| (file.path, (i64::MIN, file.fingerprint))).collect(),
            replaced: Vec::new(),
            unreadable: BTreeMap::new(),
            opened_archives: BTreeMap::new(),
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

    /// The columns of the table there is: rows that come typed are brought to its types.
    #[must_use]
    pub fn with_table(mut self, table: Option<&Schema>) -> Self {
        self.known = table.map(without_provenance);
        self
    }

    /// A folder on a disk for copies of files that must be read from anywhere and are packed or lie in a store.
    #[must_use]
    pub fn with_spool(mut self, folder: PathBuf) -> Self {
        self.opener.spool = folder;
        self
    }

    pub fn reports(&self) -> Reports {
        self.reports.clone()
    }

    /// Looks for files to take, at most once per polling interval.
    fn discover(&mut self) -> Result<()> {
        let now = self.clock.monotonic();
        let due = self
            .listed
            .is_none_or(|last| now.saturating_sub(last) >= Duration::from_secs(self.opener.config.poll_seconds));
        if !due && !self.stop_at_end {
            return Ok(());
        }
        self.listed = Some(now);
        let (found, left_out) = self.opener.place.list(&self.patterns)?;
        for (path, reason) in left_out {
            self.reports.left_out(&path, reason);
        }
        let now = self.clock.now();
        for file in found {
            if self.settled(&file, now) && self.wanted(&file, None)? {
                self.waiting.push_back(Waiting { found: file, member: None });
            }
        }
        Ok(())
    }

    fn settled(&self, file: &Found, now: Timestamp) -> bool {
        let age = now.since(Timestamp::from_millis(file.modified));
        !self.opener.place.has_unfinished() || age >= Duration::from_secs(self.opener.config.settle_seconds)
    }

    fn wanted(&mut self, file: &Found, member: Option<&Member>) -> Result<bool> {
        if self.unreadable.get(&file.path) == Some(file) || self.opened_archives.get(&file.path) == Some(file) {
            return Ok(false);
        }
        let Some((_, taken)) = self.taken.get_mut(&file.path) else { return Ok(true) };
        let Some(taken) = taken.as_mut().filter(|taken| !taken.is_listed_as(file)) else { return Ok(false) };
        let fingerprint = match member {
            Some(member) => Ok(member.fingerprint(file)),
            None => self.opener.place.fingerprint(file),
        };
        // Gone, or not to be opened: the next look says which.
        let Ok(fingerprint) = fingerprint else { return Ok(false) };
        if taken.same_content(&fingerprint) {
            *taken = fingerprint;
            return Ok(false);
        }
        let on_change = self.opener.config.on_change;
        if on_change == OnChange::Report {
            self.reports.left_out(&file.path, "it changed after it was taken");
        }
        Ok(on_change != OnChange::Report)
    }

    /// Begins the next file that can be read.
    fn begin(&mut self) -> Result<Option<Box<Reading>>> {
        while let Some(next) = self.waiting.pop_front() {
            match self.opener.open(&next, self.known.as_deref()) {
                Ok(Opening::Reading(mut reading)) => {
                    let replaces = self.opener.config.on_change == OnChange::Replace;
                    reading.replaces = replaces && self.taken.contains_key(&reading.found.path);
                    return Ok(Some(reading));
                }
                Ok(Opening::Members(members, left_out)) => self.expand(next.found, members, left_out)?,
                Ok(Opening::Gone) => {}
                Err(Trouble::Damaged(reason)) => self.give_up(&next.found, &reason),
                Err(Trouble::Passing(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Puts the members of an archive in its place.
    fn expand(&mut self, archive: Found, members: Vec<(Found, Member)>, left_out: Vec<LeftOut>) -> Result<()> {
        for (path, reason) in left_out {
            self.reports.left_out(&path, reason);
        }
        for (found, member) in members.into_iter().rev() {
            if self.wanted(&found, Some(&member))? {
                self.waiting.push_front(Waiting { found, member: Some(member) });
            }
        }
        self.opened_archives.insert(archive.path.clone(), archive);
        Ok(())
    }

    fn give_up(&mut self, found: &Found, reason: &str) {
        self.reports.left_out(&found.path, reason);
        self.unreadable.insert(found.path.clone(), found.clone());
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

    /// The next piece of the file under way, and whether it was the last.
    fn piece(&mut self, reading: &mut Reading, max_bytes: usize, buffer: RecordBuffer) -> Result<Piece, Trouble> {
        match &mut reading.content {
            Content::Records(records) => {
                let mut buffer = buffer;
                let ended = records.fill(max_bytes, &mut buffer)?;
                let (header, unframed) = (records.header(), records.take_unframed());
                Ok(Piece { next: Next::Batch(Box::new(raw_batch(&reading.found, header, buffer, unframed))), ended })
            }
            Content::Rows(file) => {
                let next = file.next(max_bytes)?;
                let ended = next.is_none();
                let (rows, cut) =
                    next.unwrap_or_else(|| (RecordBatch::new_empty(SchemaRef::clone(file.schema())), Vec::new()));
                if ended {
                    let known = drift::adopt(self.known.as_ref(), &without_provenance(file.schema()));
                    self.known = Some(known);
                }
                for column in cut {
                    let reason = format!("nanoseconds of its column `{column}` were cut to microseconds");
                    self.reports.taken_with_loss(&reading.found.path, &reason);
                }
                Ok(Piece { next: Next::Rows(Box::new(row_batch(rows, Effect::Append))), ended })
            }
        }
    }
}

/// Something to hand on.
struct Piece {
    next: Next,
    ended: bool,
}

impl Piece {
    /// Makes it the end of a file, after which a commit may be.
    fn finish(&mut self, key: &str, position: i64, note: String) {
        let (positions, boundary, info) = match &mut self.next {
            Next::Batch(batch) => (&mut batch.positions, &mut batch.boundary, &mut batch.info),
            Next::Rows(batch) => (&mut batch.positions, &mut batch.boundary, &mut batch.info),
            Next::Idle | Next::End => return,
        };
        positions.set(key, position);
        (*boundary, *info) = (true, Some(note));
    }
}

fn raw_batch(found: &Found, header: Arc<[String]>, records: RecordBuffer, unframed: Vec<Unframed>) -> RawBatch {
    let origin = Origin::File { path: found.path.as_str().into() };
    let rejected = unframed.into_iter().map(|lost| Rejected {
        key: Vec::new(),
        header: Arc::default(),
        reason: lost.reason.to_owned(),
        length: lost.bytes.len() as u64,
        bytes: lost.bytes,
        origin: origin.clone(),
        offset: lost.line,
        timestamp: found.modified,
    });
    RawBatch {
        records,
        header,
        rejected: rejected.collect(),
        origin,
        positions: Positions::default(),
        boundary: false,
        replaces: false,
        info: None,
    }
}

fn row_batch(rows: RecordBatch, effect: Effect) -> RowBatch {
    let bytes = rows.get_array_memory_size() as u64;
    let positions = Positions::default();
    RowBatch { rows, effect, rejected: Vec::new(), bytes, positions, boundary: false, info: None }
}

/// Takes away every row of a file.
fn removal(found: &Found) -> Result<RowBatch> {
    let paths = StringArray::from(vec![found.path.as_str()]);
    let removed = RecordBatch::try_from_iter([(SOURCE_FILE_COLUMN, Arc::new(paths) as _)])?;
    let effect = Effect::merge([SOURCE_FILE_COLUMN.to_owned()].into(), removed);
    Ok(row_batch(RecordBatch::new_empty(Arc::new(Schema::empty())), effect))
}

impl Source for FilesSource {
    fn codec(&self) -> Option<Codec> {
        self.opener.codec.clone()
    }

    fn provenance(&self) -> Provenance {
        Provenance::File
    }

    fn path_columns(&self) -> bool {
        self.opener.config.path_columns
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
        self.opened_archives.clear();
        self.listed = None;
        self.reading = None;
        Ok(())
    }

    fn next_batch(&mut self, limits: &ReadLimits, mut buffer: RecordBuffer) -> Result<Next> {
        loop {
            if self.reading.is_none() && self.waiting.is_empty() {
                self.discover()?;
            }
            let reading = match self.reading.take() {
                Some(reading) => Some(reading),
                None => self.begin()?,
            };
            let Some(mut reading) = reading else { return Ok(if self.stop_at_end { Next::End } else { Next::Idle }) };
            if std::mem::take(&mut reading.replaces) {
                let removal = removal(&reading.found)?;
                reading.begun = true;
                self.reading = Some(reading);
                return Ok(Next::Rows(Box::new(removal)));
            }
            match self.piece(&mut reading, limits.max_bytes, std::mem::take(&mut buffer)) {
                Ok(piece) => return self.hand_on(reading, piece),
                Err(Trouble::Passing(error)) => return Err(error),
                Err(Trouble::Damaged(reason)) if reading.begun => return Err(self.abandon(&reading.found, &reason)),
                // Nothing of it was handed on, so nothing has to be read again.
                Err(Trouble::Damaged(reason)) => self.give_up(&reading.found, &reason),
            }
        }
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

impl FilesSource {
    fn hand_on(&mut self, mut reading: Box<Reading>, mut piece: Piece) -> Result<Next> {
        if !piece.ended {
            reading.begun = true;
            self.reading = Some(reading);
            return Ok(piece.next);
        }
        if !reading.is_unchanged() {
            let failure = Failure::new(Kind::External { retry_after: None }, "a file changed while it was read");
            return Err(failure.with_detail(reading.found.path.clone()).into());
        }
        let note = self.take(&reading);
        piece.finish(&self.key, self.position, note);
        Ok(piece.next)
    }
}
