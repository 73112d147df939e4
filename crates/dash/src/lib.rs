//! Dashboards as code: what a `dashboards/*.yml` file may say, what is wrong with it, and the query of a tile under given
//! filter values as SQL with bound parameters and a key to cache its answer by.
//!
//! Must not know: HTTP, HTML, the SQL engine, Jinja. The SQL is a template to this crate; only its `$parameters` are read.
//! Values of filters are never written into SQL text.

mod check;
mod config;
mod error;
mod filter;
mod keys;
mod layout;
mod measure;
mod parameters;
mod query;
#[cfg(test)]
mod tests;

pub use check::check;
pub use config::{
    Dashboard, Direction, FilterConfig, FilterKind, NumberFormat, Regions, SelectConfig, Stacking, TabConfig,
    TableColumnConfig, TileConfig, TileKind,
};
pub use error::Error;
pub use filter::{
    DATE_PRESETS, Date, DateRange, FilterValue, FilterValues, days_since_epoch, resolve_preset, values_from_json,
};
pub use layout::{Place, places};
pub use measure::with_queries;
pub use parameters::parameters_in;
pub use query::{
    ParameterValue, ParameterizedQuery, cache_key, columns_of, detail_query, filters_of, options_query, periods,
    tile_query,
};
