//! Files in a zip archive, each read as a file of its own.
//!
//! Nothing is unpacked to a disk: a member is read where it lies. Still a name that would lead out of a folder is left out, for
//! an archive with one was made to harm. Two members that share bytes make the whole archive refused.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flate2::Crc;
use zip::{CompressionMethod, ZipArchive};

use super::compression::{CHUNK_BYTES, Packing};
use super::discover::{Found, LeftOut};
use super::fingerprint::Fingerprint;
use super::pattern::Pattern;

/// Most members of an archive.
const MOST_MEMBERS: usize = 100_000;

/// Where a member lies in its archive, and what the archive says of it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    archive: Arc<File>,
    /// The archive as it was found, if it lies on a disk and may change.
    watched: Option<Found>,
    start: u64,
    packed: u64,
    size: u64,
    checksum: u32,
    deflated: bool,
}

/// Members to take, each as a file, and those left out.
pub(crate) type Members = (Vec<(Found, Member)>, Vec<LeftOut>);

/// The members that match, by name; and those left out, with the reason.
pub(crate) fn members(file: File, archive: &Found, may_change: bool, patterns: &[Pattern]) -> Result<Members, String> {
    let file = Arc::new(file);
    let unreadable = |error: zip::result::ZipError| format!("it is no archive that can be read: {error}");
    let mut zip = ZipArchive::new(BufReader::new(&*file)).map_err(unreadable)?;
    if zip.len() > MOST_MEMBERS {
        return Err(format!("it has more than {MOST_MEMBERS} members"));
    }
    let (mut found, mut left_out, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index).map_err(unreadable)?;
        let start = entry.data_start().ok_or("it does not say where a member lies")?;
        places.push((start, start.saturating_add(entry.compressed_size())));
        let name = entry.name().to_owned();
        if entry.is_dir() || !patterns.iter().any(|pattern| pattern.matches(&name)) {
            continue;
        }
        let path = format!("{}!/{name}", archive.path);
        if let Some(reason) = refusal(&name, entry.encrypted(), entry.compression()) {
            left_out.push((path, reason));
            continue;
        }
        let member = Member {
            archive: Arc::clone(&file),
            watched: may_change.then(|| archive.clone()),
            start,
            packed: entry.compressed_size(),
            size: entry.size(),
            checksum: entry.crc32(),
            deflated: entry.compression() == CompressionMethod::Deflated,
        };
        found.push((Found { path, size: member.size, modified: archive.modified, etag: None }, member));
    }
    places.sort_unstable();
    if places.iter().zip(places.iter().skip(1)).any(|((_, end), (start, _))| start < end) {
        return Err(String::from("its members overlap"));
    }
    found.sort_by(|(one, _), (other, _)| one.path.cmp(&other.path));
    Ok((found, left_out))
}

fn refusal(name: &str, encrypted: bool, method: CompressionMethod) -> Option<&'static str> {
    if name.starts_with('/') || name.contains(['\\', '\0']) || name.split('/').any(|part| part == "..") {
        Some("its name leads out of the archive")
    } else if encrypted {
        Some("it is encrypted")
    } else if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        Some("it is packed with another method than deflate")
    } else if Packing::of_name(name) != Packing::Plain {
        Some("it is packed within an archive")
    } else {
        None
    }
}

impl Member {
    pub(crate) fn fingerprint(&self, found: &Found) -> Fingerprint {
        let sample = format!("crc32:{:08x}", self.checksum);
        Fingerprint { size: self.size, modified: found.modified, sample, etag: None }
    }

    pub(crate) fn read(&self) -> Box<dyn Read + Send> {
        let section = Section { file: Arc::clone(&self.archive), at: self.start, end: self.start + self.packed };
        let section = BufReader::with_capacity(CHUNK_BYTES, section);
        let inner: Box<dyn Read + Send> =
            if self.deflated { Box::new(flate2::bufread::DeflateDecoder::new(section)) } else { Box::new(section) };
        Box::new(Checked { inner, left: self.size, checksum: self.checksum, crc: Crc::new() })
    }

    /// The archive, to see whether it changed, and as what it was found.
    pub(crate) fn watched(&self) -> io::Result<Option<(File, Found)>> {
        let Some(found) = &self.watched else { return Ok(None) };
        Ok(Some((self.archive.try_clone()?, found.clone())))
    }
}

/// Bytes of a file from one place to another.
struct Section {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let read = self.file.read_at(buffer.get_mut(..length).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Holds a member to its size and checksum.
struct Checked {
    inner: Box<dyn Read + Send>,
    left: u64,
    checksum: u32,
    crc: Crc,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let invalid = |reason| Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        let Some(left) = self.left.checked_sub(read as u64) else { return invalid("it holds more than it says") };
        self.left = left;
        self.crc.update(buffer.get(..read).unwrap_or_default());
        if read == 0 && !buffer.is_empty() && (self.left > 0 || self.crc.sum() != self.checksum) {
            return invalid("it does not have the checksum it should");
        }
        Ok(read)
    }
}
