//! Runs one generator into topics: the past as fast as the machine can, then at the pace of the clock.
//!
//! The generator is deterministic, so the n-th record of a (topic, partition) is always the same, and its offset in the log
//! is n. That makes the log's end the generator's position: on a restart it runs again from its last snapshot, and whatever
//! the log already holds is skipped. A log that failed and can be asked what it kept is gone on with in the same way.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_ingest::RecordBuffer;
use headwater_ingest::log::{EventLog, TopicConfig};
use headwater_project::{Classify, Clock, Failure, Kind, Timestamp};
use headwater_sim::{
    Counts as TopicCounts, Generated, Generator, RecordSink, Sessions, SessionsConfig, Stop, TopicSpec,
};
use tokio_util::sync::CancellationToken;

use super::snapshot::{self, Counts};

/// Records asked of the generator at once.
const RECORDS_PER_CALL: usize = 16 << 10;
/// The same while the past is repeated, whose end is not at a known time: so many records at most are made ahead of it.
const RECORDS_PER_REPEAT: usize = 256;
/// Longest sleep, so that a stop is noticed soon.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);
/// A snapshot is taken after so many records, or so much time with any.
const SNAPSHOT_RECORDS: u64 = 4_000_000;
const SNAPSHOT_EVERY: Duration = Duration::from_secs(30);
/// Live records become durable at least this often.
const SYNC_EVERY: Duration = Duration::from_millis(200);
/// First and longest wait after the log failed.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// How a generator is doing.
#[derive(Clone, Debug, Default)]
pub(crate) struct DriverStatus {
    pub(crate) state: &'static str,
    pub(crate) counts: TopicCounts,
    pub(crate) reached: Option<Timestamp>,
}

/// When the generator stops by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Until {
    /// At the present time of the start.
    BacklogDone,
    /// Never: after the backlog it goes on at `speed`.
    Live { speed: f64 },
}

pub(crate) struct Driver {
    pub(crate) source: String,
    pub(crate) config: SessionsConfig,
    pub(crate) generator: Sessions,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) partitions: usize,
    pub(crate) retention_bytes: Option<u64>,
    pub(crate) snapshot: PathBuf,
    pub(crate) until: Until,
    pub(crate) max_records: Option<u64>,
    pub(crate) status: Arc<Mutex<DriverStatus>>,
    /// The log may fail for a while and then say what it kept.
    pub(crate) log_recovers: bool,
}

/// Buffers records by topic and partition, leaving out those the log already has.
struct Buffers {
    partitions: usize,
    /// Next record's number by topic and partition.
    made: Counts,
    /// First number the log does not have.
    held: Counts,
    pending: Vec<Vec<RecordBuffer>>,
    appended: u64,
}

impl Buffers {
    /// Whether the log holds records that were not made since the snapshot.
    fn is_behind(&self) -> bool {
        self.made.iter().flatten().zip(self.held.iter().flatten()).any(|(made, held)| made < held)
    }
}

impl RecordSink for Buffers {
    fn record(&mut self, record: Generated<'_>) {
        // Consecutive keys would land in a pattern; the multiplier spreads them.
        let mixed = record.key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let partition = (mixed % self.partitions as u64) as usize;
        let (Some(made), Some(held), Some(pending)) = (
            self.made.get_mut(record.topic).and_then(|row| row.get_mut(partition)),
            self.held.get(record.topic).and_then(|row| row.get(partition)),
            self.pending.get_mut(record.topic).and_then(|row| row.get_mut(partition)),
        ) else {
            return;
        };
        if *made >= *held {
            pending.push_payload(record.timestamp.as_millis(), &record.key.to_le_bytes(), record.payload);
            self.appended += 1;
        }
        *made += 1;
    }
}

impl Driver {
    /// Runs until `stop`, or its end. Blocks: give it a thread.
    pub(crate) fn run(mut self, stop: &CancellationToken) -> Result<(), Failure> {
        let result = self.drive_on(stop);
        if let Err(failure) = &result {
            tracing::error!(generator = self.source, detail = failure.detail.as_deref(), "generator failed: {failure}");
            self.tell(|status| status.state = "failed");
        }
        result
    }

