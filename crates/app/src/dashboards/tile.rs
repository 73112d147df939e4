//! One tile asked with chosen filter values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headwater_dash::{
    Dashboard, FilterValues, ParameterizedQuery, TileConfig, cache_key, columns_of, detail_query, periods, tile_query,
    values_from_json,
};
use headwater_engine::{Parameter, PublishedRelation, QueryStream, Relation, Session};
use headwater_lake::TableName;
use headwater_project::{Classify, Failure, Timestamp};
use headwater_state::{Published, PublishedAs};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::answers::Answer;
use super::parameter;
use crate::instance::Instance;
use crate::view::{AnsweredTile, ReadVersion, TileRows};

/// Rows of a tile, of a detail, of choices: a page shows no more.
const TILE_ROWS: usize = 10_000;
const DETAIL_ROWS: usize = 1_000;

/// A template as SQL, and what it reads.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) sql: String,
    pub(crate) tables: BTreeSet<TableName>,
}

/// What readers see at one moment.
pub(crate) struct Moment {
    pub(crate) session: Session,
    pub(crate) published: Vec<Published>,
    /// Names this set of publications.
    stamp: String,
    /// The texts of the published views, which have no versions.
    views: String,
}

impl Moment {
    fn published_at(&self, table: &str) -> Option<Timestamp> {
        self.published.iter().find(|known| known.name == table).map(|known| known.at)
    }
}

impl Instance {
    /// What readers see now; for viewers who come together, looked up once.
    pub(crate) fn moment(&self) -> Result<Arc<Moment>, Failure> {
        let now = self.clock.monotonic();
        let generation = match self.moments.newest(now) {
            Ok(moment) => return Ok(moment),
            Err(generation) => generation,
        };
        let moment = Arc::new(self.look_up()?);
        self.moments.put(now, generation, &moment);
        Ok(moment)
    }

    fn look_up(&self) -> Result<Moment, Failure> {
        let published = self.state.published().map_err(|error| error.failure())?;
        let (mut stamp, mut views) = (String::new(), String::new());
        let mut relations = BTreeMap::new();
        for entry in &published {
            let Some(name) = crate::instance::parse_table_name(&entry.name) else { continue };
            let relation = match &entry.relation {
                PublishedAs::Table { version } => {
                    stamp.push_str(&format!("{}@{version};", entry.name));
                    PublishedRelation::Version(u64::try_from(*version).unwrap_or_default())
                }
                PublishedAs::View { sql } => {
                    stamp.push_str(&format!("{}={sql};", entry.name));
                    views.push_str(&format!("{}={sql};", entry.name));
                    PublishedRelation::View { sql: sql.clone() }
                }
            };
            relations.insert(name, relation);
        }
        let session = self.engine.session(relations, self.built_names()).keeping_columns();
        Ok(Moment { session, published, stamp, views })
    }

    /// The answer of a tile. `filters` are values by filter name as JSON; the others have their default.
    pub async fn ask_tile(
        &self,
        dashboard: &str,
        tile: &str,
        filters: &BTreeMap<String, Value>,
    ) -> Result<AnsweredTile, Failure> {
        let dashboard = self.project().find_dashboard(dashboard)?;
        let tile = find_tile(dashboard, tile)?;
        let values = values_from_json(dashboard, filters).map_err(|error| error.failure())?;
        let query = tile_query(dashboard, tile, &values, self.now()).map_err(|error| error.failure())?;
        let query = query.ok_or_else(|| Failure::user("this tile has no query"))?;
        let moment = self.moment()?;
        let (answer, versions, is_kept) = self.ask(&moment, &query, TILE_ROWS).await?;
        require_columns(tile, &answer.rows)?;
        let tables: Vec<String> = versions.iter().map(|read| read.table.clone()).collect();
        let standing = self.standing(&tables).await?;
        Ok(AnsweredTile {
            rows: answer.rows.clone(),
            as_of: versions.iter().filter_map(|read| read.at).max(),
            versions,
            computed_at: answer.computed_at,
            seconds: answer.seconds,
            is_kept,
            standing,
            periods: self.periods(dashboard, &values)?,
        })
    }

