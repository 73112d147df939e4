//! How a source is that keeps things for us: what lies there, and for how long it will.

use crate::health::{Fact, Level, SourceHealth};

/// As of the source's last look, which is a few seconds old.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamHealth {
    /// In the source's own word: `reserved`, `extended`, `unreserved` or `lost` of a replication slot.
    pub state: String,
    /// Bytes the source keeps until we have committed them.
    pub retained_bytes: u64,
    /// Bytes it may write yet before it throws away what we have not taken. Nothing when it never does.
    pub bytes_left: Option<u64>,
    /// How fast it writes. Nothing before the second look.
    pub bytes_per_second: Option<u64>,
    /// The copy of a table that goes on beside the stream.
    pub copying: Option<CopyProgress>,
}

/// How far the copy of one table is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyProgress {
    /// Its name in the lake.
    pub table: String,
    pub rows: u64,
    /// About so many there are, when the source can tell.
    pub of_rows: Option<u64>,
}

/// Less than this is left: somebody should look.
const SOON_SECONDS: u64 = 24 * 3_600;

impl StreamHealth {
    /// As people are told.
    pub fn facts(&self) -> SourceHealth {
        let mut facts = vec![self.state_fact(), self.kept_fact()];
        facts.extend(self.copying.as_ref().map(CopyProgress::fact));
        SourceHealth { facts }
    }

    fn state_fact(&self) -> Fact {
        let fact = Fact::new("Replication slot", self.state.clone());
        match self.state.as_str() {
            "lost" => fact.at(
                Level::Bad,
                "The server threw away what was not taken: begin anew with `headwater ingest --restart`.",
            ),
            "unreserved" => fact.at(Level::Bad, "The server may throw away what is not taken at its next checkpoint."),
            _ => fact,
        }
    }

    fn kept_fact(&self) -> Fact {
        let kept = mebibytes(self.retained_bytes);
        let fact = match self.bytes_left {
            Some(left) => {
                Fact::new("Log kept by the slot", format!("{kept}, {} more until it is lost", mebibytes(left)))
            }
            None => Fact::new("Log kept by the slot", format!("{kept}, without a bound")),
        };
        match self.seconds_left() {
            Some(left) if left < SOON_SECONDS => {
                let hint = format!(
                    "At the rate it is written now that is {} minutes: see why the lake does not keep up.",
                    left / 60
                );
                fact.at(Level::Warn, hint)
            }
            _ => fact,
        }
    }
    /// Seconds until the source throws away what we have not taken, if it went on as now and we took nothing.
    pub fn seconds_left(&self) -> Option<u64> {
        self.bytes_left?.checked_div(self.bytes_per_second?)
    }
}

impl CopyProgress {
    fn fact(&self) -> Fact {
        let of = self.of_rows.map_or_else(String::new, |rows| format!(" of about {rows}"));
        Fact::new("Copying beside the stream", format!("{}: {}{of} rows", self.table, self.rows))
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_left_as_long_as_something_is_written() {
        for (left, rate, expected) in [
            (Some(1_000), Some(10), Some(100)),
            (Some(0), Some(10), Some(0)),
            (Some(1_000), Some(0), None),
            (None, Some(10), None),
            (Some(1_000), None, None),
        ] {
            let health = StreamHealth { bytes_left: left, bytes_per_second: rate, ..StreamHealth::default() };
            assert_eq!(health.seconds_left(), expected, "{left:?} at {rate:?}");
        }
    }
}
