//! Runs, publications and fingerprints.

use headwater_project::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::error::{Error, Result};
use crate::record::{BootId, Fingerprint, NewRun, Publication, Published, PublishedAs, Run, RunEnd, RunId, Trigger};
use crate::status::{RunStatus, check_run_change};

const RUN_COLUMNS: &str = "id, job, command, trigger, selection, attempt, owner, status, queued_at, started_at, \
     finished_at, message";

pub(super) fn take_over(transaction: &Transaction<'_>, owner: &BootId, at: Timestamp) -> Result<Vec<RunId>> {
    let mut statement = transaction.prepare_cached(
        "UPDATE run SET status = 'crashed', finished_at = ?1, message = 'the process ended during the run'
         WHERE status = 'running' AND owner <> ?2 RETURNING id",
    )?;
    let crashed = statement.query_map(params![at.as_micros(), owner.0], |row| row.get::<_, i64>(0))?;
    let mut crashed = crashed.collect::<rusqlite::Result<Vec<_>>>()?;
    crashed.sort_unstable();
    for run in &crashed {
        close_steps(transaction, RunId(*run), "crashed", at)?;
    }
    Ok(crashed.into_iter().map(RunId).collect())
}

/// Steps left running become `word`, steps never begun become cancelled.
fn close_steps(transaction: &Transaction<'_>, run: RunId, word: &str, at: Timestamp) -> Result<()> {
    transaction
        .prepare_cached(
            "UPDATE step SET status = CASE status WHEN 'running' THEN ?1 ELSE 'cancelled' END, finished_at = ?2
             WHERE run = ?3 AND status IN ('pending', 'running')",
        )?
        .execute(params![word, at.as_micros(), run.0])?;
    Ok(())
}

pub(super) fn create(transaction: &Transaction<'_>, run: &NewRun, at: Timestamp) -> Result<RunId> {
    transaction
        .prepare_cached(
            "INSERT INTO run (job, command, trigger, selection, attempt, owner, status, queued_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued', ?7)",
        )?
        .execute(params![
            run.job,
            run.command,
            run.trigger.as_str(),
            run.selection,
            run.attempt.max(1),
            run.owner.0,
            at.as_micros()
        ])?;
    Ok(RunId(transaction.last_insert_rowid()))
}

pub(super) fn skip_ids(transaction: &Transaction<'_>, last_used: RunId) -> Result<()> {
    let raised = transaction
        .execute("UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'run'", params![last_used.0])?;
    if raised == 0 {
        transaction.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('run', ?1)", params![last_used.0])?;
    }
    Ok(())
}

pub(super) fn start(transaction: &Transaction<'_>, run: RunId, owner: &BootId, at: Timestamp) -> Result<()> {
    let changed = transaction
        .prepare_cached(
            "UPDATE run SET status = 'running', owner = ?1, started_at = ?2 WHERE id = ?3 AND status = 'queued'",
        )?
        .execute(params![owner.0, at.as_micros(), run.0])?;
    expect_changed(transaction, changed, run, "status queued")
}

pub(super) fn cancel_queued(transaction: &Transaction<'_>, run: RunId, at: Timestamp) -> Result<()> {
    let changed = transaction
        .prepare_cached("UPDATE run SET status = 'cancelled', finished_at = ?1 WHERE id = ?2 AND status = 'queued'")?
        .execute(params![at.as_micros(), run.0])?;
    expect_changed(transaction, changed, run, "status queued")
}

pub(super) fn finish(
    transaction: &Transaction<'_>,
    run: RunId,
    owner: &BootId,
    end: &RunEnd,
    at: Timestamp,
) -> Result<()> {
    check_run_change(RunStatus::Running, end.status())?;
    let changed = transaction
        .prepare_cached(
            "UPDATE run SET status = ?1, finished_at = ?2, message = ?3
             WHERE id = ?4 AND status = 'running' AND owner = ?5",
        )?
        .execute(params![end.status().as_str(), at.as_micros(), end.message(), run.0, owner.0])?;
    expect_changed(transaction, changed, run, &running_by(owner))?;
    close_steps(transaction, run, "cancelled", at)?;
    if let RunEnd::Succeeded { publications, fingerprints } = end {
        publish(transaction, run, publications, at)?;
        keep_fingerprints(transaction, fingerprints)?;
    }
    Ok(())
}

pub(super) fn running_by(owner: &BootId) -> String {
    format!("status running under owner {}", owner.0)
}

fn expect_changed(transaction: &Transaction<'_>, changed: usize, run: RunId, expected: &str) -> Result<()> {
    if changed == 1 {
        return Ok(());
    }
    match find(transaction, run)? {
        Some(_) => Err(Error::conflict(format!("run {run}"), expected)),
        None => Err(Error::not_found(format!("run {run}"))),
    }
}

/// The guard of every write that belongs to a run.
pub(super) fn expect_running(transaction: &Transaction<'_>, run: RunId, owner: &BootId) -> Result<()> {
    let claimed = transaction
        .prepare_cached("SELECT 1 FROM run WHERE id = ?1 AND status = 'running' AND owner = ?2")?
        .exists(params![run.0, owner.0])?;
    expect_changed(transaction, usize::from(claimed), run, &running_by(owner))
}