    fn periods(&self, dashboard: &Dashboard, values: &FilterValues) -> Result<Vec<(String, String, String)>, Failure> {
        let found = periods(dashboard, values, self.now()).map_err(|error| error.failure())?;
        Ok(found.into_iter().map(|(name, range)| (name, range.start.to_string(), range.end.to_string())).collect())
    }

    /// The rows behind a mark of a tile: those whose columns have these values, written as answers write them.
    pub async fn tile_detail(
        &self,
        dashboard: &str,
        tile: &str,
        filters: &BTreeMap<String, Value>,
        conditions: &[(String, Value)],
    ) -> Result<TileRows, Failure> {
        let dashboard = self.project().find_dashboard(dashboard)?;
        let tile = find_tile(dashboard, tile)?;
        let values = values_from_json(dashboard, filters).map_err(|error| error.failure())?;
        let query = detail_query(dashboard, tile, &values, self.now()).map_err(|error| error.failure())?;
        let query = query.ok_or_else(|| Failure::user("this tile has no query"))?;
        let moment = self.moment()?;
        let sql = self.render(&moment.session, &query.sql_template).await?;
        let mut parameters = bound(&query);
        let described = moment.session.describe_with(&sql, &parameters).await;
        let (schema, _) = described.map_err(|error| error.failure())?;
        let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let filtered = narrowed(&sql, &columns, conditions, &mut parameters)?;
        let stream = moment.session.query(&filtered, &parameters).await.map_err(|error| error.failure())?;
        take(stream, DETAIL_ROWS).await
    }

    /// A query's answer, from those kept or newly made, with the versions it read.
    pub(crate) async fn ask(
        &self,
        moment: &Moment,
        query: &ParameterizedQuery,
        rows: usize,
    ) -> Result<(Arc<Answer>, Vec<ReadVersion>, bool), Failure> {
        let prepared = self.prepare(moment, query).await?;
        let mut versions = Vec::new();
        for table in &prepared.tables {
            versions.push(version_of(moment, table).await?);
        }
        let read: Vec<(String, i64)> =
            versions.iter().map(|read| (read.table.clone(), i64::try_from(read.version).unwrap_or(i64::MAX))).collect();
        // Views have no version: the texts they were published with are part of the key.
        let sql_template = format!("{}\n{}", prepared.sql, moment.views);
        let keyed = ParameterizedQuery { sql_template, ..query.clone() };
        // The same rows for everybody: no identity is part of it.
        let key = format!("{rows} {}", cache_key(&keyed, &read, ""));
        let make = async {
            let started = self.clock.monotonic();
            let stream = moment.session.query(&prepared.sql, &bound(query)).await.map_err(|error| error.failure())?;
            let rows = take(stream, rows).await?;
            let seconds = self.clock.monotonic().saturating_sub(started).as_secs_f64();
            Ok(Answer { rows, computed_at: self.now(), seconds })
        };
        let (answer, is_kept) = self.answers.get(&key, Box::pin(make)).await?;
        Ok((answer, versions, is_kept))
    }

    /// Rendered and planned once for each set of publications, however many ask at once: after a build they all do.
    pub(crate) async fn prepare(&self, moment: &Moment, query: &ParameterizedQuery) -> Result<Prepared, Failure> {
        let cell = self.prepared.cell(&moment.stamp, &query.sql_template);
        let make = async {
            let sql = self.render(&moment.session, &query.sql_template).await?;
            let described = moment.session.describe_with(&sql, &bound(query)).await;
            let (_, inputs) = described.map_err(|error| error.failure())?;
            Ok::<_, Failure>(Prepared { sql, tables: inputs.into_keys().collect() })
        };
        cell.get_or_try_init(|| Box::pin(make)).await.cloned()
    }
}

