//! What an answer stands on: how its tests went, what was set aside on the way, whether something above it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use headwater_lake::TableName;
use headwater_project::{Classify, Failure};
use headwater_state::{RunStatus, TestOutcome};
use headwater_transform::{Node, NodeId, ResourceType};
use tokio::sync::Mutex;

use crate::ingest::quarantine_of;
use crate::instance::Instance;
use crate::view::{Standing, TestCounts};

/// How old what is known may be: it is the same for all tiles of all viewers.
const MAX_AGE: Duration = Duration::from_secs(2);

/// What is known of the whole project at one moment.
#[derive(Debug, Default)]
pub(crate) struct Known {
    tests: BTreeMap<String, TestOutcome>,
    /// Records set aside, by the table they were meant for.
    quarantined: BTreeMap<String, u64>,
    failed_run: Option<String>,
    /// Worked out once for each set of tables.
    standings: std::sync::Mutex<BTreeMap<Vec<String>, Standing>>,
}

/// The newest [`Known`] and when it was found.
pub(crate) type KnownCell = Mutex<Option<(Duration, Arc<Known>)>>;

impl Instance {
    pub(crate) async fn standing(&self, tables: &[String]) -> Result<Standing, Failure> {
        let known = self.known().await?;
        let mut standings = known.standings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(standing) = standings.get(tables) {
            return Ok(standing.clone());
        }
        let standing = self.work_out(&known, tables);
        standings.insert(tables.to_vec(), standing.clone());
        Ok(standing)
    }

    fn work_out(&self, known: &Known, tables: &[String]) -> Standing {
        let above = self.above(tables);
        let mut tests = TestCounts::default();
        for test in self.tests_of(&above) {
            match known.tests.get(test.id.as_str()) {
                Some(TestOutcome::Pass) => tests.passed += 1,
                Some(TestOutcome::Warn) => tests.warned += 1,
                Some(TestOutcome::Fail | TestOutcome::Error) => tests.failed += 1,
                None => tests.unknown += 1,
            }
        }
        let mut relations: BTreeSet<String> = above.iter().filter_map(|id| self.relation_of(id)).collect();
        relations.extend(tables.iter().cloned());
        let quarantined = relations.iter().filter_map(|table| known.quarantined.get(table)).sum();
        Standing { tests, quarantined, stale: known.failed_run.clone(), relations: relations.into_iter().collect() }
    }

    /// Nodes that store these tables, and everything above them.
    pub(crate) fn above(&self, tables: &[String]) -> BTreeSet<NodeId> {
        let transform = &self.project().transform;
        let stored = transform.ordered().filter(|node| tables.contains(&relation_name(node)));
        let mut waiting: Vec<NodeId> = stored.filter(|node| is_relation(node)).map(|node| node.id.clone()).collect();
        let mut above = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if above.insert(id.clone()) {
                waiting.extend(transform.node(&id).into_iter().flat_map(|node| node.depends_on.iter().cloned()));
            }
        }
        above
    }

    pub(crate) fn tests_of<'a>(&'a self, nodes: &'a BTreeSet<NodeId>) -> impl Iterator<Item = &'a Node> {
        let tests = self.project().transform.ordered().filter(|node| node.resource_type == ResourceType::Test);
        tests.filter(|test| test.depends_on.iter().any(|id| nodes.contains(id)))
    }

    fn relation_of(&self, id: &NodeId) -> Option<String> {
        self.project().transform.node(id).filter(|node| is_relation(node)).map(relation_name)
    }

    async fn known(&self) -> Result<Arc<Known>, Failure> {
        let mut cell = self.known.lock().await;
        let now = self.clock.monotonic();
        if let Some((found_at, known)) = cell.as_ref()
            && now.saturating_sub(*found_at) < MAX_AGE
        {
            return Ok(Arc::clone(known));
        }
        let known = Arc::new(self.look().await?);
        *cell = Some((now, Arc::clone(&known)));
        Ok(known)
    }

    async fn look(&self) -> Result<Known, Failure> {
        let tests = self.state.latest_tests().map_err(|error| error.failure())?;
        let runs = self.state.runs(None, 10).map_err(|error| error.failure())?;
        let last = runs.iter().find(|run| run.status.is_final());
        let failed = last.filter(|run| matches!(run.status, RunStatus::Failed | RunStatus::Crashed));
        Ok(Known {
            tests: tests.into_iter().map(|test| (test.node, test.outcome)).collect(),
            quarantined: self.quarantined().await?,
            standings: std::sync::Mutex::default(),
            failed_run: failed
                .map(|run| format!("run {} {}: the rows are those of the last good one", run.id, run.status)),
        })
    }

    /// Records set aside, by the table they were meant for.
    pub(crate) async fn quarantined(&self) -> Result<BTreeMap<String, u64>, Failure> {
        let mut counts = BTreeMap::new();
        let sources = self.project().transform.ordered().filter(|node| node.resource_type == ResourceType::Source);
        for node in sources {
            let table = TableName::new(node.relation.schema.clone(), node.relation.identifier.clone());
            let quarantine = self.lake.load(&quarantine_of(&table)).await.map_err(|error| error.failure())?;
            if let Some(rows) = quarantine.and_then(|version| version.rows()) {
                counts.insert(table.to_string(), rows);
            }
        }
        Ok(counts)
    }
}

pub(crate) fn is_relation(node: &Node) -> bool {
    !matches!(
        node.resource_type,
        ResourceType::Test | ResourceType::UnitTest | ResourceType::Exposure | ResourceType::Analysis
    ) && !node.is_ephemeral()
}

pub(crate) fn relation_name(node: &Node) -> String {
    format!("{}.{}", node.relation.schema, node.relation.identifier)
}
