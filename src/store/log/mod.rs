//! One side of a queue: its priorities, sums and records.

mod flush;
mod open;

use crate::queue::effect::{Record, Write};
use crate::queue::entry::{Entry, Index, Mark, Priority};
use crate::queue::refusal::StoreError;
use crate::queue::store::{Side, Totals};
use crate::store::damage::Damage;
use crate::store::format::{state_row, unseal};
use crate::store::limits::FRAME_BYTES_MAX;
use crate::store::priority_log::{Access, Cache, PriorityLog, Sums};
use crate::store::rows::{PriorityKey, Rows};
use alloc::{collections::BTreeMap, vec::Vec};
use bytes::Bytes;

/// One side, without its rows: they are handed in, as both sides share them.
pub(super) struct Log {
    side: Side,
    /// Number of the last flush that wrote entries or the manifest.
    seq: u64,
    next_index: Index,
    live: Sums,
    priorities: BTreeMap<Priority, PriorityLog>,
    cache: Cache,
    damage: Damage,
    groups: Option<Bytes>,
    /// Records with a row of their own that wait for a flush.
    records: BTreeMap<Record, Bytes>,
    appended: bool,
    manifest_dirty: bool,
}

impl Log {
    /// Damage that was met since the last call.
    pub fn take_damage(&mut self) -> Vec<StoreError> {
        self.damage.take()
    }

    /// The sums.
    pub fn totals(&self) -> Totals {
        Totals { next_index: self.next_index, length: self.live.length, bytes: self.live.bytes }
    }

    /// Priorities with live entries, highest first.
    pub fn priorities(&self) -> Vec<(Priority, u64)> {
        let live = self.priorities.iter().rev().filter(|(_, log)| log.live.length > 0);
        live.map(|(priority, log)| (*priority, log.live.length)).collect()
    }

    /// As [`Store::next`](crate::queue::store::Store::next).
    pub fn next(&mut self, rows: &mut impl Rows, priority: Priority, from: Index) -> Result<Option<Entry>, StoreError> {
        self.ask(rows, priority, |log, access| log.next(access, from))
    }

    /// As [`Store::previous`](crate::queue::store::Store::previous).
    pub fn previous(
        &mut self,
        rows: &mut impl Rows,
        priority: Priority,
        upto: Index,
    ) -> Result<Option<Entry>, StoreError> {
        self.ask(rows, priority, |log, access| log.previous(access, upto))
    }

    /// As [`Store::next_marked`](crate::queue::store::Store::next_marked).
    pub fn next_tagged(
        &mut self,
        rows: &mut impl Rows,
        priority: Priority,
        from: Index,
        hashes: &[Mark],
    ) -> Result<Option<Entry>, StoreError> {
        self.ask(rows, priority, |log, access| log.next_tagged(access, from, hashes))
    }

    /// As [`Store::count`](crate::queue::store::Store::count).
    pub fn count(
        &mut self,
        rows: &mut impl Rows,
        priority: Priority,
        from: Index,
        below: Index,
    ) -> Result<u64, StoreError> {
        self.ask(rows, priority, |log, access| {
            Ok(log.live_below(access, below)?.saturating_sub(log.live_below(access, from)?))
        })
    }

    /// As [`Store::find`](crate::queue::store::Store::find).
    pub fn find(&mut self, rows: &mut impl Rows, index: Index) -> Result<Option<Entry>, StoreError> {
        let found = self.locate(rows, index)?;
        let entry = found.and_then(|(priority, first, place)| self.priorities.get(&priority)?.entry(first, place));
        self.evict();
        Ok(entry)
    }

    /// One of the queue's own records.
    pub fn load(&self, rows: &mut impl Rows, record: Record) -> Result<Option<Bytes>, StoreError> {
        if record == Record::Groups {
            return Ok(self.groups.clone());
        }
        if let Some(value) = self.records.get(&record) {
            return Ok(Some(value.clone()));
        }
        let row = state_row(self.side, record);
        rows.state(row.id)?.map(|sealed| unseal(row, &sealed)).transpose()
    }

