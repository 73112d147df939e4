//! Replacing rows by key: delete+insert and merge.
//!
//! The new rows are staged first. Only files of the table that hold one of their keys are read again and written without
//! those rows; the join's bounds reach the scan, so files whose statistics exclude every key are not even opened. NULL in a
//! key equals nothing, so such rows are always added.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{DataFrame, SessionContext};
use headwater_lake::{DataFile, FILE_COLUMN, LakeTable, TableVersion};

use super::{Update, staging};
use crate::error::{EngineError, Result};
use crate::session::Session;

/// The key and what happens to rows that exist.
pub(super) struct Keys<'a> {
    pub(super) columns: &'a [String],
    pub(super) update: &'a Update,
    pub(super) allow_duplicates: bool,
    pub(super) predicates: &'a [String],
}

impl Keys<'_> {
    fn join_condition(&self) -> String {
        let equal = self.columns.iter().map(|key| format!("t.{0} = s.{0}", quoted(key)));
        let more = self.predicates.iter().map(|predicate| format!("({})", on_aliases(predicate, self.columns)));
        equal.chain(more).collect::<Vec<_>>().join(" AND ")
    }

    fn list(&self) -> String {
        self.columns.iter().map(|key| quoted(key)).collect::<Vec<_>>().join(", ")
    }
}

/// A predicate over the table as `t` and the new rows as `s`. Names of key columns are in both, so bare ones mean the table.
fn on_aliases(predicate: &str, keys: &[String]) -> String {
    let mut written = String::with_capacity(predicate.len());
    let mut rest = predicate;
    let mut after_dot = false;
    while let Some(character) = rest.chars().next() {
        if character == '\'' {
            let end = rest.get(1..).and_then(|inner| inner.find('\'')).map_or(rest.len(), |end| end + 2);
            written.push_str(rest.get(..end).unwrap_or(rest));
            rest = rest.get(end..).unwrap_or_default();
            continue;
        }
        let is_word = |character: char| character.is_alphanumeric() || character == '_';
        if !is_word(character) {
            written.push(character);
            after_dot = character == '.';
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
            continue;
        }
        let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
        let (word, left) = rest.split_at(end);
        let qualifier = left.starts_with('.');
        if qualifier && word.eq_ignore_ascii_case("DBT_INTERNAL_DEST") {
            written.push('t');
        } else if qualifier && word.eq_ignore_ascii_case("DBT_INTERNAL_SOURCE") {
            written.push('s');
        } else {
            if !after_dot && !qualifier && keys.iter().any(|key| key.eq_ignore_ascii_case(word)) {
                written.push_str("t.");
            }
            written.push_str(word);
        }
        after_dot = false;
        rest = left;
    }
    written
}

/// The files of the table after the staged rows took the place of those that meet the condition.
pub(super) async fn replace_where(
    session: &Session,
    base: &TableVersion,
    schema: &SchemaRef,
    staged: Vec<DataFile>,
    condition: &str,
) -> Result<Vec<DataFile>> {
    let update = Update::All;
    let keys = Keys { columns: &[], update: &update, allow_duplicates: true, predicates: &[] };
    let work = Work { session, base, schema, staged: &staged, keys: &keys };
    let touched = work.paths(&format!("SELECT DISTINCT t.{FILE_COLUMN} FROM target t WHERE {condition}")).await?;
    let is_touched = |file: &DataFile| touched.contains(&file.path);
    let (touched, mut files): (Vec<DataFile>, Vec<DataFile>) = base.files().iter().cloned().partition(is_touched);
    if !touched.is_empty() {
        let columns = work.columns(|_| String::from("t"));
        let kept = format!("SELECT {columns} FROM target t WHERE ({condition}) IS NOT TRUE");
        files.extend(work.rewrite(&touched, &kept).await?);
    }
    files.extend(staged.iter().cloned());
    Ok(files)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The files of the table after the staged rows replaced those of equal key.
pub(super) async fn replace(
    session: &Session,
    base: &TableVersion,
    schema: &SchemaRef,
    staged: Vec<DataFile>,
    keys: &Keys<'_>,
) -> Result<Vec<DataFile>> {
    super::require_columns(schema, keys.columns)?;
    if staged.is_empty() {
        return Ok(base.files().to_vec());
    }
    let work = Work { session, base, schema, staged: &staged, keys };
    if !keys.allow_duplicates {
        work.refuse_duplicates().await?;
    }
    let touched = work.touched_files().await?;
    let is_touched = |file: &DataFile| touched.contains(&file.path);
    let (touched_files, untouched): (Vec<DataFile>, Vec<DataFile>) = base.files().iter().cloned().partition(is_touched);
    let mut files = untouched;
    if touched_files.is_empty() {
        files.extend(staged.iter().cloned());
        return Ok(files);
    }
    files.extend(work.rewrite(&touched_files, &work.unmatched()).await?);
    if *keys.update == Update::All {
        files.extend(staged.iter().cloned());
    } else {
        files.extend(work.rewrite(&touched_files, &work.updated()).await?);
        files.extend(work.rewrite(&touched_files, &work.inserted()).await?);
    }
    Ok(files)
}

struct Work<'a> {
    session: &'a Session,
    base: &'a TableVersion,
    schema: &'a SchemaRef,
    staged: &'a [DataFile],
    keys: &'a Keys<'a>,
}

