//! The table that is filled: what it has, what it lacks, and how each column that is sent gets into it.

use headwater_ingest::error::Result;
use headwater_project::Failure;

use super::config::{PostgresTable, WriteMode};
use super::rows::Form;
use crate::postgres::config::split_name;
use crate::postgres::error::{PgError, Result as PgResult};
use crate::postgres::wire::{Connection, quoted_name, quoted_text};

/// Where rows wait until all have come.
const STAGED: &str = "pg_temp.headwater_rows";

/// A column as the table has it.
struct Column {
    name: String,
    /// As PostgreSQL writes it, such as `numeric(10,2)`; of domains, the type below.
    written: String,
    /// `pg_type.typname` of that type.
    base: String,
}

/// How a value gets into a column.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fit {
    /// It is of that very type.
    Same,
    /// The server takes it, or says that it is out of range.
    Assigned,
    /// It is text that the server reads as this type.
    Read(String),
}

/// The statements of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Run before rows come.
    pub(super) prepare: Vec<String>,
    /// `COPY ... FROM STDIN`.
    pub(super) copy: String,
    /// Run when all rows have come.
    pub(super) finish: Vec<String>,
}

/// Makes the table fit, or says why it cannot, and plans the transfer.
pub(super) fn plan(
    connection: &mut Connection,
    config: &PostgresTable,
    mode: WriteMode,
    sent: &[(&str, Form)],
) -> Result<Plan> {
    let name = relation(&config.table);
    let key = &config.key.0;
    if let Some(missing) = key.iter().find(|column| !sent.iter().any(|(name, _)| *name == column.as_str())) {
        let failure = Failure::user(format!("key column `{missing}` is not among the columns that are sent"));
        return Err(failure.with_hint(format!("They are {}.", list(sent.iter().map(|(name, _)| *name)))).into());
    }
    let mut prepare = Vec::new();
    let fits = match columns(connection, &config.table)? {
        Some(found) => fits(config, &found, sent, &mut prepare)?,
        None if config.create => {
            prepare.push(create_table(&name, key, sent));
            vec![Fit::Same; sent.len()]
        }
        None => return Err(PgError::NoSuchTable(config.table.clone()).into()),
    };
    Ok(statements(&name, key, mode, sent, &fits, prepare))
}

fn statements(
    name: &str,
    key: &[String],
    mode: WriteMode,
    sent: &[(&str, Form)],
    fits: &[Fit],
    mut prepare: Vec<String>,
) -> Plan {
    let columns = list(sent.iter().map(|(name, _)| *name));
    if mode == WriteMode::Replace {
        // Readers see the rows before until the commit, which truncating would not let them.
        prepare.push(format!("DELETE FROM {name}"));
    }
    if mode != WriteMode::Upsert && fits.iter().all(|fit| *fit == Fit::Same) {
        return Plan { prepare, copy: copy_into(name, &columns), finish: Vec::new() };
    }
    let staged: Vec<String> = sent.iter().map(|(name, form)| format!("{} {}", quoted_name(name), form.sql())).collect();
    prepare.push(format!("CREATE TEMPORARY TABLE headwater_rows ({}) ON COMMIT DROP", staged.join(", ")));
    Plan { prepare, copy: copy_into(STAGED, &columns), finish: vec![insert(name, key, mode, sent, fits)] }
}

fn copy_into(name: &str, columns: &str) -> String {
    format!("COPY {name} ({columns}) FROM STDIN (FORMAT binary)")
}

/// Of several rows of one key the last that came stays.
fn insert(name: &str, key: &[String], mode: WriteMode, sent: &[(&str, Form)], fits: &[Fit]) -> String {
    let columns = list(sent.iter().map(|(name, _)| *name));
    let value = |((name, _), fit): (&(&str, Form), &Fit)| match fit {
        Fit::Read(as_type) => format!("CAST({} AS {as_type})", quoted_name(name)),
        Fit::Same | Fit::Assigned => quoted_name(name),
    };
    let values: Vec<String> = sent.iter().zip(fits).map(value).collect();
    let values = values.join(", ");
    if mode != WriteMode::Upsert {
        return format!("INSERT INTO {name} ({columns}) SELECT {values} FROM {STAGED} ORDER BY ctid");
    }
    let keys = list(key.iter().map(String::as_str));
    let others: Vec<String> = sent
        .iter()
        .filter(|(name, _)| !key.iter().any(|key| key == name))
        .map(|(name, _)| format!("{0} = EXCLUDED.{0}", quoted_name(name)))
        .collect();
    let conflict =
        if others.is_empty() { String::from("NOTHING") } else { format!("UPDATE SET {}", others.join(", ")) };
    format!(
        "INSERT INTO {name} ({columns}) SELECT {values} FROM \
         (SELECT DISTINCT ON ({keys}) * FROM {STAGED} ORDER BY {keys}, ctid DESC) AS latest \
         ON CONFLICT ({keys}) DO {conflict}"
    )
}

