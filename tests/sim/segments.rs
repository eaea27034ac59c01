//! The real store on a disk that can fail at any row operation.

use super::disk::{Faults, FaultyDisk};
use crate::support::disk::{Disk, Versions};
use edgequeue::queue::entry::{Index, Mark, Priority};
use edgequeue::queue::refusal::StoreError;
use edgequeue::queue::store::Side;
use edgequeue::store::SegmentStore;
use edgequeue::store::limits;
use edgequeue::store::memory::MemoryRows;
use edgequeue::store::rows::{Extent, PriorityKey, RowSums, Rows, SegmentRow, StateId};

/// Rows that were written; a store in use works on a copy.
pub struct SegmentDisk {
    rows: Versions<MemoryRows>,
    faults: Faults,
    cache_bytes: usize,
}

impl Disk for SegmentDisk {
    type Store = SegmentStore<FailingRows>;

    fn open(&mut self) -> Result<Self::Store, StoreError> {
        let rows = FailingRows { rows: self.rows.last().clone(), faults: self.faults.clone() };
        SegmentStore::open_with_cache(rows, self.cache_bytes)
    }

    fn written(&mut self, store: &mut Self::Store) {
        self.rows.write(store.rows().rows.clone());
    }

    fn sync(&mut self) {
        self.rows.sync();
    }

    fn die(&mut self, survives: bool) {
        self.rows.die(survives);
    }
}

impl FaultyDisk for SegmentDisk {
    fn fresh(seed: u64) -> Self {
        // Most queues here are small; with next to no cache even they are read from their rows.
        let cache_bytes = [0, 3_000, limits::CACHE_BYTES_MAX][seed as usize % 3];
        Self { rows: Versions::default(), faults: Faults::default(), cache_bytes }
    }

    fn inspect(&self) -> Self::Store {
        let rows = FailingRows { rows: self.rows.last().clone(), faults: Faults::default() };
        SegmentStore::open(rows).expect("what was written can be opened")
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }
}

/// Rows whose operations fail when the countdown says so.
pub struct FailingRows {
    rows: MemoryRows,
    faults: Faults,
}

impl FailingRows {
    fn rows(&mut self) -> Result<&mut MemoryRows, StoreError> {
        self.faults.pass()?;
        Ok(&mut self.rows)
    }
}

impl Rows for FailingRows {
    fn state(&mut self, id: StateId) -> Result<Option<bytes::Bytes>, StoreError> {
        self.rows()?.state(id)
    }

    fn put_state(&mut self, id: StateId, value: bytes::Bytes) -> Result<(), StoreError> {
        self.rows()?.put_state(id, value)
    }

    fn priority_above(&mut self, side: Side, above: Option<Priority>) -> Result<Option<Priority>, StoreError> {
        self.rows()?.priority_above(side, above)
    }

    fn checkpoint_below(
        &mut self,
        key: PriorityKey,
        below: Index,
    ) -> Result<Option<(Extent, bytes::Bytes)>, StoreError> {
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
