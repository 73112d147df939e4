//! Columns of every node and where they come from, told from plans: nothing is built, and nothing need have been.
//!
//! Nodes are gone through in order. Each is planned over the outlines of those before it and leaves an outline itself; a
//! source's columns are those of its table in the lake or, before anything came in, those its properties declare with types.
//! A node whose columns cannot be known says why, and so does everything that reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use headwater_engine::{EngineError, Session, TracedColumn, sql_type_name, stored_outline, view_outline};
use headwater_lake::TableName;
use headwater_project::{Classify, Failure};
use headwater_transform::{Compiled, Node, NodeId, Plan, ResourceType, Warehouse};

use crate::build::{SessionWarehouse, diagnostics_failure, read_seed};
use crate::dashboards::is_relation;
use crate::instance::Instance;
use crate::place::located;
use crate::project::Selection;
use crate::view::{ColumnOrigin, NodeColumn, NodeColumns};

impl Instance {
    /// Columns of a node (by id, name or relation), of all it stands on and of all that stands on it, by node id; and the
    /// node's own id.
    pub async fn columns_around(&self, name: &str) -> Result<(String, BTreeMap<String, NodeColumns>), Failure> {
        let node = self.require_asset(name)?;
        let family = self.with_parents(self.with_children(&node.id));
        Ok((node.id.to_string(), self.columns_of(&family).await?))
    }

    /// What of the selected nodes' SQL cannot be planned: columns that are not there, and the like. Nodes of which nothing can
    /// be said, because columns of what they read are not known, are not among them.
    pub async fn column_problems(&self, selection: &Selection) -> Result<Vec<(String, Failure)>, Failure> {
        let selected: BTreeSet<NodeId> =
            self.project().nodes(selection)?.into_iter().map(|node| NodeId::new(&node.id)).collect();
        let traced = self.columns_of(&self.with_parents(selected.clone())).await?;
        let problem = |(id, node): (String, NodeColumns)| Some((id, node.problem?));
        Ok(traced.into_iter().filter(|(id, _)| selected.contains(&NodeId::new(id))).filter_map(problem).collect())
    }

    fn with_parents(&self, nodes: BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        let transform = &self.project().transform;
        let mut all = BTreeSet::new();
        let mut left: Vec<NodeId> = nodes.into_iter().collect();
        while let Some(id) = left.pop() {
            if let Some(node) = transform.node(&id).filter(|_| !all.contains(&id)) {
                left.extend(node.depends_on.iter().cloned());
                all.insert(id);
            }
        }
        all
    }

    /// A node and all that is made of it; nodes come in order, so one pass finds them.
    fn with_children(&self, id: &NodeId) -> BTreeSet<NodeId> {
        let mut all = BTreeSet::from([id.clone()]);
        for node in self.project().transform.ordered().filter(|node| is_relation(node) || node.is_ephemeral()) {
            if !node.depends_on.is_disjoint(&all) {
                all.insert(node.id.clone());
            }
        }
        all
    }

    async fn columns_of(&self, nodes: &BTreeSet<NodeId>) -> Result<BTreeMap<String, NodeColumns>, Failure> {
        self.project().require_sound()?;
        let mut tracer = Tracer::new(self)?;
        for node in self.project().transform.ordered().filter(|node| nodes.contains(&node.id)) {
            tracer.node(node).await;
        }
        Ok(tracer.done)
    }
}

struct Tracer<'a> {
    instance: &'a Instance,
    /// Sees every node as its outline.
    tracing: Session,
    /// What templates ask while they render: the tables there are, and outlines of those that are not there yet.
    rendering: Session,
    /// Nodes by the relation they make.
    makers: BTreeMap<TableName, String>,
    done: BTreeMap<String, NodeColumns>,
}

/// What became of a node.
enum Known {
    Columns(Vec<NodeColumn>),
    /// Nothing can be said, and why.
    Unknown(String),
}

impl<'a> Tracer<'a> {
    fn new(instance: &'a Instance) -> Result<Self, Failure> {
        let session = instance.session()?;
        let made = |node: &Node| (relation_of(node), node.id.to_string());
        let makers = instance.project().transform.ordered().filter(|node| is_relation(node)).map(made).collect();
        Ok(Self { instance, tracing: session.clone(), rendering: session, makers, done: BTreeMap::new() })
    }

    async fn node(&mut self, node: &Node) {
        let known = match self.unknown_parent(node) {
            Some(reason) => Ok(Known::Unknown(reason)),
            None => self.columns(node).await,
        };
        let mut found = NodeColumns {
            name: node.name.clone(),
            kind: node.resource_type.as_str().to_owned(),
            relation: is_relation(node).then(|| relation_of(node).to_string()),
            columns: Vec::new(),
            unknown: None,
            problem: None,
        };
        match known {
            Ok(Known::Columns(columns)) => found.columns = columns,
            Ok(Known::Unknown(reason)) => found.unknown = Some(reason),
            Err(failure) => found.problem = Some(failure),
        }
        self.done.insert(node.id.to_string(), found);
    }

    fn unknown_parent(&self, node: &Node) -> Option<String> {
        let parents = node.depends_on.iter().filter_map(|id| self.done.get(id.as_str()));
        let unknown = parents.into_iter().find(|parent| parent.unknown.is_some() || parent.problem.is_some())?;
        Some(unknown.unknown.clone().unwrap_or_else(|| format!("the columns of {} are not known", unknown.name)))
    }

    async fn columns(&mut self, node: &Node) -> Result<Known, Failure> {
        match node.resource_type {
            ResourceType::Source => self.source(node).await,
            ResourceType::Seed | ResourceType::Model | ResourceType::Snapshot | ResourceType::Test => {
                self.compiled(node).await
            }
            _ => Ok(Known::Columns(Vec::new())),
        }
    }

