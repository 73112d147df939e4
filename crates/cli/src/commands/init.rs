//! `headwater init`.

use headwater_app::init_project;

use super::{Context, Stop};
use crate::args::Init;

pub(super) fn init(context: &Context, init: &Init) -> Result<(), Stop> {
    let folder = init.folder.as_ref().unwrap_or(&context.open.project_dir);
    let files = init_project(folder, init.name.as_deref())?;
    if context.printer.json {
        let paths: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        return context.printer.json(&paths);
    }
    for file in &files {
        context.printer.line(&file.display().to_string())?;
    }
    let folder = folder.display();
    context
        .printer
        .words(&format!("\nNext: cd {folder}, then headwater ingest, headwater build, headwater dashboards --all"));
    Ok(())
}
