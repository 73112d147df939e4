//! What is held back.

use headwater_project::Timestamp;
use rusqlite::{Transaction, params};

use crate::error::Result;
use crate::record::Paused;

pub(super) fn pause(transaction: &Transaction<'_>, name: &str, at: Timestamp) -> Result<()> {
    transaction
        .prepare_cached("INSERT INTO paused (name, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![name, at.as_micros()])?;
    Ok(())
}

pub(super) fn resume(transaction: &Transaction<'_>, name: &str) -> Result<bool> {
    Ok(transaction.prepare_cached("DELETE FROM paused WHERE name = ?1")?.execute(params![name])? > 0)
}

pub(super) fn list(transaction: &Transaction<'_>) -> Result<Vec<Paused>> {
    let mut statement = transaction.prepare_cached("SELECT name, at FROM paused ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok(Paused { name: row.get(0)?, at: Timestamp(row.get(1)?) }))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