    async fn source(&mut self, node: &Node) -> Result<Known, Failure> {
        let name = relation_of(node);
        let stored = format!("SELECT * FROM {}", crate::asset::quoted(&name));
        if self.is_there(&name).await? || self.tracing.is_external(&name) {
            let (schema, _) = self.tracing.describe(&stored).await.map_err(|error| error.failure())?;
            return Ok(Known::Columns(plain_columns(&schema)));
        }
        let declared = node.columns_in_order();
        if declared.is_empty() || declared.iter().any(|column| column.data_type.is_none()) {
            return Ok(Known::Unknown(format!(
                "nothing has been loaded into {name} yet, and its properties do not give the type of every column"
            )));
        }
        let cast = |column: &&headwater_transform::Column| {
            let null = self.tracing.null_of(column.data_type.as_deref().unwrap_or("varchar"))?;
            Ok(format!("{null} AS \"{}\"", column.name.replace('"', "\"\"")))
        };
        let casts: Result<Vec<String>, EngineError> = declared.iter().map(cast).collect();
        let casts = casts.map_err(|error| error.failure())?;
        let described = self.tracing.describe(&format!("SELECT {}", casts.join(", "))).await;
        let (schema, _) = described.map_err(|error| error.failure())?;
        self.outline(name, &schema).await?;
        Ok(Known::Columns(plain_columns(&schema)))
    }

    async fn compiled(&mut self, node: &Node) -> Result<Known, Failure> {
        let compiled = self.compile(node).await?;
        let name = relation_of(node);
        if let Plan::Seed(seed) = &compiled.plan {
            let (text, options) = read_seed(self.instance, seed)?;
            let schema = self.tracing.csv_columns(&text, &options).await.map_err(|error| error.failure())?;
            self.outline(name, &schema).await?;
            return Ok(Known::Columns(plain_columns(&schema)));
        }
        let sql = self.statement(&compiled).await.map_err(|failure| self.located(node, &compiled.sql, failure))?;
        let traced = self.tracing.trace(&sql).await.map_err(|error| error.failure());
        let traced = traced.map_err(|failure| self.located(node, &sql, failure))?;
        let schema = match compiled.plan {
            Plan::Table { .. } | Plan::Incremental { .. } | Plan::Snapshot(_) | Plan::Custom { .. } => {
                stored_outline(&traced).map_err(|error| error.failure())?
            }
            _ => view_outline(&traced),
        };
        if is_relation(node) {
            self.outline(name, &schema).await?;
        }
        let columns = traced.into_iter().zip(schema.fields());
        Ok(Known::Columns(columns.map(|(column, field)| self.column(column, field.data_type())).collect()))
    }

    /// The query whose columns are the node's.
    async fn statement(&self, compiled: &Compiled) -> Result<String, Failure> {
        let Plan::Snapshot(plan) = &compiled.plan else { return Ok(compiled.sql.clone()) };
        let traced = self.tracing.trace(&compiled.sql).await.map_err(|error| error.failure())?;
        let columns: Vec<String> = traced.into_iter().map(|column| column.name).collect();
        Ok(plan.statement(&compiled.sql, None, &columns, self.instance.now()))
    }

    fn located(&self, node: &Node, sql: &str, failure: Failure) -> Failure {
        located(&self.instance.project().files, node, sql, failure)
    }

    async fn compile(&self, node: &Node) -> Result<Compiled, Failure> {
        let warehouse: Arc<dyn Warehouse> = Arc::new(SessionWarehouse::new(self.rendering.clone()));
        let (instance, id) = (self.instance.clone(), node.id.clone());
        let compile = tokio::task::spawn_blocking(move || {
            let project = instance.project();
            let compiled = project.transform.compile(&id, &warehouse, &instance.run_context("compile"));
            compiled.map_err(|found| diagnostics_failure(&project.files, &found))
        });
        compile.await.map_err(|error| Failure::internal(error.to_string()))?
    }

    async fn is_there(&self, name: &TableName) -> Result<bool, Failure> {
        Ok(self.rendering.catalog().relation(name).await.map_err(|error| error.failure())?.is_some())
    }

    async fn outline(&mut self, name: TableName, columns: &SchemaRef) -> Result<(), Failure> {
        if !self.is_there(&name).await? {
            self.rendering.outline(name.clone(), Arc::clone(columns));
        }
        self.tracing.outline(name, Arc::clone(columns));
        Ok(())
    }

    /// `data_type` is what is kept of the column.
    fn column(&self, traced: TracedColumn, data_type: &DataType) -> NodeColumn {
        let origin = |origin: headwater_engine::ColumnOrigin| ColumnOrigin {
            node: self.makers.get(&origin.relation).cloned(),
            relation: origin.relation.to_string(),
            column: origin.column,
        };
        NodeColumn {
            name: traced.name,
            data_type: sql_type_name(data_type),
            is_copy: traced.is_copy,
            origins: traced.origins.into_iter().map(origin).collect(),
        }
    }
}

fn relation_of(node: &Node) -> TableName {
    TableName::new(node.relation.schema.clone(), node.relation.identifier.clone())
}

/// Columns that come from nowhere else.
fn plain_columns(schema: &SchemaRef) -> Vec<NodeColumn> {
    let column = |field: &Arc<arrow::datatypes::Field>| NodeColumn {
        name: field.name().clone(),
        data_type: sql_type_name(field.data_type()),
        is_copy: false,
        origins: Vec::new(),
    };
    schema.fields().iter().map(column).collect()
}
