//! Jinja as dbt has it, on top of a general engine.

pub(crate) mod adapter;
pub(crate) mod arguments;
pub(crate) mod builtin;
pub(crate) mod context;
pub(crate) mod datetime;
pub(crate) mod itertools;
pub(crate) mod macros;
pub(crate) mod method;
pub(crate) mod problem;
pub(crate) mod relation;
pub(crate) mod render;
pub(crate) mod scan;
pub(crate) mod source;
pub(crate) mod table;
pub(crate) mod value;
