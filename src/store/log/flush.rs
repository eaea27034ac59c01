//! What a flush does with one side.

use super::Log;
use crate::queue::effect::Record;
use crate::queue::refusal::StoreError;
use crate::store::Flushed;
use crate::store::checkpoint::Checkpoint;
use crate::store::format::{seal, state_row};
use crate::store::limits::{COMPACTIONS_PER_FLUSH, ROW_BYTES_MAX, TOMBSTONES_BYTES_MAX};
use crate::store::manifest::{Manifest, PrioritySums, TombstonesRecord};
use crate::store::priority_log::{Access, PriorityLog};
use crate::store::rows::Rows;
use alloc::vec::Vec;
use prost::Message;

impl Log {
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
                segment.encode(key, &Checkpoint { priority_length: live.length, priority_bytes: live.bytes, ..sums })
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
        let all =
            || self.priorities.iter().flat_map(|(priority, log)| log.tombstones.iter().map(move |of| (*priority, of)));
        let mut weight: usize = all().map(|(_, (_, tombstones))| tombstones.weight()).sum();
        if weight <= TOMBSTONES_BYTES_MAX {
            return Ok(());
        }
        let compactable = all().filter(|(_, (_, tombstones))| !tombstones.all_deleted);
        let mut compactable: Vec<_> =
            compactable.map(|(priority, (first, tombstones))| (tombstones.weight(), priority, *first)).collect();
        compactable.sort_unstable();
        let mut compactions = 0;
        while weight > TOMBSTONES_BYTES_MAX
            && (compactions < COMPACTIONS_PER_FLUSH || weight > 2 * TOMBSTONES_BYTES_MAX)
            && let Some((heaviest, priority, first)) = compactable.pop()
        {
            let log = self.priorities.get_mut(&priority).expect("it has tombstones");
            let mut access = Access { rows, cache: &mut self.cache, damage: &mut self.damage };
            if log.compact(&mut access, first)? {
                (weight, compactions) = (weight - heaviest, compactions + 1);
            }
        }
        Ok(())
    }

    fn manifest(&self) -> Manifest {
        let sums = self.priorities.iter().map(|(priority, log)| PrioritySums {
            priority: priority.0,
            length: log.live.length,
            bytes: log.live.bytes,
        });
        let tombstones = self.priorities.iter().flat_map(|(priority, log)| {
            log.tombstones.iter().map(|(first, tombstones)| TombstonesRecord {
                priority: priority.0,
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
}
