//! What a dashboard is made of, for drawing it before any tile is answered.

use std::collections::BTreeMap;

use headwater_dash::{
    DATE_PRESETS, Dashboard, FilterConfig, FilterValues, filters_of, options_query, places, resolve_preset, tile_query,
};
use headwater_project::{Classify, Failure};

use super::tile::Moment;
use crate::instance::Instance;
use crate::view::{DashboardPage, FilterChoices, PageTile};

/// Choices of one filter.
const MAX_CHOICES: usize = 1_000;

impl Instance {
    /// A dashboard's definition, with the choices of its filters and the tables its tiles read now.
    pub async fn dashboard_page(&self, name: &str) -> Result<DashboardPage, Failure> {
        let dashboard = self.project().find_dashboard(name)?;
        let moment = self.moment()?;
        let mut tiles = Vec::new();
        for (tile, place) in dashboard.tiles.iter().zip(places(dashboard)) {
            let filters = filters_of(dashboard, tile).into_iter().map(str::to_owned).collect();
            let tables = self.tables_of(&moment, dashboard, tile).await;
            tiles.push(PageTile { config: tile.clone(), place, filters, tables });
        }
        let mut choices = BTreeMap::new();
        for filter in &dashboard.filters {
            choices.insert(filter.name.clone(), self.choices(&moment, dashboard, filter).await);
        }
        let now = self.now();
        let presets = DATE_PRESETS.iter().filter_map(|preset| {
            let range = resolve_preset(preset, now)?;
            Some(((*preset).to_owned(), range.start.to_string(), range.end.to_string()))
        });
        Ok(DashboardPage { dashboard: dashboard.clone(), tiles, choices, presets: presets.collect() })
    }

    /// Empty when the query does not plan: its tile then tells why.
    async fn tables_of(
        &self,
        moment: &Moment,
        dashboard: &Dashboard,
        tile: &headwater_dash::TileConfig,
    ) -> Vec<String> {
        let Ok(Some(query)) = tile_query(dashboard, tile, &FilterValues::default(), self.now()) else {
            return Vec::new();
        };
        let prepared = self.prepare(moment, &query).await;
        prepared.map_or_else(|_| Vec::new(), |found| found.tables.iter().map(ToString::to_string).collect())
    }

    async fn choices(&self, moment: &Moment, dashboard: &Dashboard, filter: &FilterConfig) -> FilterChoices {
        let default = filter.default.clone().unwrap_or(serde_json::Value::Null);
        let asked = match &filter.options {
            Some(fixed) => Ok(Some((fixed.clone(), false))),
            None => self.asked_choices(moment, dashboard, filter).await,
        };
        match asked {
            Ok(Some((options, is_truncated))) => {
                FilterChoices { default, options: Some(options), is_truncated, failure: None }
            }
            Ok(None) => FilterChoices { default, options: None, is_truncated: false, failure: None },
            Err(failure) => {
                FilterChoices { default, options: Some(Vec::new()), is_truncated: false, failure: Some(failure) }
            }
        }
    }

    async fn asked_choices(
        &self,
        moment: &Moment,
        dashboard: &Dashboard,
        filter: &FilterConfig,
    ) -> Result<Option<(Vec<String>, bool)>, Failure> {
        let query = options_query(dashboard, filter, &FilterValues::default(), self.now());
        let Some(query) = query.map_err(|error| error.failure())? else { return Ok(None) };
        let (answer, _, _) = self.ask(moment, &query, MAX_CHOICES).await?;
        let mut options = Vec::new();
        for batch in &answer.rows.batches {
            let Some(column) = batch.columns().first() else { continue };
            let texts = arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8)
                .map_err(|error| Failure::user("the choices are no texts").with_detail(error.to_string()))?;
            let texts = arrow::array::AsArray::as_string::<i32>(&texts);
            options.extend(texts.iter().flatten().map(str::to_owned));
        }
        Ok(Some((options, answer.rows.truncated)))
    }
}
