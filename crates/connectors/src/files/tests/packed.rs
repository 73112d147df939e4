//! What files are packed in.

use std::io::Cursor;

use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::formats::{outcome, parquet, table};
use super::*;

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (index, (name, bytes)) in members.iter().enumerate() {
        let method = if index % 2 == 0 { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn packed_files_are_known_by_name_or_by_their_first_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "a.bz2", &[bzip2(b"1\n"), bzip2(b"2\n")].concat());
    write(root, "b", &bzip2(b"3\n"));
    write(root, "c", &gzip(b"4\n"));
    write(root, "d", &zstd::encode_all(&b"5\n"[..], 1).unwrap());
    write(root, "e", &archive(&[("x", b"6\n"), ("y/z", b"7\n8\n")]));
    let (found, _) = read(&mut source_over(root, json(), Vec::new()), None);
    assert_eq!(found, ["a.bz2:1 1", "a.bz2:2 2", "b:1 3", "c:1 4", "d:1 5", "e!/x:1 6", "e!/y/z:1 7", "e!/y/z:2 8"]);
}

#[test]
fn members_of_archives_are_files_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "a.zip", &archive(&[("x.csv", b"1\n"), ("y.csv", b"2\n"), ("notes.md", b"3\n")]));
    let settings = || config(r#"{"path": ".", "members": ["*.csv"], "on_change": "append"}"#);
    let mut source = source_over(folder.path(), settings(), Vec::new());
    let (found, info) = read(&mut source, None);
    assert_eq!(found, ["a.zip!/x.csv:1 1", "a.zip!/y.csv:1 2"]);
    assert_eq!(read(&mut source, Some(1)).0, ["a.zip!/y.csv:1 2"], "each has a commit of its own");
    assert!(read(&mut source, Some(2)).0.is_empty());
    write(folder.path(), "a.zip", &archive(&[("x.csv", b"1\n"), ("y.csv", b"4\n"), ("z.csv", b"5\n")]));
    let later = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000);
    fs::File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
    let mut source = source_over(folder.path(), settings(), taken(&info));
    assert_eq!(read(&mut source, Some(2)).0, ["a.zip!/y.csv:1 4", "a.zip!/z.csv:1 5"], "what did not change stays");
}

#[test]
fn an_archive_conforms() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.zip", &archive(&[("x", b"1\n2\n3"), ("y", b"4\n")]));
    write(folder.path(), "b", b"5\n");
    let lines = |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>();
    let expected = conformance::Expected::from([
        ("a.zip!/x".to_owned(), lines(&["1", "2", "3"])),
        ("a.zip!/y".to_owned(), lines(&["4"])),
        ("b".to_owned(), lines(&["5"])),
    ]);
    conformance::check(&mut |info| Box::new(source_over(folder.path(), json(), taken(info))), &expected).unwrap();
}

#[test]
fn formats_that_are_no_streams_may_be_packed() {
    let bytes = parquet(&table(&[1]));
    let found = outcome(
        r#"{"path": ".", "format": "parquet"}"#,
        &[("a.parquet.gz", &gzip(&bytes)), ("b.zip", &archive(&[("c.parquet", &bytes)]))],
    );
    assert_eq!(
        found.rows,
        [
            r#"{"id":1,"name":"n1","_source_file":"a.parquet.gz","_line":1}"#,
            r#"{"id":1,"name":"n1","_source_file":"b.zip!/c.parquet","_line":1}"#,
        ]
    );
    assert_eq!(found.reports, Vec::<String>::new());
}

#[test]
fn what_is_packed_badly_is_left_out_with_the_reason() {
    let good = archive(&[("x", b"{\"a\":1}\n")]);
    let mut wrong = archive(&[("pad", b""), ("x", b"{\"a\":1}\n")]);
    let place = wrong.windows(3).position(|bytes| bytes == b"{\"a").unwrap();
    wrong[place + 5] = b'2';
    let whole = bzip2(&b"{\"a\":1}\n".repeat(1_000));
    let found = outcome(
        r#"{"path": "."}"#,
        &[
            ("a.zip", &good[..good.len() - 5]),
            ("b.zip", &wrong),
            ("c.bz2", &whole[..whole.len() - 9]),
            ("d.bz2", b"no"),
            ("e.zip", &archive(&[("../x", b"{}"), ("in.gz", &gzip(b"{}")), ("in.zip", &good), ("hidden", &good)])),
            ("f.zip", &good),
        ],
    );
    assert_eq!(found.rows, [r#"{"a":1,"_source_file":"f.zip!/x","_line":1}"#]);
    let expected = [
        "a.zip: it is no archive",
        "b.zip!/x: it cannot be read: it does not have the checksum it should",
        "c.bz2: it cannot be read",
        "d.bz2: it cannot be read",
        "e.zip!/../x: its name leads out of the archive",
        "e.zip!/hidden: it is packed within an archive",
        "e.zip!/in.gz: it is packed within an archive",
        "e.zip!/in.zip: it is packed within an archive",
    ];
    assert_eq!(found.reports.len(), expected.len(), "{:?}", found.reports);
    for (found, expected) in found.reports.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} where {expected} was expected");
    }
}

#[test]
fn a_file_that_holds_a_thousand_times_its_size_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let zeros = std::io::Read::take(std::io::repeat(b'0'), 300 << 20);
    write(folder.path(), "a.zst", &zstd::encode_all(zeros, 1).unwrap());
    write(folder.path(), "b", b"1\n");
    let mut source = source_over(folder.path(), json(), Vec::new());
    source.resume(&Positions::default()).unwrap();
    let found = ingest(source);
    assert_eq!(found.positions.get("f/s"), Some(1), "only the other file is taken");
}
