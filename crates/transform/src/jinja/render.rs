//! One render of one template: what it is about, in which pass, and what it leaves behind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex};

use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

use super::context::Globals;
use super::source::TemplateSource;
use super::value::locked;
use crate::definitions::{Definitions, JsonMap};
use crate::graph::Graph;
use crate::node::{NodeId, RefCall, SourceCall};
use crate::run::RunContext;
use crate::warehouse::{RelationName, Warehouse};

/// What one render may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateLimits {
    /// Instructions of the template engine; a template that loops for ever ends here.
    pub instructions: u64,
    pub output_bytes: usize,
}

impl Default for TemplateLimits {
    fn default() -> Self {
        Self { instructions: 20_000_000, output_bytes: 16 << 20 }
    }
}

/// The engine counts four for a macro call; beyond this a recursion is taken for endless.
const RECURSION_LIMIT: usize = 400;
/// Enough for the recursion limit in an unoptimised build; only pages that are touched cost memory.
const STACK_BYTES: usize = 64 << 20;

/// Defines the macro that loads other macros into the running render, and registers it; see `macros.rs`.
pub(crate) const PRELUDE: &str =
    "{% macro __import(__path) %}{% include __path %}{% endmacro %}{% do __register('__import', __import) %}";

/// What a template is rendered for.
#[derive(Debug)]
pub(crate) struct Subject {
    pub id: String,
    pub package: String,
    pub relation: RelationName,
    /// The configuration outside the template.
    pub config: JsonMap,
    /// What the template sees as `model`.
    pub model: JsonMap,
}

#[derive(Debug)]
pub(crate) enum Pass {
    /// Finds out what a template refers to; nothing exists yet.
    Parse,
    Compile {
        warehouse: Arc<dyn Warehouse>,
        run: RunContext,
        graph: Arc<Graph>,
    },
}

/// What one render sees besides its project.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// Values by name, above everything else.
    pub variables: JsonMap,
    pub unit: Option<UnitScope>,
}

/// What a unit test puts in the place of a model's surroundings.
#[derive(Debug, Default)]
pub(crate) struct UnitScope {
    /// Names of the common table expressions that stand for inputs, by node id, and `this`.
    pub inputs: BTreeMap<String, String>,
    pub macros: JsonMap,
    pub vars: JsonMap,
    pub env_vars: JsonMap,
}

/// What rendering found out.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub refs: Vec<RefCall>,
    pub sources: Vec<SourceCall>,
    pub config: JsonMap,
    /// The same as dbt keeps it to tell changes by: the first call as it is written, later ones laid upon it.
    pub config_calls: JsonMap,
    pub macros: BTreeSet<String>,
    /// Variables and environment read, with their values: part of the code hash.
    pub inputs: BTreeMap<String, String>,
    pub volatile: bool,
    pub messages: Vec<Message>,
    pub results: HashMap<String, Value>,
    /// Ephemeral models referred to, in order of their first reference.
    pub ephemeral: Vec<NodeId>,
    /// What `return` or an evaluated expression handed over.
    pub returned: Option<Value>,
}

/// Something a template said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub level: MessageLevel,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageLevel {
    Debug,
    Info,
    Warning,
}

#[derive(Debug)]
pub(crate) struct Render {
    pub definitions: Arc<Definitions>,
    pub subject: Subject,
    pub pass: Pass,
    pub scope: Scope,
    pub collected: Mutex<Collected>,
}

impl Render {
    pub(crate) fn new(definitions: &Arc<Definitions>, subject: Subject, pass: Pass) -> Arc<Self> {
        Self::scoped(definitions, subject, pass, Scope::default())
    }

    pub(crate) fn scoped(definitions: &Arc<Definitions>, subject: Subject, pass: Pass, scope: Scope) -> Arc<Self> {
        Arc::new(Self { definitions: Arc::clone(definitions), subject, pass, scope, collected: Mutex::default() })
    }

    /// What names are quoted with.
    pub(crate) fn quote(&self) -> char {
        self.definitions.target.quote()
    }

    /// The run a compile is part of.
    pub(crate) fn run(&self) -> Option<&RunContext> {
        match &self.pass {
            Pass::Compile { run, .. } => Some(run),
            Pass::Parse => None,
        }
    }

    pub(crate) fn executes(&self) -> bool {
        matches!(self.pass, Pass::Compile { .. })
    }

