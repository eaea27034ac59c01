//! Finding entries: in memory where that is sure to be right, else in rows. Damaged rows are passed over.

use super::{Access, PriorityLog, before};
use crate::queue::entry::{Entry, Index, Mark};
use crate::queue::refusal::StoreError;
use crate::store::checkpoint::Checkpoint;
use crate::store::format::segment_name;
use crate::store::rows::{Extent, Rows, SegmentRow};
use crate::store::segment::Segment;
use crate::store::tombstones::Tombstones;
use alloc::vec::Vec;

impl PriorityLog {
    /// The first live entry at `from` or after.
    pub fn next(&mut self, access: &mut Access<'_, impl Rows>, from: Index) -> Result<Option<Entry>, StoreError> {
        let (mut at, mut passed) = (from, None);
        while self.live.length > 0
            && let Some(first) = self.seek(access, at, passed)?
        {
            let segment = self.resident(first);
            let entry = segment.next_live(self.tombstones.get(&first), at.max(self.trim_point), self.key.priority);
            if entry.is_some() {
                return Ok(entry);
            }
            (at, passed) = (segment.last().next(), Some(first));
        }
        Ok(None)
    }

    /// The last live entry at `upto` or before.
    pub fn previous(&mut self, access: &mut Access<'_, impl Rows>, upto: Index) -> Result<Option<Entry>, StoreError> {
        let mut at = Some(upto);
        while let Some(upto) = at
            && self.live.length > 0
            && let Some(first) = self.seek_back(access, upto)?
        {
            let entry = self.resident(first).previous_live(self.tombstones.get(&first), upto, self.key.priority);
            if entry.is_some() {
                return Ok(entry);
            }
            at = before(first);
        }
        Ok(None)
    }

    /// The first live entry at `from` or after in a segment that has all of the tag hashes.
    pub fn next_tagged(
        &mut self,
        access: &mut Access<'_, impl Rows>,
        from: Index,
        hashes: &[Mark],
    ) -> Result<Option<Entry>, StoreError> {
        if hashes.is_empty() || self.live.length == 0 {
            return self.next(access, from);
        }
        let mut candidate = self.seek(access, from, None)?;
        while let Some(first) = candidate {
            let segment = self.segments.get_mut(&first).expect("a sought segment is in memory");
            if segment.tag_hashes.contain(hashes) {
                let from = from.max(self.trim_point);
                let entry = segment.next_live(self.tombstones.get(&first), from, self.key.priority);
                if entry.is_some() {
                    return Ok(entry);
                }
            }
            candidate = self.tagged_above(access, first, hashes)?;
        }
        Ok(None)
    }

    /// Segment and place of an index, looking into memory only.
    pub fn place_in_memory(&self, index: Index) -> Option<(Index, usize)> {
        let (first, segment) = self.segments.range(..=index).next_back()?;
        Some((*first, segment.place_of(index)?))
    }

    /// Segment and place of an index.
    pub fn place(
        &mut self,
        access: &mut Access<'_, impl Rows>,
        index: Index,
    ) -> Result<Option<(Index, usize)>, StoreError> {
        if self.live.length == 0 || index < self.trim_point {
            return Ok(None);
        }
        let Some(first) = self.seek(access, index, None)? else { return Ok(None) };
        Ok(self.resident(first).place_of(index).map(|place| (first, place)))
    }

    /// The first segment that ends at `at` or after. It lies behind the segment that was `passed`, if there is one.
    fn seek(
        &mut self,
        access: &mut Access<'_, impl Rows>,
        at: Index,
        passed: Option<Index>,
    ) -> Result<Option<Index>, StoreError> {
        let at = at.max(self.trim_point);
        if self.tail.is_none_or(|tail| tail.last < at) {
            return Ok(None);
        }
        access.cache.clock += 1;
        let covering = self.segments.range(..=at).next_back().filter(|(_, segment)| segment.last() >= at);
        let after = self.segments.range(at..).next().map(|(first, segment)| (*first, segment.clear_from));
        let found = match (covering, after) {
            (Some((first, _)), _) => Some(*first),
            (None, Some((first, clear_from))) if clear_from <= at => Some(first),
            (None, after) => {
                let after = after.map(|(first, _)| first);
                let stored = self.load_from(access, at, passed)?;
                stored.into_iter().chain(after).min()
            }
        };
        let Some(first) = found else {
            return if self.damaged.is_empty() { Err(self.lost(at)) } else { Ok(None) };
        };
        let segment = self.segments.get_mut(&first).expect("found in memory or kept there");
        segment.clear_from = segment.clear_from.min(at);
        segment.used = access.cache.clock;
        segment.sought = true;
        Ok(Some(first))
    }

    /// The first segment that ends at `at` or after and has a row, read from it. Keys alone decide which rows are read:
    /// a damaged column must not hide one.
    fn load_from(
        &mut self,
        access: &mut Access<'_, impl Rows>,
        at: Index,
        passed: Option<Index>,
    ) -> Result<Option<Index>, StoreError> {
        if passed.is_none()
            && let Some(row) = access.rows.segment_upto(self.key, at)?
            && row.extent.first >= self.first_kept
        {
            let first = row.extent.first;
            if self.keep(access, row) && self.resident(first).last() >= at {
                return Ok(Some(first));
            }
        }
        let mut above = passed.unwrap_or(at);
        while let Some(row) = access.rows.segment_above(self.key, above)? {
            above = row.extent.first;
            if self.keep(access, row) {
                return Ok(Some(above));
            }
        }
        Ok(None)
    }

