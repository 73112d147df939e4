//! What files are packed in, and reading them as what they hold.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const CHUNK_BYTES: usize = 256 << 10;

/// Beyond so many bytes, something that became this many times larger than it was packed is taken for an attack.
const UNSUSPECTED_BYTES: u64 = 256 << 20;
const LARGEST_EXPANSION: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
    Bzip2,
    Zip,
}

impl Packing {
    /// By the name, and where that says nothing by the first bytes.
    pub(crate) fn of(path: &str, beginning: &[u8]) -> Self {
        match Self::of_name(path) {
            Self::Plain => Self::of_bytes(beginning),
            named => named,
        }
    }

    pub(crate) fn of_name(path: &str) -> Self {
        let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("gz" | "gzip") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstd,
            Some("bz2") => Self::Bzip2,
            Some("zip") => Self::Zip,
            _ => Self::Plain,
        }
    }

    pub(crate) fn of_bytes(beginning: &[u8]) -> Self {
        match beginning {
            [0x1F, 0x8B, 8, ..] => Self::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..] => Self::Bzip2,
            [b'P', b'K', 3, 4, ..] => Self::Zip,
            _ => Self::Plain,
        }
    }
}

/// What is packed in a stream. An archive is no stream: it comes out as it is.
pub(crate) fn unpack(packing: Packing, input: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let taken = Arc::new(AtomicU64::new(0));
    let input = BufReader::with_capacity(CHUNK_BYTES, Counted { inner: input, taken: Arc::clone(&taken) });
    let inner: Box<dyn Read + Send> = match packing {
        Packing::Plain | Packing::Zip => return Ok(Box::new(input)),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        Packing::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
    };
    Ok(Box::new(Bounded { inner, taken, given: 0 }))
}

struct Counted<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.taken.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Stops when far more comes out than went in.
struct Bounded {
    inner: Box<dyn Read + Send>,
    taken: Arc<AtomicU64>,
    given: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.given += read as u64;
        let most = self.taken.load(Ordering::Relaxed).saturating_mul(LARGEST_EXPANSION).max(UNSUSPECTED_BYTES);
        if self.given > most {
            let reason = format!("it holds more than {LARGEST_EXPANSION} times what it is packed in");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(read)
    }
}

/// A stream whose first bytes were looked at.
pub(crate) struct Peeked<R> {
    head: Vec<u8>,
    at: usize,
    rest: R,
}

impl<R: Read> Peeked<R> {
    /// Reads so many bytes ahead, or all there are.
    pub(crate) fn new(mut rest: R, bytes: usize) -> io::Result<Self> {
        let mut head = Vec::new();
        rest.by_ref().take(bytes as u64).read_to_end(&mut head)?;
        Ok(Self { head, at: 0, rest })
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Passes over the first bytes, which were looked at.
    pub(crate) fn skip(mut self, bytes: usize) -> Self {
        self.at = bytes.min(self.head.len());
        self
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut left = self.head.get(self.at..).unwrap_or_default();
        if left.is_empty() {
            return self.rest.read(buffer);
        }
        let read = left.read(buffer)?;
        self.at += read;
        Ok(read)
    }
}
