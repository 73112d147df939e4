//! One partition of a local topic: a folder of segments, of which only the last is written.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use headwater_project::{Failure, Kind, Timestamp, fault};

use crate::error::{Error, Result};
use crate::limits::{MAX_RECORD_BYTES, READ_CURSORS};
use crate::log::frame;
use crate::log::segment::{self, Segment};
use crate::log::{PartitionDescription, ReadOutcome, TopicConfig};
use crate::record::RecordBuffer;

#[derive(Debug)]
pub(super) struct Partition {
    topic: String,
    number: i32,
    directory: PathBuf,
    writable: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    segments: VecDeque<Segment>,
    active: Option<Active>,
    /// The offset after the last record appended, synced or not.
    end_offset: i64,
    /// Readers of this process see records before this offset.
    synced_offset: i64,
    cursors: VecDeque<Cursor>,
    scratch: Vec<u8>,
}

/// The file being written.
#[derive(Clone, Debug)]
struct Active {
    file: Arc<File>,
    written: u64,
    synced: u64,
    /// How often the file was cut; a sync that began before a cut says nothing about what was written after it.
    cuts: u64,
}

/// Where a reader stopped, so that it goes on without searching.
#[derive(Clone, Debug)]
struct Cursor {
    offset: i64,
    segment: i64,
    position: u64,
    file: Arc<File>,
}

/// Where to read, found under the lock; the reading itself is done without it.
struct Place {
    cursor: Cursor,
    path: PathBuf,
    limit: u64,
    visible_end: i64,
    last: bool,
}

impl Partition {
    /// Opens for writing: cuts off a torn tail. Also returns how many bytes that were.
    pub(super) fn open(topic: &str, number: i32, directory: PathBuf) -> Result<(Self, u64)> {
        let mut state = State { segments: segment::list(&directory)?.into(), ..State::default() };
        let mut torn_bytes = 0;
        if let Some(last) = state.segments.back_mut() {
            let file = open_append(&last.path)?;
            let recovered = segment::recover(last, &file)?;
            // What was read may still only be in the page cache; only a sync makes it a base to build on.
            file.set_len(recovered.bytes)
                .and_then(|()| file.sync_all())
                .map_err(|e| Error::io("sync", &last.path, e))?;
            torn_bytes = recovered.torn_bytes;
            last.bytes = recovered.bytes;
            state.end_offset = recovered.end_offset;
            state.synced_offset = recovered.end_offset;
            let (written, synced) = (recovered.bytes, recovered.bytes);
            state.active = Some(Active { file: Arc::new(file), written, synced, cuts: 0 });
        }
        let partition = Self { topic: topic.to_owned(), number, directory, writable: true, state: Mutex::new(state) };
        Ok((partition, torn_bytes))
    }

