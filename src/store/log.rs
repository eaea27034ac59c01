//! One side of a queue: its priorities, sums and records.

use super::Flushed;
use super::checkpoint::Checkpoint;
use super::damage::Damage;
use super::format::{seal, state_row, unseal};
use super::limits::{COMPACTIONS_PER_FLUSH, FRAME_BYTES_MAX, ROW_BYTES_MAX, TOMBSTONES_BYTES_MAX};
use super::manifest::{self, Manifest, PrioritySums, TombstonesRecord};
use super::priority_log::{Access, Cache, Opened, PriorityLog, Sums};
use super::rows::{LaneKey, Rows};
use super::tombstones::Tombstones;
use crate::queue::effect::{Record, Write};
use crate::queue::entry::{Entry, Index, Lane, Mark};
use crate::queue::refusal::StoreError;
use crate::queue::store::{Side, Totals};
use alloc::{collections::BTreeMap, vec::Vec};
use bytes::Bytes;
use prost::Message;

/// One side, without its rows: they are handed in, as both sides share them.
pub(super) struct Log {
    side: Side,
    /// Number of the last flush that wrote entries or the manifest.
    seq: u64,
    next_index: Index,
    live: Sums,
    priorities: BTreeMap<Lane, PriorityLog>,
    cache: Cache,
    damage: Damage,
    groups: Option<Bytes>,
    /// Records with a row of their own that wait for a flush.
    records: BTreeMap<Record, Bytes>,
    appended: bool,
    manifest_dirty: bool,
}

impl Log {
    /// Reads the manifest and the checkpoint of each priority's last segment; the newest of them knows the sums.
    pub fn open(side: Side, rows: &mut impl Rows, cache_bytes_max: usize) -> Result<Self, StoreError> {
        let row = state_row(side, Record::Groups);
        let manifest = match rows.state(row.id)? {
            Some(sealed) => manifest::decode(row, &sealed)?,
            None => Manifest { next_index: 1, ..Manifest::default() },
        };
        let mut log = Self {
            side,
            seq: manifest.seq,
            next_index: Index(manifest.next_index),
            live: Sums { length: manifest.length, bytes: manifest.bytes },
            priorities: BTreeMap::new(),
            cache: Cache { bytes_max: cache_bytes_max, ..Cache::default() },
            damage: Damage::default(),
            groups: manifest.groups,
            records: BTreeMap::new(),
            appended: false,
            manifest_dirty: false,
        };
        let uncounted = log.open_priorities(rows, manifest.seq, &manifest.priorities)?;
        log.open_tombstones(rows, manifest.tombstones, !uncounted.is_empty())?;
        log.check_opened(rows, uncounted)?;
        Ok(log)
    }

