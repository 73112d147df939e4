//! Every format, from bytes to rows, and what comes of damage.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use arrow::json::LineDelimitedWriter;
use headwater_ingest::source::{Next, ReadLimits};
use parquet::arrow::ArrowWriter;
use zip::write::SimpleFileOptions;

use super::*;

/// Rows as JSON lines without nulls, what was set aside as `line reason`, and files left out with the reason.
pub(super) struct Outcome {
    pub(super) rows: Vec<String>,
    pub(super) rejected: Vec<String>,
    pub(super) reports: Vec<String>,
}

pub(super) fn outcome(settings: &str, files: &[(&str, &[u8])]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        write(folder.path(), path, bytes);
    }
    let source = source_over(folder.path(), config(settings), Vec::new());
    let reports = source.reports();
    let collected = ingest(source);
    let shown = |rejected: &Rejected| format!("{} {}", rejected.offset, rejected.reason);
    Outcome {
        rows: collected.batches.iter().flat_map(json_rows).collect(),
        rejected: collected.rejected.iter().map(shown).collect(),
        reports: reports.read().into_iter().map(|(path, reason)| format!("{path}: {reason}")).collect(),
    }
}

pub(super) fn json_rows(batch: &RecordBatch) -> Vec<String> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    String::from_utf8(writer.into_inner()).unwrap().lines().map(str::to_owned).collect()
}

#[track_caller]
fn check(settings: &str, files: &[(&str, &[u8])], rows: &[&str], rejected: &[&str], reports: &[&str]) {
    let found = outcome(settings, files);
    assert_eq!(found.rows, rows);
    assert_eq!(found.rejected, rejected);
    assert_eq!(found.reports.len(), reports.len(), "{:?}", found.reports);
    for (found, expected) in found.reports.iter().zip(reports) {
        assert!(found.starts_with(expected), "{found}");
    }
}

pub(super) fn table(ids: &[i64]) -> RecordBatch {
    let names: StringArray = ids.iter().map(|id| Some(format!("n{id}"))).collect();
    let columns: [(&str, ArrayRef); 2] = [("id", Arc::new(Int64Array::from(ids.to_vec()))), ("name", Arc::new(names))];
    RecordBatch::try_from_iter(columns).unwrap()
}

