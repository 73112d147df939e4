//! Rows of a sheet of a spreadsheet, each as a list of cells (see `headwater_ingest::codec`).
//!
//! These formats are no streams: what refers to what is known only at the end. A file is read into memory whole, so its size is
//! bounded, packed and unpacked.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek};
use std::sync::Arc;

use bytes::Bytes;
use calamine::{Cell, Data, DataRef, ExcelDateTime, Reader, Sheets, open_workbook_auto_from_rs};
use headwater_ingest::codec::{Unframed, delimited};
use headwater_ingest::record::{Record, RecordBuffer};
use serde_json::{Value, json};
use zip::ZipArchive;

use super::config::{FilesConfig, Sheet};
use super::content::{RecordReader, Trouble, guarded};

/// Bytes of a spreadsheet as it lies in its folder.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Bytes of everything packed in it.
const MAX_UNPACKED_BYTES: u64 = 512 << 20;

pub(crate) struct SheetRows {
    header: Arc<[String]>,
    /// Number of the row in the sheet, and its cells as JSON.
    rows: VecDeque<(i64, Vec<u8>)>,
    unframed: Vec<Unframed>,
    modified: i64,
}

impl SheetRows {
    pub(crate) fn open(mut file: File, config: &FilesConfig, modified: i64) -> Result<Self, Trouble> {
        let length = file.metadata()?.len();
        if length > MAX_FILE_BYTES {
            return Err(format!("it is larger than {} MiB, which a spreadsheet may be", MAX_FILE_BYTES >> 20).into());
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        let content = Bytes::from(content);
        check_unpacked(&content)?;
        guarded(|| {
            let mut book = open_workbook_auto_from_rs(Cursor::new(content))
                .map_err(|error| format!("it is no spreadsheet that can be read: {error}"))?;
            let name = sheet_name(&book, &config.sheet)?;
            let mut table = Table::new(config.header_row);
            read(&mut book, &name, &mut table).map_err(|reason| format!("sheet `{name}` cannot be read: {reason}"))?;
            table.end_row()?;
            let header = table.header.into_iter().map(|(_, name)| name).collect();
            Ok(Self { header, rows: table.rows, unframed: table.unframed, modified })
        })
    }
}

/// Holds what is packed in a spreadsheet to its bound by unpacking it once; what its directory says may be a lie.
fn check_unpacked(content: &Bytes) -> Result<(), Trouble> {
    if !content.starts_with(b"PK") {
        return Ok(());
    }
    let unreadable = |error: &dyn std::fmt::Display| Trouble::Damaged(format!("it cannot be read: {error}"));
    let mut zip = ZipArchive::new(Cursor::new(content.clone())).map_err(|error| unreadable(&error))?;
    let mut left = MAX_UNPACKED_BYTES;
    for index in 0..zip.len() {
        let part = zip.by_index(index).map_err(|error| unreadable(&error))?;
        left -= io::copy(&mut part.take(left), &mut io::sink()).map_err(|error| unreadable(&error))?;
        if left == 0 {
            return Err(format!("it holds more than {} MiB", MAX_UNPACKED_BYTES >> 20).into());
        }
    }
    Ok(())
}

fn sheet_name<R: Read + Seek>(book: &Sheets<R>, sheet: &Sheet) -> Result<String, String> {
    let names = book.sheet_names();
    let found = match sheet {
        Sheet::Name(name) => names.iter().find(|known| *known == name),
        Sheet::Number(number) => (*number as usize).checked_sub(1).and_then(|index| names.get(index)),
    };
    found.cloned().ok_or_else(|| {
        let wanted = match sheet {
            Sheet::Name(name) => format!("`{name}`"),
            Sheet::Number(number) => number.to_string(),
        };
        format!("it has no sheet {wanted}, only {}", names.join(", "))
    })
}

/// Hands every cell that is not empty to the table, row by row.
fn read<R: Read + Seek>(book: &mut Sheets<R>, name: &str, table: &mut Table) -> Result<(), String> {
    // A cell far off to the right or below must not make a field of empty ones: where there is a reader of cells, it is used.
    match book {
        Sheets::Xlsx(book) => {
            let mut cells = book.worksheet_cells_reader(name).map_err(|error| error.to_string())?;
            while let Some(cell) = cells.next_cell().map_err(|error| error.to_string())? {
                table.take(&cell)?;
            }
        }
        Sheets::Xlsb(book) => {
            let mut cells = book.worksheet_cells_reader(name).map_err(|error| error.to_string())?;
            while let Some(cell) = cells.next_cell().map_err(|error| error.to_string())? {
                table.take(&cell)?;
            }
        }
        Sheets::Xls(_) | Sheets::Ods(_) => {
            let range = book.worksheet_range(name).map_err(|error| error.to_string())?;
            let (row, column) = range.start().unwrap_or_default();
            for (at, cells) in (row..).zip(range.rows()) {
                for (column, cell) in (column..).zip(cells) {
                    table.put(at, column, cell)?;
                }
            }
        }
    }
    Ok(())
}

/// A sheet's rows as its cells come.
struct Table {
    header_row: u32,
    /// The columns that have a name, with their places.
    header: Vec<(u32, String)>,
    rows: VecDeque<(i64, Vec<u8>)>,
    unframed: Vec<Unframed>,
    /// The row under way, from 0, and its cells.
    row: u32,
    cells: Vec<(u32, Value)>,
}

impl Table {
    fn new(header_row: u32) -> Self {
        let header_row = header_row.saturating_sub(1);
        Self { header_row, header: Vec::new(), rows: VecDeque::new(), unframed: Vec::new(), row: 0, cells: Vec::new() }
    }

