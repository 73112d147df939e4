//! Snapshots: the rows to write so that a table keeps every state its source was seen in.
//!
//! The snapshot's table is written by the key of its rows, so one query gives both what is new and what ends: rows whose key
//! (`dbt_scd_id`) is in the table come back with their end, all others are added.

use headwater_project::{Diagnostic, Timestamp};

use crate::config::NodeConfig;
use crate::microbatch::literal;
use crate::node::Node;
use crate::warehouse::quoted;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotStrategy {
    /// A row is another one when this column is later.
    Timestamp { updated_at: String },
    /// A row is another one when one of these columns differs; all when none is named.
    Check { columns: Vec<String>, updated_at: Option<String> },
}

/// What becomes of rows the source has no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HardDeletes {
    Ignore,
    Invalidate,
    NewRecord,
}

/// Names of the columns a snapshot adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaColumns {
    pub scd_id: String,
    pub updated_at: String,
    pub valid_from: String,
    pub valid_to: String,
    pub is_deleted: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPlan {
    pub strategy: SnapshotStrategy,
    pub unique_key: Vec<String>,
    pub hard_deletes: HardDeletes,
    /// What stands for "still valid"; NULL when none.
    pub valid_to_current: Option<String>,
    pub names: MetaColumns,
}

/// Reads the plan of a snapshot from its configuration.
pub(crate) fn plan(node: &Node, config: &NodeConfig) -> Result<SnapshotPlan, Vec<Diagnostic>> {
    let problem = |message: String, hint: &str| {
        let mut problem = Diagnostic::error(message);
        problem.span = node.span;
        vec![problem.hint(hint)]
    };
    let unique_key = config.list("unique_key");
    if unique_key.is_empty() {
        return Err(problem(
            format!("the snapshot {} has no unique_key", node.name),
            "Name the column that tells rows apart.",
        ));
    }
    let updated_at = config.text("updated_at").map(str::to_owned);
    let strategy = match config.text("strategy") {
        Some("timestamp") => {
            let message = || {
                problem(
                    format!("the snapshot {} has no updated_at", node.name),
                    "The timestamp strategy compares this column.",
                )
            };
            SnapshotStrategy::Timestamp { updated_at: updated_at.ok_or_else(message)? }
        }
        Some("check") => match config.get("check_cols") {
            Some(serde_json::Value::String(all)) if all == "all" => {
                SnapshotStrategy::Check { columns: Vec::new(), updated_at }
            }
            Some(_) if !config.list("check_cols").is_empty() => {
                SnapshotStrategy::Check { columns: config.list("check_cols"), updated_at }
            }
            _ => {
                return Err(problem(
                    format!("the snapshot {} has no check_cols", node.name),
                    "List the columns to compare, or write `all`.",
                ));
            }
        },
        other => {
            let other = other.unwrap_or("none");
            return Err(problem(
                format!("the snapshot {} has the strategy '{other}'", node.name),
                "It can be timestamp or check.",
            ));
        }
    };
    let hard_deletes = match config.text("hard_deletes") {
        Some("invalidate") => HardDeletes::Invalidate,
        Some("new_record") => HardDeletes::NewRecord,
        None if config.flag("invalidate_hard_deletes") == Some(true) => HardDeletes::Invalidate,
        Some("ignore") | None => HardDeletes::Ignore,
        Some(other) => {
            return Err(problem(
                format!("hard_deletes of {} cannot be '{other}'", node.name),
                "It can be ignore, invalidate or new_record.",
            ));
        }
    };
    let given = config.get("snapshot_meta_column_names");
    let name = |key: &str| given.and_then(|names| names.get(key)?.as_str()).unwrap_or(key).to_owned();
    let names = MetaColumns {
        scd_id: name("dbt_scd_id"),
        updated_at: name("dbt_updated_at"),
        valid_from: name("dbt_valid_from"),
        valid_to: name("dbt_valid_to"),
        is_deleted: name("dbt_is_deleted"),
    };
    let valid_to_current = config.text("dbt_valid_to_current").map(str::to_owned);
    Ok(SnapshotPlan { strategy, unique_key, hard_deletes, valid_to_current, names })
}

