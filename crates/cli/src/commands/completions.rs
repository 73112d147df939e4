//! `headwater completions`.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::{Context, Stop};
use crate::args::Arguments;

pub(super) fn completions(context: &Context, shell: Shell) -> Result<(), Stop> {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "headwater", &mut script);
    context.printer.data(&script)
}
