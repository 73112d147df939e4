//! Sinks: rows of tables into topics.
//!
//! How far a table was sent is not kept here: it is committed with the messages, in the topic itself, and asked for at each
//! start. It is the greatest `_ingested_at` that was sent, or the version of the table, when all rows are sent.

use std::time::Duration;

use headwater_connectors::kafka::{KafkaSink, Target};
use headwater_engine::PublishedRelation;
use headwater_lake::INGESTED_AT;
use headwater_project::{Classify, Diagnostic, Diagnostics, Failure, Kind};
use tokio_util::sync::CancellationToken;

use crate::instance::{Instance, parse_table_name};
use crate::project::Project;
use crate::query::QueryStream;
use crate::sink_file::{KafkaSinkConfig, Send, SinkConfig};

/// Wait after a sink failed.
const RETRY: Duration = Duration::from_secs(5);

/// What a sink sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    pub sink: String,
    pub rows: u64,
    /// How far the table is sent now.
    pub position: i64,
}

/// Problems of sinks that can be told without asking anybody.
pub(crate) fn check(project: &Project, found: &mut Diagnostics) {
    for (index, sink) in project.sinks.iter().enumerate() {
        let SinkConfig::Kafka(config) = sink;
        let mut problem = |failure: Failure| {
            let finding = Diagnostic::error(format!("sink `{}`: {}", sink.name(), failure.message));
            found.push(Diagnostic { hint: failure.hint, ..finding });
        };
        if project.sinks.iter().take(index).any(|before| before.name() == sink.name()) {
            problem(Failure::user("another sink has this name"));
        }
        if parse_table_name(&config.table).is_none() {
            problem(Failure::user(format!("`{}` is no table", config.table)).with_hint("Write `schema.table`."));
        }
        if let Err(failure) = project.kafka_connection(&config.to.connection) {
            problem(failure);
        }
    }
}

impl Instance {
    /// Sends what the named sinks (all, when none is named) have not sent yet.
    pub async fn export(&self, names: &[String], cancel: &CancellationToken) -> Result<Vec<Exported>, Failure> {
        self.require_writer()?;
        self.project().require_sound()?;
        let sinks = &self.project().sinks;
        if let Some(unknown) = names.iter().find(|name| !sinks.iter().any(|sink| sink.name() == **name)) {
            return Err(Failure::user(format!("there is no sink `{unknown}`")));
        }
        let mut exported = Vec::new();
        for sink in sinks.iter().filter(|sink| names.is_empty() || names.iter().any(|name| name == sink.name())) {
            let SinkConfig::Kafka(config) = sink;
            exported.push(Export::open(self, config).await?.run(cancel).await?);
        }
        Ok(exported)
    }
}

/// Runs a sink until it is stopped, from the start again whenever the cluster fails.
pub(crate) async fn forever(
    instance: Instance,
    config: KafkaSinkConfig,
    stop: CancellationToken,
) -> Result<(), Failure> {
    while !stop.is_cancelled() {
        let failure = match sending(&instance, &config, &stop).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if !matches!(failure.kind, Kind::External { .. }) {
            return Err(failure);
        }
        tracing::warn!(sink = config.name, detail = failure.detail.as_deref(), "sink failed: {failure}");
        // Whether the wait is over or a stop was asked for makes no difference here: the loop looks.
        drop(tokio::time::timeout(RETRY, stop.cancelled()).await);
    }
    Ok(())
}

async fn sending(instance: &Instance, config: &KafkaSinkConfig, stop: &CancellationToken) -> Result<(), Failure> {
    let mut export = Export::open(instance, config).await?;
    while !stop.is_cancelled() {
        export.send_new(stop).await?;
        drop(tokio::time::timeout(config.every.0, stop.cancelled()).await);
    }
    Ok(())
}

/// A sink at work.
struct Export<'a> {
    instance: &'a Instance,
    config: &'a KafkaSinkConfig,
    /// Away while it waits for the cluster on another thread.
    sink: Option<KafkaSink>,
    position: i64,
    rows: u64,
}

impl<'a> Export<'a> {
    async fn open(instance: &'a Instance, config: &'a KafkaSinkConfig) -> Result<Self, Failure> {
        let project = instance.project();
        let target = Target::new(project.kafka_connection(&config.to.connection)?, &project.root);
        let id = format!("headwater/{}/sink/{}", project.name(), config.name);
        let (topic, clock) = (config.to.clone(), std::sync::Arc::clone(&instance.clock));
        let opened = tokio::task::spawn_blocking(move || KafkaSink::open(&target, &topic, &id, clock)).await;
        let sink = opened.map_err(|error| Failure::internal(error.to_string()))?.map_err(|error| error.failure())?;
        let position = sink.position().unwrap_or(i64::MIN);
        Ok(Self { instance, config, sink: Some(sink), position, rows: 0 })
    }

