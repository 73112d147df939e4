//! The state of everything at a glance.

use headwater_project::{Classify, Failure};
use headwater_state::PublishedAs;

use crate::instance::{Instance, machine_memory};
use crate::up::UpHandle;
use crate::view::{AssetTest, Diagnosis, Disk, Freshness, Home};

const RUNS: usize = 10;

impl UpHandle {
    pub async fn home(&self) -> Result<Home, Failure> {
        let instance = self.instance();
        let status = self.status();
        let runs = instance.runs(RUNS).await?;
        let problems = status.pipelines.iter().filter_map(problem).chain(self.sink_problems()).collect();
        Ok(Home {
            running: runs.iter().filter(|run| matches!(run.status.as_str(), "running" | "queued")).cloned().collect(),
            recent_runs: runs,
            tables: instance.freshness().await?,
            failing_tests: instance.failing_tests()?,
            quarantined: instance.quarantined().await?.values().sum(),
            machine_bytes: machine_memory(),
            disk: instance.disk().await?,
            problems,
            status,
        })
    }
}

fn problem(pipeline: &crate::view::PipelineStatus) -> Option<Diagnosis> {
    Some(diagnosis(pipeline.table.clone(), pipeline.state == "failed", pipeline.error.as_ref()?))
}

/// A failure of something that goes on.
pub(crate) fn diagnosis(check: String, is_failed: bool, failure: &Failure) -> Diagnosis {
    Diagnosis {
        check,
        verdict: if is_failed { "error" } else { "warning" },
        detail: failure
            .detail
            .clone()
            .map_or_else(|| failure.message.clone(), |detail| format!("{}: {detail}", failure.message)),
        hint: failure.hint.clone(),
    }
}

impl Instance {
    /// Version and time of everything readers see, by name.
    async fn freshness(&self) -> Result<Vec<Freshness>, Failure> {
        let published = self.state.published().map_err(|error| error.failure())?;
        let mut tables = Vec::new();
        for table in self.tables().await? {
            let known = published.iter().find(|known| known.name == table.name);
            let is_published = matches!(known.map(|known| &known.relation), Some(PublishedAs::Table { .. }));
            if table.is_view || table.failure.is_some() || table.name.ends_with("_quarantine") {
                continue;
            }
            let at = if is_published { known.map(|known| known.at) } else { None };
            tables.push(Freshness {
                table: table.name,
                version: table.version,
                rows: table.rows,
                bytes: table.bytes,
                at,
            });
        }
        Ok(tables)
    }

    fn failing_tests(&self) -> Result<Vec<AssetTest>, Failure> {
        let all = self.project().transform.ordered().map(|node| node.id.clone()).collect();
        let bad = |test: &AssetTest| matches!(test.outcome.as_deref(), Some("warn" | "fail" | "error"));
        Ok(self.asset_tests(&all)?.into_iter().filter(bad).collect())
    }

    async fn disk(&self) -> Result<Disk, Failure> {
        let tables = self.tables().await?;
        let topics = self.topics().await?;
        let space = rustix::fs::statvfs(&self.paths.project).map_err(|error| {
            Failure::internal("the file system does not say how full it is").with_detail(error.to_string())
        })?;
        Ok(Disk {
            tables_bytes: tables.iter().map(|table| table.bytes).sum(),
            topics_bytes: topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.bytes).sum(),
            free_bytes: space.f_bavail * space.f_frsize,
            total_bytes: space.f_blocks * space.f_frsize,
        })
    }
}
