//! Entries are added at the tail and removed anywhere.

use super::{Access, PriorityLog, Sums, is_small};
use crate::queue::entry::{Entry, Index, Mark};
use crate::queue::refusal::StoreError;
use crate::store::limits::SMALL_TAG_HASHES;
use crate::store::rows::Rows;
use crate::store::segment::Segment;

impl PriorityLog {
    /// Appends an entry: to the tail while that is small or growing in this flush, else to a new segment.
    pub fn append(
        &mut self,
        access: &mut Access<'_, impl Rows>,
        entry: Entry,
        hashes: &[Mark],
    ) -> Result<(), StoreError> {
        assert!(self.tail.is_none_or(|tail| tail.first < entry.index), "an entry is appended behind all others");
        let first = match self.open_tail(access, &entry, hashes)? {
            Some(first) => first,
            None => {
                let clear_from = self.tail.map_or(Index(0), |tail| tail.last.next());
                self.segments.insert(entry.index, Segment::new(entry.index, clear_from));
                entry.index
            }
        };
        self.live.add(Sums { length: 1, bytes: entry.bytes() });
        access.cache.bytes += entry.frame.len() + 64;
        let segment = self.segments.get_mut(&first).expect("it was opened or inserted");
        if segment.push(entry, hashes) {
            self.dirty.push(first);
        }
        segment.used = access.cache.clock;
        self.tail = Some(segment.extent());
        if let Some(tombstones) = self.tombstones.get_mut(&first) {
            tombstones.all_deleted = false;
        }
        Ok(())
    }

    /// Key of the tail if it takes the entry. One that is damaged takes none.
    fn open_tail(
        &mut self,
        access: &mut Access<'_, impl Rows>,
        entry: &Entry,
        hashes: &[Mark],
    ) -> Result<Option<Index>, StoreError> {
        let Some(tail) = self.tail else { return Ok(None) };
        let growing = self.segments.get(&tail.first).is_some_and(|segment| segment.dirty);
        if !growing && !is_small(tail) {
            return Ok(None);
        }
        let Some(segment) = self.read(access, tail.first)? else { return Ok(None) };
        let takes = (growing || segment.tag_hashes.len() < SMALL_TAG_HASHES) && segment.fits(entry, hashes);
        Ok(takes.then_some(tail.first))
    }

    /// Removes the entry at a place; says what that took away, nothing where it was removed already.
    pub fn remove(&mut self, first: Index, place: usize) -> Result<Sums, StoreError> {
        let segment = self.resident(first);
        let (removed, len) = (Sums { length: 1, bytes: segment.bytes_at(place) }, segment.len() as u64);
        let tombstones = self.tombstones.entry(first).or_default();
        if !tombstones.add(place, removed.bytes) {
            return Ok(Sums::default());
        }
        tombstones.all_deleted = tombstones.count == len;
        self.live.take(removed)?;
        Ok(removed)
    }
}
