//! Steps and test results.

use headwater_project::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::runs::expect_running;
use crate::error::{Error, Result};
use crate::record::{BootId, RunId, Step, StepChange, StepResult, TestOutcome, TestResult, TestSeverity};
use crate::status::{StepStatus, check_step_change};

pub(super) fn change(transaction: &Transaction<'_>, run: RunId, owner: &BootId, changes: &[StepChange]) -> Result<()> {
    expect_running(transaction, run, owner)?;
    for change in changes {
        check_step_change(change.from, change.to)?;
        match change.from {
            None => insert(transaction, run, change)?,
            Some(from) => update(transaction, run, change, from)?,
        }
    }
    Ok(())
}

fn started_at(change: &StepChange) -> Option<i64> {
    (change.to == StepStatus::Running).then_some(change.at.as_micros())
}

fn finished_at(change: &StepChange) -> Option<i64> {
    change.to.is_final().then_some(change.at.as_micros())
}

fn insert(transaction: &Transaction<'_>, run: RunId, change: &StepChange) -> Result<()> {
    let result = &change.result;
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO step (run, node, kind, status, ordinal, started_at, finished_at, rows, message, compiled_path,
                               table_version)
             VALUES (?1, ?2, ?3, ?4, (SELECT count(*) FROM step WHERE run = ?1), ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            run.0,
            change.node,
            change.kind,
            change.to.as_str(),
            started_at(change),
            finished_at(change),
            result.rows,
            result.message,
            result.compiled_path,
            result.table_version
        ])?;
    expect_step(inserted, run, change, "not recorded yet")
}

fn update(transaction: &Transaction<'_>, run: RunId, change: &StepChange, from: StepStatus) -> Result<()> {
    let result = &change.result;
    let updated = transaction
        .prepare_cached(
            "UPDATE step SET status = ?1, started_at = coalesce(?2, started_at), finished_at = ?3,
                 rows = coalesce(?4, rows), message = coalesce(?5, message),
                 compiled_path = coalesce(?6, compiled_path), table_version = coalesce(?7, table_version)
             WHERE run = ?8 AND node = ?9 AND status = ?10",
        )?
        .execute(params![
            change.to.as_str(),
            started_at(change),
            finished_at(change),
            result.rows,
            result.message,
            result.compiled_path,
            result.table_version,
            run.0,
            change.node,
            from.as_str()
        ])?;
    if updated == 0 && !recorded(transaction, run, &change.node)? {
        return Err(Error::not_found(format!("step {} of run {run}", change.node)));
    }
    expect_step(updated, run, change, from.as_str())
}

fn recorded(transaction: &Transaction<'_>, run: RunId, node: &str) -> Result<bool> {
    let found = transaction
        .query_row("SELECT 1 FROM step WHERE run = ?1 AND node = ?2", params![run.0, node], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

fn expect_step(changed: usize, run: RunId, change: &StepChange, expected: &str) -> Result<()> {
    if changed == 1 {
        return Ok(());
    }
    Err(Error::conflict(format!("step {} of run {run}", change.node), expected))
}

pub(super) fn list(transaction: &Transaction<'_>, run: RunId) -> Result<Vec<Step>> {
    let mut statement = transaction.prepare_cached(
        "SELECT node, kind, ordinal, started_at, finished_at, rows, message, compiled_path, table_version, status
         FROM step WHERE run = ?1 ORDER BY ordinal",
    )?;
    let rows = statement.query_map(params![run.0], |row| {
        let step = Step {
            run,
            node: row.get(0)?,
            kind: row.get(1)?,
            status: StepStatus::Pending,
            ordinal: row.get(2)?,
            started_at: row.get::<_, Option<i64>>(3)?.map(Timestamp),
            finished_at: row.get::<_, Option<i64>>(4)?.map(Timestamp),
            result: StepResult {
                rows: row.get(5)?,
                message: row.get(6)?,
                compiled_path: row.get(7)?,
                table_version: row.get(8)?,
            },
        };
        Ok((step, row.get::<_, String>(9)?))
    })?;
    let mut steps = Vec::new();
    for row in rows {
        let (step, status) = row?;
        steps.push(Step { status: StepStatus::parse(&status)?, ..step });
    }
    Ok(steps)
}

pub(super) fn record_tests(
    transaction: &Transaction<'_>,
    run: RunId,
    owner: &BootId,
    results: &[TestResult],
) -> Result<()> {
    expect_running(transaction, run, owner)?;
    let mut statement = transaction.prepare_cached(
        "INSERT OR REPLACE INTO test_result (run, node, tested, outcome, severity, failures, message, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for result in results {
        statement.execute(params![
            run.0,
            result.node,
            result.tested,
            result.outcome.as_str(),
            result.severity.as_str(),
            result.failures,
            result.message,
            result.at.as_micros()
        ])?;
    }
    Ok(())
}

struct StoredTest {
    result: TestResult,
    outcome: String,
    severity: String,
}

impl StoredTest {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let result = TestResult {
            node: row.get(0)?,
            tested: row.get(1)?,
            outcome: TestOutcome::Pass,
            severity: TestSeverity::Error,
            failures: row.get(4)?,
            message: row.get(5)?,
            at: Timestamp(row.get(6)?),
        };
        Ok(Self { result, outcome: row.get(2)?, severity: row.get(3)? })
    }

    fn checked(self) -> Result<TestResult> {
        let (outcome, severity) = (TestOutcome::parse(&self.outcome)?, TestSeverity::parse(&self.severity)?);
        Ok(TestResult { outcome, severity, ..self.result })
    }
}

pub(super) fn tests_of(transaction: &Transaction<'_>, run: RunId) -> Result<Vec<TestResult>> {
    let mut statement = transaction.prepare_cached(
        "SELECT node, tested, outcome, severity, failures, message, at FROM test_result WHERE run = ?1 ORDER BY node",
    )?;
    let rows = statement.query_map(params![run.0], StoredTest::read)?;
    rows.map(|stored| stored?.checked()).collect()
}

pub(super) fn latest_tests(transaction: &Transaction<'_>) -> Result<Vec<TestResult>> {
    // SQLite takes the other columns from the row that holds the maximum.
    let mut statement = transaction.prepare_cached(
        "SELECT node, tested, outcome, severity, failures, message, at, max(run) FROM test_result
         GROUP BY node ORDER BY node",
    )?;
    let rows = statement.query_map([], StoredTest::read)?;
    rows.map(|stored| stored?.checked()).collect()
}
