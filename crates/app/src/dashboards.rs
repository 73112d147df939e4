//! Dashboards answered: each tile's SQL rendered, bound and run.

mod answers;
mod check;
mod page;
mod standing;
mod tile;

use std::sync::Arc;

use headwater_dash::{Dashboard, FilterValues, ParameterValue, TileConfig, TileKind, tile_query};
use headwater_engine::{EngineError, Parameter, Session};
use headwater_project::{Classify, Failure};
use headwater_transform::{NodeId, RunContext, Warehouse};

use crate::build::{SessionWarehouse, diagnostics_failure};
use crate::defer::DeferTo;
use crate::instance::Instance;
use crate::project::Selection;
use crate::query::QueryStream;
use crate::view::{CompiledNode, NodeSummary, TileAnswer, TileRows, Untranslated};

pub(crate) use answers::Answers;
pub(crate) use check::check_references;
pub(crate) use standing::{KnownCell, is_relation, relation_name};
pub(crate) use tile::{Moments, PreparedQueries, find_tile};

/// What `headwater show` is asked for.
#[derive(Clone, Debug)]
pub enum ShowTarget {
    /// A model or test by name.
    Node(String),
    /// SQL with templates.
    Inline(String),
}

impl Instance {
    /// Answers of the tiles of a dashboard (of all, without a name), with the filters' defaults. All tiles read the same
    /// versions.
    pub async fn dashboard(&self, name: Option<&str>) -> Result<Vec<TileAnswer>, Failure> {
        let dashboards: Vec<&Dashboard> = match name {
            Some(name) => vec![self.project().find_dashboard(name)?],
            None => self.project().dashboards.iter().collect(),
        };
        let session = self.session()?;
        let mut answers = Vec::new();
        for dashboard in dashboards {
            for tile in dashboard.tiles.iter().filter(|tile| tile.kind != TileKind::Text) {
                answers.push(self.answer(&session, dashboard, tile).await);
            }
        }
        Ok(answers)
    }

    async fn answer(&self, session: &Session, dashboard: &Dashboard, tile: &TileConfig) -> TileAnswer {
        let started = self.clock.monotonic();
        let result = self.tile_rows(session, dashboard, tile).await;
        TileAnswer {
            dashboard: dashboard.name.clone(),
            dashboard_title: dashboard.title.clone().unwrap_or_else(|| dashboard.name.clone()),
            tile: tile.name.clone(),
            title: tile.title.clone().unwrap_or_else(|| tile.name.clone()),
            kind: tile.kind.as_str().to_owned(),
            unit: tile.unit.clone(),
            seconds: self.clock.monotonic().saturating_sub(started).as_secs_f64(),
            result,
        }
    }

    async fn tile_rows(
        &self,
        session: &Session,
        dashboard: &Dashboard,
        tile: &TileConfig,
    ) -> Result<TileRows, Failure> {
        let query =
            tile_query(dashboard, tile, &FilterValues::default(), self.now()).map_err(|error| error.failure())?;
        let query = query.ok_or_else(|| Failure::user("this tile has no query"))?;
        let sql = self.render(session, &query.sql_template).await?;
        let parameters: Vec<(String, Parameter)> =
            query.parameters.iter().map(|(name, value)| (name.clone(), parameter(value))).collect();
        let stream = session.query(&sql, &parameters).await.map_err(|error| error.failure())?;
        let schema = Arc::clone(&stream.schema);
        let batches = stream.collect().await.map_err(|error| error.failure())?;
        Ok(TileRows { schema, batches, truncated: false })
    }

    /// SQL with templates as SQL, on a blocking thread.
    pub(crate) async fn render(&self, session: &Session, template: &str) -> Result<String, Failure> {
        self.render_in(session, template, self.run_context("show")).await
    }

