//! Calling project macros from anywhere.
//!
//! Each macro is a template of its own that, when it runs, hands its macro value to `__register`. A call from a template looks
//! like a call of an ordinary name; the first one in a render loads the macro's template through `__import`, a macro of the
//! prelude, because only a running template can bring another one into the same render. So one render has one budget of
//! instructions and one recursion limit, and a macro nobody calls costs nothing.
//!
//! Inside its template a macro is called `dbt_macro__<name>`, so that calls between macros always come through here: this is
//! where `return` ends.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use super::arguments::Arguments;
use super::render::Render;
use super::scan::Block;
use super::source::TemplateSource;
use super::value::{List, Mapping, invalid};
use crate::definitions::MacroDefinition;

const PREFIX: &str = "dbt_macro__";
/// The text of the error that carries a returned value up to the macro call; its value waits in the render.
const RETURN_MARK: &str = "\u{0}return";

/// The error `return` raises.
pub(crate) fn return_error() -> Error {
    Error::new(ErrorKind::InvalidOperation, RETURN_MARK)
}

pub(crate) fn is_return(error: &Error) -> bool {
    let mut current: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = current {
        if cause.downcast_ref::<Error>().is_some_and(|error| error.detail() == Some(RETURN_MARK)) {
            return true;
        }
        current = cause.source();
    }
    false
}

/// The name a block's macro has: tests and materialisations are macros with a prefix or suffix, as in dbt.
pub(crate) fn macro_name(keyword: &str, name: &str) -> String {
    match keyword {
        "test" | "data_test" => format!("test_{name}"),
        _ => name.to_owned(),
    }
}

/// The template of the macro in `block`.
pub(crate) fn template(
    definition: &MacroDefinition,
    file_text: &str,
    block: &Block,
    mut source: TemplateSource,
) -> TemplateSource {
    if block.keyword == "materialization" {
        source.push(&format!("{{% macro {PREFIX}{}() %}}", definition.name));
        source.push_slice(file_text, block.body.start..block.body.end);
        source.push("{% endmacro %}");
        source.push(&format!("{{% do __register('{}', {PREFIX}{}) %}}", definition.unique_id, definition.name));
        return source;
    }
    let prefix = if definition.name == block.name { PREFIX.to_owned() } else { format!("{PREFIX}test_") };
    source.push(&format!("{{% macro {prefix}"));
    let arguments_end = if definition.varargs || definition.kwargs { end_of_arguments(file_text, block) } else { None };
    match arguments_end {
        Some((at, empty)) => {
            source.push_expression(file_text, block.name_at..at);
            source.push(&extra_arguments(definition, empty));
            source.push_slice_raw(file_text, at..block.body.start);
        }
        None => source.push_expression(file_text, block.name_at..block.body.start),
    }
    source.push_slice(file_text, block.body.start..block.body.end);
    source.push_slice_raw(file_text, block.body.end..block.end_keyword_at);
    source.push("endmacro %}");
    let name = &definition.name;
    source.push(&format!("{{% do __register('{}', {PREFIX}{name}) %}}", definition.unique_id));
    source
}

fn extra_arguments(definition: &MacroDefinition, empty: bool) -> String {
    let mut names = Vec::new();
    if definition.varargs {
        names.push("varargs=none");
    }
    if definition.kwargs {
        names.push("kwargs=none");
    }
    format!("{}{}", if empty { "" } else { ", " }, names.join(", "))
}

/// Where the parenthesis that ends the argument list is, and whether the list is empty.
fn end_of_arguments(text: &str, block: &Block) -> Option<(usize, bool)> {
    let header = text.get(block.name_at..block.body.start)?;
    let close = header.rfind(')')?;
    let open = header.find('(')?;
    let empty = header.get(open + 1..close)?.trim().is_empty();
    Some((block.name_at + close, empty))
}

/// A macro as a value: callable, and the same in every render.
pub(crate) struct MacroCall {
    pub render: Arc<Render>,
    pub definition: Arc<MacroDefinition>,
}

impl fmt::Debug for MacroCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<macro {}>", self.definition.unique_id)
    }
}

impl MacroCall {
    pub(crate) fn of(render: &Arc<Render>, definition: &Arc<MacroDefinition>) -> Value {
        Value::from_object(Self { render: Arc::clone(render), definition: Arc::clone(definition) })
    }

    fn load(&self, state: &mut State<'_, '_>) -> Result<Value, Error> {
        let id = &self.definition.unique_id;
        if let Some(loaded) = state.get_temp(id) {
            return Ok(loaded);
        }
        let import = state.get_temp("__import").ok_or_else(|| invalid("macros cannot be called here"))?;
        import.call(state, &[Value::from(id.as_str())])?;
        state.get_temp(id).ok_or_else(|| invalid(format!("macro {} could not be read", self.definition.name)))
    }

    /// Arguments the macro does not name, where it reads Jinja's `varargs` and `kwargs`.
    fn spread(&self, loaded: &Value, args: &[Value]) -> Result<Vec<Value>, Error> {
        if !self.definition.varargs && !self.definition.kwargs {
            return Ok(args.to_vec());
        }
        let names: Vec<String> = loaded.get_attr("arguments")?.try_iter()?.map(|name| name.to_string()).collect();
        let own = names.iter().filter(|name| !matches!(name.as_str(), "varargs" | "kwargs")).count();
        let arguments = Arguments::new(args)?;
        let (mut positional, rest) = match arguments.positional.split_at_checked(own) {
            Some((named, rest)) => (named.to_vec(), rest.to_vec()),
            None => (arguments.positional.clone(), Vec::new()),
        };
        let (known, unknown): (Vec<_>, Vec<_>) =
            arguments.named.into_iter().partition(|(name, _)| names.contains(name) || name == "caller");
        let mut named = known;
        if self.definition.varargs {
            named.push((String::from("varargs"), List::of(rest)));
        }
        if self.definition.kwargs {
            let pairs = unknown.into_iter().map(|(name, value)| (Value::from(name), value)).collect();
            named.push((String::from("kwargs"), Mapping::of(pairs)));
        } else {
            named.extend(unknown);
        }
        positional.push(Value::from(named.into_iter().collect::<Kwargs>()));
        Ok(positional)
    }
}

impl Object for MacroCall {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str()? == "name").then(|| Value::from(self.definition.name.as_str()))
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        self.render.collect(|collected| collected.macros.insert(self.definition.unique_id.clone()));
        let loaded = self.load(state)?;
        let args = self.spread(&loaded, args)?;
        match loaded.call(state, &args) {
            Err(error) if is_return(&error) => {
                Ok(self.render.collect(|collected| collected.returned.take()).unwrap_or_default())
            }
            other => other,
        }
    }
}

/// A package's macros, called as `package.name(...)`.
pub(crate) struct PackageMacros {
    pub render: Arc<Render>,
    pub package: String,
}

impl fmt::Debug for PackageMacros {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<package {}>", self.package)
    }
}

impl Object for PackageMacros {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let definition = self.render.definitions.macros.in_package(&self.package, key.as_str()?)?;
        Some(MacroCall::of(&self.render, definition))
    }

    fn call_method(self: &Arc<Self>, state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let macros = &self.render.definitions.macros;
        match macros.in_package(&self.package, method) {
            Some(definition) => MacroCall::of(&self.render, definition).call(state, args),
            None if macros.is_builtin(&self.package) => Err(invalid(format!(
                "package {} is built in without the macro {method}; put the package itself into dbt_packages/ to have it",
                self.package
            ))),
            None => Err(invalid(format!("package {} has no macro {method}", self.package))),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}