    fn take(&mut self, cell: &Cell<DataRef<'_>>) -> Result<(), String> {
        let (row, column) = cell.get_position();
        self.put(row, column, &Data::from(cell.get_value().clone()))
    }

    fn put(&mut self, row: u32, column: u32, cell: &Data) -> Result<(), String> {
        if row != self.row {
            if row < self.row {
                return Err(format!("row {} comes after row {}", row + 1, self.row + 1));
            }
            self.end_row()?;
            self.row = row;
        }
        let value = value(cell);
        if !value.is_null() {
            self.cells.push((column, value));
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), String> {
        let cells = std::mem::take(&mut self.cells);
        if self.row < self.header_row || cells.is_empty() {
            return Ok(());
        }
        if self.row == self.header_row {
            self.header = cells.into_iter().map(|(column, cell)| (column, name(&cell))).collect();
            let names: Vec<String> = self.header.iter().map(|(_, name)| name.clone()).collect();
            return delimited::check_header(&names);
        }
        if self.header.is_empty() {
            return Err(format!("row {} has no names", self.header_row + 1));
        }
        let number = i64::from(self.row) + 1;
        let mut row = vec![Value::Null; self.header.len()];
        let mut unnamed = false;
        for (column, cell) in cells {
            let place = self.header.binary_search_by_key(&column, |(column, _)| *column);
            match place.ok().and_then(|place| row.get_mut(place)) {
                Some(slot) => *slot = cell,
                None => {
                    unnamed = true;
                    row.push(cell);
                }
            }
        }
        let bytes = Value::Array(row).to_string().into_bytes();
        if unnamed {
            self.unframed.push(Unframed { line: number, reason: "row has a cell in a column without a name", bytes });
        } else {
            self.rows.push_back((number, bytes));
        }
        Ok(())
    }
}

fn value(cell: &Data) -> Value {
    match cell {
        Data::Empty => Value::Null,
        Data::String(text) if text.is_empty() => Value::Null,
        Data::String(text) | Data::DurationIso(text) => Value::String(text.clone()),
        Data::Int(number) => json!(number),
        Data::Float(number) => whole(*number).map_or_else(|| json!(number), |whole| json!(whole)),
        Data::Bool(value) => Value::Bool(*value),
        Data::DateTime(time) => moment(time),
        Data::DateTimeIso(text) if text.len() == 10 => json!({ "date": text }),
        Data::DateTimeIso(text) => json!({ "time": text }),
        Data::Error(error) => json!({ "error": error.to_string() }),
    }
}

/// A number without a fraction, as far as floats tell them apart.
fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

/// A day, a moment, or a time of day or a duration, which are text.
fn moment(time: &ExcelDateTime) -> Value {
    if time.is_duration() || time.as_f64() < 1.0 {
        let milliseconds = (time.as_f64() * 86_400_000.0).round();
        let sign = if milliseconds < 0.0 { "-" } else { "" };
        let Some(all) = whole(milliseconds.abs()) else { return json!({ "error": "a duration out of range" }) };
        let (hours, minutes, seconds) = (all / 3_600_000, all / 60_000 % 60, all / 1_000 % 60);
        let fraction = if all % 1_000 == 0 { String::new() } else { format!(".{:03}", all % 1_000) };
        return Value::String(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{fraction}"));
    }
    let (year, month, day, hour, minute, second, milli) = time.to_ymd_hms_milli();
    if (hour, minute, second, milli) == (0, 0, 0, 0) {
        return json!({ "date": format!("{year:04}-{month:02}-{day:02}") });
    }
    json!({ "time": format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}") })
}

/// The text of a cell that names a column.
fn name(cell: &Value) -> String {
    match cell {
        Value::String(text) => text.trim().to_owned(),
        Value::Object(object) => object.values().next().and_then(Value::as_str).map(str::to_owned).unwrap_or_default(),
        other => other.to_string(),
    }
}

impl RecordReader for SheetRows {
    fn fill(&mut self, max_bytes: usize, into: &mut RecordBuffer) -> Result<bool, Trouble> {
        while into.bytes() < max_bytes {
            let Some((number, row)) = self.rows.pop_front() else { return Ok(true) };
            into.push(Record { offset: number, timestamp: self.modified, key: &[], payload: &row });
        }
        Ok(self.rows.is_empty())
    }

    fn header(&self) -> Arc<[String]> {
        Arc::clone(&self.header)
    }

    fn take_unframed(&mut self) -> Vec<Unframed> {
        std::mem::take(&mut self.unframed)
    }
}