    async fn render_in(&self, session: &Session, template: &str, context: RunContext) -> Result<String, Failure> {
        if !template.contains("{{") && !template.contains("{%") {
            return Ok(template.to_owned());
        }
        let warehouse: Arc<dyn Warehouse> = Arc::new(SessionWarehouse::new(session.clone()));
        let (instance, template) = (self.clone(), template.to_owned());
        let rendered = tokio::task::spawn_blocking(move || {
            let project = instance.project();
            project
                .transform
                .compile_inline(&template, &warehouse, &context)
                .map_err(|found| diagnostics_failure(&project.files, &found))
        });
        rendered.await.map_err(|error| Failure::internal(error.to_string()))?
    }

    pub(crate) fn run_context(&self, command: &str) -> RunContext {
        RunContext {
            started_at: self.now(),
            invocation_id: self.boot.0.clone(),
            command: command.to_owned(),
            ..RunContext::default()
        }
    }

    pub(crate) async fn compile_node(&self, id: NodeId) -> Result<String, Failure> {
        let warehouse: Arc<dyn Warehouse> = Arc::new(SessionWarehouse::as_written(self.session()?));
        let (instance, context) = (self.clone(), self.run_context("compile"));
        let compile = tokio::task::spawn_blocking(move || {
            let project = instance.project();
            let compiled = project.transform.compile(&id, &warehouse, &context);
            compiled.map(|found| found.written).map_err(|found| diagnostics_failure(&project.files, &found))
        });
        compile.await.map_err(|error| Failure::internal(error.to_string()))?
    }

    /// The context of a command that compiles what is selected and builds nothing.
    fn compile_context(
        &self,
        command: &str,
        nodes: &[NodeSummary],
        defer: Option<&DeferTo>,
    ) -> Result<RunContext, Failure> {
        let selected = || nodes.iter().map(|node| NodeId::new(&node.id)).collect();
        Ok(RunContext { deferral: self.project().deferral(defer, selected)?, ..self.run_context(command) })
    }

    /// SQL with templates as SQL.
    pub async fn compile_inline(&self, template: &str, defer: Option<&DeferTo>) -> Result<String, Failure> {
        self.project().require_sound()?;
        let context = self.compile_context("compile", &[], defer)?;
        self.render_in(&self.session()?, template, context).await
    }

    /// The SQL of the selected models and tests.
    pub async fn compile(&self, selection: &Selection, defer: Option<&DeferTo>) -> Result<Vec<CompiledNode>, Failure> {
        self.project().require_sound()?;
        let nodes = self.project().nodes(selection)?;
        let session = self.session()?;
        let warehouse: Arc<dyn Warehouse> = Arc::new(SessionWarehouse::as_written(session));
        let (instance, context) = (self.clone(), self.compile_context("compile", &nodes, defer)?);
        let compile = tokio::task::spawn_blocking(move || {
            let project = instance.project();
            let mut compiled = Vec::new();
            for node in nodes.into_iter().filter(|node| matches!(node.resource_type.as_str(), "model" | "test")) {
                let id = NodeId::new(&node.id);
                let found = project
                    .transform
                    .compile(&id, &warehouse, &context)
                    .map_err(|found| diagnostics_failure(&project.files, &found))?;
                compiled.push(CompiledNode { id: node.id, name: node.name, sql: found.written });
            }
            Ok(compiled)
        });
        compile.await.map_err(|error| Failure::internal(error.to_string()))?
    }

    /// The first rows of a model's or test's query, or of SQL with templates.
    pub async fn show(&self, what: ShowTarget, limit: usize, defer: Option<&DeferTo>) -> Result<QueryStream, Failure> {
        self.project().require_sound()?;
        let sql = match what {
            ShowTarget::Inline(template) => {
                let context = self.compile_context("show", &[], defer)?;
                self.render_in(&self.session()?, &template, context).await?
            }
            ShowTarget::Node(name) => {
                self.require_node(&name)?;
                let selection = Selection { select: vec![name.clone()], ..Selection::default() };
                let compiled = self.compile(&selection, defer).await?;
                let node = compiled.into_iter().find(|node| node.name == name || node.id == name);
                let missing = || {
                    Failure::user(format!("there is no model or test `{name}`")).with_hint("`headwater ls` lists them.")
                };
                node.ok_or_else(missing)?.sql
            }
        };
        self.show_sql(&sql, limit).await
    }