    /// Says which priorities must be counted because their last checkpoint is damaged, and what their rows leave out.
    fn open_priorities(
        &mut self,
        rows: &mut impl Rows,
        manifest_seq: u64,
        sums: &[PrioritySums],
    ) -> Result<Vec<(Lane, Sums)>, StoreError> {
        let (mut above, mut to_count) = (None, Vec::new());
        while let Some(lane) = rows.lane_above(self.side, above)? {
            above = Some(lane);
            let mut access = Access { rows, cache: &mut self.cache, damage: &mut self.damage };
            let Opened { mut log, checkpoint, uncounted } =
                PriorityLog::open(LaneKey { side: self.side, lane }, &mut access)?;
            if let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.seq > self.seq) {
                self.seq = checkpoint.seq;
                self.next_index = self.next_index.max(Index(checkpoint.next_index));
                self.live = Sums { length: checkpoint.length, bytes: checkpoint.bytes };
            }
            match (uncounted, checkpoint) {
                (Some(uncounted), _) => {
                    self.next_index = self.next_index.max(log.next_index());
                    to_count.push((lane, uncounted));
                }
                (None, Some(checkpoint)) if checkpoint.seq > manifest_seq => {
                    log.live = Sums { length: checkpoint.lane_length, bytes: checkpoint.lane_bytes };
                }
                _ => {
                    let stored = sums.iter().find(|sums| sums.lane == lane.0);
                    let stored = stored.ok_or_else(|| contradiction("the manifest does not know a priority"))?;
                    log.live = Sums { length: stored.length, bytes: stored.bytes };
                }
            }
            self.priorities.insert(lane, log);
        }
        Ok(to_count)
    }

    /// Segments whose entries were all removed may have been appended to without writing the manifest. A tail knows how
    /// many it has; of another segment (there is at most one per priority) the row is read.
    fn open_tombstones(
        &mut self,
        rows: &mut impl Rows,
        records: Vec<TombstonesRecord>,
        is_damaged: bool,
    ) -> Result<(), StoreError> {
        for record in records {
            let first = Index(record.first);
            let Some(log) = self.priorities.get_mut(&Lane(record.lane)) else {
                // The only row of a priority may be one that cannot say which priority it has.
                if is_damaged {
                    continue;
                }
                return Err(contradiction("entries are removed from a priority that does not exist"));
            };
            let mut tombstones = Tombstones::decode(record.runs, record.bytes)?;
            let count = tombstones.count;
            tombstones.all_deleted = match log.tail {
                Some(tail) if tail.first == first => tail.count == count,
                _ if !record.all_deleted => false,
                _ => {
                    let mut access = Access { rows, cache: &mut self.cache, damage: &mut self.damage };
                    log.read(&mut access, first)?.is_some_and(|segment| segment.len() as u64 == count)
                }
            };
            log.tombstones.insert(first, tombstones);
        }
        Ok(())
    }

    /// Counts what could not be read, and holds the sums of the priorities against the queue's.
    fn check_opened(&mut self, rows: &mut impl Rows, uncounted: Vec<(Lane, Sums)>) -> Result<(), StoreError> {
        let is_damaged = !uncounted.is_empty();
        for (lane, uncounted) in uncounted {
            let log = self.priorities.get_mut(&lane).expect("it was opened");
            log.bound_tail(self.next_index);
            log.recount(&mut Access { rows, cache: &mut self.cache, damage: &mut self.damage }, uncounted)?;
        }
        let mut all = Sums::default();
        self.priorities.values().for_each(|log| all.add(log.live));
        if is_damaged {
            self.live = all;
        }
        if self.seq >= 1 << 53 || self.next_index.0 >= 1 << 53 {
            return Err(contradiction("a number is larger than any that is given out"));
        }
        let mut tails = self.priorities.values().filter_map(|log| log.tail);
        if all != self.live || !tails.all(|tail| tail.last < self.next_index) {
            return Err(contradiction("the sums of the priorities are not the queue's"));
        }
        Ok(())
    }

    /// Damage that was met since the last call.
    pub fn take_damage(&mut self) -> Vec<StoreError> {
        self.damage.take()
    }

    /// The sums.
    pub fn totals(&self) -> Totals {
        Totals { next_index: self.next_index, length: self.live.length, bytes: self.live.bytes }
    }

    /// Priorities with live entries, highest first.
    pub fn lanes(&self) -> Vec<(Lane, u64)> {
        let live = self.priorities.iter().rev().filter(|(_, log)| log.live.length > 0);
        live.map(|(lane, log)| (*lane, log.live.length)).collect()
    }

    /// As [`Store::next`](crate::queue::store::Store::next).
    pub fn next(&mut self, rows: &mut impl Rows, lane: Lane, from: Index) -> Result<Option<Entry>, StoreError> {
        self.ask(rows, lane, |log, access| log.next(access, from))
    }

    /// As [`Store::previous`](crate::queue::store::Store::previous).
    pub fn previous(&mut self, rows: &mut impl Rows, lane: Lane, upto: Index) -> Result<Option<Entry>, StoreError> {
        self.ask(rows, lane, |log, access| log.previous(access, upto))
    }

    /// As [`Store::next_marked`](crate::queue::store::Store::next_marked).
    pub fn next_tagged(
        &mut self,
        rows: &mut impl Rows,
        lane: Lane,
        from: Index,
        hashes: &[Mark],
    ) -> Result<Option<Entry>, StoreError> {
        self.ask(rows, lane, |log, access| log.next_tagged(access, from, hashes))
    }

    /// As [`Store::count`](crate::queue::store::Store::count).
    pub fn count(&mut self, rows: &mut impl Rows, lane: Lane, from: Index, below: Index) -> Result<u64, StoreError> {
        self.ask(rows, lane, |log, access| {
            Ok(log.live_below(access, below)?.saturating_sub(log.live_below(access, from)?))
        })
    }

    /// As [`Store::find`](crate::queue::store::Store::find).
    pub fn find(&mut self, rows: &mut impl Rows, index: Index) -> Result<Option<Entry>, StoreError> {
        let found = self.locate(rows, index)?;
        let entry = found.and_then(|(lane, first, place)| self.priorities.get(&lane)?.entry(first, place));
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
        let key = LaneKey { side: self.side, lane: entry.lane };
        let log = self.priorities.entry(entry.lane).or_insert_with(|| PriorityLog::new(key));
        log.append(&mut Access { rows, cache: &mut self.cache, damage: &mut self.damage }, entry, hashes)
    }

    fn remove(&mut self, rows: &mut impl Rows, index: Index) -> Result<(), StoreError> {
        let Some((lane, first, place)) = self.locate(rows, index)? else { return Ok(()) };
        let log = self.priorities.get_mut(&lane).expect("located there");
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

    /// Priority, segment and place of an index, removed or not: it is in one priority only, so memory is asked for all of
    /// them first.
    fn locate(&mut self, rows: &mut impl Rows, index: Index) -> Result<Option<(Lane, Index, usize)>, StoreError> {
        if index >= self.next_index {
            return Ok(None);
        }
        for (lane, log) in &self.priorities {
            if let Some((first, place)) = log.place_in_memory(index) {
                return Ok(Some((*lane, first, place)));
            }
        }
        for (lane, log) in &mut self.priorities {
            let mut access = Access { rows, cache: &mut self.cache, damage: &mut self.damage };
            if let Some((first, place)) = log.place(&mut access, index)? {
                return Ok(Some((*lane, first, place)));
            }
        }
        Ok(None)
    }

    /// Asks a priority; one without segments has nothing of anything.
    fn ask<R: Rows, T: Default>(
        &mut self,
        rows: &mut R,
        lane: Lane,
        question: impl FnOnce(&mut PriorityLog, &mut Access<'_, R>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(log) = self.priorities.get_mut(&lane) else { return Ok(T::default()) };
        let answer = question(log, &mut Access { rows, cache: &mut self.cache, damage: &mut self.damage })?;
        self.evict();
        Ok(answer)
    }

    /// The most rows a flush can write now; removals can delete any number.
    pub fn rows_to_write(&self) -> usize {
        if self.manifest_dirty {
            return usize::MAX;
        }
        self.records.len() + self.priorities.values().map(PriorityLog::rows_to_write).sum::<usize>()
    }

    /// Writes what changed: each segment once, the manifest at most once.
    pub fn flush(&mut self, rows: &mut impl Rows) -> Result<Flushed, StoreError> {
        let mut flushed = Flushed::default();
        let with_manifest = core::mem::take(&mut self.manifest_dirty);
        if with_manifest {
            self.settle(rows)?;
        }
        if core::mem::take(&mut self.appended) || with_manifest {
            self.write_segments(rows, with_manifest, &mut flushed)?;
        }
        if with_manifest {
            self.priorities.retain(|_, log| log.tail.is_some());
            let row = state_row(self.side, Record::Groups);
            let sealed = seal(row, &self.manifest().encode_to_vec());
            assert!(sealed.len() <= ROW_BYTES_MAX, "the limits of the queue keep its manifest smaller than a row");
            rows.put_state(row.id, sealed)?;
            flushed.rows_written += 1;
        }
        for (record, value) in core::mem::take(&mut self.records) {
            let row = state_row(self.side, record);
            rows.put_state(row.id, seal(row, &value))?;
            flushed.rows_written += 1;
        }
        self.evict();
        self.check();
        Ok(flushed)
    }

    fn write_segments(
        &mut self,
        rows: &mut impl Rows,
        with_manifest: bool,
        flushed: &mut Flushed,
    ) -> Result<(), StoreError> {
        self.seq += 1;
        let sums = Checkpoint {
            seq: self.seq,
            next_index: self.next_index.0,
            length: self.live.length,
            bytes: self.live.bytes,
            ..Checkpoint::default()
        };
        for log in self.priorities.values_mut() {
            let key = log.key;
            let (written, deleted) = log.write(rows, with_manifest, |segment, live| {
                segment.encode(key, &Checkpoint { lane_length: live.length, lane_bytes: live.bytes, ..sums })
            })?;
            flushed.rows_written += written;
            flushed.rows_deleted += deleted;
        }
        Ok(())
    }

    /// What must hold after each flush. Cheap checks are always made, the others in builds for tests.
    fn check(&self) {
        debug_assert!(self.priorities.values().map(|log| log.live.length).sum::<u64>() == self.live.length, "sums");
        debug_assert!(self.priorities.values().map(|log| log.live.bytes).sum::<u64>() == self.live.bytes, "sums");
        if cfg!(debug_assertions) {
            self.priorities.values().for_each(PriorityLog::check);
        }
        for log in self.priorities.values() {
            assert!(log.tail.is_none_or(|tail| tail.last < self.next_index), "an index is given out once");
            assert!(log.rows_to_write() == 0, "a flush writes every segment that changed");
        }
    }

    /// Brings the priorities into the shape in which they are stored, and keeps the tombstones bounded by compacting
    /// segments: those first that relieve the manifest most.
    fn settle(&mut self, rows: &mut impl Rows) -> Result<(), StoreError> {
        let mut empty = 0;
        for log in self.priorities.values_mut() {
            log.settle(&mut Access { rows, cache: &mut self.cache, damage: &mut self.damage }, empty)?;
            empty += usize::from(log.live.length == 0 && log.tail.is_some());
        }
        let all = || self.priorities.iter().flat_map(|(lane, log)| log.tombstones.iter().map(move |of| (*lane, of)));
        let mut weight: usize = all().map(|(_, (_, tombstones))| tombstones.weight()).sum();
        if weight <= TOMBSTONES_BYTES_MAX {
            return Ok(());
        }
        let compactable = all().filter(|(_, (_, tombstones))| !tombstones.all_deleted);
        let mut compactable: Vec<_> =
            compactable.map(|(lane, (first, tombstones))| (tombstones.weight(), lane, *first)).collect();
        compactable.sort_unstable();
        let mut compactions = 0;
        while weight > TOMBSTONES_BYTES_MAX
            && (compactions < COMPACTIONS_PER_FLUSH || weight > 2 * TOMBSTONES_BYTES_MAX)
            && let Some((heaviest, lane, first)) = compactable.pop()
        {
            let log = self.priorities.get_mut(&lane).expect("it has tombstones");
            let mut access = Access { rows, cache: &mut self.cache, damage: &mut self.damage };
            if log.compact(&mut access, first)? {
                (weight, compactions) = (weight - heaviest, compactions + 1);
            }
        }
        Ok(())
    }

    fn manifest(&self) -> Manifest {
        let sums = self.priorities.iter().map(|(lane, log)| PrioritySums {
            lane: lane.0,
            length: log.live.length,
            bytes: log.live.bytes,
        });
        let tombstones = self.priorities.iter().flat_map(|(lane, log)| {
            log.tombstones.iter().map(|(first, tombstones)| TombstonesRecord {
                lane: lane.0,
                first: first.0,
                bytes: tombstones.bytes,
                all_deleted: tombstones.all_deleted,
                runs: tombstones.encode(),
            })
        });
        Manifest {
            seq: self.seq,
            next_index: self.next_index.0,
            length: self.live.length,
            bytes: self.live.bytes,
            priorities: sums.collect(),
            tombstones: tombstones.collect(),
            groups: self.groups.clone(),
        }
    }

    /// Forgets decoded segments, the longest unused first, once they are too many. Dirty ones stay.
    fn evict(&mut self) {
        if self.cache.bytes <= self.cache.bytes_max {
            return;
        }
        let mut clean = Vec::new();
        self.cache.bytes = 0;
        for (lane, log) in &self.priorities {
            for (first, segment) in &log.segments {
                match segment.dirty {
                    true => continue,
                    false => clean.push((segment.used, *lane, *first, segment.cost())),
                }
                self.cache.bytes += segment.cost();
            }
        }
        clean.sort_unstable_by_key(|segment| segment.0);
        for (_, lane, first, cost) in clean {
            if self.cache.bytes <= self.cache.bytes_max / 4 * 3 {
                break;
            }
            self.cache.bytes -= cost;
            self.priorities.get_mut(&lane).and_then(|log| log.segments.remove(&first));
        }
    }
}

fn contradiction(what: &str) -> StoreError {
    StoreError::Contradiction(what.into())
}
