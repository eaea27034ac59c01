//! The few row operations the store wants from a database. Synchronous; atomicity is the business of whoever calls
//! [`SegmentStore::flush`](super::SegmentStore::flush).

use crate::queue::entry::{Index, Lane, Mark};
use crate::queue::refusal::StoreError;
use crate::queue::store::Side;
use bytes::Bytes;

/// A lane of one side: segments of the same lane are ordered by their first index and do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneKey {
    /// The side.
    pub side: Side,
    /// The lane.
    pub lane: Lane,
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

/// One row of the segment table, without side and lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    /// Key and sums.
    pub extent: Extent,
    /// What was true when the row was written: see [`Snapshot`](super::segment::Snapshot).
    pub head: Bytes,
    /// Distinct marks of its entries, four bytes each, ascending.
    pub marks: Bytes,
    /// The entries.
    pub body: Bytes,
}

/// Sums over several rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowSums {
    /// Rows.
    pub rows: u64,
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

    /// The lowest lane that has segments and is above `above`, or the lowest of all.
    fn lane_above(&mut self, side: Side, above: Option<Lane>) -> Result<Option<Lane>, StoreError>;

    /// Extent and head of the last segment of a lane, without its body.
    fn tail(&mut self, key: LaneKey) -> Result<Option<(Extent, Bytes)>, StoreError>;

    /// The first segment whose last entry is at `at` or after.
    fn segment_from(&mut self, key: LaneKey, at: Index) -> Result<Option<SegmentRow>, StoreError>;

    /// The last segment whose key is at `at` or before.
    fn segment_upto(&mut self, key: LaneKey, at: Index) -> Result<Option<SegmentRow>, StoreError>;

    /// The first segment with a key above `above` whose marks contain the bytes of each of `marks`, aligned or not;
    /// there is at least one. An implementation may look at the first four marks only.
    fn segment_marked(&mut self, key: LaneKey, above: Index, marks: &[Mark]) -> Result<Option<SegmentRow>, StoreError>;

    /// Sums over the segments whose last entry is at `from` or after and below `below`, without reading bodies.
    fn sums(&mut self, key: LaneKey, from: Index, below: Index) -> Result<RowSums, StoreError>;

    /// Writes a segment, replacing the one with the same key.
    fn put_segment(&mut self, key: LaneKey, row: SegmentRow) -> Result<(), StoreError>;

    /// Deletes a segment.
    fn delete_segment(&mut self, key: LaneKey, first: Index) -> Result<(), StoreError>;

    /// Deletes the segments whose last entry is below `below`, and says how many.
    fn delete_below(&mut self, key: LaneKey, below: Index) -> Result<u64, StoreError>;
}
