//! Runs SQL over the lake: sessions that see fixed versions of tables, bounded memory, and the application of
//! materialisation plans (replace, append, by partition, by key).
//!
//! Must not know: dbt, Jinja, HTTP, schedules. Nothing of DataFusion is visible outside except Arrow batches.

mod apply;
mod catalog;
mod csv;
mod dialect;
mod error;
mod external;
mod functions;
mod guard;
mod lateral;
mod parameter;
mod rows;
mod session;
mod statement;
mod times;
mod trace;
mod type_name;

#[cfg(test)]
mod tests;

pub use apply::{Applied, OnSchemaChange, Staged, Target, Update, Write};
pub use catalog::{Catalog, PublishedRelation, Relation, TableCache};
pub use csv::CsvOptions;
pub use dialect::{Dialect, Untranslated};
pub use error::{EngineError, Result};
pub use external::{External, ExternalFormat};
pub use guard::{Guard, check_untrusted};
pub use parameter::Parameter;
pub use rows::{AppliedRows, RowExpressions};
pub use session::{Engine, EngineOptions, QueryStream, Session};
pub use statement::Executed;
pub use trace::{ColumnOrigin, TracedColumn, stored_outline, view_outline};
pub use type_name::sql_type_name;
