//! What survives the loss of a memory.

use edgequeue::broker::Durable;
use edgequeue::queue::refusal::StoreError;
use edgequeue::store::{SegmentStore, limits, memory::MemoryRows};

/// Durable storage of one queue.
pub trait Disk {
    /// The store that a broker works on.
    type Store: Durable;

    /// Opens what was written last.
    fn open(&mut self) -> Result<Self::Store, StoreError>;

    /// A flush of the store succeeded. What it wrote is there, and durable after [`sync`](Self::sync).
    fn written(&mut self, store: &mut Self::Store);

    /// Everything that was written is durable.
    fn sync(&mut self);

    /// The process died. What was written and not durable may have survived or not.
    fn die(&mut self, survives: bool);
}

/// What is durable, and what was written since then.
#[derive(Clone, Debug, Default)]
pub struct Versions<T> {
    durable: T,
    written: Option<T>,
}

impl<T> Versions<T> {
    /// Nothing but this.
    pub fn new(durable: T) -> Self {
        Self { durable, written: None }
    }

    /// What was written last.
    pub fn last(&self) -> &T {
        self.written.as_ref().unwrap_or(&self.durable)
    }

    /// This was written.
    pub fn write(&mut self, written: T) {
        self.written = Some(written);
    }

    /// See [`Disk::sync`].
    pub fn sync(&mut self) {
        if let Some(written) = self.written.take() {
            self.durable = written;
        }
    }

    /// See [`Disk::die`].
    pub fn die(&mut self, survives: bool) {
        match survives {
            true => self.sync(),
            false => self.written = None,
        }
    }
}

/// Rows in memory; every open store works on a copy of its own.
#[derive(Debug)]
pub struct MemoryDisk {
    /// What was written.
    pub rows: Versions<MemoryRows>,
    /// The cache of a store, in bytes.
    pub cache_bytes: usize,
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self { rows: Versions::default(), cache_bytes: limits::CACHE_BYTES_MAX }
    }
}

impl Disk for MemoryDisk {
    type Store = SegmentStore<MemoryRows>;

    fn open(&mut self) -> Result<Self::Store, StoreError> {
        SegmentStore::open_with_cache(self.rows.last().clone(), self.cache_bytes)
    }

    fn written(&mut self, store: &mut Self::Store) {
        self.rows.write(store.rows().clone());
    }

    fn sync(&mut self) {
        self.rows.sync();
    }

    fn die(&mut self, survives: bool) {
        self.rows.die(survives);
    }
}
