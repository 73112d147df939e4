//! Plans: what to do with the result of a node's SQL, read from its configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use headwater_project::Diagnostic;

use crate::config::{NodeConfig, as_list, plain_text};
use crate::microbatch::{BatchSize, Microbatch, parse_moment};
use crate::near::nearest;
use crate::node::{Node, NodeKind, ResourceType};
use crate::snapshot::SnapshotPlan;

/// How a node's result is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    View,
    Table {
        partition_by: Vec<Partition>,
        cluster_by: Vec<String>,
    },
    Incremental {
        strategy: IncrementalStrategy,
        partition_by: Vec<Partition>,
        cluster_by: Vec<String>,
        /// Nothing to add to: build it as a table.
        first_run: bool,
        on_schema_change: OnSchemaChange,
    },
    /// Not kept: its SQL is part of what refers to it.
    Ephemeral,
    Seed(SeedPlan),
    Snapshot(SnapshotPlan),
    Test(TestPlan),
    /// A materialisation of the project's own: this macro carries it out.
    Custom {
        macro_name: String,
    },
    /// Compiled and not run.
    Analysis,
}

/// A column a table is divided by; a time column may be cut to days, months and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub column: String,
    pub granularity: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncrementalStrategy {
    Append,
    Merge {
        unique_key: Vec<String>,
        /// Only these are updated; all when empty.
        update_columns: Vec<String>,
        exclude_columns: Vec<String>,
        /// Conditions on `DBT_INTERNAL_DEST` and `DBT_INTERNAL_SOURCE`.
        predicates: Vec<String>,
    },
    DeleteInsert {
        unique_key: Vec<String>,
        predicates: Vec<String>,
    },
    InsertOverwrite,
    /// The query is compiled for each span of event time, whose rows it replaces.
    Microbatch(Microbatch),
}

