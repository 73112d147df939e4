//! One file for each verb, and what they share.

mod build;
mod check;
mod columns;
mod completions;
mod connections;
mod dashboards;
mod dbt;
mod demo;
mod doctor;
mod export;
mod generate;
mod import;
mod ingest;
mod init;
mod nodes;
mod quarantine;
mod query;
mod runs;
mod sinks;
mod sources;
mod tables;
mod topics;
mod up;
mod users;
mod verify;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headwater_app::{
    Access, BuildCommand, DeferTo, DeprecationSummary, Finding, IndirectSelection, Instance, OpenOptions, Project,
    Selection, is_deprecation,
};
use headwater_project::{Classify, Failure, Kind};
use headwater_server::ServerError;

use crate::args::{Command, Defer, Indirect, Select};
use crate::print::{Printer, count_findings};
use crate::settings::Settings;

/// Why a command ended before, or without, success.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Headwater could not run: exit code 2.
    Failure(Failure),
    /// The project has findings, which are printed already: exit code 1.
    Findings,
    /// The project's own errors, which are printed already, keep the command from starting: exit code 2.
    Unsound,
    /// Whoever read our output has seen enough: exit code 0.
    Closed,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<ServerError> for Stop {
    fn from(error: ServerError) -> Self {
        Self::Failure(error.failure())
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::Closed;
        }
        let failure = Failure::new(Kind::External { retry_after: None }, "the answer cannot be written");
        Self::Failure(failure.with_detail(error.to_string()))
    }
}

/// What every command gets.
pub(crate) struct Context {
    pub(crate) open: OpenOptions,
    pub(crate) printer: Printer,
    shows_all_deprecations: bool,
    /// Those of the project that was read last.
    deprecations: Mutex<DeprecationSummary>,
}

impl Context {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            open: settings.open,
            printer: settings.printer,
            shows_all_deprecations: settings.shows_all_deprecations,
            deprecations: Mutex::default(),
        }
    }

    /// The same for another project.
    pub(crate) fn of_project(&self, open: OpenOptions) -> Self {
        Self {
            open,
            printer: self.printer.clone(),
            shows_all_deprecations: self.shows_all_deprecations,
            deprecations: Mutex::default(),
        }
    }

    /// The project, with its findings printed; errors among them end the command.
    pub(crate) fn sound_project(&self) -> Result<Project, Stop> {
        let project = Project::load(&self.open)?;
        let findings = project.findings();
        let errors = findings.iter().filter(|finding| finding.is_error).count();
        *self.deprecations() = project.deprecations();
        let told = self.first_of_each(project.findings());
        if errors > 0 || !self.printer.is_quiet {
            self.printer.findings_as_words(&told);
        }
        if errors > 0 {
            self.printer.words(&count_findings(errors, findings.len() - errors));
            return Err(Stop::Unsound);
        }
        Ok(project)
    }

    /// Of each deprecation the first use, unless all are asked for; errors are always told.
    fn first_of_each(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let mut met = BTreeSet::new();
        let mut is_told = |finding: &Finding| {
            let event = finding.event.filter(|event| is_deprecation(event));
            event.is_none_or(|event| met.insert(event) || finding.is_error || self.shows_all_deprecations)
        };
        findings.into_iter().filter(|finding| is_told(finding)).collect()
    }

    fn deprecations(&self) -> MutexGuard<'_, DeprecationSummary> {
        self.deprecations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a command says last: how often each deprecated form was met. Like any warning this may be an error.
    fn sum_up_deprecations(&self) -> Result<(), Stop> {
        let met = self.deprecations();
        if met.counts.is_empty() || met.is_silenced {
            return Ok(());
        }
        self.printer.words("Summary of encountered deprecations:");
        for (event, count) in &met.counts {
            let plural = if *count == 1 { "" } else { "s" };
            self.printer.words(&format!("- {event}: {count} occurrence{plural}"));
        }
        if !self.shows_all_deprecations && met.counts.values().any(|count| *count > 1) {
            self.printer.words("Only the first of each is shown; --show-all-deprecations shows them all.");
        }
        if met.is_error { Err(Stop::Unsound) } else { Ok(()) }
    }

    /// For commands that change something.
    pub(crate) async fn writer(&self) -> Result<Instance, Stop> {
        Ok(Instance::open(self.sound_project()?, Access::Writer).await?)
    }

    /// For commands that read what the project's files say.
    pub(crate) async fn reader(&self) -> Result<Instance, Stop> {
        Ok(Instance::open(self.sound_project()?, Access::ReadOnly).await?)
    }

    /// For commands that read what is stored, which a mistake in a model does not change.
    pub(crate) async fn reader_of_any_project(&self) -> Result<Instance, Stop> {
        Ok(Instance::open(Project::load(&self.open)?, Access::ReadOnly).await?)
    }
}

