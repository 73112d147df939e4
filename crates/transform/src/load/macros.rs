//! Finding macros, generic tests and documentation blocks, and compiling the macros' templates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_project::{Diagnostic, Diagnostics, FileId, Span};

use crate::definitions::{BUILTIN_PACKAGE, Definitions, JsonMap, MacroDefinition, MacroSet};
use crate::jinja::macros::{macro_name, template};
use crate::jinja::render::Templates;
use crate::jinja::scan::{self, Block, is_word};
use crate::jinja::source::{TemplateSource, offset};

use super::NO_FILE;

/// Our own macro packages, file by file; the files of a package stand together.
const BUILTIN: [(&str, &str); 16] = [
    (BUILTIN_PACKAGE, include_str!("../builtin/dbt.sql")),
    (BUILTIN_PACKAGE, include_str!("../builtin/dialects.sql")),
    ("dbt_date", include_str!("../builtin/dbt_date/calendar.sql")),
    ("dbt_date", include_str!("../builtin/dbt_date/dimension.sql")),
    ("dbt_date", include_str!("../builtin/dbt_date/relative.sql")),
    ("dbt_expectations", include_str!("../builtin/dbt_expectations/aggregates.sql")),
    ("dbt_expectations", include_str!("../builtin/dbt_expectations/expressions.sql")),
    ("dbt_expectations", include_str!("../builtin/dbt_expectations/multi_column.sql")),
    ("dbt_expectations", include_str!("../builtin/dbt_expectations/table_shape.sql")),
    ("dbt_expectations", include_str!("../builtin/dbt_expectations/values.sql")),
    ("dbt_external_tables", include_str!("../builtin/dbt_external_tables.sql")),
    ("dbt_utils", include_str!("../builtin/dbt_utils/cross_database.sql")),
    ("dbt_utils", include_str!("../builtin/dbt_utils/generic_tests.sql")),
    ("dbt_utils", include_str!("../builtin/dbt_utils/introspection.sql")),
    ("dbt_utils", include_str!("../builtin/dbt_utils/sql.sql")),
    ("dbt_utils", include_str!("../builtin/dbt_utils/text.sql")),
];

/// Whether a public package of that name needs no folder, because ours stands in for it.
pub fn is_built_in_package(name: &str) -> bool {
    name != BUILTIN_PACKAGE && BUILTIN.iter().any(|(package, _)| *package == name)
}

/// The public packages that ours stand in for, for a message.
pub(crate) fn builtin_packages() -> String {
    let mut names: Vec<&str> = BUILTIN.iter().map(|(package, _)| *package).collect();
    names.retain(|package| *package != BUILTIN_PACKAGE);
    names.dedup();
    names.join(", ")
}

/// What is needed to compile a macro's template once all macros are known.
struct Found {
    definition: MacroDefinition,
    file: FileId,
    text: Arc<str>,
    block: Block,
}

/// Collects macros file by file.
#[derive(Default)]
pub(crate) struct MacroReader {
    found: Vec<Found>,
}

impl MacroReader {
    /// Reads the macros of one file, which our own are not in.
    pub(crate) fn read(
        &mut self,
        package: &str,
        (file, path): (FileId, Option<&Path>),
        text: &Arc<str>,
        found: &mut Diagnostics,
    ) {
        let (blocks, unclosed) = scan::blocks(text, &["macro", "test", "data_test", "materialization"]);
        for open in unclosed {
            let message = format!("{} '{}' has no end", open.keyword, open.name);
            let span = Span { file, start: offset(open.whole.start), end: offset(open.whole.end) };
            found.push(Diagnostic::error(message).at(span).hint(format!("Close it with {{% end{} %}}.", open.keyword)));
        }
        for block in blocks {
            let definition =
                MacroDefinition { file: path.map(Path::to_path_buf), ..definition(package, file, text, &block) };
            self.found.push(Found { definition, file, text: Arc::clone(text), block });
        }
    }

    /// Adds our own packages where the project has none of that name.
    fn add_builtin(&mut self, packages: &[String], found: &mut Diagnostics) {
        for (package, text) in BUILTIN {
            if !packages.iter().any(|known| known == package) {
                self.read(package, (NO_FILE, None), &Arc::from(text), found);
            }
        }
    }

