//! Records of text files: lines, delimited rows, and JSON that is an array or goes over several lines.

use std::io::{self, Read};
use std::sync::Arc;

use headwater_ingest::codec::{Codec, Delimiters, Framing, Splitter, Unframed, ValueSplitter, delimited, json_values};
use headwater_ingest::limits::MAX_RECORD_BYTES;
use headwater_ingest::record::RecordBuffer;

use super::compression::{CHUNK_BYTES, Peeked};
use super::config::FilesConfig;
use super::content::{RecordReader, Trouble};
use super::{dialect, encoding};

/// Bytes that show whether JSON is an array or a document.
const JSON_SAMPLE_BYTES: usize = 4 << 10;

enum Cutter {
    Records(Splitter),
    Values(ValueSplitter),
}

impl Cutter {
    fn lines() -> Self {
        Self::Records(Splitter::new(Framing::Lines, MAX_RECORD_BYTES))
    }
}

/// Where the names of delimited fields come from.
enum Names {
    Known(Arc<[String]>),
    FirstRow(Delimiters),
    /// There are none: the first row says how many.
    Numbers(Delimiters),
}

pub(crate) struct Lines {
    input: Box<dyn Read + Send>,
    cutter: Cutter,
    names: Names,
    /// Milliseconds since 1970, for every record.
    modified: i64,
    chunk: Vec<u8>,
}

impl Lines {
    pub(crate) fn open(
        input: Box<dyn Read + Send>,
        config: &FilesConfig,
        codec: &Codec,
        modified: i64,
    ) -> io::Result<Self> {
        let text = encoding::as_utf8(input)?;
        let unnamed = Names::Known(Arc::default());
        let (input, cutter, names): (Box<dyn Read + Send>, _, _) = match codec {
            Codec::Delimited(_) | Codec::Detected(_) => {
                let text = Peeked::new(text, dialect::SAMPLE_BYTES)?;
                let (marks, names) = look(text.head(), config, codec);
                let framing = Framing::Rows { quote: marks.quote };
                (Box::new(text), Cutter::Records(Splitter::new(framing, MAX_RECORD_BYTES)), names)
            }
            Codec::Json => {
                let text = Peeked::new(text, JSON_SAMPLE_BYTES)?;
                let values = json_values::is_document(text.head());
                let cutter =
                    if values { Cutter::Values(ValueSplitter::new(MAX_RECORD_BYTES)) } else { Cutter::lines() };
                (Box::new(text), cutter, unnamed)
            }
            _ => (text, Cutter::lines(), unnamed),
        };
        Ok(Self { input, cutter, names, modified, chunk: vec![0; CHUNK_BYTES] })
    }

    /// Takes the header off the first records of a delimited file.
    fn read_header(&mut self, records: &mut RecordBuffer) -> Result<(), String> {
        let Some(first) = records.record(0) else { return Ok(()) };
        match self.names {
            Names::Known(_) => {}
            Names::Numbers(marks) => {
                let fields = delimited::values(first.payload, marks)?.len();
                self.names = Names::Known((1..=fields).map(|number| format!("column_{number}")).collect());
            }
            Names::FirstRow(marks) => {
                self.names = Names::Known(delimited::header(first.payload, marks)?.into());
                let mut rest = RecordBuffer::default();
                records.iter().skip(1).for_each(|record| rest.push(record));
                *records = rest;
            }
        }
        Ok(())
    }

    fn read_chunk(&mut self) -> io::Result<usize> {
        loop {
            match self.input.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

/// The marks of a delimited file, which its batches are decoded with, and where its names come from.
fn look(sample: &[u8], config: &FilesConfig, codec: &Codec) -> (Delimiters, Names) {
    let given = |mark: Option<char>| mark.and_then(|mark| u8::try_from(mark).ok());
    let marks = config.marks().unwrap_or_else(|| dialect::detect(sample, given(config.delimiter), given(config.quote)));
    if let Codec::Detected(dialect) = codec {
        dialect.set(marks);
    }
    let names = match &config.columns {
        Some(columns) => Names::Known(columns.clone().into()),
        None if config.header.unwrap_or_else(|| dialect::has_header(sample, marks)) => Names::FirstRow(marks),
        None => Names::Numbers(marks),
    };
    (marks, names)
}

impl RecordReader for Lines {
    fn fill(&mut self, max_bytes: usize, into: &mut RecordBuffer) -> Result<bool, Trouble> {
        let mut ended = false;
        while !ended && into.bytes() < max_bytes {
            let read = self.read_chunk()?;
            ended = read == 0;
            let chunk = self.chunk.get(..read).unwrap_or_default();
            match &mut self.cutter {
                Cutter::Records(splitter) if ended => splitter.finish(self.modified, into),
                Cutter::Records(splitter) => splitter.feed(chunk, self.modified, into),
                Cutter::Values(splitter) if ended => splitter.finish(self.modified, into)?,
                Cutter::Values(splitter) => splitter.feed(chunk, self.modified, into)?,
            }
        }
        self.read_header(into)?;
        Ok(ended)
    }

    fn header(&self) -> Arc<[String]> {
        match &self.names {
            Names::Known(names) => Arc::clone(names),
            Names::FirstRow(_) | Names::Numbers(_) => Arc::default(),
        }
    }

    fn take_unframed(&mut self) -> Vec<Unframed> {
        match &mut self.cutter {
            Cutter::Records(splitter) => splitter.take_unframed(),
            Cutter::Values(splitter) => splitter.take_unframed(),
        }
    }
}
