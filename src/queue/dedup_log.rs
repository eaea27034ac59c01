//! The entries of another queue whose outcome was put here, so that none is put twice.

use super::entry::Index;
use super::event::Dedup;
use super::limits::DEDUP_LOG_MAX;
use alloc::vec::Vec;

/// The entries whose outcome was put: all below an index, and the latest ones above it. What may be put again is what a
/// consumer had put and not committed when it failed, which is far less than is remembered.
#[derive(Debug, Default)]
pub(super) struct DedupLog {
    below: u64,
    /// In the order of putting, the latest last.
    latest: Vec<u64>,
}

impl DedupLog {
    /// The log that [`below`](Self::below) and [`steps`](Self::steps) were taken from.
    pub fn load(below: u64, steps: &[i64]) -> Self {
        let mut last = 0_u64;
        let step = |step: &i64| {
            last = last.wrapping_add_signed(*step);
            last
        };
        Self { below, latest: steps.iter().map(step).collect() }
    }

    /// The index below which all count as put.
    pub fn below(&self) -> u64 {
        self.below
    }

    /// Those above it, each as the difference to the one before.
    pub fn steps(&self) -> Vec<i64> {
        let mut last = 0_u64;
        let step = |index: &u64| {
            let step = index.wrapping_sub(last) as i64;
            last = *index;
            step
        };
        self.latest.iter().map(step).collect()
    }

    /// Whether the outcome of an entry was put. The search begins with the latest, which is the likeliest to come
    /// again.
    pub fn contains(&self, index: u64) -> bool {
        index < self.below || self.latest.iter().rev().any(|known| *known == index)
    }

    /// An entry was put, for which the oldest may be forgotten. Says whether the log changed.
    pub fn note(&mut self, dedup: Dedup) -> bool {
        let Dedup::Source { index: Index(index), settled_below: Index(below) } = dedup else { return false };
        let settles = below > self.below;
        if settles {
            self.below = below;
            self.latest.retain(|known| *known >= below);
        }
        if self.contains(index) {
            return settles;
        }
        self.latest.push(index);
        let excess = self.latest.len().saturating_sub(DEDUP_LOG_MAX);
        self.latest.drain(..excess);
        true
    }

    /// Looks at everything, for the debug builds.
    pub fn check(&self) {
        assert!(self.latest.len() <= DEDUP_LOG_MAX, "8: outcomes that are remembered");
        assert!(self.latest.iter().all(|index| *index >= self.below), "11: what is settled is not listed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(index: u64, settled_below: u64) -> Dedup {
        Dedup::Source { index: Index(index), settled_below: Index(settled_below) }
    }

    #[test]
    fn sources_are_remembered_above_what_is_settled_and_only_so_many() {
        let mut log = DedupLog::default();
        for index in [5, 3, 9] {
            assert!(!log.contains(index) && log.note(source(index, 2)) && log.contains(index));
        }
        assert!(log.contains(1) && !log.contains(2) && !log.contains(4));
        assert!(!log.note(source(5, 2)), "nothing new");
        assert_eq!((log.below(), log.steps()), (2, Vec::from([5, -2, 6])));
        let loaded = DedupLog::load(log.below(), &log.steps());
        assert!([5, 3, 9, 1].iter().all(|index| loaded.contains(*index)) && !loaded.contains(4));
        assert!(log.note(source(4, 5)), "what is settled may grow");
        assert_eq!((log.below(), log.steps()), (5, Vec::from([5, 4])));
        for index in 0..DEDUP_LOG_MAX as u64 {
            log.note(source(100 + index, 0));
        }
        assert_eq!(log.steps().len(), DEDUP_LOG_MAX);
        assert!(!log.contains(9) && log.contains(100));
    }
}
