//! Rows of a query in every format, to stdout or to a file that appears only when it is whole.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use headwater_app::QueryStream;
use headwater_project::Failure;
use headwater_server::rows::{Cells, End, RowEncoder, RowFormat};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::{Align, Printer, Table};
use crate::args::{Format, RowOutput};
use crate::commands::Stop;

/// Rows of a table that are aligned together: widths need all of them at once.
const PAGE_ROWS: usize = 1_000;

/// Where and how rows go.
pub(crate) struct RowsOut<'a> {
    format: Format,
    file: Option<&'a Path>,
}

impl<'a> RowsOut<'a> {
    pub(crate) fn new(printer: &Printer, output: &'a RowOutput) -> Result<Self, Failure> {
        let default = if printer.json { Format::Json } else { Format::Table };
        let format = output.format.unwrap_or(default);
        let is_binary = matches!(format, Format::Parquet | Format::Arrow);
        if is_binary && output.output.is_none() && printer.stdout_is_terminal {
            return Err(Failure::user("this format is not for a terminal")
                .with_hint("Write it to a file with `-o FILE`, or into a pipe."));
        }
        Ok(Self { format, file: output.output.as_deref() })
    }
}

/// Writes all rows; answers how many there were.
pub(crate) async fn write_rows(out: RowsOut<'_>, mut stream: QueryStream) -> Result<u64, Stop> {
    let mut sink = Sink::open(out.file)?;
    let written = write_into(&out, &mut stream, &mut sink).await;
    match written {
        Ok(rows) => sink.keep().map(|()| rows),
        Err(stop) => {
            sink.discard();
            Err(stop)
        }
    }
}

async fn write_into(out: &RowsOut<'_>, stream: &mut QueryStream, sink: &mut Sink) -> Result<u64, Stop> {
    let mut writer = Writer::new(out, &stream.schema, sink)?;
    let mut rows = 0_u64;
    while let Some(batch) = stream.next().await? {
        rows = rows.saturating_add(u64::try_from(batch.num_rows()).unwrap_or(0));
        writer.batch(&batch)?;
    }
    writer.finish()?;
    Ok(rows)
}