impl IncrementalStrategy {
    /// Changes every condition the project wrote.
    pub(crate) fn each_expression<E>(&mut self, mut change: impl FnMut(&mut String) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::Merge { predicates, .. } | Self::DeleteInsert { predicates, .. } => {
                predicates.iter_mut().try_for_each(&mut change)
            }
            Self::Append | Self::InsertOverwrite | Self::Microbatch(_) => Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSchemaChange {
    Ignore,
    AppendNewColumns,
    SyncAllColumns,
    Fail,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedPlan {
    /// Relative to the project folder.
    pub file: PathBuf,
    pub delimiter: char,
    /// Types by column; the others are inferred.
    pub column_types: BTreeMap<String, String>,
    pub quote_columns: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestSeverity {
    Warn,
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestPlan {
    pub severity: TestSeverity,
    pub warn_if: String,
    pub error_if: String,
    pub fail_calc: String,
    pub limit: Option<u64>,
    pub store_failures: bool,
    /// The failing rows. The node's SQL counts them: one row of `failures`, `should_warn`, `should_error`.
    pub failing_rows: String,
}

/// The plan of a node but for what only the warehouse knows.
pub(crate) fn plan(node: &Node, config: &NodeConfig, first_run: bool, sql: &str) -> Result<Plan, Vec<Diagnostic>> {
    match (&node.kind, node.resource_type) {
        (NodeKind::Seed { file }, _) => return seed(node, config, file),
        (NodeKind::Snapshot, _) => return Ok(Plan::Snapshot(crate::snapshot::plan(node, config)?)),
        (_, ResourceType::Test) => return test(node, config, sql),
        (_, ResourceType::Analysis) => return Ok(Plan::Analysis),
        _ => {}
    }
    match config.materialized() {
        // One engine keeps views current: a materialised view is a view.
        "view" | "materialized_view" | "materializedview" => Ok(Plan::View),
        "table" => Ok(Plan::Table { partition_by: partition_by(config), cluster_by: config.list("cluster_by") }),
        "incremental" => Ok(Plan::Incremental {
            strategy: strategy(node, config)?,
            partition_by: partition_by(config),
            cluster_by: config.list("cluster_by"),
            first_run,
            on_schema_change: on_schema_change(node, config)?,
        }),
        "ephemeral" => Ok(Plan::Ephemeral),
        other => Err(refuse(node, "materialized", other, KINDS)),
    }
}

const KINDS: &[&str] = &["view", "table", "incremental", "ephemeral", "materialized_view"];

fn problem(node: &Node, message: String) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(message);
    diagnostic.span = node.span;
    diagnostic
}

fn refuse(node: &Node, key: &str, value: &str, allowed: &[&str]) -> Vec<Diagnostic> {
    let diagnostic = problem(node, format!("{} has the unknown {key} '{value}'", node.name));
    vec![match nearest(value, allowed.iter().copied()) {
        Some(near) => diagnostic.hint(format!("Did you mean '{near}'?")),
        None => diagnostic.hint(format!("It can be {}.", allowed.join(", "))),
    }]
}

fn partition_by(config: &NodeConfig) -> Vec<Partition> {
    let plain = |column: String| Partition { column, granularity: None };
    match config.get("partition_by") {
        Some(serde_json::Value::Object(map)) => {
            let text = |key: &str| map.get(key).filter(|value| !value.is_null()).map(plain_text);
            // A date column divided by day is divided by itself.
            let date = text("data_type").is_none_or(|data_type| data_type.eq_ignore_ascii_case("date"));
            let granularity =
                text("granularity").filter(|granularity| !(date && granularity.eq_ignore_ascii_case("day")));
            text("field").map(|column| Partition { column, granularity }).into_iter().collect()
        }
        Some(value) => as_list(value).into_iter().map(plain).collect(),
        None => Vec::new(),
    }
}

const STRATEGIES: &[&str] = &["append", "merge", "delete+insert", "insert_overwrite", "microbatch"];

fn strategy(node: &Node, config: &NodeConfig) -> Result<IncrementalStrategy, Vec<Diagnostic>> {
    let unique_key = config.list("unique_key");
    let default = if unique_key.is_empty() { "append" } else { "merge" };
    let mut predicates = config.list("incremental_predicates");
    predicates.extend(config.list("predicates"));
    match config.text("incremental_strategy").unwrap_or(default) {
        "append" => Ok(IncrementalStrategy::Append),
        // Without a key there is nothing to match on: dbt's merge then only inserts.
        "merge" | "delete+insert" if unique_key.is_empty() => Ok(IncrementalStrategy::Append),
        "merge" => Ok(IncrementalStrategy::Merge {
            unique_key,
            update_columns: config.list("merge_update_columns"),
            exclude_columns: config.list("merge_exclude_columns"),
            predicates,
        }),
        "delete+insert" => Ok(IncrementalStrategy::DeleteInsert { unique_key, predicates }),
        "insert_overwrite" if config.get("partition_by").is_none() => {
            let message = format!("{} overwrites partitions and has none", node.name);
            Err(vec![problem(node, message).hint("Set `partition_by` to the column the table is divided by.")])
        }
        "insert_overwrite" => Ok(IncrementalStrategy::InsertOverwrite),
        "microbatch" => microbatch(node, config).map(IncrementalStrategy::Microbatch),
        other => Err(refuse(node, "incremental_strategy", other, STRATEGIES)),
    }
}

fn microbatch(node: &Node, config: &NodeConfig) -> Result<Microbatch, Vec<Diagnostic>> {
    let required = |key: &str, hint: &str| {
        let missing = || vec![problem(node, format!("{} uses microbatches and has no {key}", node.name)).hint(hint)];
        config.get(key).map(plain_text).ok_or_else(missing)
    };
    let event_time = required("event_time", "Set `event_time` to the column that says when a row happened.")?;
    let size = required("batch_size", "Set `batch_size` to hour, day, month or year.")?;
    let begin = required("begin", "Set `begin` to the date of the first batch.")?;
    let size =
        BatchSize::parse(&size).ok_or_else(|| refuse(node, "batch_size", &size, &["hour", "day", "month", "year"]))?;
    let begin = parse_moment(&begin).ok_or_else(|| {
        vec![
            problem(node, format!("`begin` of {} is not a date: '{begin}'", node.name)).hint("Write it as 2024-01-31."),
        ]
    })?;
    let lookback = config.get("lookback").map(plain_text).and_then(|text| text.parse().ok()).unwrap_or(1);
    Ok(Microbatch { event_time, size, begin, lookback })
}

fn on_schema_change(node: &Node, config: &NodeConfig) -> Result<OnSchemaChange, Vec<Diagnostic>> {
    match config.text("on_schema_change").unwrap_or("ignore") {
        "ignore" => Ok(OnSchemaChange::Ignore),
        "append_new_columns" => Ok(OnSchemaChange::AppendNewColumns),
        "sync_all_columns" => Ok(OnSchemaChange::SyncAllColumns),
        "fail" => Ok(OnSchemaChange::Fail),
        other => {
            Err(refuse(node, "on_schema_change", other, &["ignore", "append_new_columns", "sync_all_columns", "fail"]))
        }
    }
}

fn seed(node: &Node, config: &NodeConfig, file: &std::path::Path) -> Result<Plan, Vec<Diagnostic>> {
    let delimiter = config.text("delimiter").unwrap_or(",");
    let mut characters = delimiter.chars();
    let (Some(delimiter), None) = (characters.next(), characters.next()) else {
        let message = format!("the delimiter of {} must be one character", node.name);
        return Err(vec![problem(node, message).hint("Write a tab as \"\\t\".")]);
    };
    let types = config.get("column_types").and_then(|types| types.as_object());
    let column_types = types.into_iter().flatten().map(|(column, data_type)| (column.clone(), plain_text(data_type)));
    let quote_columns = config.flag("quote_columns").unwrap_or(false);
    Ok(Plan::Seed(SeedPlan {
        file: file.to_path_buf(),
        delimiter,
        column_types: column_types.collect(),
        quote_columns,
    }))
}

fn test(node: &Node, config: &NodeConfig, sql: &str) -> Result<Plan, Vec<Diagnostic>> {
    let severity = config.text("severity").unwrap_or("ERROR");
    let severity = match severity.to_ascii_lowercase().as_str() {
        "warn" => TestSeverity::Warn,
        "error" => TestSeverity::Error,
        other => return Err(refuse(node, "severity", other, &["warn", "error"])),
    };
    let limit = match config.get("limit").map(plain_text) {
        None => None,
        Some(text) => match text.parse() {
            Ok(limit) => Some(limit),
            Err(_) => {
                let message = format!("the limit of {} is not a whole number", node.name);
                return Err(vec![problem(node, message).hint("Write `limit:` with a number of rows.")]);
            }
        },
    };
    let text = |key: &str, default: &str| config.text(key).unwrap_or(default).to_owned();
    let failing_rows = limit.map_or_else(|| sql.to_owned(), |limit: u64| format!("{sql}\nlimit {limit}"));
    Ok(Plan::Test(TestPlan {
        severity,
        warn_if: text("warn_if", "!= 0"),
        error_if: text("error_if", "!= 0"),
        fail_calc: text("fail_calc", "count(*)"),
        limit,
        store_failures: config.flag("store_failures").unwrap_or(false),
        failing_rows,
    }))
}

impl TestPlan {
    /// The query that counts the failing rows and says what the count means.
    pub(crate) fn counting_sql(&self) -> String {
        let Self { fail_calc, warn_if, error_if, failing_rows, .. } = self;
        format!(
            "select\n  {fail_calc} as failures,\n  {fail_calc} {warn_if} as should_warn,\n  {fail_calc} {error_if} as should_error\n\
             from (\n{failing_rows}\n) dbt_internal_test"
        )
    }
}