fn create_table(name: &str, key: &[String], sent: &[(&str, Form)]) -> String {
    let mut parts: Vec<String> =
        sent.iter().map(|(name, form)| format!("{} {}", quoted_name(name), form.sql())).collect();
    if !key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", list(key.iter().map(String::as_str))));
    }
    format!("CREATE TABLE {name} ({})", parts.join(", "))
}

/// How each column that is sent gets in; columns that are missing are added, when that is wanted.
fn fits(
    config: &PostgresTable,
    found: &[Column],
    sent: &[(&str, Form)],
    prepare: &mut Vec<String>,
) -> Result<Vec<Fit>, Failure> {
    let mut fits = Vec::with_capacity(sent.len());
    let mut missing = Vec::new();
    for (name, form) in sent {
        let Some(column) = found.iter().find(|column| column.name == *name) else {
            let type_name = form.sql();
            prepare.push(format!(
                "ALTER TABLE {} ADD COLUMN {} {type_name}",
                relation(&config.table),
                quoted_name(name)
            ));
            missing.push(format!("`{name}` {type_name}"));
            fits.push(Fit::Same);
            continue;
        };
        let fit = fit(*form, column).ok_or_else(|| {
            let told =
                format!("column `{name}` of {} is {}, what is sent is {}", config.table, column.written, form.sql());
            Failure::user(told).with_hint("Change the type of either: `alter table` there, or a cast in a model here.")
        })?;
        fits.push(fit);
    }
    if missing.is_empty() || config.evolve {
        return Ok(fits);
    }
    let failure = Failure::user(format!("table {} lacks {}", config.table, missing.join(", ")));
    Err(failure.with_hint("Set `evolve: true` to have them added, or name what is sent under `columns`."))
}

/// Only what loses nothing: a whole number may go into a narrower column, which refuses what it cannot hold.
fn fit(form: Form, column: &Column) -> Option<Fit> {
    if form.sql() == column.written {
        return Some(Fit::Same);
    }
    let base = column.base.as_str();
    let fits = match form {
        Form::Int2 | Form::Int4 => matches!(base, "int2" | "int4" | "int8" | "numeric" | "float8" | "oid"),
        Form::Int8 => matches!(base, "int2" | "int4" | "int8" | "numeric" | "oid"),
        Form::Float4 => base == "float8",
        Form::Numeric { precision, scale } => base == "numeric" && holds(&column.written, precision, scale),
        Form::Date => matches!(base, "timestamp" | "timestamptz"),
        Form::Timestamp | Form::TimestampTz => matches!(base, "timestamp" | "timestamptz"),
        Form::Jsonb => matches!(base, "json" | "text"),
        // What is kept as text in the lake may have been any type: the server reads it, or says what it is not.
        Form::Text if matches!(base, "varchar" | "bpchar" | "text") => true,
        // Such types would round or cut without a word.
        Form::Text if base == "name" || (base == "numeric" && column.written != base) => false,
        Form::Text => return Some(Fit::Read(column.written.clone())),
        Form::Bool | Form::Float8 | Form::Time | Form::Bytea => false,
    };
    fits.then_some(Fit::Assigned)
}

/// Whether `numeric`, `numeric(p,s)` holds all digits.
fn holds(written: &str, precision: u8, scale: i8) -> bool {
    let Some(inner) = written.strip_prefix("numeric(").and_then(|rest| rest.strip_suffix(')')) else {
        return written == "numeric";
    };
    let mut numbers = inner.split(',').map(|part| part.trim().parse::<i32>().unwrap_or_default());
    let (theirs, their_scale) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    their_scale >= scale.into() && theirs - their_scale >= i32::from(precision) - i32::from(scale)
}

