//! What a flush does with a priority.

use super::{Access, PriorityLog, Sums, before, is_small};
use crate::queue::entry::Index;
use crate::queue::refusal::StoreError;
use crate::store::limits::{EMPTY_PRIORITIES_MAX, LONG_PRIORITY_BYTES};
use crate::store::rows::{Rows, SegmentRow};
use crate::store::segment::Segment;
use alloc::vec::Vec;

impl PriorityLog {
    /// Before a flush that writes the manifest: drops what was appended and removed at once, compacts what is written
    /// anyway, and lets go of a tail without live entries unless the next put can use it.
    pub fn settle(&mut self, access: &mut Access<'_, impl Rows>, empty_priorities: usize) -> Result<(), StoreError> {
        let mut dirty = core::mem::take(&mut self.dirty);
        let mut tail_exists = self.tail.is_some();
        dirty.retain(|first| {
            let stays = self.settle_dirty(*first);
            tail_exists &=
                stays || self.segments.contains_key(first) || self.tail.is_some_and(|tail| tail.first != *first);
            stays
        });
        self.dirty = dirty;
        if self.live.length == 0 {
            let may_stay = tail_exists && empty_priorities < EMPTY_PRIORITIES_MAX;
            self.tail = self.tail.filter(|tail| may_stay && is_small(*tail) && tail.last >= self.trim_point);
            return Ok(());
        }
        while let Some(tail) = self.tail {
            let all_deleted = self.tombstones.get(&tail.first).is_some_and(|tombstones| tombstones.all_deleted);
            if tail_exists && (!all_deleted || is_small(tail)) {
                return Ok(());
            }
            tail_exists = true;
            let previous = match before(tail.first) {
                Some(upto) => self.seek_back(access, upto)?,
                None => None,
            };
            // What still lives may be in rows that cannot be read.
            let damaged = self.damaged.range(..tail.first).next_back().map(|(_, extent)| *extent);
            self.tail = previous.map(|first| self.resident(first).extent()).or(damaged);
            self.bound_tail(tail.first);
        }
        Err(self.lost(self.trim_point))
    }

    /// Drops new entries that are all removed again; false when nothing is left to write.
    fn settle_dirty(&mut self, first: Index) -> bool {
        let Some(segment) = self.segments.get_mut(&first) else { return false };
        let Some(tombstones) = self.tombstones.get_mut(&first) else { return true };
        let stored_len = segment.stored.map_or(0, |stored| stored.count as usize);
        let stays = tombstones.next_live(stored_len) < segment.len();
        if stays {
            segment.compact(tombstones);
            self.tombstones.remove(&first);
        } else if segment.stored.is_none() {
            self.segments.remove(&first);
            self.tombstones.remove(&first);
            return false;
        } else {
            tombstones.truncate(stored_len, |place| segment.bytes_at(place));
            tombstones.all_deleted = tombstones.count == stored_len as u64;
            if tombstones.count == 0 {
                self.tombstones.remove(&first);
            }
            segment.truncate(stored_len);
            segment.dirty = false;
        }
        if self.tail.is_some_and(|tail| tail.first == first) {
            self.tail = Some(segment.extent());
        }
        stays
    }

    /// How many segments wait to be written.
    pub fn rows_to_write(&self) -> usize {
        self.dirty.len()
    }

    /// Carries out deletes and writes; says how many rows were written and deleted.
    pub fn write(
        &mut self,
        rows: &mut impl Rows,
        with_manifest: bool,
        mut row_of: impl FnMut(&mut Segment, Sums) -> SegmentRow,
    ) -> Result<(u64, u64), StoreError> {
        let (mut written, mut deleted) = (0, 0);
        if with_manifest {
            if core::mem::take(&mut self.trim_pending) {
                deleted += rows.delete_below(self.key, self.first_kept)?;
            }
            let tail = self.tail.map(|tail| tail.first);
            let spent = self.tombstones.iter().filter(|(first, of)| of.all_deleted && Some(**first) != tail);
            let spent: Vec<Index> = spent.map(|(first, _)| *first).collect();
            for first in spent {
                rows.delete_segment(self.key, first)?;
                self.tombstones.remove(&first);
                self.segments.remove(&first);
                deleted += 1;
            }
        }
        for first in core::mem::take(&mut self.dirty) {
            let segment = self.segments.get_mut(&first).expect("dirty segments stay in memory");
            rows.put_segment(self.key, row_of(segment, self.live))?;
            written += 1;
            // At the end of a long backlog it is out of the cache again long before anybody asks for it.
            let grows = self.tail.is_some_and(|tail| tail.first == first && is_small(tail));
            if self.live.bytes > LONG_PRIORITY_BYTES && !segment.sought && !grows {
                self.segments.remove(&first);
            }
        }
        Ok((written, deleted))
    }

    /// Rewrites a segment without its removed entries; false where its row is damaged.
    pub fn compact(&mut self, access: &mut Access<'_, impl Rows>, first: Index) -> Result<bool, StoreError> {
        if self.read(access, first)?.is_none() {
            return Ok(false);
        }
        let tombstones = self.tombstones.remove(&first).unwrap_or_default();
        let segment = self.segments.get_mut(&first).expect("it was read");
        segment.compact(&tombstones);
        if !core::mem::replace(&mut segment.dirty, true) {
            self.dirty.push(first);
        }
        if self.tail.is_some_and(|tail| tail.first == first) {
            self.tail = Some(segment.extent());
        }
        Ok(true)
    }
}
