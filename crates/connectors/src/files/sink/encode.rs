//! Rows as the bytes of a file.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::csv::WriterBuilder as CsvBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::LineDelimitedWriter;
use flate2::write::GzEncoder;
use headwater_ingest::error::{Error, Result};
use headwater_project::Failure;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as ParquetCompression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::config::{Compression, FileFormat, FilesTarget};
use crate::sink::nested;

/// Bytes of a row group that are kept until it is ended.
const ROW_GROUP: usize = 16 << 20;

/// Encodes one file.
pub(super) enum FileEncoder {
    Parquet(Box<ArrowWriter<Vec<u8>>>),
    Csv { pipe: Pipe, has_header: bool, schema: SchemaRef },
    Json(Pipe),
}

impl FileEncoder {
    pub(super) fn new(target: &FilesTarget, schema: &SchemaRef) -> Result<Self> {
        let compression = target.compression();
        Ok(match target.format {
            FileFormat::Parquet => {
                let properties = WriterProperties::builder().set_compression(parquet_compression(compression)).build();
                let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties));
                Self::Parquet(Box::new(writer.map_err(|error| parquet_failed(&error))?))
            }
            FileFormat::Csv => {
                Self::Csv { pipe: Pipe::new(compression)?, has_header: false, schema: Arc::clone(schema) }
            }
            FileFormat::Json => Self::Json(Pipe::new(compression)?),
        })
    }

    /// Takes rows and gives the bytes that are ready to be written.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<Vec<u8>> {
        match self {
            Self::Parquet(writer) => {
                writer.write(rows).map_err(|error| parquet_failed(&error))?;
                if writer.in_progress_size() > ROW_GROUP {
                    writer.flush().map_err(|error| parquet_failed(&error))?;
                }
                Ok(std::mem::take(writer.inner_mut()))
            }
            Self::Csv { pipe, has_header, .. } => {
                let header = !std::mem::replace(has_header, true);
                CsvBuilder::new().with_header(header).build(&mut *pipe).write(&flat(rows)?)?;
                Ok(pipe.take())
            }
            Self::Json(pipe) => {
                let mut writer = LineDelimitedWriter::new(&mut *pipe);
                writer.write(rows)?;
                writer.finish()?;
                Ok(pipe.take())
            }
        }
    }

    /// The rest of the file.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        if let Self::Csv { has_header: false, schema, .. } = &self {
            let empty = RecordBatch::new_empty(Arc::clone(schema));
            // Only the header, which the pipe keeps.
            let header = self.write(&empty)?;
            let mut rest = self.finish()?;
            rest.splice(0..0, header);
            return Ok(rest);
        }
        match self {
            Self::Parquet(writer) => writer.into_inner().map_err(|error| parquet_failed(&error)),
            Self::Csv { pipe, .. } | Self::Json(pipe) => pipe.finish(),
        }
    }
}

fn parquet_compression(compression: Compression) -> ParquetCompression {
    match compression {
        Compression::None => ParquetCompression::UNCOMPRESSED,
        Compression::Snappy => ParquetCompression::SNAPPY,
        Compression::Gzip => ParquetCompression::GZIP(GzipLevel::default()),
        Compression::Zstd => ParquetCompression::ZSTD(ZstdLevel::default()),
    }
}

fn parquet_failed(error: &ParquetError) -> Error {
    Failure::internal("cannot encode rows as Parquet").with_detail(error.to_string()).into()
}

/// Columns with parts as JSON text, which a field of a line can hold.
fn flat(rows: &RecordBatch) -> Result<RecordBatch> {
    let schema = rows.schema();
    if !schema.fields().iter().any(|field| nested::is_nested(field.data_type())) {
        return Ok(rows.clone());
    }
    let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (field, column) in schema.fields().iter().zip(rows.columns()) {
        if nested::is_nested(field.data_type()) {
            fields.push(Field::new(field.name(), DataType::Utf8, true));
            columns.push(Arc::new(nested::as_json(field, column)?));
        } else {
            fields.push(field.as_ref().clone());
            columns.push(Arc::clone(column));
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Text on its way into a file, compressed or not.
pub(super) enum Pipe {
    Plain(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Zstd(Box<zstd::Encoder<'static, Vec<u8>>>),
}

impl Pipe {
    fn new(compression: Compression) -> Result<Self> {
        Ok(match compression {
            Compression::Gzip => Self::Gzip(Box::new(GzEncoder::new(Vec::new(), flate2::Compression::default()))),
            Compression::Zstd => {
                Self::Zstd(Box::new(zstd::Encoder::new(Vec::new(), 3).map_err(|error| broken(&error))?))
            }
            Compression::None | Compression::Snappy => Self::Plain(Vec::new()),
        })
    }

    /// What came out so far.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Self::Plain(bytes) => bytes,
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        })
    }

    fn finish(self) -> Result<Vec<u8>> {
        match self {
            Self::Plain(bytes) => Ok(bytes),
            Self::Gzip(encoder) => encoder.finish().map_err(|error| broken(&error)),
            Self::Zstd(encoder) => encoder.finish().map_err(|error| broken(&error)),
        }
    }
}

fn broken(error: &io::Error) -> Error {
    Failure::internal("cannot compress rows").with_detail(error.to_string()).into()
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(all) => all.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// Nothing: ending a block after each batch would compress badly.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
