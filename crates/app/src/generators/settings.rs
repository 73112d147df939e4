//! A generator's own settings file, read with what the source file and the command line say on top.

use std::path::{Path, PathBuf};

use headwater_project::tree;
use headwater_project::{Classify, Diagnostic, Failure, FileId, Files, Severity, Timestamp};
use headwater_sim::{FaultShares, Overrides, Sessions, SessionsConfig, TopicSpec};

use super::pin::Pin;
use crate::source_file::{FaultsConfig, GeneratorConfig};

/// Settings of one generator, as text and as checked.
pub(crate) struct Settings {
    path: PathBuf,
    value: serde_json::Value,
    faults: Option<FaultShares>,
    /// What is wrong with the file.
    pub(crate) findings: Vec<Diagnostic>,
}

impl Settings {
    /// Reads the settings file. `Err` when it is not there or not YAML or JSON at all.
    pub(crate) fn read(root: &Path, config: &GeneratorConfig) -> Result<Self, Failure> {
        let path = root.join(&config.config);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Failure::user(format!("the generator settings {} could not be read", config.config.display()))
                .with_detail(format!("{error}."))
                .with_hint("`config:` of the source names a file relative to the project folder.")
        })?;
        let mut files = Files::default();
        let file: FileId = files.add(config.config.clone(), text.as_str());
        let (tree, problems) = tree::parse(file, &text);
        if let Some(problem) = problems.found.first() {
            return Err(Failure::user(format!("the generator settings {} do not read", config.config.display()))
                .with_detail(problem.render(&files)));
        }
        let mut settings =
            Self { path, value: tree.to_json(), faults: config.faults.map(shares), findings: Vec::new() };
        let (_, found) = settings.sessions(&Overrides::default(), Timestamp(0));
        settings.findings = found.into_iter().map(|finding| located(finding, &config.config)).collect();
        Ok(settings)
    }

    fn sessions(&self, overrides: &Overrides, now: Timestamp) -> (Option<SessionsConfig>, Vec<Diagnostic>) {
        let overrides = Overrides { faults: overrides.faults.or(self.faults), ..overrides.clone() };
        SessionsConfig::read(&self.value, &overrides, now, &|_| None)
    }

    /// The linter's findings on top of the reader's.
    pub(crate) fn lint(&self) -> Vec<Diagnostic> {
        let mut found = self.findings.clone();
        if let (Some(config), _) = self.sessions(&Overrides::default(), Timestamp(0)) {
            found.extend(headwater_sim::lint(&config).into_iter().map(|finding| located(finding, &self.path)));
        }
        found
    }

    pub(crate) fn topics(&self) -> Vec<TopicSpec> {
        let tagged = self.value.get("tag").is_some_and(|tag| !tag.is_null());
        headwater_sim::sessions::render::topics(tagged)
    }

    pub(crate) fn reference_names(&self) -> &'static [&'static str] {
        &["songs", "locations"]
    }

    /// The configuration as fixed at the generator's first start.
    pub(crate) fn config(&self, pin: &Pin) -> Result<SessionsConfig, Failure> {
        let (config, found) = self.sessions(&pin.overrides, pin.now);
        config.ok_or_else(|| {
            let first = found.iter().find(|finding| finding.severity == Severity::Error);
            let message = first.map_or_else(String::new, |finding| finding.message.clone());
            Failure::user("the generator's settings cannot be used")
                .with_detail(message)
                .with_hint("`headwater generate --check` shows all problems.")
        })
    }

    /// A generator at its beginning.
    pub(crate) fn begin(&self, pin: &Pin) -> Result<Sessions, Failure> {
        Sessions::new(&self.config(pin)?).map_err(|error| error.failure())
    }

    /// Text that changes when anything does that the records depend on.
    pub(crate) fn identity(&self) -> String {
        format!("{}|{:?}", self.value, self.faults)
    }
}

fn located(mut finding: Diagnostic, path: &Path) -> Diagnostic {
    finding.message = format!("{}: {}", path.display(), finding.message);
    finding
}

fn shares(config: FaultsConfig) -> FaultShares {
    FaultShares {
        late: config.late,
        late_max_delay: config.late_max_delay.map_or(86_400.0, |delay| delay.0.as_secs_f64()),
        duplicate: config.duplicate,
        malformed: config.malformed,
    }
}

/// `60x` as 60.
pub(crate) fn parse_speed(text: &str) -> Option<f64> {
    let factor: f64 = text.strip_suffix('x')?.trim().parse().ok()?;
    (factor.is_finite() && factor > 0.0).then_some(factor)
}
