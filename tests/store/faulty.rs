//! Rows that fail when they are told to.

use super::backing::Backing;
use bytes::Bytes;
use edgequeue::queue::entry::{Index, Mark, Priority};
use edgequeue::queue::refusal::StoreError;
use edgequeue::queue::store::Side;
use edgequeue::store::rows::{Extent, PriorityKey, RowSums, Rows, SegmentRow, StateId};

/// Wraps rows. Once the operation that was chosen has failed, all later ones fail too, until
/// [`heal`](FaultyRows::heal).
#[derive(Clone, Debug, Default)]
pub struct FaultyRows<R> {
    /// The rows underneath.
    pub rows: R,
    operations_left: Option<u64>,
}

impl<R> FaultyRows<R> {
    /// Rows that do not fail yet.
    pub fn new(rows: R) -> Self {
        Self { rows, operations_left: None }
    }

    /// Lets this many further operations succeed.
    pub fn fail_after(&mut self, operations: u64) {
        self.operations_left = Some(operations);
    }

    /// Fails no more.
    pub fn heal(&mut self) {
        self.operations_left = None;
    }

    fn rows(&mut self) -> Result<&mut R, StoreError> {
        match &mut self.operations_left {
            Some(0) => return Err(StoreError::Io("the rows were told to fail".into())),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(&mut self.rows)
    }
}

impl<R: Rows> Rows for FaultyRows<R> {
    fn state(&mut self, id: StateId) -> Result<Option<Bytes>, StoreError> {
        self.rows()?.state(id)
    }

    fn put_state(&mut self, id: StateId, value: Bytes) -> Result<(), StoreError> {
        self.rows()?.put_state(id, value)
    }

    fn priority_above(&mut self, side: Side, above: Option<Priority>) -> Result<Option<Priority>, StoreError> {
        self.rows()?.priority_above(side, above)
    }

    fn checkpoint_below(&mut self, key: PriorityKey, below: Index) -> Result<Option<(Extent, Bytes)>, StoreError> {
        self.rows()?.checkpoint_below(key, below)
    }

    fn segment_upto(&mut self, key: PriorityKey, at: Index) -> Result<Option<SegmentRow>, StoreError> {
        self.rows()?.segment_upto(key, at)
    }

    fn segment_above(&mut self, key: PriorityKey, above: Index) -> Result<Option<SegmentRow>, StoreError> {
        self.rows()?.segment_above(key, above)
    }

    fn segment_tagged(
        &mut self,
        key: PriorityKey,
        above: Index,
        hashes: &[Mark],
    ) -> Result<Option<SegmentRow>, StoreError> {
        self.rows()?.segment_tagged(key, above, hashes)
    }

    fn sums(&mut self, key: PriorityKey, from: Index, below: Index) -> Result<RowSums, StoreError> {
        self.rows()?.sums(key, from, below)
    }

    fn put_segment(&mut self, key: PriorityKey, row: SegmentRow) -> Result<(), StoreError> {
        self.rows()?.put_segment(key, row)
    }

    fn delete_segment(&mut self, key: PriorityKey, first: Index) -> Result<(), StoreError> {
        self.rows()?.delete_segment(key, first)
    }

    fn delete_below(&mut self, key: PriorityKey, below: Index) -> Result<u64, StoreError> {
        self.rows()?.delete_below(key, below)
    }
}

impl<R: Backing> Backing for FaultyRows<R> {
    fn begin(&mut self) {
        self.rows.begin();
    }
    fn commit(&mut self) {
        self.rows.commit();
    }
    fn rollback(&mut self) {
        self.rows.rollback();
    }
}
