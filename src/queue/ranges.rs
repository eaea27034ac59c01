//! Sets of indexes as half-open ranges. The undelivered entries of a priority are nearly always one range.

use alloc::vec::Vec;

/// Indexes `start..end` of each pair, sorted, with a gap between each two. `u64::MAX` as an end means "and all to
/// come".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Everything from `start` on.
    pub fn starting_at(start: u64) -> Self {
        Self(Vec::from([(start, u64::MAX)]))
    }

    /// From stored pairs; empty and unordered ones are left out.
    pub fn from_pairs(pairs: impl Iterator<Item = (u64, u64)>) -> Self {
        let mut ranges = Vec::new();
        let mut last = 0;
        for (start, end) in pairs {
            if start >= last && start < end {
                ranges.push((start, end));
                last = end;
            }
        }
        Self(ranges)
    }

    /// The ranges, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// The number of ranges.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether `index` is in the set.
    pub fn contains(&self, index: u64) -> bool {
        let after = self.0.partition_point(|&(start, _)| start <= index);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|&(_, end)| index < end)
    }

    /// The first range with an index at `from` or after, without what lies before.
    pub fn first_from(&self, from: u64) -> Option<(u64, u64)> {
        let at = self.0.partition_point(|&(_, end)| end <= from);
        self.0.get(at).map(|&(start, end)| (start.max(from), end))
    }

    /// Removes `start..end`.
    pub fn remove(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let first = self.0.partition_point(|&(_, range_end)| range_end <= start);
        let last = self.0.partition_point(|&(range_start, _)| range_start < end);
        if first >= last {
            return;
        }
        // The usual case: one range loses its front.
        if let (1, Some(range)) = (last - first, self.0.get_mut(first))
            && start <= range.0
            && end < range.1
        {
            range.0 = end;
            return;
        }
        let left = self.0.get(first).map(|&(range_start, _)| (range_start, start)).filter(|range| range.0 < range.1);
        let right = self.0.get(last - 1).map(|&(_, range_end)| (end, range_end)).filter(|range| range.0 < range.1);
        self.0.splice(first..last, left.into_iter().chain(right));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_eats_the_front_splits_and_joins_nothing() {
        let mut ranges = Ranges::starting_at(1);
        ranges.remove(1, 2);
        assert_eq!(ranges.pairs().collect::<Vec<_>>(), [(2, u64::MAX)]);
        ranges.remove(5, 7);
        assert_eq!(ranges.pairs().collect::<Vec<_>>(), [(2, 5), (7, u64::MAX)]);
        assert!(ranges.contains(4) && !ranges.contains(5) && !ranges.contains(6) && ranges.contains(7));
        ranges.remove(3, 9);
        assert_eq!(ranges.pairs().collect::<Vec<_>>(), [(2, 3), (9, u64::MAX)]);
        assert_eq!(ranges.first_from(3), Some((9, u64::MAX)));
        ranges.remove(0, 3);
        assert_eq!(ranges.pairs().collect::<Vec<_>>(), [(9, u64::MAX)]);
        ranges.remove(0, 5);
        assert_eq!(ranges.len(), 1);
    }
}