impl SnapshotPlan {
    /// Changes every expression the project wrote.
    pub(crate) fn each_expression<E>(&mut self, mut change: impl FnMut(&mut String) -> Result<(), E>) -> Result<(), E> {
        self.unique_key.iter_mut().try_for_each(&mut change)?;
        if let SnapshotStrategy::Timestamp { updated_at }
        | SnapshotStrategy::Check { updated_at: Some(updated_at), .. } = &mut self.strategy
        {
            change(updated_at)?;
        }
        self.valid_to_current.iter_mut().try_for_each(change)
    }

    /// The query of the rows to write. `existing` is the snapshot's table with its columns; none before its first run.
    pub fn statement(
        &self,
        source: &str,
        existing: Option<(&str, &[String])>,
        columns: &[String],
        now: Timestamp,
    ) -> String {
        let now = literal(now);
        match existing {
            None => self.first(source, &now),
            Some((table, existing)) => self.next(source, table, existing, columns, &now),
        }
    }

    fn meta(&self) -> Vec<&str> {
        let names = &self.names;
        let mut meta = vec![names.scd_id.as_str(), &names.updated_at, &names.valid_from, &names.valid_to];
        if self.hard_deletes == HardDeletes::NewRecord {
            meta.push(&names.is_deleted);
        }
        meta
    }

    fn updated_at(&self, now: &str) -> String {
        match &self.strategy {
            SnapshotStrategy::Timestamp { updated_at }
            | SnapshotStrategy::Check { updated_at: Some(updated_at), .. } => updated_at.clone(),
            SnapshotStrategy::Check { .. } => now.to_owned(),
        }
    }

    fn scd_id(&self, prefix: &str, at: &str) -> String {
        let text = |value: &str| format!("coalesce(cast({value} as varchar), '')");
        let mut parts: Vec<String> = self.unique_key.iter().map(|key| text(&format!("{prefix}{key}"))).collect();
        parts.push(text(at));
        format!("md5({})", parts.join(" || '|' || "))
    }

    fn still_valid(&self, updated_at: &str) -> String {
        let end = self.valid_to_current.as_deref().unwrap_or("null");
        format!("coalesce(nullif({updated_at}, {updated_at}), {end})")
    }

    fn first(&self, source: &str, now: &str) -> String {
        let names = &self.names;
        let updated_at = self.updated_at(now);
        let deleted = match self.hard_deletes {
            HardDeletes::NewRecord => format!(",\n  'False' as {}", names.is_deleted),
            _ => String::new(),
        };
        format!(
            "select *,\n  {} as {},\n  {updated_at} as {},\n  {updated_at} as {},\n  {} as {}{deleted}\nfrom (\n{source}\n) sbq",
            self.scd_id("", &updated_at),
            names.scd_id,
            names.updated_at,
            names.valid_from,
            self.still_valid(&updated_at),
            names.valid_to,
        )
    }