enum Writer<'a> {
    Text { encoder: Box<dyn RowEncoder>, buffer: Vec<u8>, sink: &'a mut Sink },
    Table { page: Table, is_header_due: bool, sink: &'a mut Sink },
    Parquet(Box<ArrowWriter<&'a mut Sink>>),
}

impl<'a> Writer<'a> {
    fn new(out: &RowsOut<'_>, schema: &SchemaRef, sink: &'a mut Sink) -> Result<Self, Stop> {
        let format = match out.format {
            Format::Table => {
                return Ok(Self::Table { page: Table::with_header(header_of(schema)), is_header_due: true, sink });
            }
            Format::Parquet => return Self::parquet(schema, sink),
            Format::Csv => RowFormat::Csv,
            Format::Json => RowFormat::JsonRecords,
            Format::Ndjson => RowFormat::JsonLines,
            Format::Arrow => RowFormat::Arrow,
        };
        let mut writer = Self::Text { encoder: format.encoder(schema).map_err(unwritable)?, buffer: Vec::new(), sink };
        writer.encode(|encoder, buffer| encoder.start(buffer))?;
        Ok(writer)
    }

    fn parquet(schema: &SchemaRef, sink: &'a mut Sink) -> Result<Self, Stop> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer =
            ArrowWriter::try_new(sink, schema.clone(), Some(properties)).map_err(|error| parquet_failed(&error))?;
        Ok(Self::Parquet(Box::new(writer)))
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<(), Stop> {
        match self {
            Self::Parquet(writer) => writer.write(batch).map_err(|error| parquet_failed(&error)),
            Self::Text { .. } => self.encode(|encoder, buffer| encoder.batch(batch, buffer)),
            Self::Table { page, is_header_due, sink } => {
                let mut start = 0;
                while start < batch.num_rows() {
                    let taken = (PAGE_ROWS.saturating_sub(page.len())).min(batch.num_rows() - start);
                    fill(page, &batch.slice(start, taken))?;
                    start += taken;
                    if page.len() >= PAGE_ROWS {
                        flush_page(page, is_header_due, sink)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn encode(
        &mut self,
        step: impl FnOnce(&mut dyn RowEncoder, &mut Vec<u8>) -> Result<(), ArrowError>,
    ) -> Result<(), Stop> {
        let Self::Text { encoder, buffer, sink } = self else { return Ok(()) };
        step(encoder.as_mut(), buffer).map_err(unwritable)?;
        sink.write_all(buffer)?;
        buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<(), Stop> {
        self.encode(|encoder, buffer| encoder.finish(End::default(), buffer))?;
        match self {
            Self::Parquet(writer) => writer.close().map(|_| ()).map_err(|error| parquet_failed(&error)),
            Self::Table { mut page, mut is_header_due, sink } if page.len() > 0 || is_header_due => {
                flush_page(&mut page, &mut is_header_due, sink)
            }
            _ => Ok(()),
        }
    }
}

fn flush_page(page: &mut Table, is_header_due: &mut bool, sink: &mut Sink) -> Result<(), Stop> {
    let widths = page.widths();
    if std::mem::take(is_header_due) {
        sink.write_all(page.render_header(&widths).as_bytes())?;
    }
    sink.write_all(page.render_rows(&widths).as_bytes())?;
    page.clear();
    Ok(())
}

fn header_of(schema: &SchemaRef) -> Vec<(String, Align)> {
    let align = |data_type: &DataType| if data_type.is_numeric() { Align::Right } else { Align::Left };
    schema.fields().iter().map(|field| (field.name().clone(), align(field.data_type()))).collect()
}

fn fill(page: &mut Table, batch: &RecordBatch) -> Result<(), Stop> {
    let columns: Vec<Cells> = batch.columns().iter().map(Cells::new).collect::<Result<_, _>>().map_err(unwritable)?;
    for row in 0..batch.num_rows() {
        let mut cells = Vec::with_capacity(columns.len());
        for column in &columns {
            cells.push(cell_text(column, row).map_err(unwritable)?);
        }
        page.row(&cells);
    }
    Ok(())
}

fn cell_text(column: &Cells, row: usize) -> Result<String, ArrowError> {
    if column.is_null(row) {
        return Ok("NULL".to_owned());
    }
    let mut text = Vec::new();
    column.write_text(row, &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The first rows of batches as a table, and how many rows are left out.
pub(crate) fn batch_table(schema: &SchemaRef, batches: &[RecordBatch], limit: usize) -> Result<(Table, usize), Stop> {
    let mut table = Table::with_header(header_of(schema));
    let mut left_out = 0;
    for batch in batches {
        let taken = batch.num_rows().min(limit.saturating_sub(table.len()));
        fill(&mut table, &batch.slice(0, taken))?;
        left_out += batch.num_rows() - taken;
    }
    Ok((table, left_out))
}

/// Stdout, or a file beside the wanted one that takes its name at the end.
struct Sink {
    writer: Box<dyn Write + Send>,
    partial: Option<(PathBuf, PathBuf)>,
}

impl Sink {
    fn open(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = file else {
            return Ok(Self { writer: Box::new(BufWriter::new(std::io::stdout())), partial: None });
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = path.with_file_name(name);
        let opened = File::create(&partial).map_err(|error| unwritable_file(path, &error))?;
        Ok(Self { writer: Box::new(BufWriter::new(opened)), partial: Some((partial, path.to_owned())) })
    }

    fn keep(mut self) -> Result<(), Stop> {
        self.writer.flush()?;
        if let Some((partial, path)) = &self.partial {
            std::fs::rename(partial, path).map_err(|error| unwritable_file(path, &error))?;
        }
        Ok(())
    }

    /// Rows already on their way to stdout stay; half a file does not.
    fn discard(mut self) {
        match &self.partial {
            Some((partial, _)) => std::fs::remove_file(partial).unwrap_or(()),
            None => self.writer.flush().unwrap_or(()),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.writer.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

fn unwritable_file(path: &Path, error: &std::io::Error) -> Failure {
    Failure::user(format!("cannot write `{}`", path.display())).with_detail(error.to_string())
}

fn unwritable(error: ArrowError) -> Stop {
    match error {
        ArrowError::IoError(_, error) => error.into(),
        other => Failure::internal("the rows cannot be written in this format").with_detail(other.to_string()).into(),
    }
}

fn parquet_failed(error: &ParquetError) -> Stop {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    if source.is_some_and(|source| source.kind() == std::io::ErrorKind::BrokenPipe) {
        return Stop::Closed;
    }
    Failure::user("the rows cannot be written as Parquet").with_detail(error.to_string()).into()
}
