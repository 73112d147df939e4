//! Statements around steps and around the run.

use std::sync::Arc;

use headwater_engine::{Executed, Relation};
use headwater_project::{Classify, Failure};
use headwater_state::Publication;
use headwater_transform::{HookMoment, Message, MessageLevel, Node, RunHook, Warehouse};
use serde_json::json;

use super::step::diagnostics_failure;
use super::warehouse::SessionWarehouse;
use super::{Run, StepResult, published_as};
use crate::instance::Instance;
use crate::view::{StepOutcome, StepReport};

impl Run {
    /// Statements of the project, run for what they change.
    pub(super) async fn execute(&self, sql: &str) -> Result<(), Failure> {
        if sql.trim().is_empty() {
            return Ok(());
        }
        let sql = self.session.translate(sql).map_err(|error| error.failure())?;
        for done in self.session.execute(&sql, &self.writes.info).await.map_err(|error| error.failure())? {
            match done {
                Executed::Changed { name, .. } => self.writes.note(name),
                // Reading to the end is what runs it.
                Executed::Rows(stream) => drop(stream.collect().await.map_err(|error| error.failure())?),
                Executed::Nothing => {}
            }
        }
        Ok(())
    }

    pub(super) fn warehouse(&self) -> Arc<dyn Warehouse> {
        Arc::new(SessionWarehouse::writing(self.session.clone(), Arc::clone(&self.writes)))
    }

    /// The hooks of a node, each rendered when it is its turn.
    pub(super) async fn node_hooks(&self, node: &Node, moment: HookMoment) -> Result<(), Failure> {
        for hook in self.instance.project().transform.hooks(&node.id, moment) {
            let (warehouse, context, id) = (self.warehouse(), self.context.clone(), node.id.clone());
            let render = on_blocking(&self.instance, move |instance| {
                let project = instance.project();
                let rendered = project.transform.render_hook(&id, &hook, &warehouse, &context);
                rendered.map_err(|found| diagnostics_failure(&project.files, &found))
            });
            let sql = render.await?;
            self.execute(&sql).await.map_err(|failure| of_hook(failure, &sql))?;
        }
        Ok(())
    }

    /// The hooks around the run; after one that failed, no other is run.
    pub(super) async fn around(&self, moment: HookMoment, results: &[StepResult]) -> Vec<StepResult> {
        let variables = match moment {
            HookMoment::Before => serde_json::Map::new(),
            HookMoment::After => self.variables(results),
        };
        let mut done = Vec::new();
        for hook in self.instance.project().transform.run_hooks(moment) {
            let started_at = self.instance.now();
            let started = self.instance.clock.monotonic();
            let outcome = self.run_hook(&hook, variables.clone()).await;
            let is_bad = outcome.is_err();
            let report = StepReport {
                outcome: if is_bad { StepOutcome::Error } else { StepOutcome::Success },
                seconds: self.instance.clock.monotonic().saturating_sub(started).as_secs_f64(),
                failure: outcome.err(),
                ..StepReport::blank(&hook.id, hook.name.clone(), String::from("operation"), started_at)
            };
            done.push(StepResult { report, publication: None, fingerprint: None });
            if is_bad {
                break;
            }
        }
        done
    }

    async fn run_hook(
        &self,
        hook: &RunHook,
        variables: serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), Failure> {
        let (warehouse, context, rendered) = (self.warehouse(), self.context.clone(), hook.clone());
        let render = on_blocking(&self.instance, move |instance| {
            let project = instance.project();
            let rendered = project.transform.render_run_hook(&rendered, variables, &warehouse, &context);
            rendered.map_err(|found| diagnostics_failure(&project.files, &found))
        });
        let (sql, messages) = render.await?;
        self.say(&messages);
        self.execute(&sql).await.map_err(|failure| of_hook(failure, &sql))
    }

    pub(super) fn say(&self, messages: &[Message]) {
        for message in messages.iter().filter(|message| message.level != MessageLevel::Debug) {
            self.observer.message(&message.text);
        }
    }

    /// `results`, `schemas` and `database_schemas`, as `on-run-end` sees them.
    fn variables(&self, results: &[StepResult]) -> serde_json::Map<String, serde_json::Value> {
        let transform = &self.instance.project().transform;
        let mut schemas = std::collections::BTreeSet::new();
        let mut shown = Vec::new();
        for result in results {
            let report = &result.report;
            let Some(node) = transform.node(&headwater_transform::NodeId::new(&report.id)) else { continue };
            if node.resource_type.is_referable() {
                schemas.insert((node.relation.database.clone(), node.relation.schema.clone()));
            }
            shown.push(json!({
                "node": headwater_transform::artifact::fields_of(node),
                "unique_id": report.id,
                "status": super::artifacts::status(report),
                "message": report.failure.as_ref().map(|failure| failure.message.clone()),
                "failures": if node.resource_type.as_str().ends_with("test") { report.rows } else { None },
                "execution_time": report.seconds,
                "thread_id": "headwater",
            }));
        }
        let names: Vec<String> = schemas.iter().map(|(_, schema)| schema.clone()).collect();
        let mut variables = serde_json::Map::new();
        variables.insert(String::from("results"), shown.into());
        variables.insert(String::from("schemas"), names.into());
        variables.insert(String::from("database_schemas"), json!(schemas));
        variables
    }

    /// What statements changed after a step had built it is published as it is in the end, and so is what they made under
    /// names that only builds publish.
    pub(super) fn settle_publications(&self, results: &mut Vec<StepResult>) {
        let mut changed = self.writes.changed();
        let catalog = self.session.catalog();
        for publication in results.iter_mut().filter_map(|result| result.publication.as_mut()) {
            let Some(name) = crate::instance::parse_table_name(&publication.name) else { continue };
            if let Some(relation) = changed.take(&name).and_then(|name| catalog.pinned(&name)) {
                publication.relation = published_as(&relation);
            }
        }
        for name in changed {
            let Some(relation) = catalog.pinned(&name) else { continue };
            // A table nobody publishes is read at its newest version anyway; a view exists by its publication alone.
            if !catalog.is_managed(&name) && matches!(relation, Relation::Table(_)) {
                continue;
            }
            let publication = Publication { name: name.to_string(), relation: published_as(&relation) };
            if let Some(result) = results.last_mut() {
                let report = StepReport { kind: String::from("statement"), ..result.report.clone() };
                results.push(StepResult { report, publication: Some(publication), fingerprint: None });
            }
        }
    }
}

/// Renders on a thread that may block.
pub(super) async fn on_blocking<T: Send + 'static>(
    instance: &Instance,
    work: impl FnOnce(&Instance) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let instance = instance.clone();
    let done = tokio::task::spawn_blocking(move || work(&instance)).await;
    done.map_err(|error| Failure::internal(error.to_string()))?
}

fn of_hook(mut failure: Failure, sql: &str) -> Failure {
    let detail = failure.detail.take().map_or_else(String::new, |detail| format!("{detail}. "));
    let shown: String = sql.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
    failure.detail = Some(format!("{detail}This happened in the hook `{shown}`."));
    failure
}
