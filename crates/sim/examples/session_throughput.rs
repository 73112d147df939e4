//! Measures the session generator into a sink that throws everything away.
//!
//! `session_throughput SETTINGS.json [users] [growth per year] [days] [most records]`, peak memory from `/proc/self/status`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark prints what it measured")]

use std::error::Error;
use std::time::Instant;

use headwater_project::Timestamp;
use headwater_sim::{Generated, Generator, Overrides, RecordSink, Sessions, SessionsConfig, Stop};

struct Nowhere {
    checksum: u64,
}

impl RecordSink for Nowhere {
    fn record(&mut self, record: Generated<'_>) {
        self.checksum = self.checksum.wrapping_mul(31).wrapping_add(record.payload.len() as u64 ^ record.key);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let path = words.next().ok_or("name the file with the generator's settings")?;
    let value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let arguments: Vec<f64> = words.map(|text| text.parse()).collect::<Result<_, _>>()?;
    let argument = |index: usize, default: f64| arguments.get(index).copied().unwrap_or(default);
    let overrides = Overrides {
        start: Some("2018-11-01".into()),
        n_users: Some(argument(0, 100_000.0) as u32),
        growth_rate: Some(argument(1, 0.0)),
        ..Overrides::default()
    };
    let (config, found) = SessionsConfig::read(&value, &overrides, Timestamp(0), &|_| None);
    let mut config = config.ok_or_else(|| format!("{found:?}"))?;
    config.end = Some(Timestamp(config.start.0 + (argument(2, 365.0) * 86_400_000_000.0) as i64));
    let begun = Instant::now();
    let mut sessions = Sessions::new(&config)?;
    println!("ready after {:.2} s with {} users", begun.elapsed().as_secs_f64(), sessions.users());
    let mut sink = Nowhere { checksum: 0 };
    let begun = Instant::now();
    let produced = sessions.produce(Timestamp(i64::MAX), argument(3, 1e18) as usize, &mut sink);
    let seconds = begun.elapsed().as_secs_f64();
    let per_second = produced.records as f64 / seconds;
    let megabytes = produced.bytes as f64 / 1e6 / seconds;
    println!("{} records in {seconds:.2} s: {per_second:.0} records/s, {megabytes:.0} MB/s", produced.records);
    println!("page views {} of them", sessions.counts().topics.get(1).map_or(0, |topic| topic.good));
    println!(
        "exhausted {}, users {}, checksum {:016x}",
        produced.stop == Stop::Exhausted,
        sessions.users(),
        sink.checksum
    );
    let begun = Instant::now();
    let mut snapshot = Vec::new();
    sessions.snapshot(&mut snapshot)?;
    println!("snapshot {} bytes in {:.2} s", snapshot.len(), begun.elapsed().as_secs_f64());
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    Ok(())
}
