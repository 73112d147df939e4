//! Everything as one graph: sources, models, seeds, tests, dashboards and their tiles, laid out and with how they are.

use std::collections::{BTreeMap, BTreeSet};

use headwater_dash::Dashboard;
use headwater_project::graph::layout::{Layout, layered_part};
use headwater_project::{Classify, Failure};
use headwater_state::{RunStatus, Step, StepStatus, TestOutcome, TestResult};
use headwater_transform::{Node, NodeId, ResourceType};

use crate::dashboards::{is_relation, relation_name};
use crate::instance::Instance;
use crate::up::UpHandle;
use crate::view::{Health, LineageGraph, LineageNode, LineagePicture, PipelineStatus};

mod references;

pub(crate) use references::{Reference, references};

/// Runs whose steps tell how nodes are; a node built longer ago is known by its publication.
const RUNS: usize = 20;

/// What is known of steps, tests and pipelines.
struct Signs {
    /// The newest step by node.
    steps: BTreeMap<String, Step>,
    tests: BTreeMap<String, TestResult>,
    published: BTreeSet<String>,
    pipelines: Vec<PipelineStatus>,
}

impl UpHandle {
    /// The graph, laid out as `picture` wants it.
    pub fn lineage(&self, picture: &LineagePicture) -> Result<LineageGraph, Failure> {
        let instance = self.instance();
        let signs = Signs::read(instance, self.pipelines())?;
        let mut graph = Graph::default();
        for node in instance.project().transform.ordered() {
            graph.add_node(instance, node, &signs);
        }
        for dashboard in &instance.project().dashboards {
            graph.add_dashboard(instance, dashboard);
        }
        Ok(graph.laid_out(picture))
    }
}

impl Signs {
    fn read(instance: &Instance, pipelines: Vec<PipelineStatus>) -> Result<Self, Failure> {
        let state = &instance.state;
        let mut steps = BTreeMap::new();
        for run in state.runs(None, RUNS).map_err(|error| error.failure())? {
            if run.status == RunStatus::Queued {
                continue;
            }
            for step in state.steps(run.id).map_err(|error| error.failure())? {
                // A step that waits says nothing of what was built before.
                if step.status != StepStatus::Pending {
                    steps.entry(step.node.clone()).or_insert(step);
                }
            }
        }
        let tests = state.latest_tests().map_err(|error| error.failure())?;
        let published = state.published().map_err(|error| error.failure())?;
        Ok(Self {
            steps,
            tests: tests.into_iter().map(|test| (test.node.clone(), test)).collect(),
            published: published.into_iter().map(|entry| entry.name).collect(),
            pipelines,
        })
    }

    fn health(&self, node: &Node) -> (Health, Option<String>) {
        match node.resource_type {
            ResourceType::Test => self.health_of_test(node.id.as_str()),
            ResourceType::Source => self.health_of_source(&relation_name(node)),
            _ => self.health_of_built(node),
        }
    }

    fn health_of_test(&self, id: &str) -> (Health, Option<String>) {
        if self.steps.get(id).is_some_and(|step| step.status == StepStatus::Running) {
            return (Health::Running, None);
        }
        let Some(test) = self.tests.get(id) else { return (Health::Unknown, None) };
        let health = match test.outcome {
            TestOutcome::Pass => Health::Ok,
            TestOutcome::Warn => Health::Warning,
            TestOutcome::Fail | TestOutcome::Error => Health::Failed,
        };
        (health, test.message.clone())
    }

    /// A table that is not ingested now (landed once, or by another process) is fine when it says nothing.
    fn health_of_source(&self, table: &str) -> (Health, Option<String>) {
        let Some(pipeline) = self.pipelines.iter().find(|pipeline| pipeline.table == table) else {
            return (Health::Unknown, None);
        };
        let message = pipeline.error.as_ref().map(|failure| failure.message.clone());
        match pipeline.state.as_str() {
            "failed" => (Health::Failed, message),
            "retrying" => (Health::Warning, message),
            "starting" => (Health::Unknown, None),
            _ => (Health::Ok, None),
        }
    }

    fn health_of_built(&self, node: &Node) -> (Health, Option<String>) {
        let message = |step: &Step| step.result.message.as_deref().map(crate::history::first_line);
        match self.steps.get(node.id.as_str()) {
            Some(step) => match step.status {
                StepStatus::Running => (Health::Running, None),
                StepStatus::Failed | StepStatus::Crashed => (Health::Failed, message(step)),
                StepStatus::Skipped => {
                    (Health::Failed, Some(String::from("not built: something it needs did not succeed")))
                }
                StepStatus::Warn => (Health::Warning, message(step)),
                _ => (Health::Ok, None),
            },
            None if self.published.contains(&relation_name(node)) => (Health::Ok, None),
            None => (Health::Unknown, None),
        }
    }
}

#[derive(Default)]
struct Graph {
    nodes: Vec<LineageNode>,
    numbers: BTreeMap<String, usize>,
    edges: Vec<(usize, usize)>,
}

