//! Rows into a PostgreSQL table, with how far it was sent in the same transaction.
//!
//! A transfer is one transaction: the row of this sink in the table of watermarks is moved, the table is made or made to
//! fit, and rows are copied in binary form, into the table itself or first into a temporary one.
//!
//! ```sql
//! CREATE TABLE headwater_sinks (
//!     sink text PRIMARY KEY,           -- project and name of the sink
//!     sends text NOT NULL,             -- what it sends: `added from main.orders`
//!     position bigint,                 -- how far; NULL before the first transfer
//!     rows bigint NOT NULL,            -- rows of the last transfer
//!     committed_at timestamptz NOT NULL)
//! ```
//!
//! The row is locked by the transaction under way: who opens the sink beside it waits for its end, and who began from
//! another position than the row has is refused.

mod config;
mod rows;
mod table;
#[cfg(test)]
mod tests;

use std::time::Duration;

use arrow::array::RecordBatch;
use headwater_ingest::error::{Error, Result};
use headwater_project::{Classify, Failure, Kind, fault};

pub use config::{PostgresTable, WriteMode};

use crate::postgres::Target;
use crate::postgres::error::{PgError, Result as PgResult};
use crate::postgres::wire::{Connection, Purpose, quoted_name, quoted_text};
use crate::sink::{Identity, RowSink, Surroundings, Transfer, out_of_order};
use rows::RowEncoder;

/// Bytes of rows that go to the server at once.
const PIECE: usize = 1 << 20;
/// Longest time the server may take for one statement: it may have to write all rows a second time.
const STATEMENT: Duration = Duration::from_secs(6 * 3600);

pub struct PostgresSink {
    target: Target,
    config: PostgresTable,
    mode: WriteMode,
    identity: Identity,
    surroundings: Surroundings,
    connection: Option<Connection>,
    under_way: Option<UnderWay>,
}

/// A transaction that rows are copied in.
struct UnderWay {
    connection: Connection,
    encoder: RowEncoder,
    finish: Vec<String>,
    buffer: Vec<u8>,
    rows: u64,
}

impl PostgresSink {
    /// `sends_all` says whether each transfer is the whole table.
    pub fn new(
        target: Target,
        config: PostgresTable,
        sends_all: bool,
        identity: Identity,
        surroundings: Surroundings,
    ) -> Self {
        let mode = config.mode(sends_all);
        Self { target, config, mode, identity, surroundings, connection: None, under_way: None }
    }

    fn connect(&self) -> PgResult<Connection> {
        let mut connection = Connection::open(&self.target, Purpose::Statements, &*self.surroundings.entropy)?;
        connection.set_timeout(Some(STATEMENT))?;
        Ok(connection)
    }

    fn watermarks(&self) -> String {
        let (schema, name) = self.config.watermark_table();
        format!("{}.{}", quoted_name(schema), quoted_name(name))
    }

    fn has_watermarks(&self, connection: &mut Connection) -> PgResult<bool> {
        let found = connection.query(&format!("SELECT to_regclass({})", quoted_text(&self.watermarks())))?;
        Ok(found.first(0).is_some())
    }

    /// Makes the table of watermarks, unless it is there: who may not make tables may still use one.
    fn make_watermarks(&self, connection: &mut Connection) -> PgResult<()> {
        if self.has_watermarks(connection)? {
            return Ok(());
        }
        let name = self.watermarks();
        // Two sinks may be the first at the same time; that the other made it is as good.
        connection.query("BEGIN; SELECT pg_advisory_xact_lock(7233176184)")?;
        connection.query(&format!(
            "CREATE TABLE IF NOT EXISTS {name} (sink text PRIMARY KEY, sends text NOT NULL, position bigint, \
             rows bigint NOT NULL, committed_at timestamptz NOT NULL); COMMIT"
        ))?;
        Ok(())
    }

    fn read_position(&self, connection: &mut Connection) -> Result<Option<i64>> {
        self.make_watermarks(connection)?;
        let (name, id, sends) = (self.watermarks(), quoted_text(&self.identity.id), quoted_text(&self.identity.sends));
        connection.query(&format!(
            "INSERT INTO {name} (sink, sends, rows, committed_at) VALUES ({id}, {sends}, 0, now()) ON CONFLICT DO NOTHING"
        ))?;
        // The lock waits for a transaction that an earlier life has under way, and sees what it committed.
        match self.recorded(connection, "FOR UPDATE")? {
            Some(position) => Ok(position),
            None => Err(PgError::Protocol("no watermark where one was made").into()),
        }
    }

