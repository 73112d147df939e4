//! What may be wrong with an instance, checked from the outside in.

use headwater_project::{Classify, Failure};

use crate::instance::{Instance, machine_memory};
use crate::view::Diagnosis;

fn diagnosis(check: &str, verdict: &'static str, detail: impl Into<String>, hint: Option<&str>) -> Diagnosis {
    Diagnosis { check: check.to_owned(), verdict, detail: detail.into(), hint: hint.map(str::to_owned) }
}

impl Instance {
    /// Checks the project, the machine, the lake, the log and the state.
    pub async fn doctor(&self) -> Vec<Diagnosis> {
        let mut found = vec![self.diagnose_project(), self.diagnose_memory(), self.diagnose_disk()];
        found.push(self.diagnose_state());
        found.push(self.diagnose_log().await);
        match self.diagnose_lake().await {
            Ok(tables) => found.extend(tables),
            Err(failure) => found.push(diagnosis("lake", "error", failure.message, failure.hint.as_deref())),
        }
        found
    }

    fn diagnose_project(&self) -> Diagnosis {
        let findings = self.project().findings();
        let errors = findings.iter().filter(|finding| finding.is_error).count();
        let detail = format!("{errors} errors, {} warnings", findings.len() - errors);
        match (errors, findings.len()) {
            (0, 0) => diagnosis("project", "ok", detail, None),
            (0, _) => diagnosis("project", "warning", detail, Some("`headwater check` shows them.")),
            _ => diagnosis("project", "error", detail, Some("`headwater check` shows them.")),
        }
    }

    fn diagnose_memory(&self) -> Diagnosis {
        let total = machine_memory();
        let detail = format!("{} MiB on this machine, {} threads", total >> 20, self.threads);
        if total < 1 << 30 {
            return diagnosis("memory", "warning", detail, Some("Large sorts and joins will spill to disk."));
        }
        diagnosis("memory", "ok", detail, None)
    }

    fn diagnose_disk(&self) -> Diagnosis {
        let folder = if self.paths.data.exists() { &self.paths.data } else { &self.paths.project };
        match rustix::fs::statvfs(folder) {
            Ok(stat) => {
                let free = stat.f_bavail.saturating_mul(stat.f_frsize);
                let detail = format!("{} MiB free for {}", free >> 20, folder.display());
                if free < 1 << 30 {
                    return diagnosis("disk", "error", detail, Some("Below 1 GiB the log takes no more records."));
                }
                diagnosis("disk", "ok", detail, None)
            }
            Err(error) => diagnosis("disk", "error", error.to_string(), None),
        }
    }

    fn diagnose_state(&self) -> Diagnosis {
        match self.state.runs(None, 1) {
            Ok(_) => diagnosis("state", "ok", format!("{} opens", self.paths.state().display()), None),
            Err(error) => diagnosis(
                "state",
                "error",
                error.to_string(),
                Some("It can be deleted: no record is lost, and the next build makes all models anew."),
            ),
        }
    }

    async fn diagnose_log(&self) -> Diagnosis {
        match self.topics().await {
            Ok(topics) => {
                let bytes: u64 =
                    topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.bytes).sum();
                diagnosis("log", "ok", format!("{} topics, {} MiB", topics.len(), bytes >> 20), None)
            }
            Err(failure) => diagnosis("log", "error", failure.message, failure.hint.as_deref()),
        }
    }

    async fn diagnose_lake(&self) -> Result<Vec<Diagnosis>, Failure> {
        let mut found = Vec::new();
        let names = self.lake.tables().await.map_err(|error| error.failure())?;
        let mut opened = 0;
        for name in &names {
            match self.lake.load(name).await {
                Ok(_) => opened += 1,
                Err(error) => {
                    let failure = error.failure();
                    found.push(diagnosis(&format!("table {name}"), "error", failure.message, failure.hint.as_deref()));
                }
            }
            let aside = self.lake.quarantined(name).await.map_err(|error| error.failure())?;
            if !aside.is_empty() {
                found.push(diagnosis(
                    &format!("table {name}"),
                    "warning",
                    format!("{} damaged log objects were set aside", aside.len()),
                    Some("They are in the table's _delta_log/quarantine; the table reads without them."),
                ));
            }
        }
        found.insert(0, diagnosis("lake", "ok", format!("{opened} of {} tables open", names.len()), None));
        Ok(found)
    }
}
