//! `headwater doctor` and `headwater maintain`.

use headwater_server::wire;

use super::{Context, Stop};
use crate::print::Color;

pub(super) async fn doctor(context: &Context) -> Result<(), Stop> {
    let instance = context.reader_of_any_project().await?;
    let checks = instance.doctor().await;
    let is_ill = checks.iter().any(|check| check.verdict == "error");
    if context.printer.json {
        let checks: Vec<wire::Diagnosis> = checks.into_iter().map(Into::into).collect();
        context.printer.json(&checks)?;
    } else {
        for check in &checks {
            context.printer.line(&format!("{:<8} {}: {}", check.verdict, check.check, check.detail))?;
            if let Some(hint) = &check.hint {
                context.printer.line(&format!("         hint: {hint}"))?;
            }
        }
    }
    let verdict = if is_ill { ("Something needs repair.", Color::Red) } else { ("All is well.", Color::Green) };
    context.printer.words(&context.printer.paint(verdict.0, verdict.1));
    if is_ill { Err(Stop::Findings) } else { Ok(()) }
}

pub(super) async fn maintain(context: &Context) -> Result<(), Stop> {
    let instance = context.writer().await?;
    let done = instance.maintain().await?;
    if context.printer.json {
        return context.printer.json(&done);
    }
    if done.is_empty() {
        context.printer.words("Nothing needed to be done.");
    }
    done.iter().try_for_each(|line| context.printer.line(line))
}
