//! Statements that change tables, as hooks and macros of a project write them: CREATE, INSERT, UPDATE, DELETE, DROP, ALTER.
//!
//! Each becomes a query whose result is written as a model's is: one commit over the version this session sees. From then on
//! the session reads the new version. Who published what is the caller's business: it is told which names changed.
//!
//! What a warehouse needs and a lake does not (grants, comments, schemas, transactions, statistics) is accepted and does nothing.

use std::collections::VecDeque;

use arrow::datatypes::SchemaRef;
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Expr, cast, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    AlterTable, AlterTableOperation, AssignmentTarget, ColumnOption, CreateTable, Delete, FromTable, Insert,
    ObjectName, ObjectType, RenameTableNameKind, Statement as Sql, TableFactor, TableObject, TableWithJoins, Update,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use headwater_lake::TableName;

use crate::apply::{Applied, OnSchemaChange, Target, Write};
use crate::catalog::Relation;
use crate::error::{EngineError, Result};
use crate::session::{QueryStream, Session};
use crate::type_name::sql_type_name;

/// What one statement did.
pub enum Executed {
    /// It reads: here are its rows.
    Rows(QueryStream),
    /// This relation is another one now, or is gone.
    Changed { name: TableName, rows: u64 },
    /// It asked for something a lake has no use for.
    Nothing,
}

impl Session {
    /// Runs statements one after the other; the result is that of the last. `info` goes into the log entries of commits.
    pub async fn execute(&self, sql: &str, info: &serde_json::Value) -> Result<Vec<Executed>> {
        let mut done = Vec::new();
        for statement in parsed(sql)? {
            done.push(Box::pin(self.execute_one(statement, info)).await?);
        }
        Ok(done)
    }

    async fn execute_one(&self, statement: Statement, info: &serde_json::Value) -> Result<Executed> {
        let Statement::Statement(statement) = statement else {
            return self.query(&statement.to_string(), &[]).await.map(Executed::Rows);
        };
        if matches!(*statement, Sql::Query(_) | Sql::Explain { .. }) {
            return self.query(&statement.to_string(), &[]).await.map(Executed::Rows);
        }
        // Two hooks that add to one table must not start from the same version.
        let _one_at_a_time = self.catalog().writing().await;
        let writer = Writer { session: self, info };
        match *statement {
            Sql::CreateTable(create) => writer.create_table(create).await,
            Sql::CreateView(view) => {
                let name = self.named(&view.name);
                let sql = view.query.to_string();
                self.describe(&sql).await?;
                self.catalog().pin(name.clone(), Relation::View { sql });
                Ok(Executed::Changed { name, rows: 0 })
            }
            Sql::Insert(insert) => writer.insert(insert).await,
            Sql::Update(update) => writer.update(update).await,
            Sql::Delete(delete) => writer.delete(delete).await,
            Sql::Truncate(truncate) => {
                let mut done = Executed::Nothing;
                for table in truncate.table_names {
                    let sql = format!("SELECT * FROM {} WHERE false", table.name);
                    done = writer.rewrite(&self.named(&table.name), &sql).await?;
                }
                Ok(done)
            }
            Sql::Drop {
                object_type: ObjectType::Table | ObjectType::View | ObjectType::MaterializedView,
                if_exists,
                names,
                ..
            } => writer.drop(&names, if_exists).await,
            Sql::AlterTable(alter) => writer.alter(alter).await,
            Sql::CreateSchema { .. }
            | Sql::Drop { object_type: ObjectType::Schema | ObjectType::Index, .. }
            | Sql::CreateIndex(_)
            | Sql::Grant(_)
            | Sql::Revoke(_)
            | Sql::Comment { .. }
            | Sql::Analyze(_)
            | Sql::Vacuum(_)
            | Sql::Set(_)
            | Sql::Use(_)
            | Sql::StartTransaction { .. }
            | Sql::Commit { .. }
            | Sql::Rollback { .. } => Ok(Executed::Nothing),
            other => {
                let word = other.to_string().split_whitespace().take(2).collect::<Vec<_>>().join(" ");
                Err(EngineError::NotAllowed(format!("statements of the kind `{word}` cannot be run here")))
            }
        }
    }

