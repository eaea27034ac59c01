//! The naive store: maps, cloned whole. What it answers is right by being obvious.

use bytes::Bytes;
use edgequeue::queue::effect::{Record, Write};
use edgequeue::queue::entry::{Entry, Index, Mark, Priority};
use edgequeue::queue::refusal::StoreError;
use edgequeue::queue::store::{Side, Store, Stores, Totals};
use std::collections::BTreeMap;

#[derive(Clone)]
pub struct ReferenceSide {
    next_index: Index,
    entries: BTreeMap<Index, (Entry, Vec<Mark>)>,
    records: BTreeMap<Record, Bytes>,
}

#[derive(Clone)]
pub struct Reference {
    main: ReferenceSide,
    rear: ReferenceSide,
}

impl Reference {
    pub fn new() -> Self {
        let side = ReferenceSide { next_index: Index(1), entries: BTreeMap::new(), records: BTreeMap::new() };
        Self { main: side.clone(), rear: side }
    }
}

impl Stores for Reference {
    type Side<'a> = &'a mut ReferenceSide;

    fn side(&mut self, side: Side) -> &mut ReferenceSide {
        match side {
            Side::Main => &mut self.main,
            Side::Rear => &mut self.rear,
        }
    }
}

impl ReferenceSide {
    fn priority(&self, priority: Priority) -> impl DoubleEndedIterator<Item = &(Entry, Vec<Mark>)> {
        self.entries.values().filter(move |(entry, _)| entry.priority == priority)
    }
}

impl Store for &mut ReferenceSide {
    fn totals(&self) -> Totals {
        let bytes = self.entries.values().map(|(entry, _)| entry.bytes()).sum();
        Totals { next_index: self.next_index, length: self.entries.len() as u64, bytes }
    }

    fn priorities(&self) -> Vec<(Priority, u64)> {
        let mut priorities = BTreeMap::new();
        self.entries.values().for_each(|(entry, _)| *priorities.entry(entry.priority).or_default() += 1);
        priorities.into_iter().rev().collect()
    }

    fn next(&mut self, priority: Priority, from: Index) -> Result<Option<Entry>, StoreError> {
        Ok(self.priority(priority).find(|(entry, _)| entry.index >= from).map(|(entry, _)| entry.clone()))
    }

    fn previous(&mut self, priority: Priority, upto: Index) -> Result<Option<Entry>, StoreError> {
        Ok(self.priority(priority).rev().find(|(entry, _)| entry.index <= upto).map(|(entry, _)| entry.clone()))
    }

    fn next_marked(&mut self, priority: Priority, from: Index, marks: &[Mark]) -> Result<Option<Entry>, StoreError> {
        let carries = |own: &[Mark]| marks.iter().all(|mark| own.contains(mark));
        let found = self.priority(priority).find(|(entry, own)| entry.index >= from && carries(own));
        Ok(found.map(|(entry, _)| entry.clone()))
    }

    fn find(&mut self, index: Index) -> Result<Option<Entry>, StoreError> {
        Ok(self.entries.get(&index).map(|(entry, _)| entry.clone()))
    }

    fn load(&mut self, record: Record) -> Result<Option<Bytes>, StoreError> {
        Ok(self.records.get(&record).cloned())
    }

    fn apply(&mut self, write: Write) -> Result<(), StoreError> {
        match write {
            Write::Append(entry, marks) => {
                assert_eq!(entry.index, self.next_index);
                self.next_index = self.next_index.next();
                self.entries.insert(entry.index, (entry, marks));
            }
            Write::Remove(index) => drop(self.entries.remove(&index)),
            Write::RemoveBelow(index) => self.entries = self.entries.split_off(&index),
            Write::Save(record, value) => drop(self.records.insert(record, value)),
        }
        Ok(())
    }
}