/// The table's columns; nothing when there is no such table.
fn columns(connection: &mut Connection, table: &str) -> PgResult<Option<Vec<Column>>> {
    let (schema, name) = split_name(table);
    let found = connection.query(&format!(
        "SELECT a.attname, format_type(t.oid, CASE WHEN d.typtype = 'd' THEN d.typtypmod ELSE a.atttypmod END), \
                t.typname \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_type d ON d.oid = a.atttypid \
         LEFT JOIN pg_type t ON t.oid = CASE WHEN d.typtype = 'd' THEN d.typbasetype ELSE d.oid END \
         WHERE n.nspname = {} AND c.relname = {} AND c.relkind IN ('r', 'p', 'v', 'f') ORDER BY a.attnum",
        quoted_text(schema),
        quoted_text(name)
    ))?;
    if found.rows.is_empty() {
        return Ok(None);
    }
    let column = |row: Vec<Option<String>>| {
        let mut texts = row.into_iter();
        let mut text = || texts.next().flatten();
        Some(Column { name: text()?, written: text()?, base: text()? })
    };
    Ok(Some(found.rows.into_iter().filter_map(column).collect()))
}

/// A name as written, quoted.
pub(super) fn relation(table: &str) -> String {
    let (schema, name) = split_name(table);
    format!("{}.{}", quoted_name(schema), quoted_name(name))
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quoted_name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: Form, written: &str, base: &str, expected: Option<Fit>) {
        let column = Column { name: String::from("c"), written: written.to_owned(), base: base.to_owned() };
        assert_eq!(fit(form, &column), expected, "{form:?} into {written}");
    }

    #[test]
    fn a_column_takes_what_it_loses_nothing_of() {
        let decimal = Form::Numeric { precision: 10, scale: 2 };
        check(Form::Int8, "bigint", "int8", Some(Fit::Same));
        check(Form::Int8, "integer", "int4", Some(Fit::Assigned));
        check(Form::Int8, "double precision", "float8", None);
        check(Form::Int4, "double precision", "float8", Some(Fit::Assigned));
        check(Form::Float8, "integer", "int4", None);
        check(Form::Float8, "real", "float4", None);
        check(decimal, "numeric(10,2)", "numeric", Some(Fit::Same));
        check(decimal, "numeric", "numeric", Some(Fit::Assigned));
        check(decimal, "numeric(12,3)", "numeric", Some(Fit::Assigned));
        check(decimal, "numeric(10,3)", "numeric", None);
        check(decimal, "numeric(10,1)", "numeric", None);
        check(decimal, "numeric(5)", "numeric", None);
        check(Form::TimestampTz, "timestamp without time zone", "timestamp", Some(Fit::Assigned));
        check(Form::TimestampTz, "date", "date", None);
        check(Form::Text, "character varying(5)", "varchar", Some(Fit::Assigned));
        check(Form::Text, "uuid", "uuid", Some(Fit::Read(String::from("uuid"))));
        check(Form::Text, "numeric(5,2)", "numeric", None);
        check(Form::Jsonb, "jsonb", "jsonb", Some(Fit::Same));
        check(Form::Jsonb, "json", "json", Some(Fit::Assigned));
        check(Form::Bool, "integer", "int4", None);
    }

    const SENT: &[(&str, Form)] = &[("id", Form::Int8), ("a\"b", Form::Text)];

    #[test]
    fn rows_of_the_very_types_go_straight_into_the_table() {
        let plan = statements("t", &[], WriteMode::Append, SENT, &[Fit::Same, Fit::Same], Vec::new());
        assert_eq!(plan.copy, "COPY t (\"id\", \"a\"\"b\") FROM STDIN (FORMAT binary)");
        assert_eq!((plan.prepare.len(), plan.finish.len()), (0, 0));
        let plan = statements("t", &[], WriteMode::Replace, SENT, &[Fit::Same, Fit::Same], Vec::new());
        assert_eq!(plan.prepare, ["DELETE FROM t"]);
    }

    #[test]
    fn a_later_row_of_a_key_takes_the_place_of_an_earlier() {
        let key = [String::from("id")];
        let plan = statements("t", &key, WriteMode::Upsert, SENT, &[Fit::Same, Fit::Same], Vec::new());
        let expected = "INSERT INTO t (\"id\", \"a\"\"b\") SELECT \"id\", \"a\"\"b\" FROM \
                        (SELECT DISTINCT ON (\"id\") * FROM pg_temp.headwater_rows ORDER BY \"id\", ctid DESC) AS latest \
                        ON CONFLICT (\"id\") DO UPDATE SET \"a\"\"b\" = EXCLUDED.\"a\"\"b\"";
        assert_eq!(plan.finish, [expected]);
        let only = insert("t", &key, WriteMode::Upsert, &SENT[..1], &[Fit::Same]);
        assert!(only.ends_with("DO NOTHING"), "{only}");
    }
}