pub(crate) fn selection(select: Select) -> Selection {
    Selection {
        select: select.select,
        exclude: select.exclude,
        resource_types: select.resource_types,
        exclude_resource_types: select.exclude_resource_types,
        selector: select.selector,
        indirect: match select.indirect_selection {
            Indirect::Eager => IndirectSelection::Eager,
            Indirect::Cautious => IndirectSelection::Cautious,
            Indirect::Buildable => IndirectSelection::Buildable,
            Indirect::Empty => IndirectSelection::Empty,
        },
        state: select.state,
    }
}

/// What is deferred to; `state` is the folder of `--state`.
pub(crate) fn deferred(defer: Defer, state: Option<&Path>) -> Result<Option<DeferTo>, Failure> {
    if !defer.defer || defer.no_defer {
        return Ok(None);
    }
    let state = defer.defer_state.or_else(|| state.map(Path::to_path_buf)).ok_or_else(|| {
        Failure::user("--defer and clone need the manifest of another run")
            .with_hint("Name the folder it is in with --state or --defer-state.")
    })?;
    Ok(Some(DeferTo { state, favor_state: defer.favor_state }))
}

/// Runs one command. Each is boxed: together they would make one very large future.
pub(crate) async fn run(context: Context, command: Command) -> Result<(), Stop> {
    let context = Arc::new(context);
    let outcome = run_command(&context, command).await;
    let summed_up = context.sum_up_deprecations();
    outcome.and(summed_up)
}

async fn run_command(context: &Arc<Context>, command: Command) -> Result<(), Stop> {
    match command {
        Command::Init(init) => init::init(context, &init),
        Command::Check => check::check(context),
        Command::Schema { kind } => check::schema(context, kind.as_deref()),
        Command::Generate(generate) => Box::pin(generate::generate(context, generate)).await,
        Command::Ingest { action: Some(action), .. } => Box::pin(sources::steer(context, action)).await,
        Command::Ingest { sources, restart, recopy, action: None } => {
            Box::pin(ingest::ingest(context, &sources, restart, &recopy)).await
        }
        Command::Topics { connection, action } => {
            Box::pin(topics::topics(context, connection.as_deref(), action)).await
        }
        Command::Verify { source } => Box::pin(verify::verify(context, &source)).await,
        Command::Quarantine { action } => Box::pin(quarantine::quarantine(context, action)).await,
        Command::Import { action } => import::import(context, action),
        Command::Export { action: Some(action), .. } => Box::pin(sinks::look(context, action)).await,
        Command::Export { sinks, action: None } => Box::pin(export::export(context, &sinks)).await,
        Command::Build(build) => Box::pin(build::build(context, BuildCommand::Build, build)).await,
        Command::Run(build) => Box::pin(build::build(context, BuildCommand::Run, build)).await,
        Command::Test(build) => Box::pin(build::build(context, BuildCommand::Test, build)).await,
        Command::Seed(seed) => Box::pin(build::seed(context, seed)).await,
        Command::Snapshot(build) => Box::pin(build::build(context, BuildCommand::Snapshot, build)).await,
        Command::Clone(clone) => Box::pin(build::clone(context, clone)).await,
        Command::Retry => Box::pin(dbt::retry(context)).await,
        Command::RunOperation(operation) => Box::pin(dbt::run_operation(context, operation)).await,
        Command::Source { action } => Box::pin(dbt::source(context, action)).await,
        Command::Docs { action } => Box::pin(dbt::docs(context, action)).await,
        Command::Parse => Box::pin(dbt::parse(context)).await,
        Command::Debug => Box::pin(dbt::debug(context)).await,
        Command::Clean => dbt::clean(context),
        Command::Deps(deps) => Box::pin(dbt::deps(context, deps)).await,
        Command::Columns { name } => Box::pin(columns::columns(context, &name)).await,
        Command::Compile(compile) => Box::pin(nodes::compile(context, compile)).await,
        Command::Ls(list) => nodes::list(context, list),
        Command::Show(show) => Box::pin(query::show(context, show)).await,
        Command::Query(query) => Box::pin(query::query(context, query)).await,
        Command::Dashboards { name, all } => Box::pin(dashboards::dashboards(context, name, all)).await,
        Command::Runs { id, log, limit } => Box::pin(runs::runs(context, id, log, limit)).await,
        Command::Tables { name } => Box::pin(tables::tables(context, name)).await,
        Command::Up(up) => Box::pin(up::up(context, up)).await,
        Command::Demo(demo) => Box::pin(demo::demo(context, demo)).await,
        Command::Connections { action } => connections::connections(context, action),
        Command::Users { action } => users::users(context, action),
        Command::Doctor => Box::pin(doctor::doctor(context)).await,
        Command::Maintain => Box::pin(doctor::maintain(context)).await,
        Command::Completions { shell } => completions::completions(context, shell),
        // Answered before a runtime exists, as a worker brings its own.
        Command::QueryWorker => Ok(()),
    }
}