    /// Applies a change in memory.
    pub fn apply(&mut self, rows: &mut impl Rows, write: Write) -> Result<(), StoreError> {
        match write {
            Write::Append(entry, hashes) => self.append(rows, entry, &hashes),
            Write::Remove(index) => self.remove(rows, index),
            Write::RemoveBelow(index) => self.remove_below(rows, index),
            Write::Save(Record::Groups, value) => {
                let value = Some(value);
                self.manifest_dirty |= self.groups != value;
                self.groups = value;
                Ok(())
            }
            Write::Save(record, value) => {
                self.records.insert(record, value);
                Ok(())
            }
        }
    }

    fn append(&mut self, rows: &mut impl Rows, entry: Entry, hashes: &[Mark]) -> Result<(), StoreError> {
        assert_eq!(entry.index, self.next_index, "entries are appended in the order of their indexes");
        let bytes = entry.frame.len();
        assert!(
            bytes <= FRAME_BYTES_MAX,
            "the limits of the queue keep an entry smaller than a row, not {bytes} bytes"
        );
        self.next_index = entry.index.next();
        self.live.add(Sums { length: 1, bytes: entry.bytes() });
        self.appended = true;
        let key = PriorityKey { side: self.side, priority: entry.priority };
        let log = self.priorities.entry(entry.priority).or_insert_with(|| PriorityLog::new(key));
        log.append(&mut Access { rows, cache: &mut self.cache, damage: &mut self.damage }, entry, hashes)
    }

    fn remove(&mut self, rows: &mut impl Rows, index: Index) -> Result<(), StoreError> {
        let Some((priority, first, place)) = self.locate(rows, index)? else { return Ok(()) };
        let log = self.priorities.get_mut(&priority).expect("located there");
        let removed = log.remove(first, place)?;
        self.manifest_dirty |= removed.length > 0;
        self.live.take(removed)
    }

    fn remove_below(&mut self, rows: &mut impl Rows, index: Index) -> Result<(), StoreError> {
        for log in self.priorities.values_mut() {
            let mut access = Access { rows, cache: &mut self.cache, damage: &mut self.damage };
            let removed = log.remove_below(&mut access, index)?;
            self.manifest_dirty |= removed.length > 0 || log.trim_pending();
            self.live.take(removed)?;
        }
        self.evict();
        Ok(())
    }

    /// Priority, segment and place of an index, removed or not: it is in one priority only, so memory is asked for all
    /// of them first.
    fn locate(&mut self, rows: &mut impl Rows, index: Index) -> Result<Option<(Priority, Index, usize)>, StoreError> {
        if index >= self.next_index {
            return Ok(None);
        }
        for (priority, log) in &self.priorities {
            if let Some((first, place)) = log.place_in_memory(index) {
                return Ok(Some((*priority, first, place)));
            }
        }
        for (priority, log) in &mut self.priorities {
            let mut access = Access { rows, cache: &mut self.cache, damage: &mut self.damage };
            if let Some((first, place)) = log.place(&mut access, index)? {
                return Ok(Some((*priority, first, place)));
            }
        }
        Ok(None)
    }

    /// Asks a priority; one without segments has nothing of anything.
    fn ask<R: Rows, T: Default>(
        &mut self,
        rows: &mut R,
        priority: Priority,
        question: impl FnOnce(&mut PriorityLog, &mut Access<'_, R>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(log) = self.priorities.get_mut(&priority) else { return Ok(T::default()) };
        let answer = question(log, &mut Access { rows, cache: &mut self.cache, damage: &mut self.damage })?;
        self.evict();
        Ok(answer)
    }

    /// Forgets decoded segments, the longest unused first, once they are too many. Dirty ones stay.
    fn evict(&mut self) {
        if self.cache.bytes <= self.cache.bytes_max {
            return;
        }
        let mut clean = Vec::new();
        self.cache.bytes = 0;
        for (priority, log) in &self.priorities {
            for (first, segment) in &log.segments {
                match segment.dirty {
                    true => continue,
                    false => clean.push((segment.used, *priority, *first, segment.cost())),
                }
                self.cache.bytes += segment.cost();
            }
        }
        clean.sort_unstable_by_key(|segment| segment.0);
        for (_, priority, first, cost) in clean {
            if self.cache.bytes <= self.cache.bytes_max / 4 * 3 {
                break;
            }
            self.cache.bytes -= cost;
            self.priorities.get_mut(&priority).and_then(|log| log.segments.remove(&first));
        }
    }
}
