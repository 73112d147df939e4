//! Whether a connection works, and what the server on its other end can do.

use std::time::Duration;

use headwater_project::{Classify, Clock, Entropy, Failure};

use crate::postgres::Target;
use crate::postgres::capture::{SlotMeter, described};
use crate::postgres::error::Result;
use crate::postgres::wire::{Connection, Purpose};

/// Time between two looks at a slot, from which the rate of the server's log comes.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Connects, asks a few questions, and says what it learnt, a line each; of the slots named, how they are.
pub fn probe(
    target: &Target,
    slots: &[String],
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Vec<String>, Failure> {
    learn(target, slots, clock, entropy).map_err(|error| error.failure())
}

fn learn(target: &Target, slots: &[String], clock: &dyn Clock, entropy: &dyn Entropy) -> Result<Vec<String>> {
    let mut connection = Connection::open(target, Purpose::Statements, entropy)?;
    let found = connection.query(
        "SELECT current_setting('server_version'), current_database(), current_user, \
                current_setting('wal_level'), pg_is_in_recovery(), \
                (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user), \
                current_setting('max_slot_wal_keep_size', true)",
    )?;
    let text = |column| found.first(column).unwrap_or_default();
    let role = if text(4) == "t" { "a standby" } else { "a primary" };
    let mut lines = vec![format!("PostgreSQL {}, {role}; database {}, role {}", text(0), text(1), text(2))];
    lines.push(match (text(3), text(5)) {
        ("logical", "t") => String::from("changes can be captured"),
        ("logical", _) => String::from("changes cannot be captured: the role lacks REPLICATION"),
        (level, _) => format!("changes cannot be captured: wal_level is {level}, not logical"),
    });
    if text(6) == "-1" {
        lines.push(String::from("max_slot_wal_keep_size is not set: a slot nobody reads can fill the server's disk"));
    }
    let mut meters = vec![SlotMeter::default(); slots.len()];
    let mut found = look(&mut connection, slots, &mut meters, clock)?;
    if found.iter().any(Option::is_some) {
        std::thread::sleep(BETWEEN_LOOKS);
        found = look(&mut connection, slots, &mut meters, clock)?;
    }
    lines.extend(found.into_iter().flatten());
    Ok(lines)
}

fn look(
    connection: &mut Connection,
    slots: &[String],
    meters: &mut [SlotMeter],
    clock: &dyn Clock,
) -> Result<Vec<Option<String>>> {
    let each = slots.iter().zip(meters).map(|(slot, meter)| {
        let health = meter.read(connection, slot, clock.monotonic())?;
        Ok(health.map(|health| described(slot, &health)))
    });
    each.collect()
}