    /// The first rows of a compiled node's query; all for a limit of 0.
    pub async fn show_compiled(&self, node: &CompiledNode, limit: usize) -> Result<QueryStream, Failure> {
        self.show_sql(&node.sql, limit).await
    }

    /// What of the selected nodes' SQL has no translation. The report of a project in the engine's own SQL is empty.
    pub async fn dialect_report(&self, selection: &Selection) -> Result<Vec<Untranslated>, Failure> {
        let mut report = Vec::new();
        for node in self.compile(selection, None).await? {
            let found = match self.engine.translate(&node.sql) {
                Ok(_) => continue,
                Err(EngineError::Untranslated(_, found)) => found,
                Err(other) => return Err(other.failure()),
            };
            let known = self.project().transform.node(&NodeId::new(&node.id));
            let file = known.map_or_else(String::new, |known| known.path.display().to_string());
            report.extend(found.into_iter().map(|one| Untranslated {
                node: node.name.clone(),
                file: file.clone(),
                line: one.line,
                column: one.column,
                what: one.what,
                hint: one.hint,
            }));
        }
        Ok(report)
    }

    /// The first rows of a query of the project.
    async fn show_sql(&self, sql: &str, limit: usize) -> Result<QueryStream, Failure> {
        let sql = self.engine.translate(sql).map_err(|error| error.failure())?;
        let rows = self.session()?.first_rows(&sql, (limit > 0).then_some(limit)).await;
        Ok(QueryStream::from_engine(rows.map_err(|error| error.failure())?))
    }
}

impl Instance {
    fn require_node(&self, name: &str) -> Result<(), Failure> {
        let nodes: Vec<&headwater_transform::Node> = self.project().transform.ordered().collect();
        if nodes.iter().any(|node| node.name == name || node.id.as_str() == name) {
            return Ok(());
        }
        let near = headwater_project::config::suggest(name, nodes.iter().map(|node| node.name.as_str()));
        let hint = near.map_or_else(
            || String::from("`headwater ls` lists models and tests."),
            |near| format!("Did you mean `{near}`?"),
        );
        Err(Failure::user(format!("there is no model or test `{name}`")).with_hint(hint))
    }
}

fn parameter(value: &ParameterValue) -> Parameter {
    match value {
        ParameterValue::Date(date) => Parameter::Date(headwater_dash::days_since_epoch(*date)),
        ParameterValue::Text(text) => Parameter::Text(text.clone()),
        ParameterValue::Texts(texts) => Parameter::TextList(texts.clone()),
        ParameterValue::Number(number) => number.map_or(Parameter::Null, Parameter::Float),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use headwater_engine::{Engine, EngineOptions};
    use headwater_lake::{Credentials, Lake, Location, Storage};

    use super::*;
    use crate::clock::{SystemClock, SystemEntropy};

    /// A session over a lake in memory with nothing in it.
    pub(super) fn empty_session() -> Session {
        let location = Location::parse("memory://", std::path::Path::new("/")).unwrap();
        let storage = Storage::open(&location, &Credentials::default()).unwrap();
        let lake = Lake::new(storage, Arc::new(SystemClock::start()), Arc::new(SystemEntropy));
        let options = EngineOptions {
            memory_bytes: 1 << 20,
            column_cache_bytes: 0,
            spill_folder: None,
            partitions: 1,
            default_schema: "main".into(),
            dialect: None,
        };
        Engine::new(lake, &options).unwrap().session(BTreeMap::new(), BTreeSet::new())
    }
}