    /// Drives, and begins again where the log is when it failed and may recover.
    fn drive_on(&mut self, stop: &CancellationToken) -> Result<(), Failure> {
        let mut beginning = Vec::new();
        let unsaved = |error: std::io::Error| Failure::internal("a generator's state").with_detail(error.to_string());
        self.generator.snapshot(&mut beginning).map_err(unsaved)?;
        let mut wait = RETRY.0;
        loop {
            let began = self.clock.monotonic();
            let failure = match self.drive(stop) {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            let is_passing = match failure.kind {
                Kind::External { .. } => self.log_recovers,
                // A log without room goes on by itself once there is some.
                Kind::Exhausted => true,
                Kind::User | Kind::Conflict | Kind::Internal => false,
            };
            if !is_passing || self.until == Until::BacklogDone {
                return Err(failure);
            }
            tracing::warn!(generator = self.source, detail = failure.detail.as_deref(), "generator waits: {failure}");
            self.tell(|status| status.state = "waiting");
            wait =
                if self.clock.monotonic().saturating_sub(began) > RETRY.1 { RETRY.0 } else { (wait * 2).min(RETRY.1) };
            let until = self.clock.monotonic() + wait;
            while self.clock.monotonic() < until {
                if stop.is_cancelled() {
                    return Ok(());
                }
                std::thread::sleep(LONGEST_SLEEP);
            }
            self.generator = Sessions::restore(&self.config, &mut beginning.as_slice())
                .map_err(|error| Failure::internal("a generator's state").with_detail(error.to_string()))?;
        }
    }

    fn drive(&mut self, stop: &CancellationToken) -> Result<(), Failure> {
        let topics = self.generator.topics().to_vec();
        let mut buffers = self.buffers(&topics)?;
        self.repeat_past(&topics, &mut buffers, stop)?;
        let pace = Pace::new(self.until, self.clock.as_ref(), &self.generator);
        let mut since_snapshot = (0_u64, self.clock.monotonic());
        let mut synced = self.clock.monotonic();
        self.tell(|status| status.state = "backlog");
        while !stop.is_cancelled() {
            let due = pace.due(self.clock.now());
            let produced = self.generator.produce(due, self.call_limit(&buffers), &mut buffers);
            since_snapshot.0 += produced.records as u64;
            self.flush(&topics, &mut buffers)?;
            self.report(due);
            let done = match produced.stop {
                Stop::Exhausted => true,
                Stop::Time => pace.caught_up(self.clock.now()),
                Stop::Limit => self.max_records.is_some_and(|most| buffers.appended >= most),
            };
            let now = self.clock.monotonic();
            if produced.stop != Stop::Limit && now.saturating_sub(synced) >= SYNC_EVERY {
                self.log.sync().map_err(|error| error.failure())?;
                synced = now;
            }
            let aged = since_snapshot.0 > 0 && now.saturating_sub(since_snapshot.1) >= SNAPSHOT_EVERY;
            if since_snapshot.0 >= SNAPSHOT_RECORDS || aged {
                self.take_snapshot(&buffers)?;
                since_snapshot = (0, now);
            }
            if done {
                self.take_snapshot(&buffers)?;
                self.tell(|status| status.state = "finished");
                return Ok(());
            }
            if produced.stop == Stop::Time {
                self.tell(|status| status.state = "live");
                std::thread::sleep(pace.sleep(self.clock.now(), self.generator.next_time()));
            }
        }
        self.take_snapshot(&buffers)
    }

    /// Makes again, as fast as it goes, what the log holds beyond the snapshot. Where event time is not the clock's, it would
    /// otherwise pass at the set speed a second time, and a process that dies often would never add anything.
    fn repeat_past(
        &mut self,
        topics: &[TopicSpec],
        buffers: &mut Buffers,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let in_step_with_clock = matches!(self.until, Until::BacklogDone | Until::Live { speed: 1.0 });
        while !in_step_with_clock && buffers.is_behind() && !stop.is_cancelled() {
            let produced = self.generator.produce(Timestamp(i64::MAX), RECORDS_PER_REPEAT, buffers);
            self.flush(topics, buffers)?;
            if produced.stop == Stop::Exhausted {
                break;
            }
        }
        Ok(())
    }

    fn call_limit(&self, buffers: &Buffers) -> usize {
        match self.max_records {
            Some(most) => {
                usize::try_from(most.saturating_sub(buffers.appended)).unwrap_or(usize::MAX).clamp(1, RECORDS_PER_CALL)
            }
            None => RECORDS_PER_CALL,
        }
    }

    /// Topics made, ends of the log read, snapshot taken up if it fits the log.
    fn buffers(&mut self, topics: &[TopicSpec]) -> Result<Buffers, Failure> {
        let partitions = i32::try_from(self.partitions).unwrap_or(i32::MAX);
        let config = TopicConfig { partitions, retention_bytes: self.retention_bytes, ..TopicConfig::default() };
        for topic in topics {
            self.log.create_topic(&topic.name, &config).map_err(|error| error.failure())?;
        }
        let mut held = Counts::new();
        for topic in topics {
            let counts = (0..partitions).map(|partition| self.log.appended(&topic.name, partition));
            let counts = counts.map(|count| count.map(|count| u64::try_from(count).unwrap_or(0)));
            held.push(counts.collect::<Result<_, _>>().map_err(|error| error.failure())?);
        }
        let mut made = vec![vec![0; self.partitions]; topics.len()];
        if let Some((counts, state)) = snapshot::read(&self.snapshot, topics.len(), self.partitions) {
            let fits = counts.iter().flatten().zip(held.iter().flatten()).all(|(made, held)| made <= held);
            match Sessions::restore(&self.config, &mut state.as_slice()) {
                Ok(generator) if fits => {
                    self.generator = generator;
                    made = counts;
                }
                Ok(_) => tracing::warn!(generator = self.source, "the snapshot is ahead of the log and is not used"),
                Err(error) => {
                    tracing::warn!(generator = self.source, %error, "the snapshot does not fit and is not used");
                }
            }
        }
        let pending = topics.iter().map(|_| (0..self.partitions).map(|_| RecordBuffer::default()).collect()).collect();
        Ok(Buffers { partitions: self.partitions, made, held, pending, appended: 0 })
    }

    fn flush(&self, topics: &[TopicSpec], buffers: &mut Buffers) -> Result<(), Failure> {
        for (topic, row) in topics.iter().zip(&mut buffers.pending) {
            for (partition, pending) in row.iter_mut().enumerate() {
                if pending.is_empty() {
                    continue;
                }
                let partition = i32::try_from(partition).unwrap_or(i32::MAX);
                self.log.append(&topic.name, partition, pending).map_err(|error| error.failure())?;
                pending.clear();
            }
        }
        Ok(())
    }

    fn take_snapshot(&self, buffers: &Buffers) -> Result<(), Failure> {
        self.log.sync().map_err(|error| error.failure())?;
        snapshot::write(&self.snapshot, &buffers.made, &self.generator).map_err(|error| {
            Failure::new(Kind::External { retry_after: None }, "a generator's snapshot was not written")
                .with_detail(error.to_string())
        })
    }

    fn report(&self, due: Timestamp) {
        let counts = self.generator.counts();
        let reached = self.generator.next_time().map_or(due, |next| next.min(due));
        self.tell(|status| {
            status.counts = counts;
            status.reached = Some(reached);
        });
    }

    fn tell(&self, change: impl FnOnce(&mut DriverStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Which event time is due at a wall-clock time.
struct Pace {
    until: Until,
    wall: Timestamp,
    event: Timestamp,
}

impl Pace {
    /// At 1x event time is wall-clock time, so an outage is made up for. At any other speed time goes on from where the
    /// generator stopped, or from now when its past is not made yet.
    fn new(until: Until, clock: &dyn Clock, generator: &Sessions) -> Self {
        let wall = clock.now();
        let event = match generator.next_time() {
            Some(next) if next > wall => next,
            _ => wall,
        };
        Self { until, wall, event }
    }

    fn due(&self, now: Timestamp) -> Timestamp {
        match self.until {
            Until::BacklogDone => self.wall,
            Until::Live { speed: 1.0 } => now,
            Until::Live { speed } => {
                let passed = now.since(self.wall).as_secs_f64() * speed;
                self.event.saturating_add(Duration::from_secs_f64(passed.clamp(0.0, 1e12)))
            }
        }
    }

    fn caught_up(&self, now: Timestamp) -> bool {
        self.until == Until::BacklogDone && now >= self.wall
    }

    fn sleep(&self, now: Timestamp, next: Option<Timestamp>) -> Duration {
        let speed = match self.until {
            Until::Live { speed } => speed,
            Until::BacklogDone => 1.0,
        };
        let ahead = next.map_or(LONGEST_SLEEP, |next| next.since(self.due(now)).div_f64(speed.max(1e-6)));
        ahead.clamp(Duration::from_millis(1), LONGEST_SLEEP)
    }
}

#[cfg(test)]
mod tests;
