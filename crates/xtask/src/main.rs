//! Automation for developers: `cargo xtask tidy` holds the rules of this repository that no lint can say, `cargo xtask
//! types` writes the browser's types of what crosses HTTP.
//!
//! May know everything about the repository and nothing about the product: no crate of ours is a dependency.

mod tidy;
mod typescript;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words = std::io::stderr().lock();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => {
            let findings = tidy::run(&root())?;
            for finding in &findings {
                writeln!(words, "{finding}")?;
            }
            let errors = findings.iter().filter(|finding| !finding.warning).count();
            writeln!(words, "tidy: {errors} to mend, {} warnings", findings.len() - errors)?;
            Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        ["types"] => {
            typescript::write(&root())?;
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            writeln!(words, "usage: cargo xtask tidy | types")?;
            Ok(ExitCode::from(2))
        }
    }
}

/// The checkout that cargo runs us in. Asked for at run time: checkouts may share what they build.
fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from("."), |crate_folder| PathBuf::from(crate_folder).join("../.."))
}
