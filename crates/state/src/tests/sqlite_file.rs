use std::path::{Path, PathBuf};

use headwater_project::{Classify, Kind};
use rusqlite::Connection;

use super::conformance::{at, boot, new_run};
use crate::sqlite::migrate::{MIGRATIONS, Migration, backup_path, migrate};
use crate::{Error, RunStatus, SqliteStore, StateStore};

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }
}

fn open(path: &Path, owner: &str) -> SqliteStore {
    SqliteStore::open(path, &boot(owner), at(1)).unwrap()
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let folder = Folder::new();
    let store = open(&folder.path(), "first");
    let run = store.create_run(&new_run("first"), at(1)).unwrap();
    store.start_run(run, &boot("first"), at(2)).unwrap();
    store.pause("shop", at(3)).unwrap();
    drop(store);
    let store = open(&folder.path(), "second");
    assert_eq!(store.run(run).unwrap().unwrap().status, RunStatus::Crashed);
    assert_eq!(store.paused().unwrap(), [crate::Paused { name: "shop".to_owned(), at: at(3) }]);
    assert!(store.integrity_problems().unwrap().is_empty());
}

#[test]
fn settings_are_those_that_survive_a_power_cut() {
    let folder = Folder::new();
    let store = open(&folder.path(), "me");
    let setting = |name: &str| {
        let connection = store.connection.lock().unwrap();
        connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).unwrap()
    };
    assert_eq!(setting("journal_mode"), rusqlite::types::Value::Text(String::from("wal")));
    assert_eq!(setting("synchronous"), rusqlite::types::Value::Integer(2));
    assert_eq!(setting("foreign_keys"), rusqlite::types::Value::Integer(1));
}

#[test]
fn a_reader_sees_the_database_while_it_is_written_and_cannot_write() {
    let folder = Folder::new();
    let writer = open(&folder.path(), "me");
    let run = writer.create_run(&new_run("me"), at(1)).unwrap();
    writer.start_run(run, &boot("me"), at(2)).unwrap();
    let reader = SqliteStore::open_read_only(&folder.path()).unwrap();
    assert_eq!(reader.run(run).unwrap().unwrap().status, RunStatus::Running);
    assert!(reader.create_run(&new_run("me"), at(3)).is_err());
    assert!(SqliteStore::open_read_only(&folder.folder.path().join("absent.db")).is_err());
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let folder = Folder::new();
    drop(open(&folder.path(), "me"));
    let connection = Connection::open(folder.path()).unwrap();
    connection.execute("INSERT INTO schema_version VALUES (99, 0)", []).unwrap();
    let before = std::fs::read(folder.path()).unwrap();
    let refused = SqliteStore::open(&folder.path(), &boot("me"), at(1)).unwrap_err();
    assert!(matches!(refused, Error::NewerSchema { found: 99, .. }), "{refused}");
    assert_eq!((refused.kind(), refused.hint().is_some()), (Kind::User, true));
    assert_eq!(std::fs::read(folder.path()).unwrap(), before);
}

#[test]
fn an_older_schema_is_read_once_a_writer_has_brought_it_up_to_date() {
    let folder = Folder::new();
    let mut connection = Connection::open(folder.path()).unwrap();
    migrate(&mut connection, &folder.path(), &MIGRATIONS[..1], at(1)).unwrap();
    drop(connection);
    let refused = SqliteStore::open_read_only(&folder.path()).unwrap_err();
    assert!(matches!(refused, Error::OlderSchema { found: 1, .. }), "{refused}");
    assert_eq!((refused.kind(), refused.hint().is_some()), (Kind::User, true));
    drop(open(&folder.path(), "me"));
    assert!(SqliteStore::open_read_only(&folder.path()).unwrap().paused().unwrap().is_empty());
    assert!(backup_path(&folder.path(), 1).exists());
}

#[test]
fn a_database_of_somebody_else_is_refused() {
    let folder = Folder::new();
    Connection::open(folder.path()).unwrap().execute("CREATE TABLE theirs (x)", []).unwrap();
    let refused = SqliteStore::open(&folder.path(), &boot("me"), at(1)).unwrap_err();
    assert!(matches!(refused, Error::ForeignFile { .. }), "{refused}");
    std::fs::write(folder.path(), "not a database, but long enough to have a header of 100 bytes ".repeat(4)).unwrap();
    let refused = SqliteStore::open(&folder.path(), &boot("me"), at(1)).unwrap_err();
    assert!(matches!(refused, Error::Open { .. } | Error::Sqlite(_)), "{refused}");
}

const FIRST: Migration = Migration {
    version: 1,
    sql: "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER); CREATE TABLE t (x);
          INSERT INTO t VALUES (7)",
};
const SECOND: Migration = Migration { version: 2, sql: "ALTER TABLE t ADD COLUMN y; UPDATE t SET y = x + 1" };
const BROKEN: Migration = Migration { version: 2, sql: "ALTER TABLE t ADD COLUMN y; SELECT no_such_function()" };

#[test]
fn a_migration_leaves_a_backup_of_the_old_schema() {
    let folder = Folder::new();
    let mut connection = Connection::open(folder.path()).unwrap();
    migrate(&mut connection, &folder.path(), &[FIRST], at(1)).unwrap();
    let backup = backup_path(&folder.path(), 1);
    assert!(!backup.exists(), "a new database needs no backup");
    std::fs::write(&backup, "left by an attempt that died").unwrap();
    migrate(&mut connection, &folder.path(), &[FIRST, SECOND], at(2)).unwrap();
    assert_eq!(connection.query_row("SELECT y FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 8);
    let old = Connection::open(&backup).unwrap();
    assert_eq!(old.query_row("SELECT x FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
    assert!(old.prepare("SELECT y FROM t").is_err());
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let folder = Folder::new();
    let mut connection = Connection::open(folder.path()).unwrap();
    migrate(&mut connection, &folder.path(), &[FIRST], at(1)).unwrap();
    assert!(migrate(&mut connection, &folder.path(), &[FIRST, BROKEN], at(2)).is_err());
    assert!(connection.prepare("SELECT y FROM t").is_err());
    migrate(&mut connection, &folder.path(), &[FIRST, SECOND], at(3)).unwrap();
}

#[test]
fn the_schema_constant_is_the_last_migration() {
    let folder = Folder::new();
    drop(open(&folder.path(), "me"));
    let connection = Connection::open(folder.path()).unwrap();
    let stored = connection.query_row("SELECT max(version) FROM schema_version", [], |row| row.get::<_, i64>(0));
    assert_eq!(stored.unwrap(), crate::SCHEMA_VERSION);
}
