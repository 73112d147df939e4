//! Records of Avro object container files.
//!
//! ```text
//! "Obj" 1  metadata: map of bytes (avro.schema, avro.codec)  marker: 16 bytes
//! blocks:  records: long  bytes: long  the records, packed  marker
//! ```
//!
//! Each record is handed on as its bytes after a number that stands for its file's schema, as messages of Kafka come, and is
//! decoded like them.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

use headwater_ingest::codec::Unframed;
use headwater_ingest::codec::avro::{Schema, Schemas, record_length};
use headwater_ingest::limits::{MAX_RECORD_BYTES, MAX_REJECTED_BYTES};
use headwater_ingest::record::{Record, RecordBuffer};

use super::compression::CHUNK_BYTES;
use super::content::{RecordReader, Trouble};

/// Bytes of one block, packed or not.
const MAX_BLOCK_BYTES: u64 = 256 << 20;
/// Bytes of one entry of the metadata.
const MAX_METADATA_BYTES: u64 = 16 << 20;
const MAX_METADATA_ENTRIES: u64 = 10_000;
/// Records of one block, which could take no bytes at all.
const MAX_BLOCK_RECORDS: u64 = 16 << 20;

/// The schemas of the files that were opened, each with a number.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileSchemas {
    known: Arc<Mutex<HashMap<Vec<u8>, u32>>>,
    schemas: Arc<Schemas>,
}

impl FileSchemas {
    pub(crate) fn new(schemas: Arc<Schemas>) -> Self {
        Self { known: Arc::default(), schemas }
    }

    fn number(&self, text: &[u8], schema: &Schema) -> Result<u32, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = known.get(text) {
            return Ok(*number);
        }
        let number = u32::try_from(known.len()).map_err(|_| String::from("there are too many schemas"))?;
        known.insert(text.to_vec(), number);
        self.schemas.learn(number, Ok(schema.clone()));
        Ok(number)
    }
}

#[derive(Clone, Copy, Debug)]
enum Packed {
    Not,
    Deflate,
    Snappy,
    Zstandard,
    Bzip2,
}

pub(crate) struct Container {
    input: BufReader<Box<dyn Read + Send>>,
    schema: Schema,
    /// The zero and the number that go before each record.
    prefix: [u8; 5],
    packed: Packed,
    marker: [u8; 16],
    block: Vec<u8>,
    /// Bytes of the block that were handed on, and records of it that were not.
    given: usize,
    left: u64,
    blocks: u64,
    /// Number of the last record, from 1.
    number: i64,
    modified: i64,
    unframed: Vec<Unframed>,
}

impl Container {
    pub(crate) fn open(input: Box<dyn Read + Send>, schemas: &FileSchemas, modified: i64) -> Result<Self, Trouble> {
        let mut input = BufReader::with_capacity(CHUNK_BYTES, input);
        if exactly::<4>(&mut input)? != *b"Obj\x01" {
            return Err(String::from("it is no Avro file").into());
        }
        let metadata = metadata(&mut input)?;
        let marker = exactly::<16>(&mut input)?;
        let text = metadata.get("avro.schema").ok_or_else(|| String::from("it has no schema"))?;
        let schema = Schema::parse(&String::from_utf8_lossy(text))?;
        let number = schemas.number(text, &schema)?;
        let [a, b, c, d] = number.to_be_bytes();
        let packed = match metadata.get("avro.codec").map_or(&b"null"[..], Vec::as_slice) {
            b"null" => Packed::Not,
            b"deflate" => Packed::Deflate,
            b"snappy" => Packed::Snappy,
            b"zstandard" => Packed::Zstandard,
            b"bzip2" => Packed::Bzip2,
            other => {
                return Err(format!("it is packed with {}, which is not read", String::from_utf8_lossy(other)).into());
            }
        };
        Ok(Self {
            input,
            schema,
            prefix: [0, a, b, c, d],
            packed,
            marker,
            block: Vec::new(),
            given: 0,
            left: 0,
            blocks: 0,
            number: 0,
            modified,
            unframed: Vec::new(),
        })
    }

    /// Reads the next block; false at the end of the file.
    fn next_block(&mut self) -> Result<bool, Trouble> {
        if self.given < self.block.len() {
            let rest = self.block.len() - self.given;
            return Err(format!("block {} has {rest} bytes after its last record", self.blocks).into());
        }
        let Some(records) = first_long(&mut self.input)? else { return Ok(false) };
        self.blocks += 1;
        let damaged = |what: &str| Trouble::Damaged(format!("block {} {what}", self.blocks));
        let length = long(&mut self.input)?;
        let records = u64::try_from(records).ok().filter(|records| *records <= MAX_BLOCK_RECORDS);
        let length = u64::try_from(length).ok().filter(|length| *length <= MAX_BLOCK_BYTES);
        let (Some(records), Some(length)) = (records, length) else { return Err(damaged("has no size that can be")) };
        let mut packed = Vec::new();
        self.input.by_ref().take(length).read_to_end(&mut packed)?;
        if packed.len() as u64 != length {
            return Err(damaged("is cut off"));
        }
        if exactly::<16>(&mut self.input)? != self.marker {
            return Err(damaged("does not end with the file's marker"));
        }
        self.block = match unpacked(self.packed, packed) {
            Ok(block) => block,
            Err(error) => return Err(damaged(&format!("cannot be unpacked: {error}"))),
        };
        (self.given, self.left) = (0, records);
        Ok(true)
    }