    /// The last segment with a key at `at` or before that can be read and is not trimmed.
    pub(super) fn seek_back(
        &mut self,
        access: &mut Access<'_, impl Rows>,
        at: Index,
    ) -> Result<Option<Index>, StoreError> {
        let Some(tail) = self.tail else { return Ok(None) };
        access.cache.clock += 1;
        if at >= tail.first && self.read(access, tail.first)?.is_some() {
            return Ok(Some(tail.first).filter(|_| tail.last >= self.trim_point));
        }
        let resident = self.segments.range(..=at).next_back().map(|(first, segment)| (*first, segment.last()));
        let clear = self.segments.range(at.next()..).next().map(|(_, segment)| segment.clear_from);
        let found = match resident {
            Some((first, last)) if last >= at || clear.is_some_and(|clear| clear <= last.next()) => Some(first),
            _ => self.load_upto(access, at)?.into_iter().chain(resident.map(|(first, _)| first)).max(),
        };
        Ok(found.filter(|first| self.resident(*first).last() >= self.trim_point))
    }

    /// The last segment with a key at `at` or before that has a row, read from it.
    fn load_upto(&mut self, access: &mut Access<'_, impl Rows>, at: Index) -> Result<Option<Index>, StoreError> {
        let mut at = Some(at);
        while let Some(upto) = at
            && let Some(row) = access.rows.segment_upto(self.key, upto)?
            && row.extent.first >= self.first_kept
        {
            let first = row.extent.first;
            if self.keep(access, row) {
                return Ok(Some(first));
            }
            at = before(first);
        }
        Ok(None)
    }

    /// The first segment after `above` that may have all of the tag hashes.
    fn tagged_above(
        &mut self,
        access: &mut Access<'_, impl Rows>,
        above: Index,
        hashes: &[Mark],
    ) -> Result<Option<Index>, StoreError> {
        let mut at = above;
        let stored = loop {
            let row = access.rows.segment_tagged(self.key, at, hashes)?;
            let Some(row) = row.filter(|row| self.tail.is_some_and(|tail| row.extent.first <= tail.first)) else {
                break None;
            };
            at = row.extent.first;
            if at >= self.first_kept && self.keep(access, row) {
                break Some(at);
            }
        };
        let mut unflushed = self.dirty.iter().copied().filter(|first| *first > above).min();
        while let Some(first) = unflushed {
            if self.segments.get_mut(&first).is_some_and(|segment| segment.tag_hashes.contain(hashes)) {
                break;
            }
            unflushed = self.dirty.iter().copied().filter(|next| *next > first).min();
        }
        Ok(stored.into_iter().chain(unflushed).min())
    }

    /// The segment with this key, from memory or its row; none where the row is damaged.
    pub fn read(
        &mut self,
        access: &mut Access<'_, impl Rows>,
        first: Index,
    ) -> Result<Option<&mut Segment>, StoreError> {
        if self.damaged.contains_key(&first) {
            return Ok(None);
        }
        if !self.segments.contains_key(&first) {
            let row = access.rows.segment_upto(self.key, first)?.filter(|row| row.extent.first == first);
            if !self.keep(access, row.ok_or_else(|| self.lost(first))?) {
                return Ok(None);
            }
        }
        let segment = self.segments.get_mut(&first).expect("it was kept in memory");
        segment.used = access.cache.clock;
        Ok(Some(segment))
    }

    /// Takes a row into memory, unless the segment is there already; false where the row is damaged, which is reported.
    fn keep<R>(&mut self, access: &mut Access<'_, R>, row: SegmentRow) -> bool {
        let extent = row.extent;
        let first = extent.first;
        if self.segments.contains_key(&first) {
            return true;
        }
        if self.damaged.contains_key(&first) {
            return false;
        }
        let (checkpoint, mut damage) = (row.checkpoint.clone(), Vec::new());
        let removed = self.tombstones.get(&first).map_or(0, Tombstones::end);
        let segment = match Segment::decode(self.key, row, &mut damage) {
            Ok(segment) if removed <= segment.len() => Some(segment),
            Ok(_) => {
                let what = "more entries were removed from it than it has";
                damage.push(StoreError::corrupt(segment_name(self.key, first), what));
                None
            }
            Err(error) => {
                damage.push(error);
                None
            }
        };
        access.damage.report(first, damage);
        let is_readable = segment.is_some();
        match segment {
            Some(segment) => {
                access.cache.bytes += segment.cost();
                self.segments.insert(first, segment);
            }
            None => {
                // Where its columns are damaged too, nobody knows how far it reaches.
                let is_known = Checkpoint::decode(self.key, &extent, &checkpoint).is_ok();
                let last = if is_known { extent.last } else { Index(u64::MAX) };
                self.damaged.insert(first, Extent { last, ..extent });
            }
        }
        is_readable
    }
}
