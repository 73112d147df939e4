//! `headwater import`.

use headwater_app::{ImportedSource, Project};
use serde_json::json;

use super::{Context, Stop};
use crate::args::ImportAction;

pub(super) fn import(context: &Context, action: ImportAction) -> Result<(), Stop> {
    let ImportAction::Connect { file, connection, print } = action;
    let imported = Project::load(&context.open)?.import_connect(&file, &connection, !print)?;
    let ImportedSource { path, text, project, has_connection, notes } = imported;
    if context.printer.json {
        let notes: Vec<_> = notes.iter().map(|(key, advice)| json!({"key": key, "advice": advice})).collect();
        let answer = json!({"path": path, "source": text, "project": project, "notes": notes});
        return context.printer.json(&answer);
    }
    let shown = if print { text.trim_end().to_owned() } else { path.display().to_string() };
    context.printer.line(&shown)?;
    let needs = if has_connection { "headwater.yml has the connection; it was:" } else { "Add to headwater.yml:" };
    context.printer.words(&format!("\n{needs}\n\n{project}"));
    for (key, advice) in notes {
        context.printer.words(&format!("{key}\n  {advice}"));
    }
    Ok(())
}
