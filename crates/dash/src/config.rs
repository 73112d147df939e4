//! The file kind `dashboards/*.yml`.

mod tile;

pub use tile::{Direction, NumberFormat, Regions, SelectConfig, Stacking, TableColumnConfig, TileConfig, TileKind};

use schemars::JsonSchema;
use serde::Deserialize;

/// A page of tiles with filters above them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    /// Name in addresses and commands, unique in the project: lower-case letters, digits and underscores.
    pub name: String,
    /// Heading of the page; the name when absent.
    pub title: Option<String>,
    /// What the page is for, in a sentence.
    pub description: Option<String>,
    /// What a viewer can choose. The tiles' SQL refers to the choices as `$parameters`.
    #[serde(default)]
    pub filters: Vec<FilterConfig>,
    /// Pages within the page, in order. When there are any, every tile names its tab; filters hold for all of them.
    #[serde(default)]
    pub tabs: Vec<TabConfig>,
    /// What the page shows, in reading order.
    pub tiles: Vec<TileConfig>,
}

/// A page within the page.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TabConfig {
    /// Name of the tab, unique on its dashboard.
    pub name: String,
    /// Heading; the name when absent.
    pub title: Option<String>,
}

/// Something a viewer can choose.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterConfig {
    /// Name of the parameter in SQL.
    pub name: String,
    /// Label; the name when absent.
    pub title: Option<String>,
    /// What kind of choice it is, and which parameters it binds.
    pub kind: FilterKind,
    /// What is chosen at first. A date range: a preset such as `last_30_days`, or two dates `2026-01-01..2026-01-31`. A
    /// select or text: a text. A multi-select: a list of texts. A number range: a list of two numbers. Everything when
    /// absent.
    pub default: Option<serde_json::Value>,
    /// Query whose first column holds the choices of a select or multi-select.
    pub options_sql: Option<String>,
    /// Fixed choices of a select or multi-select, instead of a query.
    pub options: Option<Vec<String>>,
    /// Lower end of the slider of a number range.
    pub min: Option<f64>,
    /// Upper end of the slider of a number range.
    pub max: Option<f64>,
}

/// Kinds of choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FilterKind {
    /// Binds the dates `$name_start` and `$name_end`, both inclusive, and `$name_previous_start` and `$name_previous_end`: as
    /// many days, just before.
    DateRange,
    /// Binds `$name`, a text; empty means all.
    Select,
    /// Binds `$name`, a list of texts; empty means all.
    MultiSelect,
    /// Binds `$name`, a text; empty means all.
    Text,
    /// Binds the numbers `$name_min` and `$name_max`, both inclusive; null means no bound.
    NumberRange,
}
