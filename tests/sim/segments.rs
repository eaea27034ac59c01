//! The real store on a disk that can fail at any row operation.

use super::disk::{Faults, FaultyDisk};
use crate::support::disk::{Disk, Versions};
use crate::support::gated_rows::{Gate, GatedRows};
use edgequeue::queue::refusal::StoreError;
use edgequeue::store::SegmentStore;
use edgequeue::store::limits;
use edgequeue::store::memory::MemoryRows;

/// Rows that were written; a store in use works on a copy.
pub struct SegmentDisk {
    rows: Versions<MemoryRows>,
    faults: Faults,
    cache_bytes: usize,
}

impl Disk for SegmentDisk {
    type Store = SegmentStore<FailingRows>;

    fn open(&mut self) -> Result<Self::Store, StoreError> {
        let rows = FailingRows { rows: self.rows.last().clone(), gate: self.faults.clone() };
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
        let rows = FailingRows { rows: self.rows.last().clone(), gate: Faults::default() };
        SegmentStore::open(rows).expect("what was written can be opened")
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }
}

/// Rows whose operations fail when the countdown says so.
type FailingRows = GatedRows<MemoryRows, Faults>;

impl Gate for Faults {
    fn pass(&mut self) -> Result<(), StoreError> {
        Self::pass(self)
    }
}
