//! The captured table whose changes a sink publishes.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use headwater_connectors::kafka::Messages;
use headwater_connectors::kafka::config::{DebeziumTopic, SinkTopic};
use headwater_connectors::postgres::{self, Mode, PostgresConfig, TableConfig, TableKeys, TopicTable, split_name};
use headwater_connectors::sink::debezium::EnvelopeOptions;
use headwater_lake::TableName;
use headwater_project::{Classify, Failure};

use crate::instance::{Instance, parse_table_name};
use crate::project::Project;
use crate::source_file::{PostgresSourceConfig, SourceConfig};

/// A table of a source with `mode: capture`.
pub(super) struct Captured<'a> {
    source: &'a PostgresSourceConfig,
    /// As the source's file writes it.
    written: &'a str,
    config: TableConfig,
    /// The lake's table that is kept as it is.
    pub(super) current: TableName,
}

impl<'a> Captured<'a> {
    /// The captured table that a log of changes is of.
    pub(super) fn of_log(project: &'a Project, log: &str) -> Result<Self, Failure> {
        let refused = || {
            Failure::user(format!("`{log}` is not the log of changes of a captured table"))
                .with_hint("With `format: debezium` send the `<table>__changes` of a source with `mode: capture`.")
        };
        let name = parse_table_name(log).ok_or_else(refused)?;
        let table = name.table.strip_suffix("__changes").ok_or_else(refused)?;
        let mut captures = project.sources.iter().filter_map(|entry| match &entry.config {
            SourceConfig::Postgres(source) if source.from.mode == Mode::Capture && source.name == name.schema => {
                Some(source)
            }
            _ => None,
        });
        let found = captures.find_map(|source| Some((source, source.from.origin_of(table)?)));
        let (source, (written, config)) = found.ok_or_else(refused)?;
        Ok(Self { source, written, config, current: TableName::new(name.schema.clone(), table) })
    }

    /// Logical name of the database.
    fn name(&self, topic: &DebeziumTopic) -> String {
        topic.name.clone().unwrap_or_else(|| self.source.name.clone())
    }

    /// The topic its changes go to.
    pub(super) fn topic(&self, to: &SinkTopic, options: &DebeziumTopic) -> String {
        let (schema, table) = split_name(self.written);
        to.topic_of(&self.name(options), schema, table)
    }

    /// Envelopes of its changes, with the columns that the database has when they are written.
    pub(super) fn messages(&self, instance: &Instance, topic: &DebeziumTopic) -> Result<Messages, Failure> {
        let project = instance.project();
        let target = postgres::Target::new(project.postgres_connection(&self.source.from.connection)?, &project.root);
        let options = EnvelopeOptions {
            name: self.name(topic),
            schemas: topic.schemas,
            tombstones: topic.tombstones,
            decimal: topic.decimal,
            truncations: topic.truncations,
        };
        let table = TopicTable {
            target,
            name: self.written.to_owned(),
            config: self.config.clone(),
            masked: self.source.rows.mask.keys().cloned().collect(),
            entropy: Arc::clone(&instance.entropy),
        };
        // Kept for the process, not for one life of the sink: it may fail, and the table be dropped, before its last changes go out.
        let (described, key) = (Arc::clone(&instance.described), (self.source.name.clone(), self.written.to_owned()));
        let describe = move || {
            let known = || described.lock().unwrap_or_else(PoisonError::into_inner);
            let mut last = known().get(&key).cloned();
            let found = table.describe(&mut last);
            if let Some(last) = last {
                known().insert(key.clone(), last);
            }
            found
        };
        Ok(Messages::Changes { describe: Box::new(describe), options })
    }

    /// Where the lake's table is; nothing as long as it is not copied to the end.
    pub(super) async fn place(&self, instance: &Instance) -> Result<Option<Place>, Failure> {
        let name = PostgresConfig::lake_name(self.written, &self.config);
        let keys = TableKeys::new(&self.source.name, &name);
        let progress = instance.lake.progress(&self.current).await.map_err(|error| error.failure())?;
        Ok(Place::of(&keys, &progress))
    }
}

/// Where a captured table is that has all rows of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The last commit of the database that it includes.
    pub(super) lsn: i64,
    /// How often it was copied beside its stream.
    pub(super) copy: i64,
}

impl Place {
    /// Nothing while it is copied: a copy beside the stream names the commit its table goes on from before it brings the first
    /// row, and takes what the source no longer has away with the last.
    fn of(keys: &TableKeys, progress: &BTreeMap<String, i64>) -> Option<Self> {
        let copy = progress.get(&keys.copy).copied().unwrap_or(0);
        let lsn = progress.get(&keys.lsn).copied()?;
        (!TableKeys::is_copying(copy)).then_some(Self { lsn, copy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_place_while_it_is_not_copied() {
        let keys = TableKeys::new("shop", "items");
        let place = |positions: &[(&String, i64)]| {
            let progress = positions.iter().map(|(key, position)| ((*key).clone(), *position)).collect();
            Place::of(&keys, &progress)
        };
        assert_eq!(place(&[]), None);
        assert_eq!(place(&[(&keys.lsn, 70)]), Some(Place { lsn: 70, copy: 0 }));
        assert_eq!(place(&[(&keys.lsn, 70), (&keys.copy, 1)]), None);
        assert_eq!(place(&[(&keys.lsn, 80), (&keys.copy, 2)]), Some(Place { lsn: 80, copy: 2 }));
    }
}