    pub(crate) fn collect<T>(&self, change: impl FnOnce(&mut Collected) -> T) -> T {
        change(&mut locked(&self.collected))
    }

    pub(crate) fn take(&self) -> Collected {
        std::mem::take(&mut *locked(&self.collected))
    }

    /// The configuration as far as it is known at this moment of the render.
    pub(crate) fn config(&self) -> JsonMap {
        let mut config = self.subject.config.clone();
        self.collect(|collected| crate::config::merge(&mut config, &collected.config));
        config
    }
}

/// The compiled templates of a project.
pub(crate) struct Templates {
    environment: Environment<'static>,
    /// The same templates, where an attribute of something undefined is an error.
    strict: Option<Environment<'static>>,
    sources: HashMap<String, TemplateSource>,
    limits: TemplateLimits,
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Templates({})", self.sources.len())
    }
}

impl Templates {
    pub(crate) fn new(limits: TemplateLimits) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_debug(true);
        environment.set_fuel(Some(limits.instructions));
        environment.set_recursion_limit(RECURSION_LIMIT);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(format_value);
        environment.set_unknown_method_callback(super::method::call);
        super::builtin::add_filters(&mut environment);
        Self { environment, strict: None, sources: HashMap::new(), limits }
    }

    /// Compiles a template; a syntax error leaves it out.
    pub(crate) fn add(&mut self, name: &str, source: TemplateSource) -> Result<(), Error> {
        let added = self.environment.add_template_owned(name.to_owned(), source.text.clone());
        self.sources.insert(name.to_owned(), source);
        added
    }

    /// Makes the environment of the compile pass, once all templates are there. As in dbt, parsing forgives what only exists
    /// at run time, and compiling does not.
    pub(crate) fn close(&mut self) {
        let mut strict = self.environment.clone();
        strict.set_undefined_behavior(UndefinedBehavior::Lenient);
        self.strict = Some(strict);
    }

    fn environment(&self, render: &Render) -> &Environment<'static> {
        self.strict.as_ref().filter(|_| render.executes()).unwrap_or(&self.environment)
    }

    pub(crate) fn source(&self, name: &str) -> Option<&TemplateSource> {
        self.sources.get(name)
    }

    /// Renders a template added under `name`.
    pub(crate) fn render(&self, name: &str, render: &Arc<Render>) -> Result<String, Error> {
        let template = self.environment(render).get_template(name)?;
        let mut output = LimitedOutput { bytes: Vec::new(), limit: self.limits.output_bytes };
        template.render_captured_to(Value::from_object(Globals::new(Arc::clone(render))), &mut output)?;
        String::from_utf8(output.bytes).map_err(|_| Error::new(ErrorKind::WriteFailure, "the output is not UTF-8"))
    }

    /// Renders text that is not a file of its own, such as a string in a properties file.
    pub(crate) fn render_text(&self, text: &str, render: &Arc<Render>) -> Result<String, Error> {
        let source = TemplateSource::of_file(headwater_project::FileId(0), text).text;
        let context = Value::from_object(Globals::new(Arc::clone(render)));
        let text = format!("{PRELUDE}{source}");
        self.environment(render).render_named_str("<text>", &text, context)
    }

    /// The value of an expression.
    pub(crate) fn evaluate(&self, expression: &str, render: &Arc<Render>) -> Result<Value, Error> {
        self.render_text(&format!("{{% do __result({expression}) %}}"), render)?;
        Ok(render.collect(|collected| collected.returned.take()).unwrap_or_default())
    }
}

/// Printing `none` writes nothing in dbt only where the engine would write nothing too: everything is its Python text.
fn format_value(output: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Ok(());
    }
    match value.as_str() {
        Some(text) => output.write_str(text).map_err(Error::from),
        None => write!(output, "{value}").map_err(Error::from),
    }
}

struct LimitedOutput {
    bytes: Vec<u8>,
    limit: usize,
}

impl io::Write for &mut LimitedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, "the output of the template is too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why work on a thread of its own failed to run.
#[derive(Debug, thiserror::Error)]
#[error("cannot start a thread for rendering")]
pub(crate) struct NoThread(#[source] Option<io::Error>);

/// Runs `work` on a thread whose stack is deep enough for the recursion limit, and waits for it.
pub(crate) fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NoThread> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(String::from("render")).stack_size(STACK_BYTES);
        let handle = thread.spawn_scoped(scope, work).map_err(|error| NoThread(Some(error)))?;
        handle.join().map_err(|_| NoThread(None))
    })
}
