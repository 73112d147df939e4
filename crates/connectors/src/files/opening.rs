//! Opening a file as what it holds: unpacked, and with the reader of its format.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::Schema;
use headwater_ingest::codec::{Codec, path_columns};
use headwater_ingest::error::Error;
use headwater_project::Failure;

use super::archive::{self, Member};
use super::avro::{Container, FileSchemas};
use super::compression::{Packing, Peeked, unpack};
use super::config::{FilesConfig, Format};
use super::content::{BROKEN_OFF, Content, RecordReader, Trouble, spool};
use super::discover::{self, Found, LeftOut};
use super::fingerprint::Fingerprint;
use super::lines::Lines;
use super::pattern::Pattern;
use super::place::Place;
use super::rows::{Rows, is_arrow_file};
use super::sheet::SheetRows;
use super::typed::TypedFile;

/// Bytes that tell what a file is packed in.
const MARK_BYTES: usize = 8;

/// Bytes of rows that a reader is told to aim at before it is asked for any.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// A file that is to be taken.
pub(crate) struct Waiting {
    pub(crate) found: Found,
    pub(crate) member: Option<Member>,
}

/// The file being read.
pub(crate) struct Reading {
    pub(crate) found: Found,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) content: Content,
    /// A second handle, to see at the end whether the file changed meanwhile, and as what it was found.
    watched: Option<(File, Found)>,
    /// Rows of it came before and go first.
    pub(crate) replaces: bool,
    /// Something of it was handed on.
    pub(crate) begun: bool,
}

/// What became of a file that was to be opened.
pub(crate) enum Opening {
    Reading(Box<Reading>),
    Members(Vec<(Found, Member)>, Vec<LeftOut>),
    /// It is no longer what was listed; the next look decides.
    Gone,
}

impl Reading {
    pub(crate) fn is_unchanged(&self) -> bool {
        let unchanged = |(file, found): &(File, Found)| discover::unchanged(file, found).unwrap_or(false);
        self.watched.as_ref().is_none_or(unchanged)
    }
}

/// How the files of a source are opened.
pub(crate) struct Opener {
    name: String,
    pub(crate) place: Place,
    pub(crate) config: FilesConfig,
    pub(crate) codec: Option<Codec>,
    avro_schemas: FileSchemas,
    members: Vec<Pattern>,
    /// Where files are put that must be read from anywhere and lie elsewhere.
    pub(crate) spool: PathBuf,
}

impl Opener {
    pub(crate) fn new(name: &str, place: Place, config: FilesConfig) -> Result<Self, Failure> {
        let codec = config
            .codec()
            .map_err(|problem| Failure::user(problem.message).with_detail(problem.detail.unwrap_or_default()))?;
        let avro_schemas = match &codec {
            Some(Codec::Avro(schemas)) => FileSchemas::new(Arc::clone(schemas)),
            _ => FileSchemas::default(),
        };
        let (name, members) = (name.to_owned(), Pattern::all(&config.members)?);
        Ok(Self { name, place, config, codec, avro_schemas, members, spool: std::env::temp_dir() })
    }

    /// `known` are the columns the table has.
    pub(crate) fn open(&self, next: &Waiting, known: Option<&Schema>) -> Result<Opening, Trouble> {
        let Waiting { found, member } = next;
        let (input, file, fingerprint) = match member {
            Some(member) => (member.read(), None, member.fingerprint(found)),
            None => match self.place.open(found) {
                Ok(Some(opened)) => (opened.input, opened.file, opened.fingerprint),
                Ok(None) => return Ok(Opening::Gone),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Opening::Gone),
                Err(error) if error.kind() == BROKEN_OFF => return Err(error.into()),
                Err(error) => return Err(format!("it cannot be opened: {error}").into()),
            },
        };
        let watched = match (&file, member) {
            (Some(file), _) => Some((file.try_clone()?, found.clone())),
            (None, Some(member)) => member.watched()?,
            (None, None) => None,
        };
        let input = Peeked::new(input, MARK_BYTES)?;
        let packing = self.packing(&found.path, input.head());
        if member.is_some() && packing != Packing::Plain {
            return Err(String::from("it is packed within an archive").into());
        }
        if packing == Packing::Zip {
            let is_local = file.is_some();
            let file = self.seekable(Packing::Plain, input, file)?;
            let (members, left_out) = archive::members(file, found, is_local, &self.members)?;
            return Ok(Opening::Members(members, left_out));
        }
        let content = self.content(found, packing, input, file, known)?;
        let found = found.clone();
        let reading = Reading { found, fingerprint, content, watched, replaces: false, begun: false };
        Ok(Opening::Reading(Box::new(reading)))
    }

    fn packing(&self, path: &str, beginning: &[u8]) -> Packing {
        match Packing::of(path, beginning) {
            // Spreadsheets are archives themselves.
            Packing::Zip if self.config.format == Format::Spreadsheet => Packing::of_name(path),
            packing => packing,
        }
    }

    fn content(
        &self,
        found: &Found,
        packing: Packing,
        input: Peeked<Box<dyn Read + Send>>,
        file: Option<File>,
        known: Option<&Schema>,
    ) -> Result<Content, Trouble> {
        let records: Box<dyn RecordReader> = match (self.config.format, &self.codec) {
            (Format::Parquet, _) => {
                let rows = Rows::parquet(self.seekable(packing, input, file)?, MAX_BATCH_BYTES)?;
                return self.typed(found, rows, known);
            }
            (Format::Arrow, _) => return self.typed(found, self.arrow(packing, input, file)?, known),
            (Format::Spreadsheet, _) => {
                let file = self.seekable(packing, input, file)?;
                Box::new(SheetRows::open(file, &self.config, found.modified)?)
            }
            (Format::Avro, _) => {
                Box::new(Container::open(unpack(packing, input)?, &self.avro_schemas, found.modified)?)
            }
            (_, Some(codec)) => Box::new(Lines::open(unpack(packing, input)?, &self.config, codec, found.modified)?),
            (_, None) => return Err(Trouble::Passing(Error::Internal("a format of records has no codec"))),
        };
        Ok(Content::Records(records))
    }

    fn arrow(
        &self,
        packing: Packing,
        input: Peeked<Box<dyn Read + Send>>,
        file: Option<File>,
    ) -> Result<Rows, Trouble> {
        let input = Peeked::new(unpack(packing, input)?, MARK_BYTES)?;
        if is_arrow_file(&input) {
            return Rows::arrow_file(self.seekable(
                Packing::Plain,
                input,
                file.filter(|_| packing == Packing::Plain),
            )?);
        }
        Rows::arrow_stream(input)
    }

    fn typed(&self, found: &Found, rows: Rows, known: Option<&Schema>) -> Result<Content, Trouble> {
        let columns = if self.config.path_columns { path_columns::of(&found.path) } else { Vec::new() };
        let file = TypedFile::new(Box::new(rows), &found.path, columns, known)?;
        Ok(Content::Rows(Box::new(file)))
    }

    /// The file itself, if it is not packed and lies on a disk, or a copy of what it holds.
    fn seekable(
        &self,
        packing: Packing,
        input: impl Read + Send + 'static,
        file: Option<File>,
    ) -> Result<File, Trouble> {
        match (packing, file) {
            (Packing::Plain, Some(mut file)) => {
                file.seek(SeekFrom::Start(0))?;
                Ok(file)
            }
            (packing, _) => spool(unpack(packing, input)?, &self.spool, &self.name),
        }
    }
}