    /// Opens beside a writer in another process. Sees every complete frame.
    pub(super) fn open_reader(topic: &str, number: i32, directory: PathBuf) -> Result<Self> {
        let state = Mutex::new(State::default());
        let partition = Self { topic: topic.to_owned(), number, directory, writable: false, state };
        partition.refresh(&mut *partition.lock()?)?;
        Ok(partition)
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>> {
        self.state.lock().map_err(|_| Error::Internal("a thread panicked while it held a partition of the log"))
    }

    /// Learns what the writing process did since.
    fn refresh(&self, state: &mut State) -> Result<()> {
        let mut listed: VecDeque<Segment> = segment::list(&self.directory)?.into();
        let known = state.segments.back().map(|segment| (segment.base_offset, segment.bytes));
        let Some(last) = listed.back_mut() else { return Ok(()) };
        if known == Some((last.base_offset, last.bytes)) {
            return Ok(());
        }
        let file = open_read(&last.path)?;
        let same = known.is_some_and(|(base, _)| base == last.base_offset);
        let (mut offset, mut position) =
            if same { (state.end_offset, state.visible_bytes()) } else { (last.base_offset, 0) };
        let failed = |source| Error::io("read", &last.path, source);
        while let Some(frame) = segment::frame_at(&file, position, last.bytes, &mut state.scratch).map_err(failed)? {
            offset = frame.end_offset();
            position += segment::frame_bytes(&state.scratch);
        }
        last.bytes = position;
        state.end_offset = offset;
        state.synced_offset = offset;
        state.segments = listed;
        Ok(())
    }

    pub(super) fn append(&self, records: &RecordBuffer, segment_bytes: u64) -> Result<Range<i64>> {
        let largest =
            (0..records.len()).map(|at| records.payload(at).len().max(records.key(at).len())).max().unwrap_or(0);
        if largest > MAX_RECORD_BYTES {
            return Err(Error::RecordTooLarge { bytes: largest, limit: MAX_RECORD_BYTES });
        }
        let state = &mut *self.lock()?;
        // Only here, so that one append never spans two segments and can be taken back.
        if state.active.as_ref().is_none_or(|active| active.written >= segment_bytes) {
            self.rotate(state)?;
        }
        let first = state.end_offset;
        let mut start = 0;
        while start < records.len() {
            let count = frame::frame_len(records, start);
            if let Err(error) = self.append_frame(state, records, start, count) {
                self.take_back(state, first)?;
                return Err(error);
            }
            start += count;
        }
        Ok(first..state.end_offset)
    }

    fn append_frame(&self, state: &mut State, records: &RecordBuffer, start: usize, count: usize) -> Result<()> {
        let State { active: Some(active), segments, scratch, end_offset, .. } = state else {
            return Err(Error::Internal("a rotated partition has no active segment"));
        };
        frame::encode(records, start, count, *end_offset, active.synced, scratch);
        write_frame(&active.file, scratch).map_err(|error| match error {
            WriteError::Io(source) => Error::io("append to", &self.directory, source),
            WriteError::Injected(injected) => injected.into(),
        })?;
        if let Some(segment) = segments.back_mut() {
            segment.note(*end_offset, active.written);
            segment.bytes = active.written + scratch.len() as u64;
        }
        active.written += scratch.len() as u64;
        *end_offset += i64::try_from(count).unwrap_or(0);
        fault::point("log.after_append_before_sync")?;
        Ok(())
    }

    /// Starts the next segment; what the last one holds is durable before the next exists.
    fn rotate(&self, state: &mut State) -> Result<()> {
        let failed = |action| move |source| Error::io(action, &self.directory, source);
        if let Some(active) = &mut state.active {
            active.file.sync_data().map_err(|_| Error::Poisoned)?;
            active.synced = active.written;
            state.synced_offset = state.end_offset;
        }
        let segment = Segment::new(&self.directory, state.end_offset, 0);
        let file = open_append(&segment.path)?;
        file.set_len(0).map_err(failed("cut"))?;
        fault::point("log.segment_rotate_before_dirsync")?;
        sync_directory(&self.directory)?;
        state.segments.push_back(segment);
        state.active = Some(Active { file: Arc::new(file), written: 0, synced: 0, cuts: 0 });
        Ok(())
    }

    /// Undoes an append that failed half way, so that nothing of it can be read.
    fn take_back(&self, state: &mut State, to_offset: i64) -> Result<()> {
        let Some(last) = state.segments.back_mut() else { return Ok(()) };
        let Some(active) = &mut state.active else { return Ok(()) };
        let (mut offset, mut position) = last.seek(to_offset);
        let file = open_read(&last.path)?;
        while offset < to_offset {
            match segment::frame_at(&file, position, active.written, &mut state.scratch) {
                Ok(Some(frame)) => offset = frame.end_offset(),
                _ => return Err(Error::Poisoned),
            }
            position += segment::frame_bytes(&state.scratch);
        }
        active.file.set_len(position).map_err(|_| Error::Poisoned)?;
        active.written = position;
        active.synced = active.synced.min(position);
        active.cuts += 1;
        last.bytes = position;
        last.forget_after(position);
        state.end_offset = to_offset;
        Ok(())
    }

    /// Makes durable what was appended before; the disk works without the lock, so appends go on meanwhile.
    pub(super) fn sync(&self) -> Result<()> {
        let (active, end_offset, segment) = {
            let state = self.lock()?;
            let (Some(active), Some(segment)) = (state.active.clone(), state.segments.back()) else { return Ok(()) };
            if active.synced == active.written && state.synced_offset == state.end_offset {
                return Ok(());
            }
            (active, state.end_offset, segment.base_offset)
        };
        active.file.sync_data().map_err(|_| Error::Poisoned)?;
        let state = &mut *self.lock()?;
        // A rotation has synced everything before the new segment by itself.
        let same = state.segments.back().is_some_and(|last| last.base_offset == segment);
        let Some(current) = state.active.as_mut().filter(|_| same) else { return Ok(()) };
        if current.cuts != active.cuts {
            return Err(Error::Failed(Failure::new(
                Kind::External { retry_after: None },
                "an append failed while the log was being synced",
            )));
        }
        current.synced = current.synced.max(active.written);
        state.synced_offset = state.synced_offset.max(end_offset);
        Ok(())
    }

    pub(super) fn read(&self, from_offset: i64, max_bytes: usize, into: &mut RecordBuffer) -> Result<ReadOutcome> {
        let until_bytes = into.bytes().saturating_add(max_bytes);
        let before = into.len();
        let mut offset = from_offset;
        let mut scratch = Vec::new();
        loop {
            let Some(place) = self.place(offset)? else { return Ok(ReadOutcome { next_offset: offset, at_end: true }) };
            offset = self.read_segment(place, offset, until_bytes, into, &mut scratch)?;
            if into.len() > before && into.bytes() >= until_bytes {
                return Ok(ReadOutcome { next_offset: offset, at_end: false });
            }
        }
    }

    /// Where the record at `offset` is; nothing if it is the next to come.
    fn place(&self, offset: i64) -> Result<Option<Place>> {
        let state = &mut *self.lock()?;
        if !self.writable && offset >= state.synced_offset {
            self.refresh(state)?;
        }
        let start = state.segments.front().map_or(0, |segment| segment.base_offset);
        if offset < start || offset > state.synced_offset {
            let (topic, partition, end) = (self.topic.clone(), self.number, state.synced_offset);
            return Err(Error::OutOfRange { topic, partition, requested: offset, start, end });
        }
        if offset == state.synced_offset {
            return Ok(None);
        }
        let index = state.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1);
        let last = index + 1 == state.segments.len();
        let Some(segment) = state.segments.get(index) else { return Ok(None) };
        let remembered =
            state.cursors.iter().position(|cursor| cursor.offset == offset && cursor.segment == segment.base_offset);
        let cursor = match remembered.and_then(|at| state.cursors.remove(at)) {
            Some(cursor) => cursor,
            None => {
                let (offset, position) = segment.seek(offset);
                let file = Arc::new(open_read(&segment.path)?);
                Cursor { offset, segment: segment.base_offset, position, file }
            }
        };
        let place =
            Place { cursor, path: segment.path.clone(), limit: segment.bytes, visible_end: state.synced_offset, last };
        Ok(Some(place))
    }

