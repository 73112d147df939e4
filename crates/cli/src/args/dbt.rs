//! Arguments of the commands that are dbt's.

use clap::{Args, Subcommand, ValueEnum};
use headwater_project::Timestamp;

use super::Select;

#[derive(Debug, Subcommand)]
pub(crate) enum SourceAction {
    /// How old the newest rows of sources are.
    Freshness(Select),
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum DocsAction {
    /// Write manifest.json and catalog.json.
    Generate,
    /// Serve the documentation.
    Serve,
}

#[derive(Debug, Args)]
pub(crate) struct RunOperation {
    /// Macro to run.
    pub(crate) name: String,
    /// Its arguments, as a YAML or JSON mapping.
    #[arg(long, value_name = "MAPPING")]
    pub(crate) args: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Indirect {
    #[default]
    Eager,
    Cautious,
    Buildable,
    Empty,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum NodeOutput {
    /// What selects exactly it.
    #[default]
    Selector,
    Name,
    Path,
    Json,
}

pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    headwater_app::parse_moment(text)
        .ok_or_else(|| String::from("a time is written as 2024-01-31 or 2024-01-31T12:00:00"))
}
