//! Watching the slot: what it costs the server is told, warned of, and ended when the project says so.

use std::time::Duration;

use headwater_ingest::error::Result;
use headwater_ingest::stream_health::StreamHealth;

use super::slot::{self, SlotMeter, described, gap};
use super::stream::Streaming;
use crate::postgres::config::OnExceed;

/// How often the server is asked.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often the same is warned of.
const WARN_EVERY: Duration = Duration::from_secs(300);
/// A slot that will be lost within this time is warned of.
const NEAR: u64 = 3_600;
/// A slot over its limit is given up when nothing was committed for so long.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct SlotWatch {
    meter: SlotMeter,
    looked_at: Option<Duration>,
    warned_at: Option<Duration>,
    /// Since when the slot has been over its limit without a commit, and where the lake stood then.
    over_since: Option<(Duration, u64)>,
}

impl Streaming<'_> {
    pub(super) fn look_at_slot(&mut self, now: Duration) -> Result<()> {
        let due = |at: Option<Duration>, every| at.is_none_or(|at| now.saturating_sub(at) >= every);
        if !due(self.watch.looked_at, LOOK_EVERY) {
            return Ok(());
        }
        self.watch.looked_at = Some(now);
        let name = self.source.slot();
        let Some(mut health) = self.watch.meter.read(&mut self.statements, &name, now)? else {
            return Err(gap(&self.source.source, &format!("the slot `{name}` is gone")).into());
        };
        health.copying = self.copy_progress();
        self.outlet.tell_health(&health);
        let is_over = self.is_over(&health);
        let is_near = health.seconds_left().is_some_and(|seconds| seconds < NEAR);
        if (is_over || is_near) && due(self.watch.warned_at, WARN_EVERY) {
            self.watch.warned_at = Some(now);
            tracing::warn!(source = self.source.source, "{}", described(&name, &health));
        }
        self.give_up_when_over(now, &name, &health, is_over)
    }

    fn is_over(&self, health: &StreamHealth) -> bool {
        let limit = self.source.config.slot_safety.as_ref().map(|safety| safety.max_retained.0);
        limit.is_some_and(|limit| health.retained_bytes > limit)
    }

    /// Ends the stream, and the slot, rather than fill the server's disk; only where the project asks for it.
    fn give_up_when_over(&mut self, now: Duration, name: &str, health: &StreamHealth, is_over: bool) -> Result<()> {
        let drops = self.source.config.slot_safety.as_ref().is_some_and(|safety| safety.on_exceed == OnExceed::Drop);
        if !is_over || !drops {
            self.watch.over_since = None;
            return Ok(());
        }
        let (since, stood) = *self.watch.over_since.get_or_insert((now, self.safe));
        if self.safe > stood {
            self.watch.over_since = Some((now, self.safe));
        } else if now.saturating_sub(since) >= PATIENCE {
            slot::drop_slot(&mut self.statements, name)?;
            let kept = health.retained_bytes;
            let problem = format!("the slot `{name}` kept {kept} bytes, more than `max_retained`, and was dropped");
            return Err(gap(&self.source.source, &problem).into());
        }
        Ok(())
    }
}
