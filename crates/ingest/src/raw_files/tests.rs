use std::io::Read;
use std::time::Duration;

use super::*;
use crate::record::Record;

const NOON: i64 = 1_700_049_600_000;
const HOUR: i64 = 3_600_000;

fn layout(path: &str, zone: Option<&str>) -> Layout {
    Layout { path: PathTemplate::parse(path, zone).unwrap(), gzip: false, ..Layout::default() }
}

fn check(layout: Layout, records: &[(i64, &[u8])], expected: &[(&str, &str)]) {
    let mut files = RawFiles::new(layout);
    let mut buffer = RecordBuffer::default();
    for (offset, (timestamp, payload)) in (7..).zip(records) {
        buffer.push(Record { offset, timestamp: *timestamp, key: b"", payload });
    }
    buffer.push_absent(Record { offset: 99, timestamp: 0, key: b"", payload: b"" });
    let origin = Origin::Log { topic: "orders".into(), partition: 3 };
    files.add(&origin, &buffer, NOON + 5 * HOUR).unwrap();
    let mut found: Vec<(String, String)> = Vec::new();
    for file in files.finish().unwrap() {
        found.push((file.path, String::from_utf8(file.bytes.to_vec()).unwrap()));
    }
    let found: Vec<(&str, &str)> = found.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn files_are_named_and_split_as_the_layout_says() {
    let hourly = "topics/{topic}/year={time:%Y}/month={time:%m}/day={time:%d}/hour={time:%H}/{topic}+{partition}+{offset:10}.json";
    let by_hour = Layout { split_by_time: true, ..layout(hourly, None) };
    let records: &[(i64, &[u8])] = &[(NOON, b"{}"), (NOON + HOUR, b"{\"a\":\n1}"), (NOON + 1, b"[]")];
    check(
        by_hour.clone(),
        records,
        &[
            ("topics/orders/year=2023/month=11/day=15/hour=12/orders+3+0000000007.json", "{}\n[]\n"),
            ("topics/orders/year=2023/month=11/day=15/hour=13/orders+3+0000000008.json", "{\"a\": 1}\n"),
        ],
    );
    let wide = Layout { slot: Duration::from_secs(6 * 3_600), ..by_hour.clone() };
    check(
        wide,
        records,
        &[("topics/orders/year=2023/month=11/day=15/hour=12/orders+3+0000000007.json", "{}\n{\"a\": 1}\n[]\n")],
    );
    let late = Layout { time: TimeOf::Writing, ..by_hour };
    check(
        late,
        records,
        &[("topics/orders/year=2023/month=11/day=15/hour=17/orders+3+0000000007.json", "{}\n{\"a\": 1}\n[]\n")],
    );
    let far = layout("{topic}/{time:%Y-%m-%d %H}/{partition:4}-{offset}", Some("Asia/Kolkata"));
    check(
        Layout { split_by_time: true, slot: Duration::from_secs(24 * 3_600), ..far },
        &[(NOON, b"x")],
        &[("orders/2023-11-15 00/0003-7", "x\n")],
    );
}

#[test]
fn files_hold_as_many_records_as_the_layout_says() {
    let plain = layout("{topic}-{partition}-{offset}", None);
    let records: &[(i64, &[u8])] = &[(0, b"a"), (0, b"b"), (0, b"c")];
    let two = Layout { records: Some(2), ..plain.clone() };
    check(two, records, &[("orders-3-7", "a\nb\n"), ("orders-3-9", "c\n")]);
    let base64 = Layout { format: Format::Base64Lines, ..plain.clone() };
    check(base64, &[(0, b"ab"), (0, b"abc")], &[("orders-3-7", "YWI=\nYWJj\n")]);
    check(Layout { format: Format::Bytes, ..plain }, &[(0, b"a\r\nb")], &[("orders-3-7", "a\r\nb\n")]);
}

#[test]
fn a_file_is_packed_on_request() {
    let mut files = RawFiles::new(Layout::default());
    let mut buffer = RecordBuffer::default();
    buffer.push(Record { offset: 0, timestamp: NOON, key: b"", payload: b"{}" });
    files.add(&Origin::Log { topic: "t".into(), partition: 0 }, &buffer, 0).unwrap();
    let found = files.finish().unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*found[0].bytes).read_to_string(&mut text).unwrap();
    assert_eq!((found[0].path.as_str(), text.as_str()), ("raw/t/date=2023-11-15 12:00:00+00/0-0.jsonl.gz", "{}\n"));
}

#[test]
fn paths_that_would_not_do_are_told() {
    let cases = [
        ("{topic}/{partition}", None, "without `{offset}` several files would have the same path"),
        ("{partition}-{offset}", None, "without `{topic}` several files would have the same path"),
        ("{topic}/../{partition}-{offset}", None, "a path has no empty steps, `.` or `..`, and begins with a name"),
        ("/{topic}/{partition}-{offset}", None, "a path has no empty steps, `.` or `..`, and begins with a name"),
        ("{topic}-{partition}-{offset", None, "a `{` is never closed"),
        ("{topic}-{partition}-{offset}-{key}", None, "`{key}` is not one of topic, partition, offset and time"),
        ("{topic}-{partition}-{offset:x}", None, "`{offset:x}` does not say a number of digits"),
        (
            "{topic}-{partition}-{offset}-{time:%Q}",
            None,
            "`{time:%Q}` has no format of a time such as `{time:%Y-%m-%d}`",
        ),
        ("{topic}-{partition}-{offset}", Some("Mars/Base"), "`Mars/Base` is no time zone"),
    ];
    for (path, zone, expected) in cases {
        assert_eq!(PathTemplate::parse(path, zone).unwrap_err().to_string(), expected);
    }
}
