//! Materialisations that are more than one write: snapshots, microbatches, those of the project; and what guards a write.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use headwater_engine::{OnSchemaChange, Relation, Target, Update, Write};
use headwater_lake::TableName;
use headwater_project::{Classify, Failure};
use headwater_transform::{Compiled, Contract, Microbatch, Node, RunContext, SnapshotPlan};

use super::Run;
use super::fingerprint::Inputs;
use super::hooks::on_blocking;
use super::step::{Done, diagnostics_failure};
use crate::view::StepOutcome;

impl Run {
    pub(super) async fn snapshot(
        &self,
        compiled: &Compiled,
        plan: &SnapshotPlan,
        name: TableName,
        inputs: &Inputs,
    ) -> Result<Done, Failure> {
        let (source, _) = self.session.describe(&compiled.sql).await.map_err(|error| error.failure())?;
        let columns: Vec<String> = source.fields().iter().map(|field| field.name().clone()).collect();
        let known = self.session.catalog().relation(&name).await.map_err(|error| error.failure())?;
        let existing: Option<Vec<String>> = match &known {
            Some(Relation::Table(table)) => {
                Some(table.table().schema().fields().iter().map(|field| field.name().clone()).collect())
            }
            _ => None,
        };
        let table = format!("\"{}\".\"{}\"", name.schema, name.table);
        let now = self.context.started_at;
        let pair = existing.as_deref().map(|columns| (table.as_str(), columns));
        let sql = plan.statement(&compiled.sql, pair, &columns, now);
        let write = match existing {
            None => Write::Replace { partition_by: Vec::new() },
            Some(_) => Write::ReplaceByKey {
                unique_key: vec![plan.names.scd_id.clone()],
                update: Update::All,
                allow_duplicates: false,
                predicates: Vec::new(),
            },
        };
        let target = self.target(name.clone(), write, OnSchemaChange::Append, inputs);
        let applied = self.session.apply(&sql, &target).await.map_err(|error| error.failure())?;
        self.built_table(name, &applied).await
    }

    /// Compiles and writes one batch after the other; the first of a new table makes it.
    pub(super) async fn microbatches(
        &self,
        node: &Node,
        model: &Microbatch,
        first_run: bool,
        name: TableName,
        on_schema_change: OnSchemaChange,
        inputs: &Inputs,
    ) -> Result<Done, Failure> {
        let batches = model.batches(&self.context, first_run);
        let mut target = self.target(name.clone(), Write::Append, on_schema_change, inputs);
        let mut rows = 0;
        for (index, batch) in batches.iter().enumerate() {
            let context = RunContext { batch: Some(*batch), ..self.context.clone() };
            let (warehouse, id) = (self.warehouse(), node.id.clone());
            let compile = on_blocking(&self.instance, move |instance| {
                let project = instance.project();
                let compiled = project.transform.compile(&id, &warehouse, &context);
                compiled.map_err(|found| diagnostics_failure(&project.files, &found))
            });
            let compiled = compile.await?;
            target.write = if first_run && index == 0 {
                Write::Replace { partition_by: Vec::new() }
            } else {
                let event_time =
                    self.session.translate_expression(&model.event_time).map_err(|error| error.failure())?;
                Write::ReplaceWhere { condition: batch.condition(&event_time) }
            };
            let applied = self.session.apply(&compiled.sql, &target).await.map_err(|error| error.failure())?;
            rows += applied.rows;
            // The next batch goes on from this one, which nobody else sees yet.
            target.base = Some(applied.version);
            self.built_table(name.clone(), &applied).await?;
        }
        match self.session.catalog().relation(&name).await.map_err(|error| error.failure())? {
            Some(relation) => Ok(self.built(name, relation, Some(rows))),
            None => Err(Failure::user(format!("{} has no batch to build", node.name))
                .with_hint("Its `begin` lies after the end of the time asked for.")),
        }
    }

    /// Runs the project's own materialisation, whose statements make the relation.
    pub(super) async fn custom(
        &self,
        node: &Node,
        macro_name: &str,
        sql: &str,
        name: TableName,
    ) -> Result<Done, Failure> {
        let (warehouse, context) = (self.warehouse(), self.context.clone());
        let (id, macro_name, sql) = (node.id.clone(), macro_name.to_owned(), sql.to_owned());
        let run = on_blocking(&self.instance, move |instance| {
            let project = instance.project();
            let done = project.transform.materialize(&id, &macro_name, &sql, &warehouse, &context);
            done.map_err(|found| diagnostics_failure(&project.files, &found))
        });
        self.say(&run.await?);
        match self.session.catalog().relation(&name).await.map_err(|error| error.failure())? {
            Some(relation) => Ok(self.built(name, relation, None)),
            // A materialisation may have effects and leave nothing.
            None => Ok(Done::new(StepOutcome::Success)),
        }
    }

