//! `headwater check` and `headwater schema`: what needs nothing but the files.

use headwater_app::Project;
use headwater_app::view::Finding;
use headwater_project::Failure;

use super::{Context, Stop};
use crate::print::count_findings;

pub(super) fn check(context: &Context) -> Result<(), Stop> {
    let project = Project::load(&context.open)?;
    report(context, project.findings())
}

/// Prints findings; errors among them make the exit code 1.
pub(super) fn report(context: &Context, findings: Vec<Finding>) -> Result<(), Stop> {
    let errors = findings.iter().filter(|finding| finding.is_error).count();
    let warnings = findings.len() - errors;
    context.printer.findings(findings)?;
    context.printer.words(&count_findings(errors, warnings));
    if errors > 0 { Err(Stop::Findings) } else { Ok(()) }
}

pub(super) fn schema(context: &Context, kind: Option<&str>) -> Result<(), Stop> {
    let schemas = Project::schemas();
    let Some(kind) = kind else {
        if context.printer.json {
            let all: serde_json::Map<String, _> =
                schemas.into_iter().map(|(kind, schema)| (kind.to_owned(), schema)).collect();
            return context.printer.json(&all);
        }
        return schemas.iter().try_for_each(|(kind, _)| context.printer.line(kind));
    };
    let known = schemas.iter().map(|(kind, _)| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
    let schema = schemas.into_iter().find(|(name, _)| *name == kind).map(|(_, schema)| schema).ok_or_else(|| {
        Failure::user(format!("there is no kind of file `{kind}`")).with_hint(format!("The kinds are {known}."))
    })?;
    context.printer.json(&schema)
}
