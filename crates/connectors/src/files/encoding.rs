//! Text as UTF-8: a byte order mark at the beginning of a file goes, and UTF-16, which is known by its mark, is converted.

use std::io::{self, Read};

use super::compression::Peeked;

const CHUNK_BYTES: usize = 64 << 10;

pub(crate) fn as_utf8(input: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let peeked = Peeked::new(input, 3)?;
    Ok(match peeked.head() {
        [0xEF, 0xBB, 0xBF] => Box::new(peeked.skip(3)),
        [0xFF, 0xFE, ..] => Box::new(Utf16::new(peeked.skip(2), u16::from_le_bytes)),
        [0xFE, 0xFF, ..] => Box::new(Utf16::new(peeked.skip(2), u16::from_be_bytes)),
        _ => Box::new(peeked),
    })
}

struct Utf16<R> {
    inner: R,
    unit: fn([u8; 2]) -> u16,
    /// Bytes that are not converted yet: less than a character, but right after a read.
    raw: Vec<u8>,
    text: Vec<u8>,
    given: usize,
}

impl<R: Read> Utf16<R> {
    fn new(inner: R, unit: fn([u8; 2]) -> u16) -> Self {
        Self { inner, unit, raw: Vec::new(), text: Vec::new(), given: 0 }
    }

    /// Converts another piece; nothing more comes when there is no text after it.
    fn convert(&mut self) -> io::Result<()> {
        let invalid = |reason| io::Error::new(io::ErrorKind::InvalidData, reason);
        self.text.clear();
        self.given = 0;
        while self.text.is_empty() {
            let read = self.inner.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut self.raw)?;
            if read == 0 {
                return if self.raw.is_empty() {
                    Ok(())
                } else {
                    Err(invalid("it is UTF-16 and ends inside a character"))
                };
            }
            let units: Vec<u16> = self.raw.as_chunks::<2>().0.iter().map(|pair| (self.unit)(*pair)).collect();
            let is_half = units.last().is_some_and(|last| (0xD800..0xDC00).contains(last));
            let whole = units.len() - usize::from(is_half);
            let mut text = String::with_capacity(self.raw.len());
            for character in char::decode_utf16(units.into_iter().take(whole)) {
                text.push(character.map_err(|_| invalid("it is UTF-16 with a lone surrogate"))?);
            }
            self.raw.drain(..whole * 2);
            self.text = text.into_bytes();
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.text.len() {
            self.convert()?;
        }
        let mut left = self.text.get(self.given..).unwrap_or_default();
        let read = left.read(buffer)?;
        self.given += read;
        Ok(read)
    }
}
