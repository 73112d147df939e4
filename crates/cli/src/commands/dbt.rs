//! The commands a dbt user types besides building: `parse`, `debug`, `clean`, `deps`, `retry`, `run-operation`,
//! `source freshness`, `docs`.

use std::path::{Component, Path};

use headwater_app::{Observer, PackageRequest, Project, retry_request};
use headwater_project::Failure;
use headwater_project::tree;

use super::{Context, Stop, build, selection};
use crate::args::{AccessOptions, Deps, DocsAction, DocsServe, RunOperation, SourceAction};
use crate::print::Printer;
use crate::serving::{Serving, ServingOptions};
use crate::signals::Interrupt;

pub(super) async fn parse(context: &Context) -> Result<(), Stop> {
    let instance = context.reader().await?;
    let folder = instance.write_manifest(false).await?;
    context.printer.words(&format!("Wrote {}.", folder.join("manifest.json").display()));
    Ok(())
}

pub(super) async fn debug(context: &Context) -> Result<(), Stop> {
    let instance = context.reader().await?;
    let project = instance.project();
    for (what, value) in project.facts() {
        context.printer.line(&format!("{what}: {value}"))?;
    }
    context.printer.words("All checks passed.");
    Ok(())
}

pub(super) async fn docs(context: &Context, action: DocsAction) -> Result<(), Stop> {
    match action {
        DocsAction::Generate { no_compile, select } => {
            let instance = context.reader().await?;
            let folder = instance.generate_docs(&selection(select), !no_compile).await?;
            context.printer.words(&format!("Wrote manifest.json and catalog.json to {}.", folder.display()));
            Ok(())
        }
        DocsAction::Serve(serve) => docs_serve(context, serve).await,
    }
}

/// The pages of `up` with nothing going on behind them. A process that builds may run beside it.
async fn docs_serve(context: &Context, serve: DocsServe) -> Result<(), Stop> {
    let interrupt = Interrupt::listen(&context.printer)?;
    let access = AccessOptions { listen: serve.host, allowed_hosts: serve.allowed_hosts, read_only: true };
    let options =
        ServingOptions { port: Some(serve.port), for_duration: serve.for_duration, access, up: None, page: "/lineage" };
    let instance = context.reader().await?;
    if !serve.no_browser {
        context.printer.words("Open the address in a browser; Ctrl+C ends it.");
    }
    let serving = Serving::start(&context.printer, instance, options).await?;
    serving.until_end(&interrupt, |_| Box::pin(std::future::ready(Ok(())))).await
}

pub(super) async fn source(context: &Context, action: SourceAction) -> Result<(), Stop> {
    let SourceAction::Freshness(select) = action;
    let instance = context.reader().await?;
    let found = instance.source_freshness(&selection(select)).await?;
    let mut bad = false;
    for source in &found {
        bad |= !matches!(source.status, "pass" | "warn");
        let age = source.age_seconds.map_or_else(String::new, |age| format!(", {age:.0} s old"));
        context.printer.line(&format!("{} freshness of {}{age}", source.status.to_uppercase(), source.name))?;
        if let Some(failure) = &source.failure {
            context.printer.step_failure("source", &source.name, failure);
        }
    }
    if bad { Err(Stop::Findings) } else { Ok(()) }
}

/// What a macro says is what its caller wants of it: `run-operation` prints it as data.
struct Said(Printer);

impl Observer for Said {
    fn message(&self, text: &str) {
        // Whoever read the output may have seen enough: the macro goes on.
        _ = self.0.line(text);
    }
}

pub(super) async fn run_operation(context: &Context, operation: RunOperation) -> Result<(), Stop> {
    let instance = context.writer().await?;
    let arguments = match &operation.args {
        None => serde_json::Map::new(),
        Some(text) => mapping(text)?,
    };
    let said = Said(context.printer.clone());
    let report = instance.run_operation(&operation.name, arguments, &said).await?;
    match report.failure {
        None => Ok(()),
        Some(failure) => {
            context.printer.step_failure("macro", &report.name, &failure);
            Err(Stop::Findings)
        }
    }
}

fn mapping(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
    let mut files = headwater_project::Files::default();
    let file = files.add("--args", text);
    let (tree, found) = tree::parse(file, text);
    match (found.found.first(), tree.to_json()) {
        (None, serde_json::Value::Object(map)) => Ok(map),
        _ => {
            Err(Failure::user("--args is not a mapping").with_hint("Write it as YAML or JSON: --args '{name: value}'."))
        }
    }
}

pub(super) async fn retry(context: &Context) -> Result<(), Stop> {
    let instance = context.writer().await?;
    let request = retry_request(&instance.target_folder())?;
    let interrupt = Interrupt::listen(&context.printer)?;
    let report = build::run(context, &instance, request, &interrupt).await?;
    if report.succeeded { Ok(()) } else { Err(Stop::Findings) }
}

/// Removes what `clean-targets` names, inside the project only.
pub(super) fn clean(context: &Context) -> Result<(), Stop> {
    let project = Project::load(&context.open)?;
    for target in project.clean_targets() {
        let path = Path::new(&target);
        let leaves = path.is_absolute() || path.components().any(|part| matches!(part, Component::ParentDir));
        if leaves
            || matches!(
                target.as_str(),
                "" | "." | ".headwater" | "models" | "seeds" | "macros" | "tests" | "snapshots"
            )
        {
            return Err(Failure::user(format!("`{target}` is not removed: it is the project, or outside of it"))
                .with_hint("Name folders of what is made again, such as `target`, under clean-targets.")
                .into());
        }
        let folder = project.root_folder().join(path);
        if folder.is_dir() {
            std::fs::remove_dir_all(&folder)?;
            context.printer.words(&format!("Removed {target}."));
        }
    }
    Ok(())
}

/// Puts the packages of packages.yml, and those they ask for, into the package folder.
pub(super) async fn deps(context: &Context, deps: Deps) -> Result<(), Stop> {
    let project = Project::load(&context.open)?;
    let request = PackageRequest { upgrade: deps.upgrade, lock_only: deps.lock };
    let tell = |text: &str| context.printer.words(text);
    let installed = project.install_packages(request, &tell).await?;
    for package in &installed {
        context.printer.words(&format!("Installed {} from {}.", package.name, package.from));
    }
    if installed.is_empty() {
        context.printer.words(if deps.lock { "Wrote package-lock.yml." } else { "There are no packages to install." });
    }
    Ok(())
}
