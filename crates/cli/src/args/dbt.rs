//! Arguments of the commands that are dbt's.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use headwater_project::Timestamp;

use super::{Build, Select};

#[derive(Debug, Subcommand)]
pub(crate) enum SourceAction {
    /// How old the newest rows of sources are.
    Freshness(Select),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DocsAction {
    /// Write manifest.json and catalog.json.
    Generate {
        /// Write the manifest without the SQL that nodes come to.
        #[arg(long)]
        no_compile: bool,
        #[command(flatten)]
        select: Select,
    },
    /// Show the project's pages and nothing else: no ingestion, no builds, nobody may start any.
    Serve(DocsServe),
}

#[derive(Debug, Args)]
pub(crate) struct DocsServe {
    /// Port on the loopback address; 0 takes any free one.
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// Address to listen on instead of the loopback one.
    #[arg(long, visible_alias = "listen", value_name = "ADDRESS")]
    pub(crate) host: Option<IpAddr>,
    /// Host name besides the loopback ones that requests may be addressed to.
    #[arg(long = "allow-host", value_name = "NAME")]
    pub(crate) allowed_hosts: Vec<String>,
    /// End by itself after this long.
    #[arg(long = "for", value_name = "DURATION", value_parser = super::values::duration)]
    pub(crate) for_duration: Option<Duration>,
    /// Taken from those who type it for dbt: the address is printed, no browser is opened.
    #[arg(long, hide = true)]
    pub(crate) no_browser: bool,
}

/// Reading what is not selected where another run has made it.
#[derive(Debug, Default, Args)]
pub(crate) struct Defer {
    /// Read nodes that are not selected, and not here, where the manifest of --state says they are.
    #[arg(long)]
    pub(crate) defer: bool,
    /// Takes back a --defer before it.
    #[arg(long, overrides_with = "defer", hide = true)]
    pub(crate) no_defer: bool,
    /// With --defer: also those that are here.
    #[arg(long)]
    pub(crate) favor_state: bool,
    /// Folder with the manifest to defer to, when it is not that of --state.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) defer_state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Compile {
    #[command(flatten)]
    pub(crate) select: Select,
    #[command(flatten)]
    pub(crate) defer: Defer,
    /// SQL with Jinja to compile instead of nodes.
    #[arg(long, value_name = "SQL", conflicts_with_all = ["select", "exclude", "selector"])]
    pub(crate) inline: Option<String>,
    /// List what of the SQL cannot be translated from the adapter's dialect, instead of printing it.
    #[arg(long, conflicts_with = "inline")]
    pub(crate) dialect_report: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CloneArgs {
    #[command(flatten)]
    pub(crate) select: Select,
    /// Folder with the manifest of the environment to clone, when it is not that of --state.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) defer_state: Option<PathBuf>,
    /// Also clone what is here already.
    #[arg(long, short)]
    pub(crate) full_refresh: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Seed {
    #[command(flatten)]
    pub(crate) build: Build,
    /// Print the first rows of each seed.
    #[arg(long)]
    pub(crate) show: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Deps {
    /// Look for newer versions, whatever package-lock.yml says.
    #[arg(long)]
    pub(crate) upgrade: bool,
    /// Write package-lock.yml and install nothing.
    #[arg(long)]
    pub(crate) lock: bool,
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