pub(super) fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn arrow_file(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn arrow_stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn parquet_and_arrow_are_rows_with_their_types() {
    let rows = [
        r#"{"id":1,"name":"n1","_source_file":"a","_line":1}"#,
        r#"{"id":2,"name":"n2","_source_file":"a","_line":2}"#,
    ];
    let batch = table(&[1, 2]);
    for (format, bytes) in
        [("parquet", parquet(&batch)), ("arrow", arrow_file(&batch)), ("arrow", arrow_stream(&batch))]
    {
        let settings = format!(r#"{{"path": ".", "format": "{format}"}}"#);
        check(&settings, &[("a", &bytes)], &rows, &[], &[]);
        // Cut anywhere it is no such file any more, and nothing of it is taken.
        for length in [0, 3, bytes.len() / 2, bytes.len() - 9] {
            let good = [r#"{"id":7,"name":"n7","_source_file":"b","_line":1}"#];
            let other = if format == "parquet" { parquet(&table(&[7])) } else { arrow_file(&table(&[7])) };
            let files: [(&str, &[u8]); 2] = [("a", &bytes[..length]), ("b", &other)];
            if length > 0 && arrow_stream(&batch).starts_with(&bytes[..length]) && length > bytes.len() / 2 {
                // A stream without its end mark is whole.
                continue;
            }
            check(&settings, &files, &good, &[], &["a: it"]);
        }
    }
}

#[test]
fn files_of_other_types_are_brought_to_those_of_the_table() {
    let wide = RecordBatch::try_from_iter([
        ("id", Arc::new(arrow::array::Int32Array::from(vec![3])) as ArrayRef),
        ("more", Arc::new(UInt64Array::from(vec![u64::MAX])) as ArrayRef),
        ("at", Arc::new(TimestampNanosecondArray::from(vec![1_500])) as ArrayRef),
    ]);
    let text = RecordBatch::try_from_iter([("id", Arc::new(StringArray::from(vec!["x"])) as ArrayRef)]);
    let files: [(&str, &[u8]); 3] = [
        ("a.parquet", &parquet(&table(&[1]))),
        ("b.parquet", &parquet(&wide.unwrap())),
        ("c.parquet", &parquet(&text.unwrap())),
    ];
    check(
        r#"{"path": ".", "format": "parquet"}"#,
        &files,
        &[
            r#"{"id":1,"name":"n1","_source_file":"a.parquet","_line":1}"#,
            r#"{"id":3,"more":18446744073709551615,"at":"1970-01-01T00:00:00.000001Z","_source_file":"b.parquet","_line":1}"#,
        ],
        &[],
        &[
            "b.parquet: nanoseconds of its column `at` were cut",
            "c.parquet: its column `id` is Utf8, and the table's is Int64",
        ],
    );
}

#[test]
fn a_file_of_rows_ends_with_a_boundary_and_is_not_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", &parquet(&table(&[1, 2, 3])));
    let settings = config(r#"{"path": ".", "format": "parquet"}"#);
    let mut source = source_over(folder.path(), settings, Vec::new());
    let mut all = |committed: i64| {
        let mut positions = Positions::default();
        positions.set("f/s", committed);
        source.resume(&positions).unwrap();
        let mut rows = 0;
        while let Next::Rows(batch) =
            source.next_batch(&ReadLimits { max_bytes: 1 << 20 }, RecordBuffer::default()).unwrap()
        {
            rows += batch.rows.num_rows();
            assert_eq!(batch.boundary, batch.positions.get("f/s") == Some(1));
        }
        rows
    };
    assert_eq!((all(0), all(0), all(1)), (3, 3, 0));
}

#[test]
fn json_may_be_an_array_or_a_document() {
    check(
        r#"{"path": "."}"#,
        &[
            ("a", b" [{\"x\":1},\n {\"x\":\"bad\"}, 5, {\"x\":2}]"),
            ("b", b"{\n  \"x\": 3\n}\n{\n  \"x\": 4\n}\n"),
            ("c", b"[{\"x\":5},"),
            ("d", b"{\"x\":6}\n{\"x\":\n{\"x\":7}\n"),
        ],
        &[
            r#"{"x":1,"_source_file":"a","_line":1}"#,
            r#"{"x":2,"_source_file":"a","_line":4}"#,
            r#"{"x":3,"_source_file":"b","_line":1}"#,
            r#"{"x":4,"_source_file":"b","_line":2}"#,
            r#"{"x":6,"_source_file":"d","_line":1}"#,
            r#"{"x":7,"_source_file":"d","_line":3}"#,
        ],
        &[
            "2 field `x` holds integers, found text",
            "3 record is no JSON object",
            "2 record ends where a value should follow",
        ],
        &["c: its array is not closed after record 1"],
    );
}

#[test]
fn log_lines_are_taken_apart() {
    let line = br#"192.0.2.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif?x=\"1\" HTTP/1.0" 200 2326 "http://e.com/" "Mozilla/4.08 [en]"
192.0.2.2 - - [10/Oct/2000:13:55:37 +0000] "-" 408 - "-" "-"
nonsense
"#;
    check(
        r#"{"path": ".", "format": "apache_combined"}"#,
        &[("a", line)],
        &[
            r#"{"host":"192.0.2.1","user":"frank","time":"2000-10-10T20:55:36Z","method":"GET","path":"/a.gif?x=\\\"1\\\"","protocol":"HTTP/1.0","status":200,"bytes":2326,"referrer":"http://e.com/","user_agent":"Mozilla/4.08 [en]","_source_file":"a","_line":1}"#,
            r#"{"host":"192.0.2.2","time":"2000-10-10T13:55:37Z","status":408,"_source_file":"a","_line":2}"#,
        ],
        &["3 line does not match the pattern"],
        &[],
    );
    check(
        r#"{"path": ".", "format": "pattern", "pattern": "(?P<level>[A-Z]+) (?P<ms>\\S+)(?: (?P<at>.*))?",
            "types": {"at": "%Y/%m/%d %H:%M"}, "null_values": ["none"]}"#,
        &[("a", b"INFO 12 2024/01/31 10:00\nWARN none\nINFO x\nINFO 3 later\n")],
        &[
            r#"{"level":"INFO","ms":12,"at":"2024-01-31T10:00:00Z","_source_file":"a","_line":1}"#,
            r#"{"level":"WARN","_source_file":"a","_line":2}"#,
        ],
        &[
            "3 field `ms` holds integers, found x, which is no integer in range",
            "4 field `at` holds timestamps, found text that is no time of the form %Y/%m/%d %H:%M",
        ],
        &[],
    );
}

#[test]
fn delimited_files_bring_their_own_marks_and_encodings() {
    let utf16: Vec<u8> = [0xFEFF_u16]
        .into_iter()
        .chain("id;name\n1;\u{e9}\u{1F600}\n".encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let torn = [&utf16[..2 + 2 * "id;name\n1;".len()], &[0x00, 0xDC, b'\n', 0]].concat();
    check(
        r#"{"path": ".", "format": "csv"}"#,
        &[
            ("a", b"\xEF\xBB\xBFid,name\n1,x\n"),
            ("b", b"id;name\n2;\"y;z\"\n"),
            ("c", b"id\tname\n3\tw\n"),
            ("d", &utf16),
            ("e", &torn),
        ],
        &[
            r#"{"id":1,"name":"x","_source_file":"a","_line":2}"#,
            r#"{"id":2,"name":"y;z","_source_file":"b","_line":2}"#,
            r#"{"id":3,"name":"w","_source_file":"c","_line":2}"#,
            "{\"id\":1,\"name\":\"\u{e9}\u{1F600}\",\"_source_file\":\"d\",\"_line\":2}",
        ],
        &[],
        &["e: it cannot be read: it is UTF-16 with a lone surrogate"],
    );
    check(
        r#"{"path": ".", "format": "csv"}"#,
        &[("a", b"1,x\n2,y\n")],
        &[
            r#"{"column_1":1,"column_2":"x","_source_file":"a","_line":1}"#,
            r#"{"column_1":2,"column_2":"y","_source_file":"a","_line":2}"#,
        ],
        &[],
        &[],
    );
}

#[test]
fn folders_of_the_path_become_columns() {
    check(
        r#"{"path": ".", "path_columns": true}"#,
        &[
            ("date=2024-01-31/n=1/a", b"{\"x\":1,\"n\":9}\n"),
            ("date=2024-02-01/n=2/a", b"{\"x\":2}\n"),
            ("date=2024-02-01/n=b/a", b"{\"x\":3}\n"),
        ],
        &[
            r#"{"x":1,"n":1,"date":"2024-01-31","_source_file":"date=2024-01-31/n=1/a","_line":1}"#,
            r#"{"x":2,"n":2,"date":"2024-02-01","_source_file":"date=2024-02-01/n=2/a","_line":1}"#,
        ],
        &["1 the path says `n=b`, and the column holds Int64"],
        &[],
    );
    let bytes = parquet(&table(&[1]));
    check(
        r#"{"path": ".", "format": "parquet", "path_columns": true}"#,
        &[("n=1/a", &bytes), ("n=b/a", &bytes)],
        &[r#"{"id":1,"name":"n1","n":1,"_source_file":"n=1/a","_line":1}"#],
        &[],
        &["n=b/a: the path says `n=b`"],
    );
}

/// A workbook of two sheets, as small as they come.
fn workbook(rows: &str) -> Vec<u8> {
    let parts = [
        ("[Content_Types].xml", r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/></Types>"#.to_owned()),
        ("_rels/.rels", r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#.to_owned()),
        ("xl/workbook.xml", r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="first" sheetId="1" r:id="a"/><sheet name="second" sheetId="2" r:id="b"/></sheets></workbook>"#.to_owned()),
        ("xl/_rels/workbook.xml.rels", r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="a" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="b" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet2.xml"/><Relationship Id="c" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"#.to_owned()),
        ("xl/styles.xml", r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="22"/></cellXfs></styleSheet>"#.to_owned()),
        ("xl/worksheets/sheet1.xml", format!(r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"#)),
        ("xl/worksheets/sheet2.xml", r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="3"><c r="B3" t="inlineStr"><is><t>only</t></is></c></row><row r="4"><c r="B4"><v>5</v></c></row></sheetData></worksheet>"#.to_owned()),
    ];
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in parts {
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

const ROWS: &str = concat!(
    r#"<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c><c r="B1" t="inlineStr"><is><t>at</t></is></c><c r="C1" t="inlineStr"><is><t>ok</t></is></c></row>"#,
    r#"<row r="2"><c r="A2"><v>7</v></c><c r="B2" s="1"><v>45322.5</v></c><c r="C2" t="b"><v>1</v></c></row>"#,
    r#"<row r="4"><c r="A4"><v>8</v></c><c r="B4" s="1"><v>45322</v></c></row>"#,
    r#"<row r="5"><c r="A5" t="e"><v>#N/A</v></c></row>"#,
    r#"<row r="6"><c r="A6"><v>9</v></c><c r="XFD6"><v>1</v></c></row>"#,
);

#[test]
fn spreadsheets_are_rows_of_typed_cells() {
    let book = workbook(ROWS);
    check(
        r#"{"path": ".", "format": "spreadsheet"}"#,
        &[("a.xlsx", &book)],
        &[
            r#"{"id":7,"at":"2024-01-31T12:00:00Z","ok":true,"_source_file":"a.xlsx","_line":2}"#,
            r#"{"id":8,"at":"2024-01-31T00:00:00Z","_source_file":"a.xlsx","_line":4}"#,
        ],
        &["6 row has a cell in a column without a name", "5 field `id` holds integers, found the error #N/A"],
        &[],
    );
    check(
        r#"{"path": ".", "format": "spreadsheet", "sheet": "second", "header_row": 3}"#,
        &[("a.xlsx", &book)],
        &[r#"{"only":5,"_source_file":"a.xlsx","_line":4}"#],
        &[],
        &[],
    );
    check(
        r#"{"path": ".", "format": "spreadsheet", "sheet": 3}"#,
        &[("a.xlsx", &book), ("b.xlsx", &book[..book.len() / 2]), ("c.xlsx", b"PK"), ("d.xls", b"nothing")],
        &[],
        &[],
        &[
            "a.xlsx: it has no sheet 3, only first, second",
            "b.xlsx: it cannot be read",
            "c.xlsx: it cannot be read",
            "d.xls: it is no spreadsheet",
        ],
    );
}

fn long(value: i64) -> Vec<u8> {
    let mut rest = (value << 1 ^ value >> 63) as u64;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

fn text(value: &str) -> Vec<u8> {
    [long(value.len() as i64), value.as_bytes().to_vec()].concat()
}

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"]}]}"#;

/// A container of one block for each slice of records, packed by `codec`.
fn avro(codec: &str, blocks: &[&[(i64, Option<&str>)]]) -> Vec<u8> {
    let marker = [7; 16];
    let metadata = [long(2), text("avro.schema"), text(SCHEMA), text("avro.codec"), text(codec), long(0)].concat();
    let mut all = [b"Obj\x01".to_vec(), metadata, marker.to_vec()].concat();
    for records in blocks {
        let record = |(id, name): &(i64, Option<&str>)| match name {
            Some(name) => [long(*id), long(1), text(name)].concat(),
            None => [long(*id), long(0)].concat(),
        };
        let body: Vec<u8> = records.iter().flat_map(record).collect();
        let packed = packed(codec, &body);
        all.extend([long(records.len() as i64), long(packed.len() as i64), packed, marker.to_vec()].concat());
    }
    all
}

fn packed(codec: &str, body: &[u8]) -> Vec<u8> {
    match codec {
        "deflate" => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "zstandard" => zstd::encode_all(body, 1).unwrap(),
        "bzip2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "snappy" => {
            let mut crc = flate2::Crc::new();
            crc.update(body);
            [snap::raw::Encoder::new().compress_vec(body).unwrap(), crc.sum().to_be_bytes().to_vec()].concat()
        }
        _ => body.to_vec(),
    }
}

#[test]
fn avro_containers_of_every_codec_are_read() {
    let rows = [
        r#"{"id":1,"name":"x","_source_file":"a","_line":1}"#,
        r#"{"id":2,"_source_file":"a","_line":2}"#,
        r#"{"id":-3,"name":"z","_source_file":"a","_line":3}"#,
    ];
    let settings = r#"{"path": ".", "format": "avro"}"#;
    for codec in ["null", "deflate", "snappy", "zstandard", "bzip2"] {
        let file = avro(codec, &[&[(1, Some("x")), (2, None)], &[(-3, Some("z"))]]);
        check(settings, &[("a", &file)], &rows, &[], &[]);
        for length in [3, 40, file.len() - 1, file.len() - 17] {
            check(settings, &[("a", &file[..length])], &[], &[], &["a: "]);
        }
        let mut torn = file;
        let place = torn.len() - 20;
        torn[place] ^= 0xFF;
        let found = outcome(settings, &[("a", &torn)]);
        assert!(found.rows.is_empty() || codec == "null", "{codec}: {:?}", found.rows);
    }
    check(settings, &[("a", &avro("xz", &[]))], &[], &[], &["a: it is packed with xz"]);
    let mut lying = avro("null", &[]);
    lying.extend([long(i64::MAX), long(4), vec![0; 20]].concat());
    check(settings, &[("a", &lying)], &[], &[], &["a: block 1 has no size that can be"]);
}

#[test]
fn avro_and_spreadsheets_conform() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", &avro("null", &[&[(1, Some("x")), (2, None)], &[(-3, Some("z"))]]));
    let payload = |body: &[u8]| [&[0; 5][..], body].concat();
    let expected = [payload(&[2, 2, 2, b'x']), payload(&[4, 0]), payload(&[5, 2, 2, b'z'])].to_vec();
    let settings = || config(r#"{"path": ".", "format": "avro"}"#);
    let expected = conformance::Expected::from([("a".to_owned(), expected)]);
    conformance::check(&mut |info| Box::new(source_over(folder.path(), settings(), taken(info))), &expected).unwrap();
    fs::remove_file(folder.path().join("a")).unwrap();
    write(folder.path(), "b", &workbook(ROWS));
    let expected = [
        r#"[7,{"time":"2024-01-31T12:00:00.000"},true]"#,
        r#"[8,{"date":"2024-01-31"},null]"#,
        r##"[{"error":"#N/A"},null,null]"##,
    ];
    let expected = expected.map(|row| row.as_bytes().to_vec()).to_vec();
    let settings = || config(r#"{"path": ".", "format": "spreadsheet"}"#);
    let expected = conformance::Expected::from([("b".to_owned(), expected)]);
    conformance::check(&mut |info| Box::new(source_over(folder.path(), settings(), taken(info))), &expected).unwrap();
}

#[test]
fn a_changed_file_takes_the_place_of_its_rows() {
    let check = |settings: &str, first: &[u8], second: &[u8], before: &[&str], after: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "a", first);
        write(folder.path(), "b", first);
        let table = CollectingTable::default();
        let mut source = source_over(folder.path(), config(settings), Vec::new());
        let (_, info) = read_any(&mut source);
        let rows = |collected: &Collected| {
            let mut rows: Vec<String> = collected.batches.iter().flat_map(json_rows).collect();
            rows.sort_unstable();
            rows
        };
        let collected = ingest_into(source_over(folder.path(), config(settings), Vec::new()), &table);
        assert_eq!(rows(&collected), before);
        *table.shared.lock().unwrap() = collected;
        write(folder.path(), "a", second);
        let later = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000);
        fs::File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
        let source = source_over(folder.path(), config(settings), taken(&info));
        let schema = table.shared.lock().unwrap().batches[0].schema();
        let table = CollectingTable { schema: Some(schema.clone()), ..table };
        assert_eq!(rows(&ingest_into(source.with_table(Some(&schema)), &table)), after);
    };
    check(
        r#"{"path": ".", "on_change": "replace"}"#,
        b"{\"x\":1}\n{\"x\":2}\n",
        b"{\"x\":3}\n",
        &[
            r#"{"x":1,"_source_file":"a","_line":1}"#,
            r#"{"x":1,"_source_file":"b","_line":1}"#,
            r#"{"x":2,"_source_file":"a","_line":2}"#,
            r#"{"x":2,"_source_file":"b","_line":2}"#,
        ],
        &[
            r#"{"x":1,"_source_file":"b","_line":1}"#,
            r#"{"x":2,"_source_file":"b","_line":2}"#,
            r#"{"x":3,"_source_file":"a","_line":1}"#,
        ],
    );
    check(
        r#"{"path": ".", "format": "parquet", "on_change": "replace"}"#,
        &parquet(&table(&[1])),
        &parquet(&table(&[2, 3])),
        &[
            r#"{"id":1,"name":"n1","_source_file":"a","_line":1}"#,
            r#"{"id":1,"name":"n1","_source_file":"b","_line":1}"#,
        ],
        &[
            r#"{"id":1,"name":"n1","_source_file":"b","_line":1}"#,
            r#"{"id":2,"name":"n2","_source_file":"a","_line":1}"#,
            r#"{"id":3,"name":"n3","_source_file":"a","_line":2}"#,
        ],
    );
}

/// Reads everything; how many records and rows, and what was to be remembered.
fn read_any(source: &mut FilesSource) -> (usize, Vec<String>) {
    source.resume(&Positions::default()).unwrap();
    let (mut count, mut info) = (0, Vec::new());
    loop {
        match source.next_batch(&ReadLimits { max_bytes: 1 << 20 }, RecordBuffer::default()).unwrap() {
            Next::End => return (count, info),
            Next::Idle => panic!("idle although it is to stop at the end"),
            Next::Rows(batch) => {
                count += batch.rows.num_rows();
                info.extend(batch.info);
            }
            Next::Batch(batch) => {
                count += batch.records.len();
                info.extend(batch.info);
            }
        }
    }
}
