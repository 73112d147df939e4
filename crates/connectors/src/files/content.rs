//! What a file holds, piece by piece: records that are decoded later, or rows with types.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use headwater_ingest::codec::Unframed;
use headwater_ingest::error::Error;
use headwater_ingest::record::RecordBuffer;
use headwater_project::{Failure, Kind};

use super::typed::TypedFile;

/// How an I/O error says that the file may be fine: the way to it broke off.
pub(crate) const BROKEN_OFF: io::ErrorKind = io::ErrorKind::ConnectionAborted;

/// Why a file could not be read to its end.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is not what it should be, until it changes.
    Damaged(String),
    /// Trying again may help, or nothing does that has to do with the file.
    Passing(Error),
}

impl From<String> for Trouble {
    fn from(reason: String) -> Self {
        Self::Damaged(reason)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        if error.kind() == BROKEN_OFF {
            let failure = Failure::new(Kind::External { retry_after: None }, "cannot read a file to its end");
            return Self::Passing(failure.with_detail(format!("{error}.")).into());
        }
        Self::Damaged(format!("it cannot be read: {error}"))
    }
}

/// Records of one file.
pub(crate) trait RecordReader: Send {
    /// Reads records until there are about `max_bytes`, or the file ends (true).
    fn fill(&mut self, max_bytes: usize, into: &mut RecordBuffer) -> Result<bool, Trouble>;

    /// Names of the fields, for records that do not bring them.
    fn header(&self) -> Arc<[String]>;

    /// What was no record.
    fn take_unframed(&mut self) -> Vec<Unframed>;
}

/// Rows of one file.
pub(crate) trait RowReader: Send {
    fn schema(&self) -> SchemaRef;

    /// About so many bytes of rows; nothing at the end.
    fn next(&mut self, max_bytes: usize) -> Result<Option<RecordBatch>, Trouble>;
}

pub(crate) enum Content {
    Records(Box<dyn RecordReader>),
    Rows(Box<TypedFile>),
}

/// Copies a stream to a file without a name, for formats that are not read from front to back.
pub(crate) fn spool(mut input: impl Read, folder: &Path, name: &str) -> Result<File, Trouble> {
    let path = folder.join(format!("{name}.spool"));
    let failed = |source| Trouble::Passing(Error::io("write", &path, source));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).map_err(failed)?;
    // Nobody finds it, and it is gone with the process.
    std::fs::remove_file(&path).map_err(failed)?;
    let mut chunk = vec![0; super::compression::CHUNK_BYTES];
    loop {
        let read = match input.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            break;
        }
        file.write_all(chunk.get(..read).unwrap_or_default()).map_err(failed)?;
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(file)
}

/// Runs what reads a format of others. Their readers are known to panic on files made to break them: such a file is damaged.
pub(crate) fn guarded<T>(read: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    // What `read` borrows is not used again: a damaged file is given up.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(Trouble::Damaged(String::from("it cannot be read: its reader failed"))))
}