    fn next_record(&mut self, scratch: &mut Vec<u8>, into: &mut RecordBuffer) -> Result<(), Trouble> {
        let rest = self.block.get(self.given..).unwrap_or_default();
        self.number += 1;
        let length = record_length(&self.schema, rest)
            .map_err(|reason| format!("record {} of the file cannot be read: {reason}", self.number))?;
        let record = rest.get(..length).unwrap_or_default();
        if length > MAX_RECORD_BYTES {
            let bytes = record.get(..MAX_REJECTED_BYTES).unwrap_or_default().to_vec();
            self.unframed.push(Unframed { line: self.number, reason: "record is too long", bytes });
        } else {
            scratch.clear();
            scratch.extend_from_slice(&self.prefix);
            scratch.extend_from_slice(record);
            into.push(Record { offset: self.number, timestamp: self.modified, key: &[], payload: scratch });
        }
        self.given += length;
        self.left -= 1;
        Ok(())
    }
}

impl RecordReader for Container {
    fn fill(&mut self, max_bytes: usize, into: &mut RecordBuffer) -> Result<bool, Trouble> {
        let mut scratch = Vec::new();
        while into.bytes() < max_bytes {
            if self.left == 0 {
                if !self.next_block()? {
                    return Ok(true);
                }
            } else {
                self.next_record(&mut scratch, into)?;
            }
        }
        Ok(false)
    }

    fn header(&self) -> Arc<[String]> {
        Arc::default()
    }

    fn take_unframed(&mut self) -> Vec<Unframed> {
        std::mem::take(&mut self.unframed)
    }
}

fn metadata(input: &mut impl Read) -> Result<HashMap<String, Vec<u8>>, Trouble> {
    let mut entries = HashMap::new();
    loop {
        let count = long(input)?;
        if count < 0 {
            // The size of the block, which is of no use here.
            long(input)?;
        }
        if count == 0 {
            return Ok(entries);
        }
        for _ in 0..count.unsigned_abs() {
            if entries.len() as u64 >= MAX_METADATA_ENTRIES {
                return Err(String::from("it has more metadata than can be").into());
            }
            let key = bytes(input)?;
            entries.insert(String::from_utf8_lossy(&key).into_owned(), bytes(input)?);
        }
    }
}

fn bytes(input: &mut impl Read) -> Result<Vec<u8>, Trouble> {
    let length = u64::try_from(long(input)?).ok().filter(|length| *length <= MAX_METADATA_BYTES);
    let length = length.ok_or_else(|| String::from("it has metadata of no size that can be"))?;
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(String::from("its metadata is cut off").into());
    }
    Ok(bytes)
}

fn exactly<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn long(input: &mut impl Read) -> Result<i64, Trouble> {
    first_long(input)?.ok_or_else(|| String::from("it is cut off").into())
}

/// A number of seven bits a byte, the lowest first; nothing where the input ends before it.
fn first_long(input: &mut impl Read) -> Result<Option<i64>, Trouble> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        if input.read(&mut byte)? == 0 {
            return if shift == 0 { Ok(None) } else { Err(String::from("it is cut off").into()) };
        }
        let [byte] = byte;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok(Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed()));
        }
    }
    Err(String::from("it has a number longer than 64 bits").into())
}

fn unpacked(how: Packed, packed: Vec<u8>) -> io::Result<Vec<u8>> {
    match how {
        Packed::Not => Ok(packed),
        Packed::Deflate => bounded(flate2::read::DeflateDecoder::new(packed.as_slice())),
        Packed::Zstandard => bounded(zstd::stream::read::Decoder::new(packed.as_slice())?),
        Packed::Bzip2 => bounded(bzip2::read::BzDecoder::new(packed.as_slice())),
        Packed::Snappy => snappy(&packed),
    }
}

fn bounded(input: impl Read) -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    input.take(MAX_BLOCK_BYTES + 1).read_to_end(&mut block)?;
    if block.len() as u64 > MAX_BLOCK_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than a block may be"));
    }
    Ok(block)
}

/// Snappy without frames, and the CRC-32 of what comes out behind it.
fn snappy(packed: &[u8]) -> io::Result<Vec<u8>> {
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let (body, checksum) = packed.split_last_chunk::<4>().ok_or_else(|| invalid("it is cut off".to_owned()))?;
    let length = snap::raw::decompress_len(body).map_err(|error| invalid(error.to_string()))?;
    if length as u64 > MAX_BLOCK_BYTES {
        return Err(invalid("it is larger than a block may be".to_owned()));
    }
    let block = snap::raw::Decoder::new().decompress_vec(body).map_err(|error| invalid(error.to_string()))?;
    let mut crc = flate2::Crc::new();
    crc.update(&block);
    if crc.sum() != u32::from_be_bytes(*checksum) {
        return Err(invalid("it does not have the checksum it should".to_owned()));
    }
    Ok(block)
}