fn publish(transaction: &Transaction<'_>, run: RunId, publications: &[Publication], at: Timestamp) -> Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO published (name, version, view_sql, run, at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (name) DO UPDATE SET version = excluded.version, view_sql = excluded.view_sql,
             run = excluded.run, at = excluded.at",
    )?;
    for publication in publications {
        let (version, sql) = match &publication.relation {
            PublishedAs::Table { version } => (Some(version), None),
            PublishedAs::View { sql } => (None, Some(sql)),
        };
        statement.execute(params![publication.name, version, sql, run.0, at.as_micros()])?;
    }
    Ok(())
}

fn keep_fingerprints(transaction: &Transaction<'_>, fingerprints: &[Fingerprint]) -> Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO fingerprint (node, code_hash, inputs, output_version) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (node) DO UPDATE SET code_hash = excluded.code_hash, inputs = excluded.inputs,
             output_version = excluded.output_version",
    )?;
    for fingerprint in fingerprints {
        statement.execute(params![
            fingerprint.node,
            fingerprint.code_hash,
            fingerprint.inputs,
            fingerprint.output_version
        ])?;
    }
    Ok(())
}

pub(super) fn published(transaction: &Transaction<'_>) -> Result<Vec<Published>> {
    let mut statement =
        transaction.prepare_cached("SELECT name, version, view_sql, run, at FROM published ORDER BY name")?;
    let rows = statement.query_map([], |row| {
        let sql: Option<String> = row.get(2)?;
        let relation = match sql {
            Some(sql) => PublishedAs::View { sql },
            None => PublishedAs::Table { version: row.get(1)? },
        };
        Ok(Published { name: row.get(0)?, relation, run: RunId(row.get(3)?), at: Timestamp(row.get(4)?) })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn fingerprints(transaction: &Transaction<'_>) -> Result<Vec<Fingerprint>> {
    let mut statement =
        transaction.prepare_cached("SELECT node, code_hash, inputs, output_version FROM fingerprint ORDER BY node")?;
    let rows = statement.query_map([], |row| {
        Ok(Fingerprint { node: row.get(0)?, code_hash: row.get(1)?, inputs: row.get(2)?, output_version: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn forget_fingerprints(transaction: &Transaction<'_>, nodes: &[String]) -> Result<()> {
    let mut statement = transaction.prepare_cached("DELETE FROM fingerprint WHERE node = ?1")?;
    for node in nodes {
        statement.execute(params![node])?;
    }
    Ok(())
}

/// A row whose words are still to be checked.
struct StoredRun {
    run: Run,
    trigger: String,
    status: String,
}

impl StoredRun {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let run = Run {
            id: RunId(row.get(0)?),
            job: row.get(1)?,
            command: row.get(2)?,
            trigger: Trigger::Manual,
            selection: row.get(4)?,
            attempt: row.get(5)?,
            owner: BootId(row.get(6)?),
            status: RunStatus::Queued,
            queued_at: Timestamp(row.get(8)?),
            started_at: row.get::<_, Option<i64>>(9)?.map(Timestamp),
            finished_at: row.get::<_, Option<i64>>(10)?.map(Timestamp),
            message: row.get(11)?,
        };
        Ok(Self { run, trigger: row.get(3)?, status: row.get(7)? })
    }

    fn checked(self) -> Result<Run> {
        Ok(Run { trigger: Trigger::parse(&self.trigger)?, status: RunStatus::parse(&self.status)?, ..self.run })
    }
}

pub(super) fn find(transaction: &Transaction<'_>, run: RunId) -> Result<Option<Run>> {
    let sql = format!("SELECT {RUN_COLUMNS} FROM run WHERE id = ?1");
    let stored = transaction.prepare_cached(&sql)?.query_row(params![run.0], StoredRun::read).optional()?;
    stored.map(StoredRun::checked).transpose()
}

pub(super) fn list(transaction: &Transaction<'_>, before: Option<RunId>, limit: usize) -> Result<Vec<Run>> {
    let sql = format!("SELECT {RUN_COLUMNS} FROM run WHERE id < ?1 ORDER BY id DESC LIMIT ?2");
    let before = before.map_or(i64::MAX, |run| run.0);
    let mut statement = transaction.prepare_cached(&sql)?;
    let rows = statement.query_map(params![before, sql_limit(limit)], StoredRun::read)?;
    rows.map(|stored| stored?.checked()).collect()
}

pub(super) fn list_in(transaction: &Transaction<'_>, status: RunStatus) -> Result<Vec<Run>> {
    let sql = format!("SELECT {RUN_COLUMNS} FROM run WHERE status = ?1 ORDER BY id");
    let mut statement = transaction.prepare_cached(&sql)?;
    let rows = statement.query_map(params![status.as_str()], StoredRun::read)?;
    rows.map(|stored| stored?.checked()).collect()
}

pub(super) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn prune(transaction: &Transaction<'_>, before: Timestamp, keep: usize) -> Result<usize> {
    let removed = transaction.execute(
        "DELETE FROM run WHERE status NOT IN ('queued', 'running') AND finished_at < ?1
             AND id NOT IN (SELECT run FROM published)
             AND id NOT IN (SELECT id FROM run ORDER BY id DESC LIMIT ?2)",
        params![before.as_micros(), sql_limit(keep)],
    )?;
    Ok(removed)
}