    fn next(&self, source: &str, table: &str, existing: &[String], columns: &[String], now: &str) -> String {
        let find = |has: &[String], name: &str| has.iter().find(|other| other.eq_ignore_ascii_case(name)).cloned();
        let meta = self.meta();
        let is_meta = |name: &String| meta.iter().any(|meta| meta.eq_ignore_ascii_case(name));
        // The table's own columns in their order, then what the source has since.
        let mut all: Vec<&String> = existing.iter().filter(|name| !is_meta(name)).collect();
        all.extend(columns.iter().filter(|name| !existing.iter().any(|known| known.eq_ignore_ascii_case(name))));
        let from = |alias: &str, has: &[String]| {
            let column = |name: &&String| match find(has, name) {
                Some(own) => format!("{alias}.{} as {}", quoted(&own), quoted(name)),
                None => format!("null as {}", quoted(name)),
            };
            all.iter().map(column).collect::<Vec<_>>().join(", ")
        };
        let (old, new) = (from("cur", existing), from("src", columns));
        let names = &self.names;
        let key = self.unique_key.iter().map(|key| format!("src.{key} = cur.{key}")).collect::<Vec<_>>().join(" and ");
        let changed = self.changed(existing, columns);
        let with_deletes = self.hard_deletes == HardDeletes::NewRecord;
        let deleted =
            |value: &str| if with_deletes { format!(", {value} as {}", names.is_deleted) } else { String::new() };
        let (scd, updated, since, until) = (&names.scd_id, &names.updated_at, &names.valid_from, &names.valid_to);
        let first_key = self.unique_key.first().map(String::as_str).unwrap_or_default();
        let current = match &self.valid_to_current {
            Some(end) => format!("({until} = {end} or {until} is null)"),
            None => format!("{until} is null"),
        };
        let updated_at = self.updated_at(now);
        let end = self.still_valid("src.__updated_at");
        let own_deleted = deleted(&format!("cur.{}", names.is_deleted));
        let new_rows = format!(
            "select {new}, src.__scd_id as {scd}, src.__updated_at as {updated}, src.__updated_at as {since}, {end} as {until}{}",
            deleted("'False'")
        );
        // What comes first gives the columns their types: new columns are NULL in rows that end.
        let mut parts = vec![
            format!("{new_rows}\nfrom __source src join __current cur on {key} where {changed}"),
            format!("{new_rows}\nfrom __source src left join __current cur on {key} where cur.{first_key} is null"),
            format!(
                "select {old}, cur.{scd} as {scd}, cur.{updated} as {updated}, cur.{since} as {since}, src.__updated_at as {until}{own_deleted}\n\
                 from __source src join __current cur on {key} where {changed}"
            ),
        ];
        if self.hard_deletes != HardDeletes::Ignore {
            let gone = if with_deletes {
                format!("src.{first_key} is null and cur.{} <> 'True'", names.is_deleted)
            } else {
                format!("src.{first_key} is null")
            };
            let from_gone = format!("from __current cur left join __source src on {key} where {gone}");
            parts.push(format!(
                "select {old}, cur.{scd} as {scd}, cur.{updated} as {updated}, cur.{since} as {since}, {now} as {until}{own_deleted}\n{from_gone}"
            ));
            if with_deletes {
                parts.push(format!(
                    "select {old}, {} as {scd}, {now} as {updated}, {now} as {since}, {} as {until}{}\n{from_gone}",
                    self.scd_id("cur.", now),
                    self.still_valid(now),
                    deleted("'True'"),
                ));
            }
        }
        format!(
            "with __given as (\n{source}\n), __source as (\n  select *, {updated_at} as __updated_at, {} as __scd_id from __given\n), \
             __current as (\n  select * from {table} where {current}\n)\n{}",
            self.scd_id("", &updated_at),
            parts.join("\nunion all\n"),
        )
    }

    fn changed(&self, existing: &[String], columns: &[String]) -> String {
        let has = |names: &[String], name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        let condition = match &self.strategy {
            SnapshotStrategy::Timestamp { updated_at } => format!("cur.{} < src.{updated_at}", self.names.valid_from),
            SnapshotStrategy::Check { columns: checked, .. } => {
                let all = checked.is_empty();
                let checked = if all { columns } else { checked.as_slice() };
                if all && columns.iter().any(|name| !has(existing, name)) {
                    String::from("true")
                } else {
                    let differs = |name: &String| format!("(src.{0} is distinct from cur.{0})", quoted(name));
                    let known = checked.iter().filter(|name| has(existing, name));
                    let conditions: Vec<String> = known.map(differs).collect();
                    if conditions.is_empty() { String::from("false") } else { conditions.join(" or ") }
                }
            }
        };
        match self.hard_deletes {
            HardDeletes::NewRecord => format!("(({condition}) or cur.{} = 'True')", self.names.is_deleted),
            _ => format!("({condition})"),
        }
    }
}
