//! Dashboards: what they are made of, and the answers of their tiles.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, Integer};

#[derive(Debug, Serialize)]
pub struct DashboardSummary {
    pub name: String,
    pub title: String,
    pub description: Option<String>,
}

/// A page of tiles with filters above them, as its file defines it.
#[derive(Debug, Serialize)]
pub struct Dashboard {
    pub name: String,
    pub title: String,
    pub description: Option<String>,
    /// Empty when the page has no tabs.
    pub tabs: Vec<Tab>,
    pub filters: Vec<Filter>,
    /// In reading order.
    pub tiles: Vec<Tile>,
}

#[derive(Debug, Serialize)]
pub struct Tab {
    pub name: String,
    pub title: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterKind {
    DateRange,
    Select,
    MultiSelect,
    Text,
    NumberRange,
}

#[derive(Debug, Serialize)]
pub struct Filter {
    pub name: String,
    pub title: String,
    pub kind: FilterKind,
    /// The value that holds when the viewer chose none, in the form a request takes. A date range: the name of a preset,
    /// or two dates `2026-01-01..2026-01-31`. A select or text: a text, empty for all. A multi-select: a list of texts,
    /// empty for all. A number range: two numbers or nulls.
    pub default: Value,
    /// Of a date range: the named ranges, each with the days it means today, in UTC.
    pub presets: Vec<DatePreset>,
    /// Choices of a select or multi-select: those of the file, or those its query found now.
    pub options: Option<Vec<String>>,
    /// More choices exist than are listed.
    pub options_truncated: bool,
    /// Why the query for the choices failed.
    pub options_error: Option<Error>,
    /// Of a number range: the ends of its slider, when the file names them.
    pub min: Option<f64>,
    pub max: Option<f64>,
}

#[derive(Debug, Serialize)]
pub struct DatePreset {
    pub name: String,
    /// `2026-01-31`, included.
    pub start: String,
    /// `2026-01-31`, included.
    pub end: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TileKind {
    Number,
    Table,
    Line,
    Area,
    Bars,
    HorizontalBars,
    Donut,
    Pie,
    HeatMap,
    Scatter,
    Histogram,
    Combo,
    Band,
    /// Figures by region.
    Map,
    /// Figures at coordinates.
    PointMap,
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberFormat {
    Integer,
    Decimal,
    Compact,
    Percent,
    Dollars,
}

/// How the series of bars and areas stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stacking {
    /// Beside each other; areas over each other.
    Grouped,
    /// On each other.
    Stacked,
    /// On each other, as shares of their sum.
    Normalised,
}

/// Where a tile stands in a grid of twelve columns; columns and rows count from 0.
#[derive(Debug, Serialize)]
pub struct Grid {
    pub column: u32,
    pub row: u32,
    pub width: u32,
    pub height: u32,
}

/// One tile's definition. What a kind does not use is null, false or empty.
#[derive(Debug, Serialize)]
pub struct Tile {
    pub name: String,
    pub title: String,
    pub description: Option<String>,
    pub kind: TileKind,
    /// Null when the page has no tabs.
    pub tab: Option<String>,
    /// Counted from the top of its tab.
    pub grid: Grid,
    /// Column along the horizontal axis, or of the names of slices, bars, regions or points.
    pub x: Option<String>,
    /// Columns of the figures.
    pub y: Vec<String>,
    /// Columns of a combo drawn as lines on a second axis, at the right.
    pub y_right: Vec<String>,
    /// Column whose values part the rows into lines, stacks or colours.
    pub series: Option<String>,
    /// Columns of the lower and upper edge of a band.
    pub lower: Option<String>,
    pub upper: Option<String>,
    /// Columns of the coordinates of a point map, in degrees.
    pub latitude: Option<String>,
    pub longitude: Option<String>,
    /// Column of the size of the marks of a scatter or point map.
    pub size: Option<String>,
    /// The set of regions of a map: `us_states` (names or two-letter codes).
    pub regions: Option<String>,
    /// Column a number is compared with.
    pub compare: Option<String>,
    /// What it is compared with, in words: `a week earlier`.
    pub compare_title: Option<String>,
    /// Whether a rise is good; null when neither.
    pub rise_is_good: Option<bool>,
    pub unit: Option<String>,
    pub unit_right: Option<String>,
    /// Of the figures; null means: follow the unit and the type.
    pub format: Option<NumberFormat>,
    pub stacking: Stacking,
    /// Columns of a table in order, with how each is shown.
    pub columns: Vec<TableColumn>,
    /// Columns of the answer that are not listed are shown too, after those that are.
    pub other_columns: bool,
    pub page_size: Option<u32>,
    /// Column a table is sorted by at first; as the query sorts when null.
    pub sort: Option<Sort>,
    /// Most slices or bars shown; the rest are added up as Others.
    pub top: Option<u32>,
    /// Bars of a histogram whose query gives plain values.
    pub bins: Option<u32>,
    /// Words of a text tile; never markup.
    pub text: Option<String>,
    /// Filters its answer depends on: when another changes, it need not be asked again.
    pub filters: Vec<String>,
    /// What a click on a mark chooses.
    pub select: Option<Selects>,
    /// `schema.table` of everything it reads, directly or through views: refresh it when one of them gets a new version.
    pub tables: Vec<String>,
    /// The rows behind a mark can be asked for.
    pub has_detail: bool,
}

/// A click on a mark puts the mark's value of `column` into `filter`.
#[derive(Debug, Serialize)]
pub struct Selects {
    pub filter: String,
    pub column: String,
}

#[derive(Debug, Serialize)]
pub struct TableColumn {
    pub column: String,
    pub title: String,
    pub unit: Option<String>,
    pub format: Option<NumberFormat>,
    /// Shaded by its figures, as a bar behind them.
    pub heat: bool,
    /// Added up in a last row.
    pub total: bool,
}

#[derive(Debug, Serialize)]
pub struct Sort {
    pub column: String,
    pub descending: bool,
}

/// The body of `POST /api/dashboards/{name}/tiles/{tile}`. Filters left out have their default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TileRequest {
    /// Values by filter name, in the form of [`Filter::default`].
    pub filters: BTreeMap<String, Value>,
}

/// The body of `POST /api/dashboards/{name}/tiles/{tile}/detail`: a tile's filters and the mark clicked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetailRequest {
    pub filters: BTreeMap<String, Value>,
    /// Columns of the tile's answer and the mark's values of them, as the answer wrote them.
    #[serde(rename = "where")]
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    pub column: String,
    pub value: Value,
}