impl Work<'_> {
    /// A context that knows the table's files as `target` and the new rows as `staged`.
    fn context(&self, files: &[DataFile]) -> Result<SessionContext> {
        let context = self.session.engine.bare_context();
        context.register_table("target", Arc::new(LakeTable::over(self.base.clone(), files.to_vec(), true)))?;
        let staged = self.base.with_schema(Arc::clone(self.schema));
        context.register_table("staged", Arc::new(LakeTable::over(staged, self.staged.to_vec(), false)))?;
        Ok(context)
    }

    async fn refuse_duplicates(&self) -> Result<()> {
        let context = self.context(&[])?;
        let keys = self.keys.list();
        let not_null: Vec<String> =
            self.keys.columns.iter().map(|key| format!("{} IS NOT NULL", quoted(key))).collect();
        let sql = format!(
            "SELECT {keys} FROM staged WHERE {} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1",
            not_null.join(" AND ")
        );
        let batches = context.sql(&sql).await?.collect().await?;
        let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Ok(()) };
        let options = FormatOptions::default().with_null("NULL");
        let mut values = Vec::new();
        for column in batch.columns() {
            values.push(ArrayFormatter::try_new(column, &options)?.value(0).to_string());
        }
        Err(EngineError::DuplicateKey {
            table: self.base.name().to_string(),
            key: self.keys.columns.join(", "),
            example: format!("({})", values.join(", ")),
        })
    }

    async fn touched_files(&self) -> Result<std::collections::HashSet<String>> {
        let staged = match self.keys.predicates {
            [] => format!("(SELECT DISTINCT {} FROM staged)", self.keys.list()),
            _ => String::from("staged"),
        };
        let condition = self.keys.join_condition();
        self.paths(&format!("SELECT DISTINCT t.{FILE_COLUMN} FROM target t JOIN {staged} s ON {condition}")).await
    }

    /// The files a query over the table's files names.
    async fn paths(&self, sql: &str) -> Result<std::collections::HashSet<String>> {
        let context = self.context(self.base.files())?;
        let mut touched = std::collections::HashSet::new();
        for batch in context.sql(sql).await?.collect().await? {
            let paths = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8)?;
            let paths = paths.as_string::<i32>();
            touched.extend((0..paths.len()).map(|row| paths.value(row).to_owned()));
        }
        Ok(touched)
    }

    fn columns(&self, source: impl Fn(&str) -> String) -> String {
        let list = self.schema.fields().iter().map(|field| {
            let name = quoted(field.name());
            if self.base.schema().field_with_name(field.name()).is_ok() {
                format!("{}.{name} AS {name}", source(field.name()))
            } else {
                format!("NULL AS {name}")
            }
        });
        list.collect::<Vec<_>>().join(", ")
    }

    fn unmatched(&self) -> String {
        let columns = self.columns(|_| String::from("t"));
        format!("SELECT {columns} FROM target t LEFT ANTI JOIN staged s ON {}", self.keys.join_condition())
    }

    fn updated(&self) -> String {
        let columns = self.schema.fields().iter().map(|field| {
            let name = quoted(field.name());
            let is_new = self.base.schema().field_with_name(field.name()).is_err();
            let source = if is_new || self.keys.update.takes(field.name()) { "s" } else { "t" };
            format!("{source}.{name} AS {name}")
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        format!("SELECT {columns} FROM target t JOIN staged s ON {}", self.keys.join_condition())
    }

    fn inserted(&self) -> String {
        let columns = self.schema.fields().iter().map(|field| format!("s.{}", quoted(field.name())));
        let columns = columns.collect::<Vec<_>>().join(", ");
        format!("SELECT {columns} FROM staged s LEFT ANTI JOIN target t ON {}", self.keys.join_condition())
    }

    async fn rewrite(&self, files: &[DataFile], sql: &str) -> Result<Vec<DataFile>> {
        let frame: DataFrame = self.context(files)?.sql(sql).await?;
        let schema: &Schema = self.schema;
        let partition_by = self.base.partition_columns();
        staging::stage(self.session, frame, self.base.name(), &Arc::new(schema.clone()), partition_by).await
    }
}
