//! What is known of a source besides its figures: by its connector, and by what holds its records.

use headwater_connectors::postgres::Mode;
use headwater_ingest::health::{Fact, Level};

use crate::ingest::PipelineHandle;
use crate::project::SourceEntry;
use crate::source_file::{PostgresSourceConfig, PushSourceConfig, SourceConfig};
use crate::text_time::rfc3339;
use crate::up::UpHandle;
use crate::view::{SourceFact, SourceSummary};

/// Share of what may wait from which on it is worth a look.
const NEARLY_FULL: f64 = 0.8;

impl UpHandle {
    /// The worst first.
    pub(super) fn facts(&self, entry: &SourceEntry, summary: &SourceSummary) -> Vec<SourceFact> {
        let mut facts: Vec<(Option<String>, Fact)> = match &entry.config {
            SourceConfig::Push(config) => self.waiting_pushes(config).into_iter().map(|fact| (None, fact)).collect(),
            SourceConfig::Postgres(config) => {
                paused_stream(config, summary).into_iter().map(|fact| (None, fact)).collect()
            }
            _ => Vec::new(),
        };
        let handles: Vec<&PipelineHandle> =
            self.handles().iter().filter(|handle| handle.source == summary.name).collect();
        let several = handles.len() > 1;
        for handle in handles {
            let table = (several && !handle.shares_stream).then(|| handle.table.clone());
            let told = handle.metrics.look(|metrics| metrics.health.facts.clone());
            for fact in told {
                // Tables of one stream tell the same.
                if !facts.iter().any(|(of, known)| *of == table && *known == fact) {
                    facts.push((table.clone(), fact));
                }
            }
        }
        facts.sort_by_key(|(_, fact)| std::cmp::Reverse(fact.level));
        facts.into_iter().map(|(table, fact)| shown(table, fact)).collect()
    }

    /// What was sent and is not in the lake yet, against what may be.
    fn waiting_pushes(&self, config: &PushSourceConfig) -> Option<Fact> {
        let (records, bytes) = self.instance().waiting_pushes(&config.name).ok()?;
        Some(waiting_fact(records, bytes, config.from.max_waiting.0))
    }
}

fn waiting_fact(records: u64, bytes: u64, most: u64) -> Fact {
    let fact = Fact::new("Waiting for the lake", format!("{records} records, {} of {}", size(bytes), size(most)));
    let share = bytes as f64 / most.max(1) as f64;
    if share > 1.0 {
        fact.at(Level::Bad, "Senders are refused with 429 until the lake has taken some: see why it does not keep up.")
    } else if share >= NEARLY_FULL {
        fact.at(Level::Warn, "Beyond `max_waiting` senders are refused with 429.")
    } else {
        fact
    }
}

/// The server keeps its log for a slot that nobody reads.
fn paused_stream(config: &PostgresSourceConfig, summary: &SourceSummary) -> Option<Fact> {
    let since = summary.paused_at.filter(|_| config.from.mode == Mode::Capture)?;
    let fact = Fact::new("Replication slot", format!("kept, and not read since {}", rfc3339(since)));
    Some(fact.at(
        Level::Warn,
        "The server keeps its log from there on, which fills its disk. Resume soon; `max_slot_wal_keep_size` bounds it, and \
         beyond the bound the tables are copied again.",
    ))
}

fn shown(table: Option<String>, fact: Fact) -> SourceFact {
    SourceFact { table, label: fact.label, value: fact.value, level: fact.level.as_str(), hint: fact.hint }
}

/// `1.5 MiB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut scaled = bytes as f64;
    let mut unit = UNITS[0];
    for next in UNITS {
        unit = next;
        if scaled < 1024.0 {
            break;
        }
        if next != "TiB" {
            scaled /= 1024.0;
        }
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{scaled:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: u64, most: u64, value: &str, level: Level) {
        let fact = waiting_fact(2, bytes, most);
        assert_eq!((fact.value.as_str(), fact.level, fact.hint.is_some()), (value, level, level > Level::Ok));
    }

    #[test]
    fn senders_that_will_be_refused_are_told_of_in_time() {
        check(0, 1 << 20, "2 records, 0 B of 1.0 MiB", Level::Ok);
        check(700 << 10, 1 << 20, "2 records, 700.0 KiB of 1.0 MiB", Level::Ok);
        check(900 << 10, 1 << 20, "2 records, 900.0 KiB of 1.0 MiB", Level::Warn);
        check(3 << 40, 1 << 30, "2 records, 3.0 TiB of 1.0 GiB", Level::Bad);
    }
}
