//! What survives a crash, and can be told to fail.

use crate::support::disk::{Disk, Versions};
use edgequeue::broker::Durable;
use edgequeue::queue::effect::{Record, Write};
use edgequeue::queue::entry::{Entry, Index, Mark, Priority, TAG_REQUEST_ID, marks};
use edgequeue::queue::refusal::StoreError;
use edgequeue::queue::store::{Side, Store, Stores, Totals};
use edgequeue::store::Flushed;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A [`Disk`] that can be told to fail.
pub trait FaultyDisk: Disk {
    /// An empty disk; the seed may choose how its stores are set up.
    fn fresh(seed: u64) -> Self;

    /// A second look at what was written last that neither fails nor disturbs the stores in use.
    fn inspect(&self) -> Self::Store;

    /// What makes it fail.
    fn faults(&self) -> &Faults;
}

/// Counts down storage operations to the one that fails. Shared by a disk and its stores.
#[derive(Clone, Default)]
pub struct Faults {
    countdown: Rc<Cell<Option<u32>>>,
    hits: Rc<Cell<u64>>,
}

impl Faults {
    /// The operation after `operations` more ones fails.
    pub fn arm(&self, operations: u32) {
        self.countdown.set(Some(operations));
    }

    pub fn hits(&self) -> u64 {
        self.hits.get()
    }

    /// Called by every storage operation.
    pub fn pass(&self) -> Result<(), StoreError> {
        match self.countdown.get() {
            None => Ok(()),
            Some(0) => {
                self.countdown.set(None);
                self.hits.set(self.hits.get() + 1);
                Err(StoreError::Io("injected fault".into()))
            }
            Some(left) => {
                self.countdown.set(Some(left - 1));
                Ok(())
            }
        }
    }

    /// Runs something that must not fail.
    pub fn paused<T>(&self, action: impl FnOnce() -> T) -> T {
        let countdown = self.countdown.take();
        let result = action();
        self.countdown.set(countdown);
        result
    }
}

/// Every live entry of a side, by index.
pub fn listing(stores: &mut impl Stores, side: Side) -> Result<BTreeMap<u64, Entry>, StoreError> {
    let mut store = stores.side(side);
    let mut entries = BTreeMap::new();
    for (priority, length) in store.priorities() {
        let mut from = Index(0);
        let mut counted = 0;
        while let Some(entry) = store.next(priority, from)? {
            if entry.priority != priority || entry.index < from {
                return Err(StoreError::Contradiction(format!(
                    "next({priority:?}, {from:?}) answered {:?} {:?}",
                    entry.priority, entry.index
                )));
            }
            from = entry.index.next();
            counted += 1;
            entries.insert(entry.index.0, entry);
        }
        if counted != length {
            return Err(StoreError::Contradiction(format!("{priority:?} holds {counted} entries but claims {length}")));
        }
    }
    Ok(entries)
}

/// The simplest store that keeps the contract: whole maps, copied when made durable. A failure that also shows on it is
/// the machine's, one that does not is the segment store's.
pub struct PlainDisk {
    sides: Versions<Sides>,
    faults: Faults,
}

type Sides = [PlainSide; 2];

impl Disk for PlainDisk {
    type Store = PlainStores;

    fn open(&mut self) -> Result<PlainStores, StoreError> {
        self.faults.pass()?;
        Ok(PlainStores { sides: self.sides.last().clone(), is_changed: false, faults: self.faults.clone() })
    }

    fn written(&mut self, store: &mut PlainStores) {
        self.sides.write(store.sides.clone());
    }

    fn sync(&mut self) {
        self.sides.sync();
    }

    fn die(&mut self, survives: bool) {
        self.sides.die(survives);
    }
}

impl FaultyDisk for PlainDisk {
    fn fresh(_: u64) -> Self {
        Self { sides: Versions::new(Sides::default()), faults: Faults::default() }
    }

    fn inspect(&self) -> PlainStores {
        PlainStores { sides: self.sides.last().clone(), is_changed: false, faults: Faults::default() }
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }
}

/// Both sides in memory.
pub struct PlainStores {
    sides: Sides,
    is_changed: bool,
    faults: Faults,
}

