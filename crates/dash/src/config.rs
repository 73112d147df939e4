//! The file kind `dashboards/*.yml`.

use headwater_project::config::TextList;
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
    /// What the page shows, in reading order.
    pub tiles: Vec<TileConfig>,
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
}

/// Kinds of choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FilterKind {
    /// Binds the dates `$name_start` and `$name_end`, both inclusive.
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

/// One figure, table, chart or text.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TileConfig {
    /// Name of the tile, unique on its dashboard.
    pub name: String,
    /// Heading; the name when absent.
    pub title: Option<String>,
    /// What the figures mean, in a sentence.
    pub description: Option<String>,
    /// How the answer is shown.
    pub kind: TileKind,
    /// Query, with `{{ ref('model') }}` for tables and `$parameters` of the filters. Every kind but `text` needs it.
    pub sql: Option<String>,
    /// Words of a `text` tile. They are shown as they are, never as markup.
    pub text: Option<String>,
    /// Column along the horizontal axis, or of the names of slices and bars.
    pub x: Option<String>,
    /// Column or columns of the figures.
    #[serde(default)]
    pub y: TextList,
    /// Column whose values part the rows into lines, stacks or colours.
    pub series: Option<String>,
    /// Column of the figure compared with in a `number` tile. `previous` when absent and the query has such a column.
    pub compare: Option<String>,
    /// What the figures count, for example `users` or `dollars`. A `share` is shown in per cent.
    pub unit: Option<String>,
    /// How figures are written; follows from the unit when absent.
    pub format: Option<NumberFormat>,
    /// Whether the series of bars or areas stand on each other.
    #[serde(default)]
    pub stacked: bool,
    /// Rows on one page of a table.
    #[schemars(range(min = 1, max = 1000))]
    pub page_size: Option<u32>,
    /// Columns of a table shaded by their figures.
    #[serde(default)]
    pub heat: Vec<String>,
    /// Most slices or bars shown; the rest are added up as Others.
    #[schemars(range(min = 1, max = 1000))]
    pub top: Option<u32>,
    /// Width in twelfths of the page.
    #[schemars(range(min = 1, max = 12))]
    pub width: Option<u32>,
    /// Height in rows of the grid.
    #[schemars(range(min = 1, max = 24))]
    pub height: Option<u32>,
}

/// How an answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TileKind {
    /// One figure, with its change when there is one to compare with.
    Number,
    /// Rows and columns.
    Table,
    /// Figures over `x`, as lines.
    Line,
    /// Figures over `x`, as filled lines.
    Area,
    /// Figures over `x`, as upright bars.
    Bars,
    /// Figures beside names, as lying bars.
    HorizontalBars,
    /// Shares of a whole.
    Donut,
    /// Figures over `x` and `series`, as shades.
    HeatMap,
    /// Points at `x` and `y`.
    Scatter,
    /// How often the values of `x` occur.
    Histogram,
    /// Figures by the regions named in `x`.
    Map,
    /// Words without a query.
    Text,
}

impl TileKind {
    /// The kind as a file writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Table => "table",
            Self::Line => "line",
            Self::Area => "area",
            Self::Bars => "bars",
            Self::HorizontalBars => "horizontal_bars",
            Self::Donut => "donut",
            Self::HeatMap => "heat_map",
            Self::Scatter => "scatter",
            Self::Histogram => "histogram",
            Self::Map => "map",
            Self::Text => "text",
        }
    }

    pub(crate) fn needs_axes(self) -> bool {
        !matches!(self, Self::Number | Self::Table | Self::Text | Self::Histogram)
    }
}

/// How figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NumberFormat {
    /// Without decimals.
    Integer,
    /// With two decimals.
    Decimal,
    /// Shortened: 12.3k, 4.5M.
    Compact,
    /// A share in per cent.
    Percent,
    /// Dollars and cents.
    Dollars,
}
