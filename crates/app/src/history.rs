//! Past runs and topics, for showing.

use headwater_ingest::RecordBuffer;
use headwater_ingest::log::EventLog;
use headwater_project::{Classify, Failure, Timestamp};
use headwater_state::{Run, RunId};

use crate::instance::Instance;
use crate::view::{RunSummary, StepSummary, TopicPartition, TopicRecord, TopicSummary};

/// Bytes read at once for a tail.
const TAIL_BYTES: usize = 1 << 20;

pub(crate) fn run_summary(run: &Run) -> RunSummary {
    RunSummary {
        id: run.id.0,
        job: run.job.clone(),
        command: run.command.clone(),
        trigger: run.trigger.as_str().to_owned(),
        selection: run.selection.clone(),
        status: run.status.as_str().to_owned(),
        queued_at: run.queued_at,
        started_at: run.started_at,
        finished_at: run.finished_at,
        message: run.message.clone(),
    }
}

impl Instance {
    /// The newest runs first.
    pub async fn runs(&self, limit: usize) -> Result<Vec<RunSummary>, Failure> {
        let runs = self.state.runs(None, limit).map_err(|error| error.failure())?;
        Ok(runs.iter().map(run_summary).collect())
    }

    /// A run with its steps.
    pub async fn run(&self, id: i64) -> Result<(RunSummary, Vec<StepSummary>), Failure> {
        let run = self.state.run(RunId(id)).map_err(|error| error.failure())?;
        let run = run
            .ok_or_else(|| Failure::user(format!("there is no run {id}")).with_hint("`headwater runs` lists them."))?;
        let steps = self.state.steps(RunId(id)).map_err(|error| error.failure())?;
        let steps = steps
            .into_iter()
            .map(|step| StepSummary {
                id: step.node,
                kind: step.kind,
                status: step.status.as_str().to_owned(),
                started_at: step.started_at,
                finished_at: step.finished_at,
                rows: step.result.rows,
                message: step.result.message,
            })
            .collect();
        Ok((run_summary(&run), steps))
    }

    /// Every topic with what it holds.
    pub async fn topics(&self) -> Result<Vec<TopicSummary>, Failure> {
        let topics = self.log.topics().map_err(|error| error.failure())?;
        Ok(topics
            .into_iter()
            .map(|topic| TopicSummary {
                name: topic.name,
                partitions: (0..)
                    .zip(topic.partitions)
                    .map(|(partition, described)| TopicPartition {
                        partition,
                        start_offset: described.start_offset,
                        end_offset: described.end_offset,
                        bytes: described.bytes,
                    })
                    .collect(),
            })
            .collect())
    }

    /// Up to `limit` records, beginning `from_end` records before the end of each partition, by time.
    pub async fn tail(&self, topic: &str, from_end: u64, limit: usize) -> Result<Vec<TopicRecord>, Failure> {
        let described = self.topics().await?;
        let names: Vec<&str> = described.iter().map(|known| known.name.as_str()).collect();
        let Some(found) = described.iter().find(|known| known.name == topic) else {
            let near = headwater_project::config::suggest(topic, names.iter().copied());
            let hint = near.map_or_else(
                || format!("Known topics: {}.", names.join(", ")),
                |near| format!("Did you mean `{near}`?"),
            );
            return Err(Failure::user(format!("there is no topic `{topic}`")).with_hint(hint));
        };
        let mut records = Vec::new();
        for partition in &found.partitions {
            records.extend(self.tail_partition(topic, *partition, from_end, limit)?);
        }
        records.sort_by_key(|record| (record.timestamp, record.partition, record.offset));
        let surplus = records.len().saturating_sub(limit);
        records.drain(..surplus);
        Ok(records)
    }

    fn tail_partition(
        &self,
        topic: &str,
        partition: TopicPartition,
        from_end: u64,
        limit: usize,
    ) -> Result<Vec<TopicRecord>, Failure> {
        let back = i64::try_from(from_end).unwrap_or(i64::MAX);
        let mut offset = partition.end_offset.saturating_sub(back).max(partition.start_offset);
        let mut records = Vec::new();
        let mut buffer = RecordBuffer::default();
        while offset < partition.end_offset && records.len() < limit {
            buffer.clear();
            let outcome = self
                .log
                .read(topic, partition.partition, offset, TAIL_BYTES, &mut buffer)
                .map_err(|error| error.failure())?;
            records.extend(buffer.iter().map(|record| TopicRecord {
                partition: partition.partition,
                offset: record.offset,
                timestamp: Timestamp::from_millis(record.timestamp),
                payload: record.payload.to_vec(),
            }));
            offset = outcome.next_offset;
            if outcome.at_end {
                break;
            }
        }
        records.truncate(limit);
        Ok(records)
    }
}