impl Durable for PlainStores {
    fn rows_to_write(&self) -> usize {
        1
    }

    fn flush(&mut self) -> Result<Flushed, StoreError> {
        self.faults.pass()?;
        Ok(Flushed { rows_written: u64::from(std::mem::take(&mut self.is_changed)), rows_deleted: 0 })
    }
}

#[derive(Clone, Default)]
struct PlainSide {
    entries: BTreeMap<Index, Entry>,
    last: Index,
    records: BTreeMap<Record, bytes::Bytes>,
}

/// One side, in use.
pub struct PlainStore<'a> {
    side: &'a mut PlainSide,
    is_changed: &'a mut bool,
    faults: &'a Faults,
}

impl Stores for PlainStores {
    type Side<'a> = PlainStore<'a>;

    fn side(&mut self, side: Side) -> PlainStore<'_> {
        PlainStore { side: &mut self.sides[side as usize], is_changed: &mut self.is_changed, faults: &self.faults }
    }
}

impl Store for PlainStore<'_> {
    fn totals(&self) -> Totals {
        let entries = &self.side.entries;
        Totals {
            next_index: self.side.last.next(),
            length: entries.len() as u64,
            bytes: entries.values().map(Entry::bytes).sum(),
        }
    }

    fn priorities(&self) -> Vec<(Priority, u64)> {
        let mut priorities = BTreeMap::new();
        for entry in self.side.entries.values() {
            *priorities.entry(entry.priority).or_insert(0) += 1;
        }
        priorities.into_iter().rev().collect()
    }

    fn next(&mut self, priority: Priority, from: Index) -> Result<Option<Entry>, StoreError> {
        self.faults.pass()?;
        Ok(self.side.entries.range(from..).map(|(_, entry)| entry).find(|entry| entry.priority == priority).cloned())
    }

    fn previous(&mut self, priority: Priority, upto: Index) -> Result<Option<Entry>, StoreError> {
        self.faults.pass()?;
        Ok(self
            .side
            .entries
            .range(..=upto)
            .rev()
            .map(|(_, entry)| entry)
            .find(|entry| entry.priority == priority)
            .cloned())
    }

    fn next_marked(&mut self, priority: Priority, from: Index, wanted: &[Mark]) -> Result<Option<Entry>, StoreError> {
        self.faults.pass()?;
        let may_match = |entry: &&Entry| {
            let present = marks(&entry.tags());
            entry.priority == priority && wanted.iter().all(|mark| present.contains(mark))
        };
        Ok(self.side.entries.range(from..).map(|(_, entry)| entry).find(may_match).cloned())
    }

    fn find(&mut self, index: Index) -> Result<Option<Entry>, StoreError> {
        self.faults.pass()?;
        Ok(self.side.entries.get(&index).cloned())
    }

    fn load(&mut self, record: Record) -> Result<Option<bytes::Bytes>, StoreError> {
        self.faults.pass()?;
        Ok(self.side.records.get(&record).cloned())
    }

    fn apply(&mut self, write: Write) -> Result<(), StoreError> {
        self.faults.pass()?;
        *self.is_changed = true;
        match write {
            Write::Append(entry, given) => {
                assert_eq!(entry.index, self.side.last.next(), "an entry is appended at the store's next index");
                // A request id made by the queue is found by the index in it and may go without a mark.
                let mut tags = entry.tags();
                let all = marks(&tags);
                tags.remove(TAG_REQUEST_ID);
                let needed = marks(&tags);
                assert!(given.iter().all(|mark| all.contains(mark)), "a mark that is none of the entry's");
                assert!(needed.iter().all(|mark| given.contains(mark)), "a tag without its mark");
                self.side.last = entry.index;
                self.side.entries.insert(entry.index, entry);
            }
            Write::Remove(index) => {
                self.side.entries.remove(&index).expect("only live entries are removed");
            }
            Write::RemoveBelow(index) => self.side.entries = self.side.entries.split_off(&index),
            Write::Save(record, bytes) => {
                assert!(bytes.len() <= 2_000_000, "record {record:?} of {} bytes does not fit a row", bytes.len());
                self.side.records.insert(record, bytes);
            }
        }
        Ok(())
    }
}