    /// Notes what a properties file says of a macro.
    pub(crate) fn describe(&mut self, package: &str, name: &str, written: &JsonMap, file: PathBuf) {
        let is_it = |found: &&mut Found| found.definition.package == package && found.definition.name == name;
        if let Some(known) = self.found.iter_mut().find(is_it) {
            known.definition.written = Some((written.clone(), file));
        }
    }

    /// All macros, their templates compiled.
    pub(crate) fn finish(
        mut self,
        packages: &[String],
        templates: &mut Templates,
        found: &mut Diagnostics,
    ) -> MacroSet {
        self.add_builtin(packages, found);
        let mut macros = MacroSet::default();
        let mut failed = Vec::new();
        for Found { definition, file, text, block } in self.found {
            let source = template(&definition, &text, &block, TemplateSource::new(file, &text));
            let id = definition.unique_id.clone();
            if let Some(first) = macros.insert(definition.clone()) {
                let mut diagnostic = Diagnostic::error(format!("macro '{}' is defined twice", first.name));
                diagnostic.span = definition.span;
                found.push(diagnostic.hint("Rename or remove one of the two."));
            } else if let Err(error) = templates.add(&id, source) {
                failed.push((error, definition));
            }
        }
        report(failed, &macros, templates, found);
        macros
    }
}

fn report(
    failed: Vec<(minijinja::Error, MacroDefinition)>,
    macros: &MacroSet,
    templates: &Templates,
    found: &mut Diagnostics,
) {
    let definitions = Definitions::for_macros(macros);
    for (error, definition) in failed {
        let what = format!("reading macro '{}'", definition.name);
        found.push(crate::jinja::problem::diagnostic(&error, templates, &definitions, &what, definition.span));
    }
}

fn definition(package: &str, file: FileId, text: &str, block: &Block) -> MacroDefinition {
    let header = text.get(block.name_at..block.body.start).unwrap_or_default();
    let name = match block.keyword.as_str() {
        "materialization" => materialization_name(&block.name, header),
        keyword => macro_name(keyword, &block.name),
    };
    let body = text.get(block.body.clone()).unwrap_or_default();
    let span = Span { file, start: offset(block.name_at), end: offset(block.name_at + block.name.len()) };
    MacroDefinition {
        unique_id: format!("macro.{package}.{name}"),
        package: package.to_owned(),
        text: Arc::from(text.get(block.whole.clone()).unwrap_or_default()),
        span: (file != NO_FILE).then_some(span),
        file: None,
        written: None,
        varargs: mentions(body, "varargs"),
        kwargs: mentions(body, "kwargs"),
        name,
    }
}

/// `materialization_<name>_<adapter>`, from `name, default` or `name, adapter='duckdb'`.
fn materialization_name(name: &str, header: &str) -> String {
    let adapter = header.split_once("adapter").and_then(|(_, rest)| {
        let rest = rest.trim_start().strip_prefix('=')?.trim_start();
        let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        rest.get(1..)?.split(quote).next()
    });
    format!("materialization_{name}_{}", adapter.unwrap_or("default"))
}

/// Whether a word stands by itself somewhere in the text.
fn mentions(text: &str, word: &str) -> bool {
    let bytes = text.as_bytes();
    text.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).is_some_and(|&byte| is_word(byte) || byte == b'.');
        let after = bytes.get(at + word.len()).is_some_and(|&byte| is_word(byte));
        !before && !after
    })
}

/// Documentation blocks of one Markdown file, as `(name, text)`.
pub(crate) fn documentation(text: &str) -> Vec<(String, String)> {
    let (blocks, _) = scan::blocks(text, &["docs"]);
    let body = |block: &Block| text.get(block.body.clone()).unwrap_or_default().trim().to_owned();
    blocks.iter().map(|block| (block.name.clone(), body(block))).collect()
}

/// Whether a file below a test folder holds generic tests rather than a singular one.
pub(crate) fn is_generic(path: &Path, test_folder: &Path) -> bool {
    path.strip_prefix(test_folder).is_ok_and(|inside| inside.starts_with("generic"))
}
