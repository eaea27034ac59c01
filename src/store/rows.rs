//! The few row operations the store wants from a database. Synchronous; atomicity is the business of whoever calls
//! [`SegmentStore::flush`](super::SegmentStore::flush).

use crate::queue::entry::{Index, Mark, Priority};
use crate::queue::refusal::StoreError;
use crate::queue::store::Side;
use bytes::Bytes;

/// A priority of one side: its segments are ordered by their first index and do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PriorityKey {
    /// The side.
    pub side: Side,
    /// The priority.
    pub priority: Priority,
}

/// Which entries a segment holds and how much they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Key of the segment: at or below its first entry.
    pub first: Index,
    /// Its last entry.
    pub last: Index,
    /// Its entries, removed ones included.
    pub count: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

/// One row of the segment table, without side and priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    /// Key and sums.
    pub extent: Extent,
    /// The sums of the moment when the row was written: see [`Checkpoint`](super::checkpoint::Checkpoint). Column
    /// `head`.
    pub checkpoint: Bytes,
    /// Distinct hashes of its entries' tags, four bytes each, ascending. Column `marks`.
    pub tag_hashes: Bytes,
    /// The entries.
    pub body: Bytes,
}

/// Sums over several rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowSums {
    /// Rows, damaged ones included.
    pub rows: u64,
    /// Rows whose checkpoint does not repeat their columns; they are not in the other sums.
    pub damaged: u64,
    /// Entries in them, removed ones included.
    pub count: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

/// Name of a state row; the numbers are frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateId(pub u32);

/// Rows of a database.
pub trait Rows {
    /// Value of a state row.
    fn state(&mut self, id: StateId) -> Result<Option<Bytes>, StoreError>;

    /// Writes a state row, replacing it.
    fn put_state(&mut self, id: StateId, value: Bytes) -> Result<(), StoreError>;

    /// The lowest priority that has segments and is above `above`, or the lowest of all.
    fn priority_above(&mut self, side: Side, above: Option<Priority>) -> Result<Option<Priority>, StoreError>;

    /// Extent and checkpoint of the last segment with a key below `below`, without its body.
    fn checkpoint_below(&mut self, key: PriorityKey, below: Index) -> Result<Option<(Extent, Bytes)>, StoreError>;

    /// The last segment with a key at `at` or before.
    fn segment_upto(&mut self, key: PriorityKey, at: Index) -> Result<Option<SegmentRow>, StoreError>;

    /// The first segment with a key above `above`.
    fn segment_above(&mut self, key: PriorityKey, above: Index) -> Result<Option<SegmentRow>, StoreError>;

    /// The first segment with a key above `above` whose tag hashes contain the bytes of each of `hashes`, aligned or
    /// not; there is at least one. An implementation may look at the first four only.
    fn segment_tagged(
        &mut self,
        key: PriorityKey,
        above: Index,
        hashes: &[Mark],
    ) -> Result<Option<SegmentRow>, StoreError>;

    /// Sums over the segments with a key in `from..below`, without reading bodies.
    fn sums(&mut self, key: PriorityKey, from: Index, below: Index) -> Result<RowSums, StoreError>;

    /// Writes a segment, replacing the one with the same key.
    fn put_segment(&mut self, key: PriorityKey, row: SegmentRow) -> Result<(), StoreError>;

    /// Deletes a segment.
    fn delete_segment(&mut self, key: PriorityKey, first: Index) -> Result<(), StoreError>;

    /// Deletes the segments with a key below `below`, and says how many.
    fn delete_below(&mut self, key: PriorityKey, below: Index) -> Result<u64, StoreError>;
}
