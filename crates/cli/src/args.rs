//! What can be typed. Only clap: no defaults that need the machine, no work.

mod dbt;
mod values;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use headwater_project::Timestamp;

pub(crate) use dbt::{
    CloneArgs, Compile, Defer, Deps, DocsAction, DocsServe, Indirect, NodeOutput, RunOperation, Seed, SourceAction,
};

/// From source to dashboard in one binary.
#[derive(Debug, Parser)]
#[command(name = "headwater", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 ok, 1 the project has findings, 2 headwater could not run.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Project folder, or a folder inside one.
    #[arg(
        long,
        short = 'C',
        global = true,
        value_name = "FOLDER",
        env = "HEADWATER_PROJECT_DIR",
        hide_env_values = true
    )]
    #[arg(default_value = ".", hide_default_value = true)]
    pub(crate) project_dir: PathBuf,
    /// Memory for data, e.g. 512MiB or 4GiB; half the machine's when not given.
    #[arg(long, global = true, value_name = "SIZE", value_parser = values::bytes)]
    pub(crate) memory: Option<u64>,
    /// Threads to work with; one per core when not given.
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Variables for models, as a YAML or JSON mapping.
    #[arg(long, global = true, value_name = "MAPPING")]
    pub(crate) vars: Option<String>,
    /// Target of the project to use.
    #[arg(long, short, global = true, value_name = "NAME")]
    pub(crate) target: Option<String>,
    /// Folder for manifest.json and the other artifacts, instead of .headwater/target.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) target_path: Option<PathBuf>,
    /// Read sources in files from somewhere else: gs://bucket=./data. Can be given several times.
    #[arg(long, global = true, value_name = "FROM=TO", value_parser = values::location)]
    pub(crate) map_location: Vec<(String, String)>,
    /// Take every warning about the project, and every test that warns, for an error.
    #[arg(long, global = true, conflicts_with = "warn_error_options")]
    pub(crate) warn_error: bool,
    /// Which warnings are errors, and which are not told: {error: all, warn: [..], silence: [..]}.
    #[arg(long, global = true, value_name = "MAPPING")]
    pub(crate) warn_error_options: Option<String>,
    /// Show every use of a deprecated form, not only the first of each kind.
    #[arg(long, global = true)]
    pub(crate) show_all_deprecations: bool,
    /// Print data as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say less: errors only.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more; twice for debugging.
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// No colour (as with the variable NO_COLOR).
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a small working project.
    Init(Init),
    /// Check the project without opening anything.
    Check,
    /// Print the JSON Schema of a kind of project file.
    Schema {
        /// Kind of file; without it, the kinds are listed.
        kind: Option<String>,
    },
    /// Run the generators' backlog into their topics.
    Generate(Generate),
    /// Take what sources hold now into the lake, then stop; or see and steer how they are taken in.
    #[command(args_conflicts_with_subcommands = true)]
    Ingest {
        /// Sources to read; all that are not paused when none is named.
        #[arg(value_name = "SOURCE", required_if_eq("restart", "true"))]
        sources: Vec<String>,
        /// Begin the stream of a captured database anew, with a new slot and new copies of its tables; let a Kafka source
        /// go on whose topics are not what they were.
        #[arg(long)]
        restart: bool,
        /// Copy this table of the named source again while its changes go on; may be given several times. Captured
        /// databases only.
        #[arg(long, value_name = "TABLE", requires = "sources", conflicts_with = "restart")]
        recopy: Vec<String>,
        #[command(subcommand)]
        action: Option<IngestAction>,
    },
    /// Read a source once more, from its beginning, and compare it with its tables by counts and checksums.
    Verify {
        /// Source to compare.
        source: String,
    },
    /// Look at records that were set aside, or read them again.
    Quarantine {
        #[command(subcommand)]
        action: Option<QuarantineAction>,
    },
    /// Send what sinks have not sent yet, then stop; or see how far they are.
    #[command(args_conflicts_with_subcommands = true)]
    Export {
        /// Sinks to run; all when none is named.
        #[arg(value_name = "SINK")]
        sinks: Vec<String>,
        #[command(subcommand)]
        action: Option<ExportAction>,
    },
    /// Make sources from configurations of other tools.
    Import {
        #[command(subcommand)]
        action: ImportAction,
    },
    /// Look into the topics of the project's log, or of a Kafka connection.
    Topics {
        /// Look into the topics of this connection.
        #[arg(long, value_name = "NAME", global = true)]
        connection: Option<String>,
        #[command(subcommand)]
        action: Option<TopicsAction>,
    },
    /// Build seeds and models in order, testing each before what depends on it.
    Build(Build),
    /// Build models without testing.
    Run(Build),
    /// Run tests.
    Test(Build),
    /// Load seeds.
    Seed(Seed),
    /// Take snapshots.
    Snapshot(Build),
    /// Make views of what another environment has built, under this one's names.
    Clone(CloneArgs),
    /// Run the last build again that failed.
    Retry,
    /// Run one macro.
    RunOperation(RunOperation),
    /// Look at sources.
    Source {
        #[command(subcommand)]
        action: SourceAction,
    },
    /// Write what documentation tools read, or show the project's pages.
    Docs {
        #[command(subcommand)]
        action: DocsAction,
    },
    /// Read the project and write manifest.json.
    Parse,
    /// Show what the project is read as.
    Debug,
    /// Remove the folders that clean-targets names.
    Clean,
    /// Install the packages of packages.yml: local ones, by git, from an address, from the hub.
    Deps(Deps),
    /// Show the columns of a node, with their types and where they come from.
    ///
    /// They are told from SQL: nothing needs to have been built.
    Columns {
        /// A node, for all its columns; or NODE.COLUMN, for the way of one from its source and to whatever is made of it.
        #[arg(value_name = "NODE[.COLUMN]")]
        name: String,
    },
    /// Print the SQL that nodes come to.
    Compile(Compile),
    /// List nodes of the project.
    Ls(List),
    /// Print the first rows of a node, or of SQL with Jinja.
    Show(Show),
    /// Ask the lake in SQL.
    Query(Query),
    /// List dashboards, or print the answers of one.
    Dashboards {
        /// Dashboard to answer; without it, they are listed.
        name: Option<String>,
        /// Print the answers of every dashboard.
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// List runs, or the steps of one.
    Runs {
        /// Run to show.
        id: Option<i64>,
        /// Print what the run said instead of its steps.
        #[arg(long, requires = "id")]
        log: bool,
        /// Runs to list.
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
    /// List tables, or the columns of one.
    Tables {
        /// Table to show, as schema.table.
        name: Option<String>,
    },
    /// Run everything: generators, ingestion, scheduled builds and the HTTP API.
    Up(Up),
    /// See a whole project at work: backlog, lake, models, dashboards, then live.
    Demo(Demo),
    /// List the project's connections, or see whether they answer.
    Connections {
        #[command(subcommand)]
        action: Option<ConnectionsAction>,
    },
    /// Say who may log in to the HTTP API; nobody needs to while there is no user.
    Users {
        #[command(subcommand)]
        action: Option<UsersAction>,
    },
    /// Check the machine, the project and its state.
    Doctor,
    /// Compact tables and remove files no version needs.
    Maintain,
    /// Print a completion script for a shell.
    Completions { shell: Shell },
    /// Run one untrusted statement given on stdin.
    #[command(hide = true)]
    QueryWorker,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportAction {
    /// From the configuration of a Kafka Connect sink (JSON): Confluent's or Aiven's for S3 or Google Cloud Storage.
    ///
    /// Writes sources/<name>.yml, and says what headwater.yml needs and what became of each key that has no place.
    Connect {
        /// Configuration of the connector.
        file: PathBuf,
        /// Connection of headwater.yml that the source shall use.
        #[arg(long, value_name = "NAME", default_value = "bus")]
        connection: String,
        /// Print the source instead of writing it.
        #[arg(long)]
        print: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Folder to make the project in, empty or absent; the project folder when not given.
    pub(crate) folder: Option<PathBuf>,
    /// Name of the project; the folder's when not given.
    #[arg(long)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// Generator sources to run; all when none is named.
    #[arg(value_name = "SOURCE")]
    pub(crate) sources: Vec<String>,
    /// Only check the generators' settings.
    #[arg(long)]
    pub(crate) check: bool,
    /// Users at the start.
    #[arg(long, value_name = "N")]
    pub(crate) users: Option<u64>,
    /// Seed of all randomness.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Event time to start at, e.g. 2024-01-01.
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<String>,
    /// Event time to end at.
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<String>,
    /// Stop after about this many events.
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(crate) max_events: Option<u64>,
    /// Throw the events away: measures the generator alone.
    #[arg(long)]
    pub(crate) null_sink: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IngestAction {
    /// Show how sources are doing: what the running process does now, or what the commits of their tables know.
    Status {
        /// Source to show; all when not given.
        source: Option<String>,
    },
    /// Hold a source back: what was read is committed, then nothing more is read until it is resumed, over restarts too.
    Pause(Steer),
    /// Let a paused source go on where its tables are.
    Resume(Steer),
    /// Run a source of the running process once more from where its tables are, such as after a failure. Nothing begins anew.
    Rerun(Steer),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExportAction {
    /// Show how far sinks are: what the running process does now, or what their destinations say when none runs.
    Status {
        /// Sink to show; all when not given.
        sink: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Steer {
    pub(crate) source: String,
    /// Only this of its tables.
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsAction {
    /// List topics.
    List,
    /// Show the partitions of a topic.
    Describe { topic: String },
    /// Print the last records of a topic.
    Tail {
        topic: String,
        /// Records to print.
        #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
        limit: usize,
        /// Start this many records before the end of each partition; as many as are printed when not given.
        #[arg(long, value_name = "N")]
        from_end: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineAction {
    /// List the tables records were set aside of, with the reasons.
    List,
    /// Print the newest records that were set aside of a table.
    Show {
        /// Table they were meant for, as schema.table.
        table: String,
        /// Only those of this reason.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Records to print.
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        output: RowOutput,
    },
    /// Read records again that were set aside, and take what fits by now.
    Replay {
        /// Table they were meant for, as schema.table.
        table: String,
        /// Only those of this reason.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

#[derive(Debug, Default, Args)]
pub(crate) struct Select {
    /// Nodes to take: names, paths, tag:..., and graph operators such as +model+.
    #[arg(long, short, visible_alias = "models", short_alias = 'm', value_name = "SELECTOR", num_args = 1..)]
    pub(crate) select: Vec<String>,
    /// Nodes to leave out.
    #[arg(long, value_name = "SELECTOR", num_args = 1..)]
    pub(crate) exclude: Vec<String>,
    /// Selector of selectors.yml.
    #[arg(long, value_name = "NAME")]
    pub(crate) selector: Option<String>,
    /// Which tests come with the nodes they look at.
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    pub(crate) indirect_selection: Indirect,
    /// Kinds of node: model, seed, snapshot, test, unit_test, source.
    #[arg(long = "resource-type", visible_alias = "resource-types", value_name = "KIND", num_args = 1..)]
    pub(crate) resource_types: Vec<String>,
    /// Kinds of node to leave out.
    #[arg(long = "exclude-resource-type", visible_alias = "exclude-resource-types", value_name = "KIND", num_args = 1..)]
    pub(crate) exclude_resource_types: Vec<String>,
    /// Folder with the artifacts of an earlier run, for state: and result:, --defer and clone.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) select: Select,
    /// Build incremental models from nothing.
    #[arg(long, short)]
    pub(crate) full_refresh: bool,
    /// Also build what did not change.
    #[arg(long)]
    pub(crate) force: bool,
    /// Take what models read as empty: tries out their shapes.
    #[arg(long)]
    pub(crate) empty: bool,
    /// Cut what models read down to a span of event time: `3 days`, or {start: 2024-01-01, end: 2024-02-01}.
    #[arg(long, value_name = "SPAN")]
    pub(crate) sample: Option<String>,
    #[command(flatten)]
    pub(crate) defer: Defer,
    /// Keep the failing rows of tests in tables.
    #[arg(long)]
    pub(crate) store_failures: bool,
    /// Start nothing more once something has failed.
    #[arg(long, short = 'x')]
    pub(crate) fail_fast: bool,
    /// First moment of event time to build microbatches for.
    #[arg(long, value_name = "TIME", value_parser = dbt::moment)]
    pub(crate) event_time_start: Option<Timestamp>,
    /// The moment of event time microbatches end before.
    #[arg(long, value_name = "TIME", value_parser = dbt::moment)]
    pub(crate) event_time_end: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) select: Select,
    #[command(flatten)]
    pub(crate) defer: Defer,
    /// What is printed of each node.
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    pub(crate) output: NodeOutput,
    /// Keys of each node with `--output json`.
    #[arg(long, value_name = "KEY", num_args = 1.., value_delimiter = ',')]
    pub(crate) output_keys: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Node to show.
    #[arg(required_unless_present_any = ["inline", "select"], conflicts_with_all = ["inline", "select"])]
    pub(crate) node: Option<String>,
    /// Nodes to show one after the other: a node that fails does not keep the others from being shown.
    #[arg(long, short, value_name = "SELECTOR", num_args = 1.., conflicts_with = "inline")]
    pub(crate) select: Vec<String>,
    /// SQL with Jinja to show instead of a node.
    #[arg(long, value_name = "SQL")]
    pub(crate) inline: Option<String>,
    /// Rows to print.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) limit: usize,
    /// Folder with the artifacts of an earlier run, for --defer.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) defer: Defer,
    /// How rows are written; a table when not given.
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<Format>,
    /// `json` for a document with the node's name and its rows, `text` for a table; or a file to write to.
    #[arg(long, short, value_name = "json|text|FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Query {
    /// Statement; read from stdin when neither it nor --file is given.
    #[arg(conflicts_with = "file")]
    pub(crate) sql: Option<String>,
    /// File with the statement.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: RowOutput,
}

#[derive(Debug, Default, Args)]
pub(crate) struct RowOutput {
    /// How rows are written; a table when not given.
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<Format>,
    /// File to write to instead of stdout. It appears when it is whole.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Csv,
    /// A list of objects.
    Json,
    /// An object a line.
    Ndjson,
    Parquet,
    /// Arrow IPC stream.
    Arrow,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Port on the loopback address; 0 takes any free one; the project's, or 7766, when not given.
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Build this often, besides the project's schedules, e.g. 30s.
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub(crate) build_every: Option<Duration>,
    /// How many times faster than real time generators run.
    #[arg(long, value_name = "FACTOR", value_parser = values::speed)]
    pub(crate) speed: Option<f64>,
    /// End by itself after this long.
    #[arg(long = "for", value_name = "DURATION", value_parser = values::duration)]
    pub(crate) for_duration: Option<Duration>,
    #[command(flatten)]
    pub(crate) access: AccessOptions,
}

/// Who may reach the HTTP API.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AccessOptions {
    /// Address to listen on instead of the loopback one; needs users, or --read-only.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<IpAddr>,
    /// Host name besides the loopback ones that requests may be addressed to.
    #[arg(long = "allow-host", value_name = "NAME")]
    pub(crate) allowed_hosts: Vec<String>,
    /// Let nobody start anything over HTTP; without users, everybody may look.
    #[arg(long)]
    pub(crate) read_only: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersAction {
    /// List users and tokens.
    List,
    /// Add a user, or give a known one another role and password; the password is read from stdin.
    Add {
        name: String,
        #[arg(long, value_enum, default_value = "viewer")]
        role: RoleName,
    },
    /// Make a token for programs and print it.
    Token {
        name: String,
        #[arg(long, value_enum, default_value = "viewer")]
        role: RoleName,
    },
    /// Remove a user or token; its sessions end at once.
    Remove { name: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectionsAction {
    /// List connections.
    List,
    /// Connect and say what is there.
    Test {
        /// Connections to test; all when none is named.
        #[arg(value_name = "CONNECTION")]
        names: Vec<String>,
    },
}

/// What somebody may do: look, also start runs, everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    Viewer,
    Editor,
    Admin,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Reference project to show.
    #[arg(default_value = "music")]
    pub(crate) project: String,
    /// Folder for the project; ./headwater-demo-PROJECT when not given. One that is there goes on where it stopped.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// End by itself after this long once live; after 60s where there is no terminal to stop it from.
    #[arg(long = "for", value_name = "DURATION", value_parser = values::duration)]
    pub(crate) for_duration: Option<Duration>,
    /// Stay until it is stopped, without a terminal too; --for goes before it.
    #[arg(long)]
    pub(crate) stay: bool,
    /// Port on the loopback address; 0 takes any free one.
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Users at the start.
    #[arg(long, value_name = "N")]
    pub(crate) users: Option<u64>,
    /// Stop the backlog after about this many events, e.g. 1M.
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(crate) events: Option<u64>,
    /// Build this often once live.
    #[arg(long, value_name = "DURATION", value_parser = values::duration, default_value = "15s")]
    pub(crate) build_every: Duration,
    /// How many times faster than real time generators run.
    #[arg(long, value_name = "FACTOR", value_parser = values::speed)]
    pub(crate) speed: Option<f64>,
}
