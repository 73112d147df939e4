//! From a tile and the chosen filter values to SQL with bound parameters.

use std::collections::BTreeSet;

use headwater_project::Timestamp;
use sha2::{Digest, Sha256};

use crate::config::{Dashboard, FilterConfig, TileConfig};
use crate::error::Error;
use crate::filter::{Date, FilterValue, FilterValues, resolve_period};
use crate::parameters::parameters_in;

#[derive(Clone, Debug, PartialEq)]
pub enum ParameterValue {
    Date(Date),
    Text(String),
    Texts(Vec<String>),
    /// Null when there is no bound.
    Number(Option<f64>),
}

/// A query whose values travel beside its text.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterizedQuery {
    /// As in the file, with `ref` still to be resolved and `$parameters` to be bound.
    pub sql_template: String,
    /// Every parameter the text uses, by name.
    pub parameters: Vec<(String, ParameterValue)>,
    /// Filters the answer depends on: when none of them changed, neither did the answer.
    pub filters: BTreeSet<String>,
}

/// The query of a tile; none for a text tile. Filters absent from `values` have their default.
pub fn tile_query(
    dashboard: &Dashboard,
    tile: &TileConfig,
    values: &FilterValues,
    now: Timestamp,
) -> Result<Option<ParameterizedQuery>, Error> {
    tile.sql.as_deref().map(|sql| parameterize(dashboard, sql, values, now)).transpose()
}

/// The query for the choices of a filter; none when they are fixed.
pub fn options_query(
    dashboard: &Dashboard,
    filter: &FilterConfig,
    values: &FilterValues,
    now: Timestamp,
) -> Result<Option<ParameterizedQuery>, Error> {
    filter.options_sql.as_deref().map(|sql| parameterize(dashboard, sql, values, now)).transpose()
}

/// The query of the rows behind a mark of a tile; none for a text tile.
pub fn detail_query(
    dashboard: &Dashboard,
    tile: &TileConfig,
    values: &FilterValues,
    now: Timestamp,
) -> Result<Option<ParameterizedQuery>, Error> {
    let sql = tile.detail_sql.as_deref().or(tile.sql.as_deref());
    sql.map(|sql| parameterize(dashboard, sql, values, now)).transpose()
}

/// Names of the filters a tile's answer depends on, in the order of the file.
pub fn filters_of<'a>(dashboard: &'a Dashboard, tile: &TileConfig) -> Vec<&'a str> {
    let used: BTreeSet<&str> =
        tile.sql.iter().flat_map(|sql| parameters_in(sql)).map(|(_, parameter)| parameter).collect();
    let uses = |filter: &&FilterConfig| filter.parameters().iter().any(|parameter| used.contains(parameter.as_str()));
    dashboard.filters.iter().filter(uses).map(|filter| filter.name.as_str()).collect()
}

/// The days each date range means now.
pub fn periods(
    dashboard: &Dashboard,
    values: &FilterValues,
    now: Timestamp,
) -> Result<Vec<(String, crate::DateRange)>, Error> {
    let mut periods = Vec::new();
    for filter in &dashboard.filters {
        let value = match values.get(&filter.name) {
            Some(value) => value.clone(),
            None => filter.default_value()?,
        };
        if let FilterValue::Period(period) = value {
            periods.push((filter.name.clone(), resolve_period(&filter.name, &period, now)?));
        }
    }
    Ok(periods)
}

/// Columns a tile's query must have to be drawn.
pub fn columns_of(tile: &TileConfig) -> Vec<&str> {
    let named =
        [&tile.x, &tile.series, &tile.lower, &tile.upper, &tile.latitude, &tile.longitude, &tile.size, &tile.compare];
    let listed = tile.columns.iter().map(|column| &column.column).chain(&tile.heat).chain(&tile.totals);
    let selected = tile.select.iter().filter_map(|select| select.column.as_ref());
    let sorted = tile.sort.iter().map(|sort| sort.strip_prefix('-').unwrap_or(sort));
    let all = named.into_iter().flatten().chain(&tile.y.0).chain(&tile.y_right.0).chain(listed).chain(selected);
    all.map(String::as_str).chain(sorted).collect()
}

