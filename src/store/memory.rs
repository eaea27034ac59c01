//! Rows in memory, for simulators, tests and benchmarks: cheap to clone, with transactions, and counted.

use super::checkpoint::repeats_columns;
use super::rows::{Extent, PriorityKey, RowSums, Rows, SegmentRow, StateId};
use crate::queue::entry::{Index, Mark, Priority};
use crate::queue::refusal::StoreError;
use crate::queue::store::Side;
use alloc::{collections::BTreeMap, vec::Vec};
use bytes::Bytes;
use core::ops::Bound;

/// Row operations so far, rolled back ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows read.
    pub read: u64,
    /// Rows written.
    pub written: u64,
    /// Rows deleted.
    pub deleted: u64,
}

/// Rows in memory. A crash is: drop the store, keep the rows.
#[derive(Clone, Debug, Default)]
pub struct MemoryRows {
    state: BTreeMap<StateId, Bytes>,
    segments: BTreeMap<(PriorityKey, Index), SegmentRow>,
    counts: RowCounts,
    undo: Option<Vec<Undo>>,
}

/// How to undo one write.
#[derive(Clone, Debug)]
enum Undo {
    State(StateId, Option<Bytes>),
    Segment(PriorityKey, Index, Option<SegmentRow>),
}

impl MemoryRows {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Row operations so far.
    pub fn counts(&self) -> RowCounts {
        self.counts
    }

    /// Begins a transaction; it ends with [`commit`](Self::commit) or [`rollback`](Self::rollback).
    pub fn begin(&mut self) {
        self.undo = Some(Vec::new());
    }

    /// Keeps what was written since [`begin`](Self::begin).
    pub fn commit(&mut self) {
        self.undo = None;
    }

    /// Undoes what was written since [`begin`](Self::begin).
    pub fn rollback(&mut self) {
        for undo in self.undo.take().unwrap_or_default().into_iter().rev() {
            match undo {
                Undo::State(id, Some(value)) => drop(self.state.insert(id, value)),
                Undo::State(id, None) => drop(self.state.remove(&id)),
                Undo::Segment(key, first, Some(row)) => drop(self.segments.insert((key, first), row)),
                Undo::Segment(key, first, None) => drop(self.segments.remove(&(key, first))),
            }
        }
    }

    /// All segment rows of a priority, in order.
    pub fn segments(&self, key: PriorityKey) -> impl DoubleEndedIterator<Item = &SegmentRow> {
        self.segments.range((key, Index(0))..=(key, Index(u64::MAX))).map(|(_, row)| row)
    }

    /// How many rows there are, of all kinds.
    pub fn len(&self) -> usize {
        self.state.len() + self.segments.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read<T>(&mut self, row: Option<T>) -> Result<Option<T>, StoreError> {
        self.counts.read += u64::from(row.is_some());
        Ok(row)
    }

    fn remember(&mut self, undo: Undo) {
        if let Some(log) = &mut self.undo {
            log.push(undo);
        }
    }
}

impl Rows for MemoryRows {
    fn state(&mut self, id: StateId) -> Result<Option<Bytes>, StoreError> {
        self.read(self.state.get(&id).cloned())
    }

    fn put_state(&mut self, id: StateId, value: Bytes) -> Result<(), StoreError> {
        self.counts.written += 1;
        let before = self.state.insert(id, value);
        self.remember(Undo::State(id, before));
        Ok(())
    }

    fn priority_above(&mut self, side: Side, above: Option<Priority>) -> Result<Option<Priority>, StoreError> {
        let mut keys = match above {
            Some(priority) => self.segments.range((PriorityKey { side, priority }, Index(u64::MAX))..),
            None => self.segments.range((PriorityKey { side, priority: Priority(i64::MIN) }, Index(0))..),
        };
        let priority = keys.next().map(|((key, _), _)| *key).filter(|key| key.side == side).map(|key| key.priority);
        self.read(priority)
    }

    fn checkpoint_below(&mut self, key: PriorityKey, below: Index) -> Result<Option<(Extent, Bytes)>, StoreError> {
        let last = self.segments.range((key, Index(0))..(key, below)).next_back();
        let last = last.map(|(_, row)| (row.extent, row.checkpoint.clone()));
        self.read(last)
    }

    fn segment_upto(&mut self, key: PriorityKey, at: Index) -> Result<Option<SegmentRow>, StoreError> {
        let row = self.segments.range((key, Index(0))..=(key, at)).next_back().map(|(_, row)| row.clone());
        self.read(row)
    }

    fn segment_above(&mut self, key: PriorityKey, above: Index) -> Result<Option<SegmentRow>, StoreError> {
        let after = (Bound::Excluded((key, above)), Bound::Included((key, Index(u64::MAX))));
        let row = self.segments.range(after).next().map(|(_, row)| row.clone());
        self.read(row)
    }

    fn segment_tagged(
        &mut self,
        key: PriorityKey,
        above: Index,
        hashes: &[Mark],
    ) -> Result<Option<SegmentRow>, StoreError> {
        let mut looked_at = 0;
        let row = self.segments(key).filter(|row| row.extent.first > above).inspect(|_| looked_at += 1);
        let found = row.into_iter().find(|row| has_tag_hashes(row, hashes)).cloned();
        self.counts.read += looked_at;
        Ok(found)
    }

    fn sums(&mut self, key: PriorityKey, from: Index, below: Index) -> Result<RowSums, StoreError> {
        let mut sums = RowSums::default();
        for (_, row) in self.segments.range((key, from)..(key, below)) {
            sums.rows += 1;
            if repeats_columns(key.priority, &row.extent, &row.checkpoint) {
                sums.count += row.extent.count;
                sums.bytes += row.extent.bytes;
            } else {
                sums.damaged += 1;
            }
        }
        self.counts.read += sums.rows;
        Ok(sums)
    }

    fn put_segment(&mut self, key: PriorityKey, row: SegmentRow) -> Result<(), StoreError> {
        self.counts.written += 1;
        let first = row.extent.first;
        let before = self.segments.insert((key, first), row);
        self.remember(Undo::Segment(key, first, before));
        Ok(())
    }

    fn delete_segment(&mut self, key: PriorityKey, first: Index) -> Result<(), StoreError> {
        if let Some(row) = self.segments.remove(&(key, first)) {
            self.counts.deleted += 1;
            self.remember(Undo::Segment(key, first, Some(row)));
        }
        Ok(())
    }

    fn delete_below(&mut self, key: PriorityKey, below: Index) -> Result<u64, StoreError> {
        let gone: Vec<Index> =
            self.segments.range((key, Index(0))..(key, below)).map(|((_, first), _)| *first).collect();
        for first in &gone {
            self.delete_segment(key, *first)?;
        }
        Ok(gone.len() as u64)
    }
}

/// As the database searches: byte by byte, so a find may be unaligned and false.
fn has_tag_hashes(row: &SegmentRow, hashes: &[Mark]) -> bool {
    hashes.iter().all(|hash| row.tag_hashes.windows(hash.len()).any(|window| window == hash))
}
