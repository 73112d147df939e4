//! How much of what was sent is not in the lake yet.

use std::collections::VecDeque;

/// Requests are counted together until they are this large, so that what is remembered stays small.
const LOT_BYTES: u64 = 64 << 10;

/// The records of a topic that are not in the lake. Those of this process are known by their bytes, earlier ones by their
/// number and a size that was seen.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Where the topic began and ended when counting began.
    start: i64,
    base: i64,
    mean_bytes: u64,
    lots: VecDeque<Lot>,
    bytes: u64,
}

/// Records that were added one after the other.
#[derive(Debug)]
struct Lot {
    end: i64,
    bytes: u64,
}

impl Waiting {
    /// A topic with records from `start` to `end` of about this size.
    pub(super) fn new(start: i64, end: i64, mean_bytes: u64) -> Self {
        Self { start, base: end, mean_bytes, lots: VecDeque::new(), bytes: 0 }
    }

    /// Records up to `end` were added.
    pub(super) fn added(&mut self, end: i64, bytes: u64) {
        self.bytes += bytes;
        match self.lots.back_mut() {
            // Two that were added at once may be told in either order.
            Some(last) if last.bytes < LOT_BYTES || last.end > end => {
                last.end = last.end.max(end);
                last.bytes += bytes;
            }
            _ => self.lots.push_back(Lot { end, bytes }),
        }
    }

    /// About how many bytes there are from `taken` on, where the lake reads on; nothing when nobody said.
    pub(super) fn bytes(&mut self, taken: Option<i64>) -> u64 {
        let taken = taken.unwrap_or(self.start);
        while let Some(lot) = self.lots.front().filter(|lot| lot.end <= taken) {
            self.bytes -= lot.bytes;
            self.lots.pop_front();
        }
        let earlier = u64::try_from(self.base.saturating_sub(taken)).unwrap_or(0);
        earlier.saturating_mul(self.mean_bytes).saturating_add(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_lake_took_does_not_wait() {
        let mut waiting = Waiting::new(10, 20, 100);
        assert_eq!(waiting.bytes(None), 1_000);
        waiting.added(30, LOT_BYTES);
        waiting.added(40, 5);
        waiting.added(35, 5);
        assert_eq!(waiting.bytes(Some(15)), 500 + LOT_BYTES + 10);
        assert_eq!(waiting.bytes(Some(30)), 10);
        assert_eq!(waiting.bytes(Some(39)), 10);
        assert_eq!(waiting.bytes(Some(40)), 0);
    }
}
