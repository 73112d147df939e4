//! Schedules and their ticks.

use headwater_project::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::runs::{create, sql_limit};
use crate::error::{Error, Result};
use crate::record::{NewRun, RunId, ScheduleRecord, Tick, TickOutcome};

const SCHEDULE_COLUMNS: &str = "name, definition, since, \
     (SELECT max(logical_time) FROM tick WHERE tick.schedule = schedule.name)";

pub(super) fn register(
    transaction: &Transaction<'_>,
    name: &str,
    definition: &str,
    since: Timestamp,
) -> Result<ScheduleRecord> {
    transaction
        .prepare_cached(
            "INSERT INTO schedule (name, definition, since) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, since = excluded.since
                 WHERE definition <> excluded.definition",
        )?
        .execute(params![name, definition, since.as_micros()])?;
    find(transaction, name)?.ok_or_else(|| Error::not_found(format!("schedule {name}")))
}

fn find(transaction: &Transaction<'_>, name: &str) -> Result<Option<ScheduleRecord>> {
    let sql = format!("SELECT {SCHEDULE_COLUMNS} FROM schedule WHERE name = ?1");
    Ok(transaction.prepare_cached(&sql)?.query_row(params![name], read).optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<ScheduleRecord> {
    Ok(ScheduleRecord {
        name: row.get(0)?,
        definition: row.get(1)?,
        since: Timestamp(row.get(2)?),
        last_tick: row.get::<_, Option<i64>>(3)?.map(Timestamp),
    })
}

pub(super) fn schedules(transaction: &Transaction<'_>) -> Result<Vec<ScheduleRecord>> {
    let sql = format!("SELECT {SCHEDULE_COLUMNS} FROM schedule ORDER BY name");
    let mut statement = transaction.prepare_cached(&sql)?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn launch(
    transaction: &Transaction<'_>,
    schedule: &str,
    logical_time: Timestamp,
    run: &NewRun,
    at: Timestamp,
) -> Result<RunId> {
    expect_schedule(transaction, schedule)?;
    let id = create(transaction, run, at)?;
    insert(transaction, schedule, logical_time, &TickOutcome::Run(id), at)?;
    Ok(id)
}

pub(super) fn skip(
    transaction: &Transaction<'_>,
    schedule: &str,
    ticks: &[(Timestamp, String)],
    at: Timestamp,
) -> Result<()> {
    expect_schedule(transaction, schedule)?;
    for (logical_time, reason) in ticks {
        insert(transaction, schedule, *logical_time, &TickOutcome::Skipped(reason.clone()), at)?;
    }
    Ok(())
}

fn expect_schedule(transaction: &Transaction<'_>, schedule: &str) -> Result<()> {
    match find(transaction, schedule)? {
        Some(_) => Ok(()),
        None => Err(Error::not_found(format!("schedule {schedule}"))),
    }
}

fn insert(
    transaction: &Transaction<'_>,
    schedule: &str,
    logical_time: Timestamp,
    outcome: &TickOutcome,
    at: Timestamp,
) -> Result<()> {
    let (run, skipped) = match outcome {
        TickOutcome::Run(run) => (Some(run.0), None),
        TickOutcome::Skipped(reason) => (None, Some(reason.as_str())),
    };
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO tick (schedule, logical_time, run, skipped, recorded_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![schedule, logical_time.as_micros(), run, skipped, at.as_micros()])?;
    if inserted == 1 {
        return Ok(());
    }
    Err(Error::conflict(format!("tick {} of schedule {schedule}", logical_time.as_micros()), "not recorded yet"))
}

pub(super) fn list(transaction: &Transaction<'_>, schedule: &str, limit: usize) -> Result<Vec<Tick>> {
    let mut statement = transaction.prepare_cached(
        "SELECT logical_time, run, skipped, recorded_at FROM tick WHERE schedule = ?1
         ORDER BY logical_time DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![schedule, sql_limit(limit)], |row| {
        let outcome = match row.get::<_, Option<i64>>(1)? {
            Some(run) => TickOutcome::Run(RunId(run)),
            None => TickOutcome::Skipped(row.get(2)?),
        };
        Ok(Tick {
            schedule: schedule.to_owned(),
            logical_time: Timestamp(row.get(0)?),
            outcome,
            recorded_at: Timestamp(row.get(3)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
