//! `headwater topics`.

use headwater_app::Topics;
use headwater_app::view::{TopicRecord, TopicSummary};
use headwater_project::Failure;
use headwater_server::wire;

use super::{Context, Stop};
use crate::args::TopicsAction;
use crate::print::{Align, Table, bytes, grouped};

pub(super) async fn topics(
    context: &Context,
    connection: Option<&str>,
    action: Option<TopicsAction>,
) -> Result<(), Stop> {
    let instance = context.reader_of_any_project().await?;
    let topics = match connection {
        Some(name) => instance.topics_of(name)?,
        None => instance.log_topics(),
    };
    match action.unwrap_or(TopicsAction::List) {
        TopicsAction::List => list(context, &topics).await,
        TopicsAction::Describe { topic } => describe(context, &topics, &topic).await,
        TopicsAction::Tail { topic, limit, from_end } => {
            let from_end = from_end.unwrap_or(u64::try_from(limit).unwrap_or(u64::MAX));
            tail(context, topics.tail(&topic, from_end, limit).await?)
        }
    }
}

async fn list(context: &Context, topics: &Topics) -> Result<(), Stop> {
    let topics = topics.list().await?;
    if context.printer.json {
        let topics: Vec<wire::Topic> = topics.into_iter().map(Into::into).collect();
        return context.printer.json(&topics);
    }
    let mut table = Table::new(&[
        ("topic", Align::Left),
        ("partitions", Align::Right),
        ("records", Align::Right),
        ("size", Align::Right),
    ]);
    for topic in &topics {
        let size = topic.partitions.iter().map(|partition| partition.bytes).sum();
        let partitions = topic.partitions.len().to_string();
        table.row(&[topic.name.clone(), partitions, grouped(records(topic)), bytes(size)]);
    }
    context.printer.table(&table)
}

fn records(topic: &TopicSummary) -> u64 {
    let held = |start: i64, end: i64| u64::try_from(end.saturating_sub(start)).unwrap_or(0);
    topic.partitions.iter().map(|partition| held(partition.start_offset, partition.end_offset)).sum()
}

async fn describe(context: &Context, topics: &Topics, name: &str) -> Result<(), Stop> {
    let topics = topics.list().await?;
    let known = topics.iter().map(|topic| format!("`{}`", topic.name)).collect::<Vec<_>>().join(", ");
    let topic = topics.into_iter().find(|topic| topic.name == name).ok_or_else(|| {
        let failure = Failure::user(format!("there is no topic `{name}`"));
        if known.is_empty() {
            failure.with_hint("There are none yet: `headwater generate` or `headwater up` fills them.")
        } else {
            failure.with_hint(format!("The topics are {known}."))
        }
    })?;
    if context.printer.json {
        return context.printer.json(&wire::Topic::from(topic));
    }
    let mut table = Table::new(&[
        ("partition", Align::Right),
        ("first offset", Align::Right),
        ("next offset", Align::Right),
        ("size", Align::Right),
    ]);
    for partition in &topic.partitions {
        table.row(&[
            partition.partition.to_string(),
            partition.start_offset.to_string(),
            partition.end_offset.to_string(),
            bytes(partition.bytes),
        ]);
    }
    context.printer.table(&table)
}

fn tail(context: &Context, records: Vec<TopicRecord>) -> Result<(), Stop> {
    if context.printer.json {
        let records: Vec<wire::TopicRecord> = records.into_iter().map(Into::into).collect();
        return context.printer.json(&records);
    }
    let mut table = Table::new(&[
        ("partition", Align::Right),
        ("offset", Align::Right),
        ("time", Align::Left),
        ("record", Align::Left),
    ]);
    for record in records {
        let record = wire::TopicRecord::from(record);
        table.row(&[record.partition.to_string(), record.offset.to_string(), record.timestamp, record.payload]);
    }
    context.printer.table(&table)
}