/// How long a moment stands for now: too short for anybody to notice, long enough for those whom one event woke.
const MOMENT: Duration = Duration::from_millis(200);

/// The newest moment. Whoever tells others that something changed calls [`Moments::pass`] before, so that none of them
/// is answered from the time before the change.
#[derive(Default)]
pub(crate) struct Moments(Mutex<KeptMoment>);

#[derive(Default)]
struct KeptMoment {
    generation: u64,
    found: Option<(Duration, Arc<Moment>)>,
}

impl std::fmt::Debug for Moments {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Moments").finish_non_exhaustive()
    }
}

impl Moments {
    fn kept(&self) -> MutexGuard<'_, KeptMoment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment that stands for now, or the generation a new one belongs to.
    fn newest(&self, now: Duration) -> Result<Arc<Moment>, u64> {
        let kept = self.kept();
        match &kept.found {
            Some((found_at, moment)) if now.saturating_sub(*found_at) < MOMENT => Ok(Arc::clone(moment)),
            _ => Err(kept.generation),
        }
    }

    /// A moment looked up before the last [`Moments::pass`] is not kept.
    fn put(&self, now: Duration, generation: u64, moment: &Arc<Moment>) {
        let mut kept = self.kept();
        if kept.generation == generation {
            kept.found = Some((now, Arc::clone(moment)));
        }
    }

    pub(crate) fn pass(&self) {
        let mut kept = self.kept();
        kept.generation += 1;
        kept.found = None;
    }
}

/// Prepared queries of the newest set of publications, by their templates.
#[derive(Debug, Default)]
pub(crate) struct PreparedQueries(Mutex<(String, PreparedByTile)>);

/// Whoever asks a tile first prepares it; the others wait.
type PreparedByTile = BTreeMap<String, Arc<OnceCell<Prepared>>>;

impl PreparedQueries {
    fn cell(&self, stamp: &str, template: &str) -> Arc<OnceCell<Prepared>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != stamp {
            *kept = (stamp.to_owned(), BTreeMap::new());
        }
        Arc::clone(kept.1.entry(template.to_owned()).or_default())
    }
}

pub(crate) fn find_tile<'a>(dashboard: &'a Dashboard, name: &str) -> Result<&'a TileConfig, Failure> {
    let names = dashboard.tiles.iter().map(|known| known.name.as_str());
    dashboard.tiles.iter().find(|known| known.name == name).ok_or_else(|| Failure::unknown("tile", name, names))
}

/// What is drawn must be there: a misspelt column is told, not drawn as nothing.
fn require_columns(tile: &TileConfig, rows: &TileRows) -> Result<(), Failure> {
    let found: Vec<&str> = rows.schema.fields().iter().map(|field| field.name().as_str()).collect();
    let Some(missing) = columns_of(tile).into_iter().find(|wanted| !found.contains(wanted)) else { return Ok(()) };
    let near = headwater_project::config::suggest(missing, found.iter().copied());
    let hint = near.map_or_else(
        || format!("Its columns are {}.", found.join(", ")),
        |near| format!("Did you mean `{near}`? Its columns are {}.", found.join(", ")),
    );
    Err(Failure::user(format!("the query has no column `{missing}`")).with_hint(hint))
}

async fn version_of(moment: &Moment, table: &TableName) -> Result<ReadVersion, Failure> {
    let name = table.to_string();
    let published = moment.published.iter().find(|known| known.name == name);
    let version = match published.map(|known| &known.relation) {
        Some(PublishedAs::Table { version }) => u64::try_from(*version).unwrap_or_default(),
        _ => match moment.session.catalog().relation(table).await.map_err(|error| error.failure())? {
            Some(Relation::Table(found)) => found.table().version(),
            _ => 0,
        },
    };
    Ok(ReadVersion { at: moment.published_at(&name), table: name, version })
}

