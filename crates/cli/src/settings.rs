//! What the arguments and the environment come to.

use std::io::IsTerminal;

use headwater_app::OpenOptions;

use crate::args::Global;
use crate::print::Printer;

pub(crate) struct Settings {
    pub(crate) open: OpenOptions,
    pub(crate) printer: Printer,
    pub(crate) shows_all_deprecations: bool,
    verbosity: i16,
}

impl Settings {
    pub(crate) fn resolve(global: &Global) -> Self {
        let verbosity = if global.quiet { -1 } else { i16::from(global.verbose) };
        let may_color =
            !global.no_color && is_unset("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let stderr_is_terminal = std::io::stderr().is_terminal();
        Self {
            open: OpenOptions {
                project_dir: global.project_dir.clone(),
                memory_bytes: global.memory,
                threads: global.threads,
                vars: global.vars.clone(),
                target: global.target.clone(),
                target_path: global.target_path.clone(),
                locations: global.map_location.iter().cloned().collect(),
                warn_error: global.warn_error,
                warn_error_options: global.warn_error_options.clone(),
            },
            shows_all_deprecations: global.show_all_deprecations,
            printer: Printer {
                json: global.json,
                is_quiet: global.quiet,
                color: may_color && stderr_is_terminal,
                stdout_is_terminal: std::io::stdout().is_terminal(),
                stderr_is_terminal,
            },
            verbosity,
        }
    }

    pub(crate) fn log_level(&self) -> &'static str {
        match self.verbosity {
            ..0 => "error",
            0 => "warn",
            1 => "info",
            _ => "debug",
        }
    }
}

fn is_unset(variable: &str) -> bool {
    std::env::var_os(variable).is_none_or(|value| value.is_empty())
}