    async fn run(mut self, cancel: &CancellationToken) -> Result<Exported, Failure> {
        self.send_new(cancel).await?;
        Ok(Exported { sink: self.config.name.clone(), rows: self.rows, position: self.position })
    }

    async fn send_new(&mut self, stop: &CancellationToken) -> Result<(), Failure> {
        match self.config.send {
            Send::Added => self.send_added(stop).await,
            Send::All => self.send_version(stop).await,
        }
    }

    /// Calls the sink on a thread that may wait.
    async fn call(
        &mut self,
        action: impl FnOnce(&mut KafkaSink) -> headwater_ingest::Result<()> + std::marker::Send + 'static,
    ) -> Result<(), Failure> {
        let Some(mut sink) = self.sink.take() else {
            return Err(Failure::internal("a sink that failed was used again"));
        };
        let called = tokio::task::spawn_blocking(move || {
            let done = action(&mut sink);
            (sink, done)
        });
        let (sink, done) = called.await.map_err(|error| Failure::internal(error.to_string()))?;
        done.map_err(|error| error.failure())?;
        self.sink = Some(sink);
        Ok(())
    }

    /// Rows of later commits than the last that was sent, as many commits in one transaction as there are.
    async fn send_added(&mut self, stop: &CancellationToken) -> Result<(), Failure> {
        let table = quoted(&self.config.table)?;
        let Some(until) = self.newest().await? else { return Ok(()) };
        if until <= self.position {
            return Ok(());
        }
        let place = format!("CAST(\"{INGESTED_AT}\" AS BIGINT)");
        let rows = format!(
            "SELECT * FROM {table} WHERE {place} > {} AND {place} <= {until} ORDER BY \"{INGESTED_AT}\"",
            self.position
        );
        let rows = self.instance.query(&rows, Vec::new()).await?;
        self.send_all(rows, until, stop).await
    }

    async fn send_version(&mut self, stop: &CancellationToken) -> Result<(), Failure> {
        let Some(name) = parse_table_name(&self.config.table) else { return Ok(()) };
        let version = match self.instance.published()?.get(&name) {
            Some(PublishedRelation::Version(version)) => Some(*version),
            Some(PublishedRelation::View { .. }) => {
                return Err(Failure::user(format!("`{name}` is a view, which has no versions"))
                    .with_hint("Make it a table, or send its rows with `send: added`."));
            }
            None => None,
        };
        // A table that is ingested gets versions without new rows, when its files are merged.
        let version = match version {
            Some(version) => i64::try_from(version).ok(),
            None => self.newest().await?,
        };
        let Some(version) = version else { return Ok(()) };
        if version <= self.position {
            return Ok(());
        }
        let rows = self.instance.query(&format!("SELECT * FROM {}", quoted(&self.config.table)?), Vec::new()).await?;
        self.send_all(rows, version, stop).await
    }

    async fn send_all(
        &mut self,
        mut rows: QueryStream,
        position: i64,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut count = 0;
        while let Some(batch) = rows.next().await? {
            if stop.is_cancelled() {
                return self.call(KafkaSink::abandon).await;
            }
            count += batch.num_rows() as u64;
            self.call(move |sink| sink.send(&batch)).await?;
        }
        self.call(move |sink| sink.commit(position)).await?;
        self.position = position;
        self.rows += count;
        Ok(())
    }

    /// The greatest `_ingested_at` of the table, in microseconds.
    async fn newest(&self) -> Result<Option<i64>, Failure> {
        let table = quoted(&self.config.table)?;
        self.number(&format!("SELECT max(CAST(\"{INGESTED_AT}\" AS BIGINT)) FROM {table}")).await
    }

    async fn number(&self, sql: &str) -> Result<Option<i64>, Failure> {
        use arrow::array::{Array, AsArray};
        let batches = self.instance.query(sql, Vec::new()).await?.collect().await?;
        let column = batches.first().map(|batch| batch.column(0).as_primitive::<arrow::datatypes::Int64Type>());
        Ok(column.filter(|column| column.len() == 1 && column.is_valid(0)).map(|column| column.value(0)))
    }
}

fn quoted(table: &str) -> Result<String, Failure> {
    let name = parse_table_name(table).ok_or_else(|| Failure::user(format!("`{table}` is no table")))?;
    let quote = |part: &str| format!("\"{}\"", part.replace('"', "\"\""));
    Ok(format!("{}.{}", quote(&name.schema), quote(&name.table)))
}
