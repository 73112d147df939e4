//! Measures the local log and the JSON decoder: `cargo run --release -p headwater-ingest --example log_throughput`.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use headwater_ingest::RecordBuffer;
use headwater_ingest::codec::{Codec, Decoder};
use headwater_ingest::log::{EventLog, LocalLog, LocalLogOptions, TopicConfig};
use headwater_ingest::schema::{DriftPolicy, Provenance};
use headwater_ingest::sink::Origin;

const RECORDS: usize = 2_000_000;
const BATCH: usize = 10_000;

fn event(number: usize) -> String {
    format!(
        r#"{{"artist":"Artist {}","song":"A song of some length {}","duration":{}.46,"ts":{},"sessionId":{},"auth":"Logged In","level":"free","itemInSession":{},"zip":"94103","city":"San Francisco-Oakland","state":"CA","userAgent":"\"Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/36.0.1985.125 Safari/537.36\"","lon":-122.{},"lat":37.7{},"userId":{},"lastName":"Miller","firstName":"Avery","gender":"F","registration":1540919166796}}"#,
        number % 997,
        number % 4_999,
        150 + number % 200,
        1_541_105_000_000_u64 + number as u64,
        number % 1_000,
        number % 60,
        number % 1_000,
        number % 100,
        number % 5_000
    )
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let folder = std::env::temp_dir().join(format!("headwater-throughput-{}", std::process::id()));
    let log = LocalLog::open(&folder, LocalLogOptions { min_free_bytes: 0, ..LocalLogOptions::default() })?;
    log.create_topic("events", &TopicConfig::default())?;
    let mut batch = RecordBuffer::default();
    for number in 0..BATCH {
        batch.push_payload(1_541_105_000_000, b"", event(number).as_bytes());
    }
    writeln!(out, "{} bytes per record", batch.bytes() / BATCH)?;
    let start = Instant::now();
    for _ in 0..RECORDS / BATCH {
        log.append("events", 0, &batch)?;
    }
    log.sync()?;
    report(&mut out, "append with sync", start)?;

    let mut decoder = Decoder::new(Codec::Json, DriftPolicy::default(), Provenance::Log, None)?;
    let origin = Origin::Log { topic: "events".into(), partition: 0 };
    let (mut read, mut next, mut rows) = (RecordBuffer::default(), 0, 0);
    let (mut reading, mut decoding) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
    loop {
        read.clear();
        let start = Instant::now();
        let outcome = log.read("events", 0, next, 4 << 20, &mut read)?;
        reading += start.elapsed();
        next = outcome.next_offset;
        let start = Instant::now();
        rows += decoder.decode(&read, &[], &origin)?.rows.num_rows();
        decoding += start.elapsed();
        if outcome.at_end {
            break;
        }
    }
    let rate = |time: std::time::Duration| rows as f64 / time.as_secs_f64();
    writeln!(out, "read: {:.0} records/s, decode: {:.0} records/s of {rows}", rate(reading), rate(decoding))?;
    drop(log);
    let start = Instant::now();
    drop(LocalLog::open(&folder, LocalLogOptions::default())?);
    writeln!(out, "open: {:?}", start.elapsed())?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn report(out: &mut impl Write, what: &str, start: Instant) -> std::io::Result<()> {
    let seconds = start.elapsed().as_secs_f64();
    writeln!(out, "{what}: {:.0} records/s", RECORDS as f64 / seconds)
}
