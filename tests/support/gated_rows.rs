//! Rows with a gate before each operation, which may fail it.

use bytes::Bytes;
use edgequeue::queue::entry::{Index, Mark, Priority};
use edgequeue::queue::refusal::StoreError;
use edgequeue::queue::store::Side;
use edgequeue::store::rows::{Extent, PriorityKey, RowSums, Rows, SegmentRow, StateId};

/// Says of each operation whether it fails.
pub trait Gate {
    fn pass(&mut self) -> Result<(), StoreError>;
}

/// Rows behind a gate.
#[derive(Clone, Debug, Default)]
pub struct GatedRows<R, G> {
    /// The rows underneath.
    pub rows: R,
    pub gate: G,
}

impl<R, G: Gate> GatedRows<R, G> {
    fn rows(&mut self) -> Result<&mut R, StoreError> {
        self.gate.pass()?;
        Ok(&mut self.rows)
    }
}

impl<R: Rows, G: Gate> Rows for GatedRows<R, G> {
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
