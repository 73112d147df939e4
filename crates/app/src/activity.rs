//! What happens, as differences between two looks: who follows a running process needs no hook in what it follows.

use std::collections::BTreeMap;

use headwater_project::{Classify, Failure, Timestamp};
use headwater_state::{PublishedAs, RunId, RunStatus};

use crate::up::UpHandle;
use crate::view::{PipelineStatus, RunSummary};

/// Runs looked at: more cannot end between two looks.
const RUNS: usize = 20;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// Readers see a new version; 0 for a view.
    Table {
        table: String,
        version: u64,
        at: Timestamp,
    },
    Run(RunSummary),
    Step {
        run: i64,
        id: String,
        status: String,
    },
    Ingest {
        pipeline: PipelineStatus,
        rows_per_second: f64,
    },
}

/// One look at a running process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activity {
    pub at: Timestamp,
    /// Published version and time by `schema.table`.
    tables: BTreeMap<String, (u64, Timestamp)>,
    runs: Vec<RunSummary>,
    /// Status by run and node, of runs that were not over.
    steps: BTreeMap<(i64, String), String>,
    pipelines: Vec<PipelineStatus>,
}

impl UpHandle {
    /// Looks: a few reads of the state store.
    pub fn look(&self) -> Result<Activity, Failure> {
        let instance = self.instance();
        let mut look = Activity { at: instance.now(), pipelines: self.pipelines(), ..Activity::default() };
        for entry in instance.state.published().map_err(|error| error.failure())? {
            let version = match entry.relation {
                PublishedAs::Table { version } => u64::try_from(version).unwrap_or_default(),
                PublishedAs::View { .. } => 0,
            };
            look.tables.insert(entry.name, (version, entry.at));
        }
        let runs = instance.state.runs(None, RUNS).map_err(|error| error.failure())?;
        for run in runs.iter().filter(|run| run.status == RunStatus::Running) {
            for step in instance.state.steps(RunId(run.id.0)).map_err(|error| error.failure())? {
                look.steps.insert((run.id.0, step.node), step.status.as_str().to_owned());
            }
        }
        look.runs = runs.iter().map(crate::history::run_summary).collect();
        // After the reads: who hears of what they found must not be answered from before it.
        instance.moments.pass();
        Ok(look)
    }
}

impl Activity {
    /// What happened since an earlier look, oldest first as far as that is known.
    pub fn since(&self, earlier: &Self) -> Vec<Happening> {
        let mut found = Vec::new();
        for ((run, id), status) in &self.steps {
            if earlier.steps.get(&(*run, id.clone())) != Some(status) && status != "pending" {
                found.push(Happening::Step { run: *run, id: id.clone(), status: status.clone() });
            }
        }
        for (table, (version, at)) in &self.tables {
            if earlier.tables.get(table) != Some(&(*version, *at)) {
                found.push(Happening::Table { table: table.clone(), version: *version, at: *at });
            }
        }
        found.extend(self.pipelines.iter().flat_map(|pipeline| self.ingested(pipeline, earlier)));
        for run in self.runs.iter().rev().filter(|run| !earlier.runs.contains(run)) {
            found.push(Happening::Run(run.clone()));
        }
        found
    }

    fn ingested(&self, pipeline: &PipelineStatus, earlier: &Self) -> Vec<Happening> {
        let before = earlier.pipelines.iter().find(|known| known.table == pipeline.table);
        if before == Some(pipeline) {
            return Vec::new();
        }
        let rows = pipeline.rows_out.saturating_sub(before.map_or(pipeline.rows_out, |before| before.rows_out));
        let mut found = Vec::new();
        if before.is_some_and(|before| before.commits != pipeline.commits) {
            let at = pipeline.last_commit_at.unwrap_or(self.at);
            found.push(Happening::Table { table: pipeline.table.clone(), version: pipeline.commits, at });
        }
        let rows_per_second = rate(rows, self.at.since(earlier.at).as_secs_f64());
        found.push(Happening::Ingest { pipeline: pipeline.clone(), rows_per_second });
        found
    }
}

fn rate(rows: u64, seconds: f64) -> f64 {
    // Rows of a moment are far below 2^32.
    if seconds > 0.0 { f64::from(u32::try_from(rows).unwrap_or(u32::MAX)) / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: i64, status: &str) -> RunSummary {
        RunSummary {
            id,
            job: None,
            command: "build".into(),
            trigger: "manual".into(),
            selection: String::new(),
            status: status.into(),
            queued_at: Timestamp(0),
            started_at: None,
            finished_at: None,
            message: None,
        }
    }

    fn look(version: u64, runs: Vec<RunSummary>, rows_out: u64, commits: u64) -> Activity {
        Activity {
            at: Timestamp(i64::try_from(rows_out).unwrap() * 1_000_000),
            tables: BTreeMap::from([("main.a".into(), (version, Timestamp(0)))]),
            runs,
            steps: BTreeMap::new(),
            pipelines: vec![PipelineStatus { table: "s.t".into(), rows_out, commits, ..PipelineStatus::default() }],
        }
    }

    #[test]
    fn nothing_happened_between_two_equal_looks() {
        let one = look(1, vec![run(1, "running")], 5, 1);
        assert_eq!(one.since(&one), []);
    }

    #[test]
    fn new_versions_runs_and_rows_are_told() {
        let before = look(1, vec![run(1, "running")], 5, 1);
        let after = look(2, vec![run(2, "queued"), run(1, "succeeded")], 7, 2);
        let found = after.since(&before);
        assert_eq!(found[0], Happening::Table { table: "main.a".into(), version: 2, at: Timestamp(0) });
        assert!(matches!(&found[1], Happening::Table { table, version: 2, .. } if table == "s.t"));
        assert!(matches!(&found[2], Happening::Ingest { rows_per_second, .. } if (rows_per_second - 1.0).abs() < 1e-9));
        assert_eq!(found[3..], [Happening::Run(run(1, "succeeded")), Happening::Run(run(2, "queued"))]);
    }

    #[test]
    fn a_step_is_told_when_it_starts_and_ends_and_not_while_it_waits() {
        let mut before = look(1, vec![run(1, "running")], 5, 1);
        before.steps.insert((1, "a".into()), "pending".into());
        let mut after = before.clone();
        after.steps.insert((1, "a".into()), "running".into());
        after.steps.insert((1, "b".into()), "pending".into());
        assert_eq!(after.since(&before), [Happening::Step { run: 1, id: "a".into(), status: "running".into() }]);
    }
}