/// Name and type of a column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowColumn {
    pub name: String,
    /// As Arrow names it: `Int64`, `Decimal128(18, 2)`, `Utf8`, `Date32`, `Timestamp(µs, "UTC")`.
    pub r#type: String,
}

/// The rows of a query with the types beside them. Cells are exact: an integer is a JSON number up to 2^53 - 1 in size and
/// a string beyond; a decimal, `NaN` and the infinities are strings; dates and times are ISO 8601.
#[derive(Debug, Serialize)]
pub struct Rows {
    pub columns: Vec<RowColumn>,
    pub rows: Vec<Vec<Value>>,
    pub row_count: u32,
    /// The query has more rows than are sent.
    pub truncated: bool,
}

#[derive(Debug, Serialize)]
pub struct TileAnswer {
    #[serde(flatten)]
    pub rows: Rows,
    /// The tables it read, at the version it read.
    pub versions: Vec<ReadVersion>,
    /// When the newest of these versions was published; null when none is known.
    pub as_of: Option<String>,
    /// When the query ran: earlier than the request when the answer was kept.
    pub computed_at: String,
    /// What the query took.
    pub seconds: f64,
    /// The answer was kept from an earlier request of anybody.
    pub cached: bool,
    pub tests: TestCounts,
    /// Records set aside on their way into the tables it stands on.
    pub quarantined: Integer,
    /// Why newer data may exist than is shown; null when all is well.
    pub stale: Option<String>,
    /// The chosen days of each date range, after presets were resolved.
    pub periods: BTreeMap<String, Period>,
}

#[derive(Debug, Serialize)]
pub struct Period {
    pub start: String,
    pub end: String,
}

#[derive(Debug, Serialize)]
pub struct ReadVersion {
    pub table: String,
    pub version: Integer,
    pub at: Option<String>,
}

/// Last results of the tests on everything an answer stands on.
#[derive(Debug, Default, Serialize)]
pub struct TestCounts {
    pub passed: u32,
    pub warned: u32,
    pub failed: u32,
    /// Never run yet.
    pub unknown: u32,
}
