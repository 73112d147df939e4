//! Leases and pinned values.

use std::time::Duration;

use headwater_project::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::error::{Error, Result};
use crate::record::{BootId, Lease};

fn read(row: &Row<'_>) -> rusqlite::Result<Lease> {
    Ok(Lease { name: row.get(0)?, owner: BootId(row.get(1)?), epoch: row.get(2)?, expires_at: Timestamp(row.get(3)?) })
}

pub(super) fn take(
    transaction: &Transaction<'_>,
    name: &str,
    owner: &BootId,
    now: Timestamp,
    length: Duration,
) -> Result<Option<Lease>> {
    let lease = transaction
        .prepare_cached(
            "INSERT INTO lease (name, owner, epoch, expires_at) VALUES (?1, ?2, 1, ?3)
             ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, epoch = epoch + 1,
                 expires_at = excluded.expires_at
                 WHERE expires_at <= ?4 OR owner = excluded.owner
             RETURNING name, owner, epoch, expires_at",
        )?
        .query_row(params![name, owner.0, now.saturating_add(length).as_micros(), now.as_micros()], read)
        .optional()?;
    Ok(lease)
}

pub(super) fn renew(transaction: &Transaction<'_>, lease: &Lease, now: Timestamp, length: Duration) -> Result<Lease> {
    let renewed = transaction
        .prepare_cached(
            "UPDATE lease SET expires_at = ?1 WHERE name = ?2 AND owner = ?3 AND epoch = ?4 AND expires_at > ?5
             RETURNING name, owner, epoch, expires_at",
        )?
        .query_row(
            params![now.saturating_add(length).as_micros(), lease.name, lease.owner.0, lease.epoch, now.as_micros()],
            read,
        )
        .optional()?;
    renewed.ok_or_else(|| lost(lease))
}

/// The row stays, expired since ever, so that the epoch goes on growing.
pub(super) fn release(transaction: &Transaction<'_>, lease: &Lease) -> Result<()> {
    let released = transaction
        .prepare_cached("UPDATE lease SET expires_at = ?1 WHERE name = ?2 AND owner = ?3 AND epoch = ?4")?
        .execute(params![i64::MIN, lease.name, lease.owner.0, lease.epoch])?;
    if released == 1 { Ok(()) } else { Err(lost(lease)) }
}

pub(crate) fn lost(lease: &Lease) -> Error {
    Error::conflict(format!("lease {}", lease.name), format!("owner {} in epoch {}", lease.owner.0, lease.epoch))
}

pub(super) fn pin(transaction: &Transaction<'_>, key: &str, value: &str) -> Result<String> {
    transaction
        .prepare_cached("INSERT INTO pin (key, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![key, value])?;
    pinned(transaction, key)?.ok_or_else(|| Error::not_found(format!("pinned value {key}")))
}

pub(super) fn pinned(transaction: &Transaction<'_>, key: &str) -> Result<Option<String>> {
    let mut statement = transaction.prepare_cached("SELECT value FROM pin WHERE key = ?1")?;
    Ok(statement.query_row(params![key], |row| row.get(0)).optional()?)
}

pub(super) fn unpin(transaction: &Transaction<'_>, prefix: &str) -> Result<usize> {
    let removed = transaction
        .prepare_cached("DELETE FROM pin WHERE substr(key, 1, length(?1)) = ?1")?
        .execute(params![prefix])?;
    Ok(removed)
}
