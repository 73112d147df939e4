//! The `headwater` binary: reads arguments, calls the façade of `app`, prints, exits.
//!
//! The only `main`. It must not know SQL, HTTP handlers or storage. `args` is what can be typed, `settings` what it comes
//! to, `commands` one file for each verb, and `print` the only place that writes to the terminal: data on stdout, words
//! on stderr.
//!
//! Exit codes: 0 all is well, 1 something has failed (a step, a test, a check), 2 headwater could not run, because of the
//! project's own errors among other things: the codes dbt has.

mod args;
mod commands;
mod print;
mod progress;
mod running;
mod serving;
mod settings;
mod signals;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use headwater_project::Failure;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;

use crate::args::{Arguments, Command};
use crate::commands::{Context, Stop};
use crate::settings::Settings;

/// Query plans are data of any depth that operators walk by recursion: two megabytes are too few for a long chain.
const WORKER_STACK: usize = 64 << 20;
/// Blocking work still under way when a command has ended gets this long.
const LAST_GRACE: Duration = Duration::from_secs(5);

/// DataFusion allocates from many threads at once, which the system's allocator serialises and never gives back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| error.exit());
    if matches!(arguments.command, Command::QueryWorker) {
        return headwater_app::run_query_worker();
    }
    let settings = Settings::resolve(&arguments.global);
    start_logging(&settings);
    let printer = settings.printer.clone();
    let outcome = start_runtime(&settings).map_err(Stop::Failure).and_then(|runtime| {
        let outcome = run_to_end(&runtime, Context::new(settings), arguments.command);
        runtime.shutdown_timeout(LAST_GRACE);
        outcome
    });
    match outcome {
        // A reader that has seen enough is no fault.
        Ok(()) | Err(Stop::Closed) => ExitCode::SUCCESS,
        Err(Stop::Findings) => ExitCode::from(1),
        Err(Stop::Unsound) => ExitCode::from(2),
        Err(Stop::Failure(failure)) => {
            printer.failure(&failure);
            ExitCode::from(2)
        }
    }
}

fn start_logging(settings: &Settings) {
    let filter = EnvFilter::try_from_env("HEADWATER_LOG").unwrap_or_else(|_| {
        EnvFilter::new(format!("{},deltalake_core=off,delta_kernel=off,buoyant_kernel=off", settings.log_level()))
    });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    builder.with_target(false).with_ansi(settings.printer.color).init();
}

fn start_runtime(settings: &Settings) -> Result<Runtime, Failure> {
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = settings.open.threads {
        builder.worker_threads(threads.max(1));
    }
    builder.thread_stack_size(WORKER_STACK).thread_name("headwater").enable_all();
    builder.build().map_err(|error| Failure::internal("the runtime cannot start").with_detail(error.to_string()))
}

/// Runs the command on a worker thread, whose stack is the large one.
fn run_to_end(runtime: &Runtime, context: Context, command: Command) -> Result<(), Stop> {
    runtime.block_on(async move {
        let mut tasks = JoinSet::new();
        tasks.spawn(commands::run(context, command));
        match tasks.join_next().await {
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => Err(crashed(&error.to_string())),
            None => Err(crashed("It never started.")),
        }
    })
}

fn crashed(detail: &str) -> Stop {
    Stop::Failure(
        Failure::internal("headwater crashed")
            .with_detail(detail)
            .with_hint("This is a bug. Nothing committed is lost: run the command again."),
    )
}