    fn read_segment(
        &self,
        place: Place,
        from_offset: i64,
        until_bytes: usize,
        into: &mut RecordBuffer,
        scratch: &mut Vec<u8>,
    ) -> Result<i64> {
        let Place { mut cursor, path, limit, visible_end, last } = place;
        let mut offset = from_offset;
        let before = into.len();
        while cursor.position < limit && offset < visible_end && (into.len() == before || into.bytes() < until_bytes) {
            let frame = segment::frame_at(&cursor.file, cursor.position, limit, scratch);
            let Some(frame) = frame.map_err(|source| Error::io("read", &path, source))? else {
                let reason = "A frame that was synced cannot be read";
                return Err(Error::Corrupt { path, position: cursor.position, reason });
            };
            let end = frame.end_offset();
            if end > offset {
                offset = frame
                    .read_into(offset, until_bytes, into)
                    .ok_or(Error::Internal("a checked frame is malformed"))?;
            }
            if offset < end {
                break;
            }
            cursor.position += segment::frame_bytes(scratch);
        }
        if !last && cursor.position >= limit {
            return Ok(offset);
        }
        cursor.offset = offset;
        self.remember(cursor)?;
        Ok(offset)
    }

    fn remember(&self, cursor: Cursor) -> Result<()> {
        let mut state = self.lock()?;
        state.cursors.push_back(cursor);
        if state.cursors.len() > READ_CURSORS {
            state.cursors.pop_front();
        }
        Ok(())
    }