fn bound(query: &ParameterizedQuery) -> Vec<(String, Parameter)> {
    query.parameters.iter().map(|(name, value)| (name.clone(), parameter(value))).collect()
}

/// The first `most` rows.
async fn take(mut stream: QueryStream, most: usize) -> Result<TileRows, Failure> {
    let mut rows = TileRows { schema: Arc::clone(&stream.schema), batches: Vec::new(), truncated: false };
    let mut left = most;
    while let Some(batch) = stream.next().await.map_err(|error| error.failure())? {
        if batch.num_rows() > left {
            rows.truncated = true;
            rows.batches.push(batch.slice(0, left));
            break;
        }
        left -= batch.num_rows();
        rows.batches.push(batch);
    }
    Ok(rows)
}

/// A query narrowed to rows with these values. Columns are quoted names of its own; values are parameters.
fn narrowed(
    sql: &str,
    columns: &[String],
    conditions: &[(String, Value)],
    parameters: &mut Vec<(String, Parameter)>,
) -> Result<String, Failure> {
    let mut narrowed = format!("SELECT * FROM (\n{}\n) AS answer", sql.trim().trim_end_matches(';'));
    for (number, (column, value)) in conditions.iter().enumerate() {
        if !columns.contains(column) {
            return Err(Failure::user(format!("the rows have no column `{column}`"))
                .with_hint(format!("Their columns are {}.", columns.join(", "))));
        }
        let quoted = column.replace('"', "\"\"");
        let word = if number == 0 { "WHERE" } else { "AND" };
        let text = match value {
            Value::Null => {
                narrowed.push_str(&format!(" {word} \"{quoted}\" IS NULL"));
                continue;
            }
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(Failure::user(format!("a list cannot be compared with the column `{column}`")));
            }
        };
        let name = format!("clicked_value_{number}");
        narrowed.push_str(&format!(" {word} CAST(\"{quoted}\" AS VARCHAR) = ${name}"));
        parameters.push((name, Parameter::Text(text)));
    }
    narrowed.push_str(&format!(" LIMIT {}", DETAIL_ROWS + 1));
    Ok(narrowed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn moments_found(moments: &Moments, now: Duration) -> bool {
        moments.newest(now).is_ok()
    }

    #[test]
    fn a_moment_ends_with_its_time_and_with_the_next_change() {
        let moments = Moments::default();
        let session = crate::dashboards::tests::empty_session();
        let moment =
            || Arc::new(Moment { session: session.clone(), published: vec![], stamp: "".into(), views: "".into() });
        let generation = moments.newest(Duration::ZERO).err().unwrap();
        moments.put(Duration::ZERO, generation, &moment());
        assert!(moments_found(&moments, Duration::ZERO) && !moments_found(&moments, MOMENT));
        moments.pass();
        assert!(!moments_found(&moments, Duration::ZERO));
        // Looked up before the change, ready after it.
        moments.put(Duration::ZERO, generation, &moment());
        assert!(!moments_found(&moments, Duration::ZERO));
    }

    #[test]
    fn a_clicked_value_is_bound_and_a_column_must_be_one_of_the_rows() {
        let columns = [String::from("a\"b"), String::from("n")];
        let mut parameters = Vec::new();
        let hostile = json!("'; drop table t; --");
        let conditions = [(columns[0].clone(), hostile), (columns[1].clone(), Value::Null)];
        let sql = narrowed("select 1;", &columns, &conditions, &mut parameters).unwrap();
        assert_eq!(
            sql,
            "SELECT * FROM (\nselect 1\n) AS answer WHERE CAST(\"a\"\"b\" AS VARCHAR) = $clicked_value_0 AND \"n\" IS NULL \
             LIMIT 1001"
        );
        assert_eq!(parameters, [(String::from("clicked_value_0"), Parameter::Text("'; drop table t; --".into()))]);
        let unknown = [(String::from("x) or 1=1"), json!(1))];
        assert!(narrowed("select 1", &columns, &unknown, &mut parameters).is_err());
    }
}