    /// The query with the contract's columns in its order, once its types and constraints hold.
    pub(super) async fn guarded(&self, node: &Node, sql: &str, contract: &Contract) -> Result<String, Failure> {
        let (found, _) = self.session.describe(sql).await.map_err(|error| error.failure())?;
        let mut problems = Vec::new();
        for column in &contract.columns {
            match found.field_with_name(&column.name) {
                Err(_) => problems.push(format!("column {} is missing", column.name)),
                Ok(field) => {
                    let wanted = self.data_type(&column.data_type).await?;
                    if !same_type(&wanted, field.data_type()) {
                        let is = headwater_engine::sql_type_name(field.data_type());
                        problems.push(format!("column {} is {is} and must be {}", column.name, column.data_type));
                    }
                }
            }
        }
        for field in found.fields() {
            if !contract.columns.iter().any(|column| column.name == *field.name()) {
                problems.push(format!("column {} is not in the contract", field.name()));
            }
        }
        if !problems.is_empty() {
            return Err(Failure::user(format!("{} breaks its contract", node.name))
                .with_detail(format!("{}.", problems.join("; ")))
                .with_hint("Change the model's SQL, or the columns in its properties file."));
        }
        for (name, written) in &contract.checks {
            let condition = self.session.translate_expression(written).map_err(|error| error.failure())?;
            let counted =
                format!("select count(*) from (\n{sql}\n) dbt_internal_check where ({condition}) is not true");
            let broken = self.count(&counted).await?;
            if broken > 0 {
                return Err(Failure::user(format!("{broken} row(s) of {} break the constraint {name}", node.name))
                    .with_detail(format!("They do not meet `{written}`. Nothing was written.")));
            }
        }
        let columns: Vec<String> =
            contract.columns.iter().map(|column| format!("\"{}\"", column.name.replace('"', "\"\""))).collect();
        Ok(format!("select {} from (\n{sql}\n) model_subq", columns.join(", ")))
    }

    async fn data_type(&self, sql_type: &str) -> Result<DataType, Failure> {
        let written = format!("select cast(null as {sql_type}) as c");
        let sql = self.session.translate(&written).map_err(|error| error.failure())?;
        let (schema, _) = self.session.describe(&sql).await.map_err(|error| error.failure())?;
        Ok(schema.fields().first().map_or(DataType::Null, |field| field.data_type().clone()))
    }

    async fn count(&self, sql: &str) -> Result<i64, Failure> {
        let stream = self.session.query(sql, &[]).await.map_err(|error| error.failure())?;
        let batches = stream.collect().await.map_err(|error| error.failure())?;
        let first = batches.iter().find(|batch| batch.num_rows() > 0);
        let counted =
            first.and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>().map(|counts| counts.value(0)));
        counted.ok_or_else(|| Failure::internal("a count returned no number"))
    }

    /// Keeps the failing rows of a test under its own name.
    pub(super) async fn store_failures(&self, failing_rows: &str, name: TableName) -> Result<(), Failure> {
        let target = Target {
            name: name.clone(),
            base: None,
            write: Write::Replace { partition_by: Vec::new() },
            on_schema_change: OnSchemaChange::Ignore,
            info: self.writes.info.clone(),
        };
        let applied = self.session.apply(failing_rows, &target).await.map_err(|error| error.failure())?;
        let table = self.session.catalog().at(&name, applied.version).await.map_err(|error| error.failure())?;
        self.session.catalog().pin(name, Relation::Table(table));
        Ok(())
    }
}

/// Widths of integers are no matter of a contract: literals are 64 bits wide here and 32 elsewhere.
fn same_type(one: &DataType, other: &DataType) -> bool {
    let kind = |data_type: &DataType| match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => 1,
        data_type if data_type.is_integer() => 2,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => 3,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => 4,
        DataType::Timestamp(_, None) => 5,
        DataType::Timestamp(_, Some(_)) => 6,
        DataType::Date32 | DataType::Date64 => 7,
        _ => 0,
    };
    one == other || (kind(one) != 0 && kind(one) == kind(other))
}
