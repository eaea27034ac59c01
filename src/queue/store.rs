//! All that a queue asks of its storage. Reads see everything applied so far, durable or not; making it durable is the
//! shell's business.

use super::effect::{Record, Write};
use super::entry::{Entry, Index, Mark, Priority};
use super::refusal::StoreError;
use alloc::vec::Vec;
use bytes::Bytes;

/// Sums over one side, which are kept and never counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Index of the next entry to be put; 1 in a new queue.
    pub next_index: Index,
    /// Live entries.
    pub length: u64,
    /// Bytes of the live entries.
    pub bytes: u64,
}

/// Storage of one side of a queue.
pub trait Store {
    /// The sums.
    fn totals(&self) -> Totals;

    /// The priorities that are not empty, highest first, with their number of live entries.
    fn priorities(&self) -> Vec<(Priority, u64)>;

    /// The first live entry of a priority at `from` or after.
    fn next(&mut self, priority: Priority, from: Index) -> Result<Option<Entry>, StoreError>;

    /// The last live entry of a priority at `upto` or before.
    fn previous(&mut self, priority: Priority, upto: Index) -> Result<Option<Entry>, StoreError>;

    /// The first live entry of a priority at `from` or after that *may* carry all of these marks: entries that cannot
    /// are skipped where that is cheap, so the caller still has to look.
    fn next_marked(&mut self, priority: Priority, from: Index, marks: &[Mark]) -> Result<Option<Entry>, StoreError>;

    /// The live entry with this index, in any priority.
    fn find(&mut self, index: Index) -> Result<Option<Entry>, StoreError>;

    /// The number of live entries of a priority with an index in `from..below`.
    fn count(&mut self, priority: Priority, from: Index, below: Index) -> Result<u64, StoreError> {
        let (mut count, mut at) = (0, from);
        while let Some(entry) = self.next(priority, at)?.filter(|entry| entry.index < below) {
            count += 1;
            at = entry.index.next();
        }
        Ok(count)
    }

    /// One of the queue's own records, if it was ever saved.
    fn load(&mut self, record: Record) -> Result<Option<Bytes>, StoreError>;

    /// Applies a change. After an error the store and the queue must be dropped and opened again.
    fn apply(&mut self, write: Write) -> Result<(), StoreError>;
}

/// The two sides of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The queue itself.
    Main,
    /// Its twin for dead letters.
    Rear,
}

/// Storage of a whole queue: a store for each side.
pub trait Stores {
    /// Store of one side.
    type Side<'a>: Store
    where
        Self: 'a;

    /// The store of a side.
    fn side(&mut self, side: Side) -> Self::Side<'_>;
}