    /// The position of the row of this sink, if there is the row.
    fn recorded(&self, connection: &mut Connection, lock: &str) -> Result<Option<Option<i64>>> {
        let (name, id) = (self.watermarks(), quoted_text(&self.identity.id));
        let found = connection.query(&format!("SELECT sends, position FROM {name} WHERE sink = {id} {lock}"))?;
        let Some(recorded) = found.first(0) else { return Ok(None) };
        self.identity.require_same(recorded, &format!("`DELETE FROM {name} WHERE sink = {id}`"))?;
        Ok(Some(found.first(1).and_then(|text| text.parse().ok())))
    }

    fn look(&self) -> Result<Option<i64>> {
        let mut connection = self.connect()?;
        if !self.has_watermarks(&mut connection)? {
            return Ok(None);
        }
        Ok(self.recorded(&mut connection, "")?.flatten())
    }

    /// Moves the watermark, which nobody else can do until this transaction ends.
    fn claim(&self, connection: &mut Connection, transfer: &Transfer) -> Result<()> {
        let before = transfer.after.map_or_else(|| String::from("NULL"), |position| position.to_string());
        let moved = connection.query(&format!(
            "UPDATE {} SET position = {}, committed_at = now() \
             WHERE sink = {} AND position IS NOT DISTINCT FROM {before}::bigint RETURNING 1",
            self.watermarks(),
            transfer.position,
            quoted_text(&self.identity.id)
        ))?;
        if moved.rows.is_empty() { Err(self.unclaimed(connection)?.into()) } else { Ok(()) }
    }

    /// Why the watermark is not where this sink left it.
    fn unclaimed(&self, connection: &mut Connection) -> Result<Failure> {
        let (marks, id) = (self.watermarks(), &self.identity.id);
        Ok(match self.recorded(connection, "")? {
            None => Failure::user(format!("somebody deleted the row of sink `{id}` in {marks}, which says how far it was sent"))
                .with_hint(
                    "Start `headwater up` again: the sink begins anew and sends everything, which repeats nothing where \
                     there is a `key`. To go on where it was, put the row back before.",
                ),
            Some(_) => Failure::new(Kind::Conflict, format!("another process sends what sink `{id}` sends")).with_hint(format!(
                "Stop one of them, and start this one again. It is the same where somebody changed the row in {marks}: it \
                 goes on from what that says."
            )),
        })
    }

    fn open_transfer(&self, mut connection: Connection, transfer: &Transfer) -> Result<UnderWay> {
        let encoder = RowEncoder::new(&transfer.schema)?;
        connection.query("BEGIN")?;
        self.claim(&mut connection, transfer)?;
        let sent: Vec<_> = encoder.columns().collect();
        let plan = table::plan(&mut connection, &self.config, self.mode, &sent)?;
        for statement in &plan.prepare {
            connection.query(statement)?;
        }
        connection.copy_in(&plan.copy)?;
        Ok(UnderWay { connection, encoder, finish: plan.finish, buffer: rows::HEADER.to_vec(), rows: 0 })
    }

    fn finish(&self, mut under_way: UnderWay) -> Result<Connection> {
        under_way.buffer.extend(rows::END);
        under_way.flush()?;
        let connection = &mut under_way.connection;
        connection.end_copy_in()?;
        for statement in &under_way.finish {
            connection.query(statement)?;
        }
        connection.query(&format!(
            "UPDATE {} SET rows = {} WHERE sink = {}",
            self.watermarks(),
            under_way.rows,
            quoted_text(&self.identity.id)
        ))?;
        fault::point("snk.before_commit")?;
        connection.query("COMMIT")?;
        fault::point("snk.after_commit")?;
        Ok(under_way.connection)
    }