    fn named(&self, name: &ObjectName) -> TableName {
        let parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(|part| normalized(&part.value, part.quote_style))
            .collect();
        let reference = match parts.as_slice() {
            [table] => TableReference::bare(table.clone()),
            [schema, table] => TableReference::partial(schema.clone(), table.clone()),
            [.., schema, table] => TableReference::partial(schema.clone(), table.clone()),
            [] => TableReference::bare(""),
        };
        self.table_name(&reference)
    }
}

fn parsed(sql: &str) -> Result<VecDeque<Statement>> {
    let dialect = GenericDialect {};
    Ok(DFParserBuilder::new(sql).with_dialect(&dialect).build()?.parse_statements()?)
}

/// Names without quotes are in lower case.
fn normalized(name: &str, quote: Option<char>) -> String {
    if quote.is_some() { name.to_owned() } else { name.to_lowercase() }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

struct Writer<'a> {
    session: &'a Session,
    info: &'a serde_json::Value,
}

impl Writer<'_> {
    fn target(&self, name: &TableName, base: Option<u64>, write: Write) -> Target {
        Target { name: name.clone(), base, write, on_schema_change: OnSchemaChange::Ignore, info: self.info.clone() }
    }

    async fn relation(&self, name: &TableName) -> Result<Option<Relation>> {
        self.session.catalog().relation(name).await
    }

    /// The version and columns of a table that must be there.
    async fn table(&self, name: &TableName) -> Result<(u64, SchemaRef, Vec<String>)> {
        match self.relation(name).await? {
            Some(Relation::Table(table)) => {
                let table = table.table();
                Ok((table.version(), table.schema().clone(), table.partition_columns().to_vec()))
            }
            Some(Relation::View { .. }) => {
                Err(EngineError::NotAllowed(format!("{name} is a view: its rows cannot be changed")))
            }
            None => Err(EngineError::NoSuchTable(name.to_string(), None)),
        }
    }

    async fn written(&self, name: &TableName, applied: &Applied) -> Result<Executed> {
        let table = self.session.catalog().at(name, applied.version).await?;
        self.session.catalog().pin(name.clone(), Relation::Table(table));
        Ok(Executed::Changed { name: name.clone(), rows: applied.rows })
    }

    /// The table becomes the result of a query over itself.
    async fn rewrite(&self, name: &TableName, sql: &str) -> Result<Executed> {
        let (version, _, partition_by) = self.table(name).await?;
        let target = self.target(name, Some(version), Write::Replace { partition_by });
        let applied = self.session.apply(sql, &target).await?;
        self.written(name, &applied).await
    }

    async fn create_table(&self, create: CreateTable) -> Result<Executed> {
        let name = self.session.named(&create.name);
        let known = self.relation(&name).await?;
        if known.is_some() && create.if_not_exists {
            return Ok(Executed::Nothing);
        }
        if known.is_some() && !create.or_replace {
            return Err(EngineError::NotAllowed(format!("table {name} exists already")));
        }
        let sql = match &create.query {
            Some(query) => query.to_string(),
            None if create.columns.is_empty() => {
                return Err(EngineError::NotAllowed(format!("CREATE TABLE {name} names no columns")));
            }
            None => {
                let column = |column: &datafusion::sql::sqlparser::ast::ColumnDef| {
                    let name = normalized(&column.name.value, column.name.quote_style);
                    format!("CAST(NULL AS {}) AS {}", column.data_type, quoted(&name))
                };
                let columns: Vec<String> = create.columns.iter().map(column).collect();
                format!("SELECT {} WHERE false", columns.join(", "))
            }
        };
        let target = self.target(&name, None, Write::Replace { partition_by: Vec::new() });
        let applied = self.session.apply(&sql, &target).await?;
        if create.temporary {
            self.session.catalog().note_temporary(name.clone());
        }
        self.written(&name, &applied).await
    }

    async fn insert(&self, insert: Insert) -> Result<Executed> {
        let TableObject::TableName(table) = &insert.table else {
            return Err(EngineError::NotAllowed(String::from("INSERT needs the name of a table")));
        };
        let name = self.session.named(table);
        let (version, schema, _) = self.table(&name).await?;
        let source =
            insert.source.as_ref().ok_or_else(|| EngineError::NotAllowed(String::from("INSERT has no rows")))?;
        let planned = self.session.plan(&source.to_string(), &[]).await?;
        let inputs = planned.inputs.clone();
        let frame = planned.frame();
        let part = |name: &ObjectName| {
            name.0.last().and_then(|part| part.as_ident()).map(|part| normalized(&part.value, part.quote_style))
        };
        let given: Vec<String> = if insert.columns.is_empty() {
            schema.fields().iter().map(|field| field.name().clone()).collect()
        } else {
            insert.columns.iter().filter_map(part).collect()
        };
        let result = frame.schema().clone();
        if result.fields().len() > given.len() || (result.fields().len() < given.len() && !insert.columns.is_empty()) {
            return Err(EngineError::NotAllowed(format!(
                "INSERT INTO {name} gives {} values for {} columns",
                result.fields().len(),
                given.len()
            )));
        }
        let values: Vec<Expr> = result
            .iter()
            .map(|(qualifier, field)| Expr::Column(Column::new(qualifier.cloned(), field.name())))
            .collect();
        let mut columns = Vec::new();
        for field in schema.fields() {
            let at = given.iter().position(|name| name == field.name());
            let value = at.and_then(|at| values.get(at)).cloned().unwrap_or_else(|| lit(ScalarValue::Null));
            columns.push(cast(value, field.data_type().clone()).alias_qualified(None::<TableReference>, field.name()));
        }
        for name in &given {
            if schema.field_with_name(name).is_err() {
                let known = schema.fields().iter().map(|field| field.name().clone()).collect();
                return Err(EngineError::NoSuchColumn { column: name.clone(), known });
            }
        }
        let target = self.target(&name, Some(version), Write::Append);
        let applied = self.session.apply_frame(frame.select(columns)?, &target, inputs).await?;
        self.written(&name, &applied).await
    }

    async fn delete(&self, delete: Delete) -> Result<Executed> {
        let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
        let (table, source) = single(tables)?;
        let sql = match &delete.selection {
            Some(condition) => format!("SELECT * FROM {source} WHERE ({condition}) IS NOT TRUE"),
            None => format!("SELECT * FROM {source} WHERE false"),
        };
        self.rewrite(&self.session.named(table), &sql).await
    }

    async fn update(&self, update: Update) -> Result<Executed> {
        let (table, source) = single(std::slice::from_ref(&update.table))?;
        if update.from.is_some() {
            return Err(EngineError::NotAllowed(String::from("UPDATE with FROM cannot be run; use a subquery")));
        }
        let name = self.session.named(table);
        let (_, schema, _) = self.table(&name).await?;
        let condition = update.selection.as_ref().map_or_else(|| String::from("true"), ToString::to_string);
        let mut columns: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
        for assignment in &update.assignments {
            let AssignmentTarget::ColumnName(column) = &assignment.target else {
                return Err(EngineError::NotAllowed(String::from("UPDATE sets one column at a time")));
            };
            let column = column.0.last().and_then(|part| part.as_ident());
            let column = column.map(|part| normalized(&part.value, part.quote_style)).unwrap_or_default();
            let at = schema.fields().iter().position(|field| *field.name() == column);
            let Some((field, shown)) = at.and_then(|at| Some((schema.fields().get(at)?, columns.get_mut(at)?))) else {
                let known = schema.fields().iter().map(|field| field.name().clone()).collect();
                return Err(EngineError::NoSuchColumn { column, known });
            };
            *shown = format!(
                "CAST(CASE WHEN {condition} THEN {} ELSE {1} END AS {2}) AS {1}",
                assignment.value,
                quoted(&column),
                sql_type_name(field.data_type())
            );
        }
        self.rewrite(&name, &format!("SELECT {} FROM {source}", columns.join(", "))).await
    }

    async fn drop(&self, names: &[ObjectName], if_exists: bool) -> Result<Executed> {
        let mut done = Executed::Nothing;
        for name in names {
            let name = self.session.named(name);
            match self.relation(&name).await? {
                Some(relation) => {
                    self.session.remove(&name, &relation).await?;
                    done = Executed::Changed { name, rows: 0 };
                }
                None if if_exists => {}
                None => return Err(EngineError::NoSuchTable(name.to_string(), None)),
            }
        }
        Ok(done)
    }

    async fn alter(&self, alter: AlterTable) -> Result<Executed> {
        let name = self.session.named(&alter.name);
        let mut done = Executed::Nothing;
        for operation in &alter.operations {
            done = match operation {
                AlterTableOperation::RenameTable {
                    table_name: RenameTableNameKind::As(to) | RenameTableNameKind::To(to),
                } => self.rename(&name, to).await?,
                AlterTableOperation::AddColumn { column_def, .. } => {
                    let column = normalized(&column_def.name.value, column_def.name.quote_style);
                    let default = column_def.options.iter().find_map(|option| match &option.option {
                        ColumnOption::Default(value) => Some(value.to_string()),
                        _ => None,
                    });
                    let default = default.unwrap_or_else(|| String::from("NULL"));
                    let sql = format!(
                        "SELECT *, CAST({default} AS {}) AS {} FROM {}",
                        column_def.data_type,
                        quoted(&column),
                        alter.name
                    );
                    self.rewrite(&name, &sql).await?
                }
                AlterTableOperation::DropColumn { column_names, .. } => {
                    let dropped: Vec<String> =
                        column_names.iter().map(|name| normalized(&name.value, name.quote_style)).collect();
                    self.rewrite_columns(&name, &alter.name, |column| {
                        (!dropped.contains(&column)).then(|| quoted(&column))
                    })
                    .await?
                }
                AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
                    let old = normalized(&old_column_name.value, old_column_name.quote_style);
                    let new = normalized(&new_column_name.value, new_column_name.quote_style);
                    self.rewrite_columns(&name, &alter.name, |column| {
                        let shown = quoted(&column);
                        Some(if column == old { format!("{shown} AS {}", quoted(&new)) } else { shown })
                    })
                    .await?
                }
                other => {
                    return Err(EngineError::NotAllowed(format!("ALTER TABLE {name} {other} cannot be run here")));
                }
            };
        }
        Ok(done)
    }

    async fn rewrite_columns(
        &self,
        name: &TableName,
        written: &ObjectName,
        shown: impl Fn(String) -> Option<String>,
    ) -> Result<Executed> {
        let (_, schema, _) = self.table(name).await?;
        let columns: Vec<String> = schema.fields().iter().filter_map(|field| shown(field.name().clone())).collect();
        self.rewrite(name, &format!("SELECT {} FROM {written}", columns.join(", "))).await
    }

    async fn rename(&self, from: &TableName, to: &ObjectName) -> Result<Executed> {
        let mut to = to.clone();
        if to.0.len() == 1 {
            // A new name without a schema stays in the schema of the old one.
            let name = self.session.named(&to);
            to = ObjectName::from(vec![
                datafusion::sql::sqlparser::ast::Ident::with_quote('"', from.schema.clone()),
                datafusion::sql::sqlparser::ast::Ident::with_quote('"', name.table),
            ]);
        }
        let to = self.session.named(&to);
        let Some(relation) = self.relation(from).await? else {
            return Err(EngineError::NoSuchTable(from.to_string(), None));
        };
        let done = match &relation {
            Relation::View { .. } => {
                self.session.catalog().pin(to.clone(), relation.clone());
                Executed::Changed { name: to, rows: 0 }
            }
            Relation::Table(table) => {
                let partition_by = table.table().partition_columns().to_vec();
                let sql = format!("SELECT * FROM {}.{}", quoted(&from.schema), quoted(&from.table));
                let applied =
                    self.session.apply(&sql, &self.target(&to, None, Write::Replace { partition_by })).await?;
                self.written(&to, &applied).await?
            }
        };
        self.session.remove(from, &relation).await?;
        Ok(done)
    }
}

impl Session {
    /// The session sees the name no more. The data of what nobody publishes goes with it; a published table keeps its
    /// versions, which others may still read.
    async fn remove(&self, name: &TableName, relation: &Relation) -> Result<()> {
        self.catalog().forget(name.clone());
        if matches!(relation, Relation::Table(_)) && !self.catalog().is_managed(name) {
            self.engine.lake().drop_table(name).await?;
        }
        Ok(())
    }

    /// Removes the temporary tables statements of this session made.
    pub async fn drop_temporaries(&self) -> Result<()> {
        for name in self.catalog().take_temporaries() {
            if let Some(relation) = self.catalog().relation(&name).await? {
                self.remove(&name, &relation).await?;
            }
        }
        Ok(())
    }
}

/// The one table of a statement, and how it is written there, alias included.
fn single(tables: &[TableWithJoins]) -> Result<(&ObjectName, String)> {
    let [table] = tables else {
        return Err(EngineError::NotAllowed(String::from("only one table can be changed at a time")));
    };
    match &table.relation {
        TableFactor::Table { name, .. } if table.joins.is_empty() => Ok((name, table.relation.to_string())),
        _ => Err(EngineError::NotAllowed(format!("`{table}` cannot be changed"))),
    }
}
