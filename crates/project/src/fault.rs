//! Named fault points: places where the process can be made to die, fail or hang on purpose, so that tests prove what a
//! restart finds there.
//!
//! Armed by one environment variable read once at the first point reached:
//! `HEADWATER_FAULT=<point>[=abort|error|hang|panic][@<n>]` takes the action at the n-th time (from 1) the point is reached.
//! Unarmed, a point costs one atomic load. An armed one says on the error output that it was reached, because a process that
//! lives on after an error or a wait does not show it otherwise. The list of points is [`POINTS`]; a name outside it does
//! not compile into a test because the tests iterate over the list, and an armed name outside it aborts at start.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Every point in the product, by plane. `dl`: lake commits, `log`: the local log, `cdc`: change capture, `k`: Kafka, `snk`: sinks, `gen`: generators, `mt`: maintenance,
/// `m`/`p`: models and publishing.
pub const POINTS: &[&str] = &[
    "dl.before_stage",
    "dl.mid_stage",
    "dl.after_stage",
    "dl.commit_before_put",
    "dl.commit_put_done_reply_lost",
    "dl.commit_done_before_hooks",
    "dl.commit_done_before_upstream_ack",
    "dl.rejected_committed_before_rows",
    "dl.mid_checkpoint",
    "dl.after_checkpoint_before_pointer",
    "dl.mid_log_cleanup",
    "dl.fence_lease_taken_before_fence_commit",
    "dl.fence_committed_before_read_positions",
    "mt.optimize_after_write_before_commit",
    "mt.vacuum_mid_delete",
    "log.after_append_before_sync",
    "log.after_sync_before_reply",
    "log.mid_record",
    "log.segment_rotate_before_dirsync",
    "log.after_lake_commit_before_trim",
    "cdc.slot_created_before_state",
    "cdc.mid_copy",
    "cdc.log_committed_before_current",
    "cdc.table_a_committed_before_table_b",
    "cdc.all_committed_before_ack",
    "cdc.copy_begun_before_request_taken",
    "cdc.chunk_between_watermarks",
    "cdc.chunk_handed_on",
    "cdc.retired_before_commit",
    "k.before_assign",
    "k.after_poll",
    "k.after_lake_commit_before_group_commit",
    "k.before_transaction_commit",
    "k.after_transaction_commit",
    "qr.rows_committed_before_quarantine",
    "snk.mid_write",
    "snk.before_commit",
    "snk.after_commit",
    "snk.files_staged",
    "snk.plan_written",
    "snk.mid_publish",
    "snk.published_before_mark",
    "snk.marked_before_cleanup",
    "snk.sent_before_note",
    "snk.noted_before_commit",
    "gen.before_snapshot_rename",
    "gen.after_snapshot",
    "m.pinned",
    "m.staged",
    "m.committed_before_result_row",
    "m.tests_failed",
    "p.before_publish",
    "p.after_publish",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Abort,
    Error,
    Hang,
    Panic,
}

#[derive(Debug)]
struct Armed {
    point: String,
    action: Action,
    nth: u64,
    reached: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// The error an armed point returns under `=error`.
#[derive(Debug, thiserror::Error)]
#[error("fault injected at {0}")]
pub struct Injected(pub &'static str);

/// Marks a place. Returns an error only when the point is armed with `=error`.
#[expect(clippy::panic, reason = "what a panic does to the process is what is asked")]
pub fn point(name: &'static str) -> Result<(), Injected> {
    let Some(armed) = ARMED.get_or_init(|| std::env::var("HEADWATER_FAULT").ok().map(|text| parse(&text))) else {
        return Ok(());
    };
    if armed.point != name || armed.reached.fetch_add(1, Ordering::SeqCst) + 1 != armed.nth {
        return Ok(());
    }
    // Past the process's own log, which may be quiet. A closed error output changes nothing about the fault.
    drop(writeln!(std::io::stderr(), "fault point {name} reached: {:?}", armed.action));
    match armed.action {
        Action::Abort => std::process::abort(),
        Action::Error => Err(Injected(name)),
        Action::Hang => {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Action::Panic => panic!("fault injected at {name}"),
    }
}

fn parse(text: &str) -> Armed {
    let (rest, nth) = match text.split_once('@') {
        Some((rest, nth)) => (rest, nth.parse().unwrap_or(1)),
        None => (text, 1),
    };
    let (point, action) = match rest.split_once('=') {
        Some((point, "error")) => (point, Action::Error),
        Some((point, "hang")) => (point, Action::Hang),
        Some((point, "panic")) => (point, Action::Panic),
        Some((point, _)) => (point, Action::Abort),
        None => (rest, Action::Abort),
    };
    if !POINTS.contains(&point) {
        std::process::abort();
    }
    Armed { point: point.to_owned(), action, nth, reached: AtomicU64::new(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_armed_point_is_read_as_name_action_and_count() {
        let armed = parse("dl.mid_stage=error@3");
        assert_eq!((armed.point.as_str(), armed.action, armed.nth), ("dl.mid_stage", Action::Error, 3));
        let armed = parse("dl.mid_stage");
        assert_eq!((armed.action, armed.nth), (Action::Abort, 1));
    }

    #[test]
    fn an_unarmed_point_does_nothing() {
        assert!(point("dl.mid_stage").is_ok());
    }
}