    /// The server's words, with what to do about them.
    fn explained(&self, error: Error) -> Error {
        let Error::Failed(mut failure) = error else { return error };
        let code = failure.message.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or_default();
        let (table, marks) = (table::relation(&self.config.table), self.watermarks());
        let hint = match code {
            "42501" => format!(
                "Grant the role SELECT, INSERT, UPDATE and DELETE on {table} and {marks}, and CREATE on their schema \
                 where tables are to be made or changed."
            ),
            "42P10" => format!("A key needs a unique index: `CREATE UNIQUE INDEX ON {table} (...)` over its columns."),
            "23505" => String::from("Name a `key`: rows then take the place of those that are there."),
            "22003" | "22001" => {
                String::from("A column there is narrower than what is sent: widen it with `alter table`.")
            }
            "23502" => String::from("Give the column there a default, or send no NULL."),
            "3F000" => format!("Make the schema of {table} first: `CREATE SCHEMA ...`."),
            _ => return Error::Failed(failure),
        };
        failure.hint = Some(hint);
        Error::Failed(failure)
    }
}

impl UnderWay {
    fn flush(&mut self) -> Result<()> {
        for piece in self.buffer.chunks(PIECE) {
            self.connection.send_copy_data(piece)?;
        }
        self.buffer.clear();
        Ok(())
    }
}

impl RowSink for PostgresSink {
    fn resume(&mut self) -> Result<Option<i64>> {
        self.under_way = None;
        self.connection = None;
        let resumed = self.connect().map_err(Error::from).and_then(|mut connection| {
            let position = self.read_position(&mut connection)?;
            Ok((connection, position))
        });
        let (connection, position) = resumed.map_err(|error| self.explained(error))?;
        self.connection = Some(connection);
        Ok(position)
    }

    fn reached(&mut self) -> Result<Option<i64>> {
        self.look().map_err(|error| self.explained(error))
    }

    fn begin(&mut self, transfer: &Transfer) -> Result<()> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let opened = self.open_transfer(connection, transfer);
        self.under_way = Some(opened.map_err(|error| self.explained(error))?);
        Ok(())
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let under_way = self.under_way.as_mut().ok_or_else(out_of_order)?;
        under_way.encoder.encode(rows, &mut under_way.buffer)?;
        under_way.rows += rows.num_rows() as u64;
        if under_way.buffer.len() >= PIECE {
            under_way.flush()?;
            fault::point("snk.mid_write")?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let under_way = self.under_way.take().ok_or_else(out_of_order)?;
        let finished = self.finish(under_way);
        self.connection = Some(finished.map_err(|error| self.explained(error))?);
        Ok(())
    }

    /// A transaction whose session ends is taken back.
    fn abandon(&mut self) -> Result<()> {
        self.under_way = None;
        self.connection = None;
        Ok(())
    }
}

/// What a server says about the table and the role of a sink, a line each.
pub fn probe_table(
    target: &Target,
    config: &PostgresTable,
    entropy: &dyn headwater_project::Entropy,
) -> Result<Vec<String>, Failure> {
    ask(target, config, entropy).map_err(|error| error.failure())
}

fn ask(target: &Target, config: &PostgresTable, entropy: &dyn headwater_project::Entropy) -> PgResult<Vec<String>> {
    let mut connection = Connection::open(target, Purpose::Statements, entropy)?;
    let (marks_schema, marks_name) = config.watermark_table();
    let marks = format!("{}.{}", quoted_name(marks_schema), quoted_name(marks_name));
    let mut lines = Vec::new();
    for (name, privileges) in
        [(table::relation(&config.table), "INSERT, UPDATE, DELETE"), (marks, "SELECT, INSERT, UPDATE")]
    {
        let quoted = quoted_text(&name);
        let found = connection.query(&format!(
            "SELECT to_regclass({quoted}) IS NOT NULL, \
                    (SELECT bool_and(has_table_privilege(to_regclass({quoted}), one)) \
                     FROM unnest(string_to_array('{privileges}', ', ')) AS one)"
        ))?;
        lines.push(match (found.first(0), found.first(1)) {
            (Some("t"), Some("t")) => format!("{name} is there and can be written"),
            (Some("t"), _) => format!("{name} is there, but the role lacks some of {privileges}"),
            _ => missing(&mut connection, &name)?,
        });
    }
    Ok(lines)
}

fn missing(connection: &mut Connection, name: &str) -> PgResult<String> {
    let schema = name.split_once("\".\"").map_or(name, |(schema, _)| schema).trim_matches('"').replace("\"\"", "\"");
    let found = connection.query(&format!(
        "SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = {}",
        quoted_text(&schema)
    ))?;
    Ok(match found.first(0) {
        Some("t") => format!("{name} is not there and can be made"),
        Some(_) => format!("{name} is not there, and the role may not make it: it lacks CREATE on schema {schema}"),
        None => format!("{name} is not there, nor is its schema"),
    })
}
