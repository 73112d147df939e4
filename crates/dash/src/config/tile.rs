//! Tiles: the chart specification. It is ours; no chart library's options can be written in it.

use std::collections::BTreeMap;

use headwater_project::config::TextList;
use schemars::JsonSchema;
use serde::Deserialize;

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
    /// Tab it stands on, when the dashboard has tabs.
    pub tab: Option<String>,
    /// Query, with `{{ ref('model') }}` for tables and `$parameters` of the filters. Every kind but `text` needs it, or a
    /// `table` and a `measure`.
    pub sql: Option<String>,
    /// What is measured instead of writing a query: a model or seed by its name, or a table of a source as `source.table`.
    pub table: Option<String>,
    /// An aggregate over the columns of `table`: `sum(streams)`. It is grouped by the columns the tile shows. Its column has
    /// the name that `y` says, else `value`.
    pub measure: Option<String>,
    /// Further columns of `table` to group by; those of a table tile.
    #[serde(default)]
    pub by: Vec<String>,
    /// The column of `table` each filter chooses from, by the filter's name: `{period: event_date, states: state}`. A `number`
    /// with a date range here is compared with the days before.
    #[serde(default)]
    pub filter_columns: BTreeMap<String, String>,
    /// Query of the rows behind a mark, with the same parameters. Its columns of the same names as the mark's are compared
    /// with the mark's values. The rows of `sql` when absent.
    pub detail_sql: Option<String>,
    /// Words of a `text` tile. They are shown as they are, never as markup.
    pub text: Option<String>,
    /// Column along the horizontal axis, or of the names of slices, bars, regions and points.
    pub x: Option<String>,
    /// Column or columns of the figures.
    #[serde(default)]
    pub y: TextList,
    /// Columns of a combo drawn as lines on a second axis at the right.
    #[serde(default)]
    pub y_right: TextList,
    /// Column whose values part the rows into lines, stacks or colours.
    pub series: Option<String>,
    /// Column of the lower edge of a band.
    pub lower: Option<String>,
    /// Column of the upper edge of a band.
    pub upper: Option<String>,
    /// Column of the latitude of a point map, in degrees.
    pub latitude: Option<String>,
    /// Column of the longitude of a point map, in degrees.
    pub longitude: Option<String>,
    /// Column of the size of the marks of a scatter or point map.
    pub size: Option<String>,
    /// The set of regions of a map; the states of the US when absent.
    pub regions: Option<Regions>,
    /// Column of the figure compared with in a `number` tile. `previous` when absent and the query has such a column.
    pub compare: Option<String>,
    /// What a number is compared with, in words: `a week earlier`.
    pub compare_title: Option<String>,
    /// Which way of change is good news in a `number` tile. Neither when absent.
    pub better: Option<Direction>,
    /// What the figures count, for example `users` or `dollars`. A `share` is shown in per cent.
    pub unit: Option<String>,
    /// What the figures on the right axis of a combo count.
    pub unit_right: Option<String>,
    /// How figures are written; follows from the unit when absent.
    pub format: Option<NumberFormat>,
    /// How the series of bars or areas stand to each other.
    #[serde(default)]
    pub stacking: Stacking,
    /// Columns of a table in order, each with how it is shown. All columns of the query when absent.
    #[serde(default)]
    pub columns: Vec<TableColumnConfig>,
    /// Rows on one page of a table.
    #[schemars(range(min = 1, max = 1000))]
    pub page_size: Option<u32>,
    /// Columns of a table shaded by their figures.
    #[serde(default)]
    pub heat: Vec<String>,
    /// Columns of a table added up in a last row.
    #[serde(default)]
    pub totals: Vec<String>,
    /// Column a table is sorted by at first, with a `-` before it from the largest down. As the query sorts when absent.
    pub sort: Option<String>,
    /// Most slices or bars shown; the rest are added up as Others.
    #[schemars(range(min = 1, max = 1000))]
    pub top: Option<u32>,
    /// Bars of a histogram; chosen by the number of rows when absent.
    #[schemars(range(min = 2, max = 200))]
    pub bins: Option<u32>,
    /// What a click on a mark chooses.
    pub select: Option<SelectConfig>,
    /// Width in twelfths of the page.
    #[schemars(range(min = 1, max = 12))]
    pub width: Option<u32>,
    /// Height in rows of the grid.
    #[schemars(range(min = 1, max = 24))]
    pub height: Option<u32>,
}

/// A click on a mark puts the mark's value into a filter, for every tile that depends on it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectConfig {
    /// Filter of the kind select, multi_select, text or date_range.
    pub filter: String,
    /// Column of the value; `x` when absent.
    pub column: Option<String>,
}

/// How one column of a table is shown.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableColumnConfig {
    /// Column of the query.
    pub column: String,
    /// Heading; the column's name when absent.
    pub title: Option<String>,
    /// What its figures count.
    pub unit: Option<String>,
    /// How its figures are written.
    pub format: Option<NumberFormat>,
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
    /// Shares of a whole, as a ring.
    Donut,
    /// Shares of a whole.
    Pie,
    /// Figures over `x` and `series`, as shades.
    HeatMap,
    /// Points at `x` and `y`.
    Scatter,
    /// How often the values of `x` occur; with `y`, the counts of bars the query made itself.
    Histogram,
    /// Bars of `y` and lines of `y_right` over `x`, each with an axis of its own.
    Combo,
    /// The span between `lower` and `upper` over `x`, with `y` as a line in it.
    Band,
    /// Figures by the regions named in `x`.
    Map,
    /// Figures at `latitude` and `longitude`.
    PointMap,
    /// Words without a query.
    Text,
}

impl TileKind {
    pub const ALL: [Self; 16] = [
        Self::Number,
        Self::Table,
        Self::Line,
        Self::Area,
        Self::Bars,
        Self::HorizontalBars,
        Self::Donut,
        Self::Pie,
        Self::HeatMap,
        Self::Scatter,
        Self::Histogram,
        Self::Combo,
        Self::Band,
        Self::Map,
        Self::PointMap,
        Self::Text,
    ];

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
            Self::Pie => "pie",
            Self::HeatMap => "heat_map",
            Self::Scatter => "scatter",
            Self::Histogram => "histogram",
            Self::Combo => "combo",
            Self::Band => "band",
            Self::Map => "map",
            Self::PointMap => "point_map",
            Self::Text => "text",
        }
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

/// How series stand to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stacking {
    /// Beside each other; areas over each other.
    #[default]
    Grouped,
    /// On each other.
    Stacked,
    /// On each other, as shares of their sum.
    Normalised,
}

/// A way a figure can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Higher,
    Lower,
}

/// Sets of regions a map knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Regions {
    /// By name or two-letter code.
    UsStates,
}