impl Graph {
    fn add(&mut self, node: LineageNode, needs: impl IntoIterator<Item = String>) {
        let number = self.nodes.len();
        self.numbers.insert(node.id.clone(), number);
        let worst_test = |health: Health| matches!(health, Health::Failed | Health::Warning);
        for need in needs {
            let Some(from) = self.numbers.get(&need).copied() else { continue };
            self.edges.push((from, number));
            // A model whose test fails is not fine, though it was built.
            if node.kind == "test"
                && worst_test(node.health)
                && let Some(tested) = self.nodes.get_mut(from)
                && tested.health < node.health
            {
                tested.health = node.health;
                tested.message = Some(format!("its test `{}` does not pass", node.name));
            }
        }
        self.nodes.push(node);
    }

    fn add_node(&mut self, instance: &Instance, node: &Node, signs: &Signs) {
        if node.resource_type == ResourceType::Analysis {
            return;
        }
        let (health, message) = signs.health(node);
        let is_model = node.resource_type == ResourceType::Model;
        let name = match node.resource_type {
            ResourceType::Source => relation_name(node),
            _ => node.name.clone(),
        };
        let added = LineageNode {
            id: node.id.to_string(),
            name,
            kind: node.resource_type.as_str(),
            health,
            message,
            relation: is_relation(node).then(|| relation_name(node)),
            materialized: is_model.then(|| node.config.materialized().to_owned()),
            dashboard: None,
            x: 0.0,
            y: 0.0,
        };
        let known = |id: &&NodeId| instance.project().transform.node(id).is_some();
        self.add(added, node.depends_on.iter().filter(known).map(ToString::to_string));
    }

    fn add_dashboard(&mut self, instance: &Instance, dashboard: &Dashboard) {
        let mut tiles = Vec::new();
        for tile in dashboard.tiles.iter().filter(|tile| tile.sql.is_some()) {
            let needs: Vec<String> =
                tile.sql.iter().flat_map(|sql| references(sql)).filter_map(|name| name.node_id(instance)).collect();
            let health = self.worst(&needs);
            let id = format!("tile.{}.{}", dashboard.name, tile.name);
            let title = tile.title.clone().unwrap_or_else(|| tile.name.clone());
            self.add(self.leaf(&id, title, "tile", &dashboard.name, health), needs);
            tiles.push(id);
        }
        let health = self.worst(&tiles);
        let title = dashboard.title.clone().unwrap_or_else(|| dashboard.name.clone());
        let id = format!("dashboard.{}", dashboard.name);
        self.add(self.leaf(&id, title, "dashboard", &dashboard.name, health), tiles);
    }

    fn leaf(&self, id: &str, name: String, kind: &'static str, dashboard: &str, health: Health) -> LineageNode {
        let message = match health {
            Health::Failed => Some(String::from("something it reads failed: it shows the last good rows")),
            Health::Warning => Some(String::from("something it reads has a warning")),
            _ => None,
        };
        LineageNode {
            id: id.to_owned(),
            name,
            kind,
            health,
            message,
            relation: None,
            materialized: None,
            dashboard: Some(dashboard.to_owned()),
            x: 0.0,
            y: 0.0,
        }
    }

    fn worst(&self, ids: &[String]) -> Health {
        let known = ids.iter().filter_map(|id| self.nodes.get(*self.numbers.get(id)?));
        known.map(|node| node.health).max().unwrap_or(Health::Unknown)
    }

    /// Nodes that have a place in the picture.
    fn shown(&self, picture: &LineagePicture) -> Vec<bool> {
        let family = picture.family_of.as_ref().and_then(|id| self.numbers.get(id)).map(|node| self.family(*node));
        let is_shown = |(number, node): (usize, &LineageNode)| {
            let in_family = family.as_ref().is_none_or(|family| family.contains(&number));
            let is_hidden = picture.hidden_kinds.iter().any(|kind| kind == node.kind);
            picture.focus.as_deref() == Some(node.id.as_str()) || (in_family && !is_hidden)
        };
        self.nodes.iter().enumerate().map(is_shown).collect()
    }

    /// A node with all it is made from and all that is made from it.
    fn family(&self, node: usize) -> BTreeSet<usize> {
        let mut family = BTreeSet::from([node]);
        for is_down in [false, true] {
            let mut next = vec![node];
            let mut seen = BTreeSet::from([node]);
            while let Some(here) = next.pop() {
                let ways = self.edges.iter().map(|(from, to)| if is_down { (*from, *to) } else { (*to, *from) });
                next.extend(ways.filter(|(from, _)| *from == here).map(|(_, to)| to).filter(|to| seen.insert(*to)));
            }
            family.extend(seen);
        }
        family
    }

    fn laid_out(mut self, picture: &LineagePicture) -> LineageGraph {
        let shown = self.shown(picture);
        let Layout { nodes: places, bends, width, height } = layered_part(&shown, &self.edges);
        for (node, place) in self.nodes.iter_mut().zip(places) {
            (node.x, node.y) = (place.x, place.y);
        }
        let id = |number: usize| self.nodes.get(number).map_or_else(String::new, |node| node.id.clone());
        let edges = self.edges.iter().zip(bends);
        let edges = edges
            .map(|((from, to), bends)| (id(*from), id(*to), bends.into_iter().map(|bend| (bend.x, bend.y)).collect()));
        LineageGraph { edges: edges.collect(), nodes: self.nodes, width, height }
    }
}