fn parameterize(
    dashboard: &Dashboard,
    sql: &str,
    values: &FilterValues,
    now: Timestamp,
) -> Result<ParameterizedQuery, Error> {
    if let Some(name) = values.keys().find(|name| !dashboard.filters.iter().any(|filter| filter.name == **name)) {
        return Err(Error::UnknownFilter { name: name.clone() });
    }
    let used: BTreeSet<&str> = parameters_in(sql).into_iter().map(|(_, name)| name).collect();
    let mut query =
        ParameterizedQuery { sql_template: sql.to_owned(), parameters: Vec::new(), filters: BTreeSet::new() };
    for filter in &dashboard.filters {
        let value = match values.get(&filter.name) {
            Some(value) => value.clone(),
            None => filter.default_value()?,
        };
        let bound = bind(filter, value, now)?;
        let bound: Vec<_> = bound.into_iter().filter(|(name, _)| used.contains(name.as_str())).collect();
        if !bound.is_empty() {
            query.filters.insert(filter.name.clone());
            query.parameters.extend(bound);
        }
    }
    query.parameters.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(query)
}

fn bind(filter: &FilterConfig, value: FilterValue, now: Timestamp) -> Result<Vec<(String, ParameterValue)>, Error> {
    use crate::config::FilterKind::{DateRange, MultiSelect, NumberRange, Select, Text};
    let values = match (filter.kind, value) {
        (DateRange, FilterValue::Period(period)) => {
            let range = resolve_period(&filter.name, &period, now)?;
            let previous = range.previous();
            [range.start, range.end, previous.start, previous.end].map(ParameterValue::Date).into()
        }
        (Select | Text, FilterValue::Text(text)) => vec![ParameterValue::Text(text)],
        (MultiSelect, FilterValue::Texts(texts)) => vec![ParameterValue::Texts(texts)],
        (NumberRange, FilterValue::Numbers { min, max }) => {
            vec![ParameterValue::Number(min), ParameterValue::Number(max)]
        }
        _ => {
            let expected = "a value of its own kind";
            return Err(Error::WrongValue { filter: filter.name.clone(), expected });
        }
    };
    Ok(filter.parameters().into_iter().zip(values).collect())
}

/// Identifies an answer: the same key, the same rows. `tables` are the versions the query reads, `identity` whom it is
/// answered for. Every part is prefixed with its length, so no two different inputs run together.
pub fn cache_key(query: &ParameterizedQuery, tables: &[(String, i64)], identity: &str) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(query.sql_template.as_bytes());
    part(&(query.parameters.len() as u64).to_le_bytes());
    for (name, value) in &query.parameters {
        part(name.as_bytes());
        feed_value(value, &mut part);
    }
    let mut tables: Vec<&(String, i64)> = tables.iter().collect();
    tables.sort();
    part(&(tables.len() as u64).to_le_bytes());
    for (table, version) in tables {
        part(table.as_bytes());
        part(&version.to_le_bytes());
    }
    part(identity.as_bytes());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn feed_value(value: &ParameterValue, part: &mut dyn FnMut(&[u8])) {
    match value {
        ParameterValue::Date(date) => {
            part(b"date");
            part(date.to_string().as_bytes());
        }
        ParameterValue::Text(text) => {
            part(b"text");
            part(text.as_bytes());
        }
        ParameterValue::Texts(texts) => {
            // The order in which a viewer ticked the choices does not matter.
            let texts: BTreeSet<&str> = texts.iter().map(String::as_str).collect();
            part(b"texts");
            part(&(texts.len() as u64).to_le_bytes());
            for text in texts {
                part(text.as_bytes());
            }
        }
        ParameterValue::Number(number) => {
            part(b"number");
            part(&number.map(|number| number.to_bits().to_le_bytes().to_vec()).unwrap_or_default());
        }
    }
}
