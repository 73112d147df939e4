//! One segment file: `<first offset, 20 digits>.seg`, a run of frames (see [`super::frame`]) and nothing else.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::limits::INDEX_INTERVAL_BYTES;
use crate::log::frame::{Frame, MAGIC, PREAMBLE, Preamble};

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base_offset: i64,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// First offset and place of some frames, in order, about every `INDEX_INTERVAL_BYTES`.
    index: Vec<(i64, u64)>,
}

impl Segment {
    pub(super) fn new(directory: &Path, base_offset: i64, bytes: u64) -> Self {
        let path = directory.join(format!("{base_offset:020}.seg"));
        Self { base_offset, path, bytes, index: Vec::new() }
    }

    pub(super) fn note(&mut self, offset: i64, position: u64) {
        let due = self.index.last().is_none_or(|(known, at)| offset > *known && position >= at + INDEX_INTERVAL_BYTES);
        if due {
            self.index.push((offset, position));
        }
    }

    /// Drops what is known of places from `position` on.
    pub(super) fn forget_after(&mut self, position: u64) {
        self.index.retain(|(_, at)| *at < position);
    }

    /// A place at or before the frame that holds `offset`.
    pub(super) fn seek(&self, offset: i64) -> (i64, u64) {
        let after = self.index.partition_point(|(known, _)| *known <= offset);
        after.checked_sub(1).and_then(|at| self.index.get(at)).copied().unwrap_or((self.base_offset, 0))
    }
}

/// The segments of a partition by first offset, sizes as the file system says.
pub(super) fn list(directory: &Path) -> Result<Vec<Segment>> {
    let failed = |source| Error::io("list", directory, source);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(base) = name.to_str().and_then(|name| name.strip_suffix(".seg")) else { continue };
        let Ok(base_offset) = base.parse::<i64>() else { continue };
        // A segment may be trimmed by the writer between the listing and this look at it.
        let Ok(metadata) = entry.metadata() else { continue };
        found.push(Segment::new(directory, base_offset, metadata.len()));
    }
    found.sort_by_key(|segment| segment.base_offset);
    Ok(found)
}

/// Reads the frame at `position` into `scratch`. Nothing if there is no intact frame that ends within `limit`.
pub(super) fn frame_at<'a>(
    file: &File,
    position: u64,
    limit: u64,
    scratch: &'a mut Vec<u8>,
) -> io::Result<Option<Frame<'a>>> {
    let mut preamble = [0; PREAMBLE];
    if position.saturating_add(PREAMBLE as u64) > limit || !read_fully(file, &mut preamble, position)? {
        return Ok(None);
    }
    let Some(preamble) = Preamble::parse(&preamble) else { return Ok(None) };
    if position + (PREAMBLE + preamble.length) as u64 > limit {
        return Ok(None);
    }
    scratch.resize(preamble.length, 0);
    if !read_fully(file, scratch, position + PREAMBLE as u64)? {
        return Ok(None);
    }
    Ok(preamble.open(scratch))
}

/// The bytes the frame last read into `scratch` takes in the file.
pub(super) fn frame_bytes(scratch: &[u8]) -> u64 {
    (PREAMBLE + scratch.len()) as u64
}

/// False if the file ends before `buffer` is full.
fn read_fully(file: &File, buffer: &mut [u8], position: u64) -> io::Result<bool> {
    match file.read_exact_at(buffer, position) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recovered {
    /// Where the intact frames end.
    pub(super) bytes: u64,
    pub(super) end_offset: i64,
    /// Bytes after them that were never acknowledged.
    pub(super) torn_bytes: u64,
}

/// Checks every frame of a segment that may end in a torn write.
pub(super) fn recover(segment: &mut Segment, file: &File) -> Result<Recovered> {
    let failed = |source| Error::io("read", &segment.path, source);
    let length = file.metadata().map_err(failed)?.len();
    let mut scratch = Vec::new();
    let (mut position, mut end_offset) = (0, segment.base_offset);
    let mut places = Vec::new();
    while let Some(frame) = frame_at(file, position, length, &mut scratch).map_err(failed)? {
        if frame.base_offset != end_offset {
            break;
        }
        places.push((frame.base_offset, position));
        end_offset = frame.end_offset();
        position += frame_bytes(&scratch);
    }
    if acknowledged_after(file, position, length).map_err(failed)? {
        let reason = "A frame cannot be read and intact, synced frames follow it";
        return Err(Error::Corrupt { path: segment.path.clone(), position, reason });
    }
    for (offset, place) in places {
        segment.note(offset, place);
    }
    Ok(Recovered { bytes: position, end_offset, torn_bytes: length - position })
}

/// Whether an intact frame after `position` says that bytes past `position` were synced.
fn acknowledged_after(file: &File, position: u64, length: u64) -> io::Result<bool> {
    const WINDOW: u64 = 1 << 20;
    let mut window = Vec::new();
    let mut scratch = Vec::new();
    let mut start = position;
    while start < length {
        let size = WINDOW.min(length - start);
        window.resize(usize::try_from(size).unwrap_or(0), 0);
        file.read_exact_at(&mut window, start)?;
        for found in memchr::memmem::find_iter(&window, &MAGIC) {
            let frame = frame_at(file, start + found as u64, length, &mut scratch)?;
            if frame.is_some_and(|frame| frame.durable > position) {
                return Ok(true);
            }
        }
        // The windows overlap so that a magic number across their edge is seen.
        start += if size == WINDOW { WINDOW - (MAGIC.len() as u64 - 1) } else { size };
    }
    Ok(false)
}
