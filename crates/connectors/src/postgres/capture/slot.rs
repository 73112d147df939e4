//! The replication slot: whether it still is what we left, what it keeps on the server, and for how long the server lets it.

use std::time::Duration;

use headwater_ingest::stream_health::StreamHealth;

use crate::postgres::catalog::{lsn_text, parse_lsn};
use crate::postgres::error::{PgError, Result};
use crate::postgres::wire::{Connection, quoted_text};

pub(super) fn gap(source: &str, problem: &str) -> PgError {
    let hint = format!(
        "Changes in between are lost to the stream. `headwater ingest --restart {source}` copies its tables again."
    );
    PgError::refused(format!("the stream of `{source}` has a gap: {problem}"), hint)
}

pub(super) struct SlotState {
    confirmed: Option<u64>,
    wal_status: String,
    plugin: String,
    is_here: bool,
}

impl SlotState {
    pub(super) fn read(statements: &mut Connection, slot: &str) -> Result<Option<Self>> {
        let found = statements.query(&format!(
            "SELECT confirmed_flush_lsn, coalesce(to_jsonb(s) ->> 'wal_status', ''), coalesce(plugin, ''), \
                    coalesce(database = current_database(), false) \
             FROM pg_replication_slots s WHERE slot_name = {}",
            quoted_text(slot)
        ))?;
        let text = |column| found.first(column).unwrap_or_default().to_owned();
        Ok((!found.rows.is_empty()).then(|| Self {
            confirmed: found.first(0).and_then(parse_lsn),
            wal_status: text(1),
            plugin: text(2),
            is_here: found.first(3) == Some("t"),
        }))
    }

    /// A slot beyond what we have would skip what lies between without a word.
    pub(super) fn check(state: Option<Self>, slot: &str, taken: u64) -> Result<(), String> {
        let Some(state) = state else { return Err(format!("the slot `{slot}` is gone")) };
        if !state.is_here || state.plugin != "pgoutput" {
            return Err(format!("the slot `{slot}` is of another database or plug-in"));
        }
        if matches!(state.wal_status.as_str(), "lost" | "unreserved") {
            return Err(format!("the slot `{slot}` has lost changes: wal_status is {}", state.wal_status));
        }
        match state.confirmed {
            Some(confirmed) if confirmed > taken => {
                let (confirmed, taken) = (lsn_text(confirmed), lsn_text(taken));
                Err(format!("the slot `{slot}` stands at {confirmed}, the lake at {taken}"))
            }
            _ => Ok(()),
        }
    }
}

/// What a slot costs the server, and how fast its log grows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SlotMeter {
    /// When the server was asked last, and where its log ended.
    last: Option<(Duration, u64)>,
}

impl SlotMeter {
    /// Nothing when there is no such slot.
    pub(crate) fn read(
        &mut self,
        statements: &mut Connection,
        slot: &str,
        now: Duration,
    ) -> Result<Option<StreamHealth>> {
        let found = statements.query(&format!(
            "SELECT coalesce(to_jsonb(s) ->> 'wal_status', 'reserved'), \
                    greatest(pg_wal_lsn_diff(written, restart_lsn), 0)::bigint, to_jsonb(s) ->> 'safe_wal_size', written \
             FROM pg_replication_slots s CROSS JOIN LATERAL (\
               SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END) AS log(written) \
             WHERE slot_name = {}",
            quoted_text(slot)
        ))?;
        if found.rows.is_empty() {
            return Ok(None);
        }
        let written = found.first(3).and_then(parse_lsn).unwrap_or(0);
        let bytes_per_second = self.last.and_then(|(then, before)| rate(before, written, now.saturating_sub(then)));
        self.last = Some((now, written));
        // What is left may be below nothing while the server still lets us finish.
        let bytes_left =
            found.first(2).and_then(|text| text.parse::<i64>().ok()).map(|left| left.max(0).unsigned_abs());
        Ok(Some(StreamHealth {
            state: found.first(0).unwrap_or_default().to_owned(),
            retained_bytes: found.first(1).and_then(|text| text.parse().ok()).unwrap_or(0),
            bytes_left,
            bytes_per_second,
            copying: None,
        }))
    }
}

fn rate(before: u64, after: u64, time: Duration) -> Option<u64> {
    let millis = u64::try_from(time.as_millis()).ok().filter(|millis| *millis > 0)?;
    after.saturating_sub(before).saturating_mul(1_000).checked_div(millis)
}

/// Gives a slot up although its stream is under way.
pub(super) fn drop_slot(statements: &mut Connection, slot: &str) -> Result<()> {
    let slot = quoted_text(slot);
    let holder = format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = {slot} AND active"
    );
    let mut tries = 0;
    loop {
        statements.query(&holder)?;
        match statements.query(&format!("SELECT pg_drop_replication_slot({slot})")) {
            Ok(_) => return Ok(()),
            // Its stream has not ended yet.
            Err(PgError::Server { code, .. }) if code == "55006" && tries < 50 => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(error) => return Err(error),
        }
    }
}

/// A slot in words, for people.
pub(crate) fn described(slot: &str, health: &StreamHealth) -> String {
    let mut words = format!("slot {slot}: {}, keeps {}", health.state, bytes(health.retained_bytes));
    match (health.bytes_left, health.seconds_left()) {
        (Some(left), Some(seconds)) => {
            words.push_str(&format!("; {} more and it is lost, in {} as it goes now", bytes(left), time(seconds)));
        }
        (Some(left), None) => words.push_str(&format!("; {} more and it is lost", bytes(left))),
        (None, _) => words.push_str(" of the server's disk, without a limit"),
    }
    words
}

fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut size, mut unit) = (count as f64 / 1024.0, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    format!("{size:.1} {}", UNITS.get(unit).copied().unwrap_or_default())
}

fn time(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_described_with_the_time_it_has() {
        let health = |left, rate| StreamHealth {
            state: String::from("extended"),
            retained_bytes: 5 << 20,
            bytes_left: left,
            bytes_per_second: rate,
            copying: None,
        };
        for (health, expected) in [
            (health(None, Some(9)), "slot s: extended, keeps 5.0 MiB of the server's disk, without a limit"),
            (health(Some(3 << 30), None), "slot s: extended, keeps 5.0 MiB; 3.0 GiB more and it is lost"),
            (
                health(Some(600), Some(2)),
                "slot s: extended, keeps 5.0 MiB; 0.6 KiB more and it is lost, in 5 min as it goes now",
            ),
        ] {
            assert_eq!(described("s", &health), expected);
        }
    }

    #[test]
    fn a_rate_needs_time_to_have_passed() {
        assert_eq!(rate(100, 1_100, Duration::from_secs(2)), Some(500));
        assert_eq!(rate(100, 1_100, Duration::ZERO), None);
        assert_eq!(rate(100, 50, Duration::from_secs(1)), Some(0));
    }
}
