//! Schema versions. Each migration is one transaction that also records itself in `schema_version`; the file's
//! `application_id` marks it as ours. Before the first migration of an existing database a backup
//! `<file>.schema-<old version>.backup` is written and flushed, so that a newer program can be taken back.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use headwater_project::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::error::{Error, Result};

/// `hwst` in ASCII.
const APPLICATION_ID: i64 = 0x6877_7374;

pub(crate) struct Migration {
    pub version: i64,
    pub sql: &'static str,
}

/// Applied migrations never change; a change of the schema is a further entry.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, sql: include_str!("schema.sql") },
    Migration { version: 2, sql: include_str!("schema-2.sql") },
];

/// The schema this program reads and writes.
pub const SCHEMA_VERSION: i64 = 2;

pub(crate) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<()> {
    let known = migrations.last().map_or(0, |migration| migration.version);
    let found = check_writable(connection, path, migrations)?;
    if found > 0 && found < known {
        back_up(connection, path, found)?;
    }
    for migration in migrations.iter().filter(|migration| migration.version > found) {
        apply(connection, migration, now)?;
    }
    Ok(())
}

/// The stored version, unless the file is somebody else's or a newer program's: such a file is not touched.
pub(crate) fn check_writable(connection: &Connection, path: &Path, migrations: &[Migration]) -> Result<i64> {
    let known = migrations.last().map_or(0, |migration| migration.version);
    let found = stored_version(connection, path)?;
    if found > known { Err(Error::NewerSchema { path: path.to_path_buf(), found, known }) } else { Ok(found) }
}

pub(crate) fn check_readable(connection: &Connection, path: &Path) -> Result<()> {
    let found = stored_version(connection, path)?;
    if found > SCHEMA_VERSION {
        return Err(Error::NewerSchema { path: path.to_path_buf(), found, known: SCHEMA_VERSION });
    }
    match found {
        0 => Err(Error::ForeignFile { path: path.to_path_buf() }),
        found if found < SCHEMA_VERSION => {
            Err(Error::OlderSchema { path: path.to_path_buf(), found, known: SCHEMA_VERSION })
        }
        _ => Ok(()),
    }
}

/// 0 for an empty file.
fn stored_version(connection: &Connection, path: &Path) -> Result<i64> {
    let open = |source| Error::Open { path: path.to_path_buf(), source };
    let application_id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(open)?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(open)?;
    if tables == 0 {
        return Ok(0);
    }
    if application_id != APPLICATION_ID {
        return Err(Error::ForeignFile { path: path.to_path_buf() });
    }
    let version =
        connection.query_row("SELECT max(version) FROM schema_version", [], |row| row.get::<_, Option<i64>>(0));
    Ok(version.optional().map_err(open)?.flatten().unwrap_or(0))
}

fn apply(connection: &mut Connection, migration: &Migration, now: Timestamp) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(migration.sql)?;
    transaction.execute(
        "INSERT INTO schema_version (version, applied_at) VALUES (?1, ?2)",
        params![migration.version, now.as_micros()],
    )?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.commit()?;
    Ok(())
}

/// A backup left by an attempt that died is replaced: the database it copied has not been migrated yet.
fn back_up(connection: &Connection, path: &Path, found: i64) -> Result<()> {
    let backup = backup_path(path, found);
    let write = |source| Error::Write { path: backup.clone(), source };
    match std::fs::remove_file(&backup) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(write(error)),
        _ => {}
    }
    connection.execute("VACUUM INTO ?1", params![backup.to_string_lossy()])?;
    File::open(&backup).and_then(|file| file.sync_all()).map_err(write)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            File::open(folder).and_then(|file| file.sync_all()).map_err(write)
        }
        _ => Ok(()),
    }
}

pub(crate) fn backup_path(path: &Path, found: i64) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(format!(".schema-{found}.backup"));
    PathBuf::from(name)
}