    pub(super) fn trim(&self, before_offset: i64, config: &TopicConfig, now: Timestamp) -> Result<u64> {
        let state = &mut *self.lock()?;
        let mut freed = 0;
        let mut total: u64 = state.segments.iter().map(|segment| segment.bytes).sum();
        while let (Some(first), Some(next)) = (state.segments.front(), state.segments.get(1)) {
            let needed = next.base_offset > before_offset.min(state.synced_offset)
                || config.retention_bytes.is_some_and(|keep| total - first.bytes < keep)
                || younger(next, config, now)?;
            if needed {
                break;
            }
            std::fs::remove_file(&first.path).map_err(|source| Error::io("remove", &first.path, source))?;
            freed += first.bytes;
            total -= first.bytes;
            let gone = first.base_offset;
            state.cursors.retain(|cursor| cursor.segment != gone);
            state.segments.pop_front();
        }
        if freed > 0 {
            sync_directory(&self.directory)?;
        }
        Ok(freed)
    }

    pub(super) fn describe(&self) -> Result<PartitionDescription> {
        let state = &mut *self.lock()?;
        if !self.writable {
            self.refresh(state)?;
        }
        Ok(PartitionDescription {
            start_offset: state.segments.front().map_or(0, |segment| segment.base_offset),
            end_offset: state.synced_offset,
            bytes: state.segments.iter().map(|segment| segment.bytes).sum(),
        })
    }
}

impl State {
    fn visible_bytes(&self) -> u64 {
        self.segments.back().map_or(0, |segment| segment.bytes)
    }
}

/// A segment is as old as the first record after it, so that no record goes before its time.
fn younger(next: &Segment, config: &TopicConfig, now: Timestamp) -> Result<bool> {
    let Some(age) = config.retention_age else { return Ok(false) };
    let file = open_read(&next.path)?;
    let mut scratch = Vec::new();
    let frame = segment::frame_at(&file, 0, next.bytes, &mut scratch).map_err(|e| Error::io("read", &next.path, e))?;
    Ok(frame
        .and_then(|frame| frame.first_timestamp())
        .is_none_or(|first| now.since(Timestamp::from_millis(first)) < age))
}

enum WriteError {
    Io(io::Error),
    Injected(fault::Injected),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn write_frame(mut file: &File, bytes: &[u8]) -> Result<(), WriteError> {
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    file.write_all(head)?;
    fault::point("log.mid_record").map_err(WriteError::Injected)?;
    file.write_all(tail)?;
    Ok(())
}

fn open_append(path: &Path) -> Result<File> {
    let options = OpenOptions::new().append(true).read(true).create(true).open(path);
    options.map_err(|source| Error::io("open", path, source))
}

fn open_read(path: &Path) -> Result<File> {
    File::open(path).map_err(|source| Error::io("open", path, source))
}

pub(super) fn sync_directory(path: &Path) -> Result<()> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|source| Error::io("sync", path, source))
}
