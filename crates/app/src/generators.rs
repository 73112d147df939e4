//! Generators as sources: their settings, and the thread that drives one into topics of the local log.

mod driver;
mod null_log;
mod pin;
mod settings;
mod snapshot;

use headwater_project::{Diagnostic, Diagnostics, Failure};
use headwater_sim::Overrides;
use headwater_transform::{ColumnInfo, DeclaredSource, RelationName};

use crate::project::Project;
use crate::source_file::{GeneratorConfig, SourceConfig};

pub(crate) use driver::{Driver, DriverStatus, Until};
pub(crate) use null_log::NullLog;
pub(crate) use pin::Pin;
pub(crate) use settings::{Settings, parse_speed};
pub(crate) use snapshot::path as snapshot_path;

/// The generator sources of a project.
pub(crate) fn configs(project: &Project) -> impl Iterator<Item = &GeneratorConfig> {
    project.sources.iter().filter_map(|source| match &source.config {
        SourceConfig::Generator(config) => Some(config),
        _ => None,
    })
}

/// Problems that keep a generator from starting.
pub(crate) fn check(project: &Project, found: &mut Diagnostics) {
    for config in configs(project) {
        match Settings::read(&project.root, config) {
            Ok(settings) => found.found.extend(settings.findings),
            Err(failure) => found.push(as_diagnostic(&failure)),
        }
        if let Some(speed) = &config.speed
            && parse_speed(speed).is_none()
        {
            found.push(
                Diagnostic::error(format!("`{speed}` is not a speed")).hint("Write a number and an x: `1x`, `60x`."),
            );
        }
    }
}

/// Everything the linter has to say about the generators' own settings.
pub(crate) fn lint(project: &Project, found: &mut Diagnostics) {
    for config in configs(project) {
        match Settings::read(&project.root, config) {
            Ok(settings) => found.found.extend(settings.lint()),
            Err(failure) => found.push(as_diagnostic(&failure)),
        }
    }
}

fn as_diagnostic(failure: &Failure) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(failure.message.clone());
    diagnostic.detail.clone_from(&failure.detail);
    diagnostic.hint.clone_from(&failure.hint);
    diagnostic
}

/// What the source file itself fixes of the generator's settings.
pub(crate) fn overrides_of(config: &GeneratorConfig) -> Overrides {
    Overrides {
        start: config.backlog.start.clone(),
        n_users: config.backlog.users.and_then(|users| u32::try_from(users).ok()),
        ..Overrides::default()
    }
}

/// The tables a generator fills, for `source()` in models.
pub(crate) fn declared_tables(root: &std::path::Path, config: &GeneratorConfig) -> Vec<DeclaredSource> {
    let Ok(settings) = Settings::read(root, config) else { return Vec::new() };
    let topics = settings.topics().into_iter().map(|topic| {
        let columns = topic.schema.fields().iter().map(|field| ColumnInfo {
            name: field.name().clone(),
            data_type: headwater_engine::sql_type_name(field.data_type()),
        });
        declared(&config.name, &topic.name, columns.collect())
    });
    let references = settings.reference_names().iter().map(|name| declared(&config.name, name, Vec::new()));
    topics.chain(references).collect()
}

/// A table that `source()` finds: the source's name is its schema.
pub(crate) fn declared(source: &str, table: &str, columns: Vec<ColumnInfo>) -> DeclaredSource {
    let relation = RelationName { database: None, schema: source.to_owned(), identifier: table.to_owned() };
    DeclaredSource { source: source.to_owned(), table: table.to_owned(), relation, columns }
}
