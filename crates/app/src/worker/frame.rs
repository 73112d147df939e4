//! Frames between a worker and its parent.

use std::io::{Cursor, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use headwater_project::Failure;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::WireFailure;

/// Largest frame that is believed.
const MAX_FRAME_BYTES: u32 = 1 << 30;

pub(super) enum Frame {
    Batch(RecordBatch),
    Failed(Failure),
    Done,
}

/// Reads one frame; an error means that the worker is gone or talks nonsense.
pub(super) async fn read(input: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Frame> {
    let invalid = |text: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, text.to_owned());
    let tag = input.read_u8().await?;
    let length = input.read_u32_le().await?;
    if length > MAX_FRAME_BYTES {
        return Err(invalid("a frame is too long"));
    }
    let mut bytes = vec![0; length as usize];
    input.read_exact(&mut bytes).await?;
    match tag {
        b'B' => decode(bytes).map(Frame::Batch).map_err(std::io::Error::other),
        b'E' => {
            let failure: WireFailure = serde_json::from_slice(&bytes).map_err(std::io::Error::other)?;
            Ok(Frame::Failed(failure.into_failure()))
        }
        b'D' => Ok(Frame::Done),
        _ => Err(invalid("a frame of an unknown kind")),
    }
}

fn decode(bytes: Vec<u8>) -> Result<RecordBatch, ArrowError> {
    let mut reader = StreamReader::try_new(Cursor::new(bytes), None)?;
    let schema = reader.schema();
    reader.next().unwrap_or_else(|| Ok(RecordBatch::new_empty(schema)))
}

pub(super) fn write_batch(output: &mut impl Write, schema: &Schema, batch: &RecordBatch) -> Result<(), ArrowError> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, schema)?;
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    write(output, b'B', &bytes).map_err(ArrowError::from)
}

pub(super) fn write_failure(output: &mut impl Write, failure: &Failure) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(&WireFailure::from_failure(failure)).map_err(std::io::Error::other)?;
    write(output, b'E', &bytes)
}

pub(super) fn write_done(output: &mut impl Write) -> std::io::Result<()> {
    write(output, b'D', &[])
}

fn write(output: &mut impl Write, tag: u8, bytes: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
    output.write_all(&[tag])?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(bytes)?;
    output.flush()
}
