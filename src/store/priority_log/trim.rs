//! Removing everything below an index, and counting what lives there: whole segments by their sums, entries only in the
//! boundary segment.

use super::{Access, PriorityLog, Sums, before};
use crate::queue::entry::Index;
use crate::queue::refusal::StoreError;
use crate::store::format::segment_name;
use crate::store::rows::Rows;

/// Where segments end that lie below an index.
struct Boundary {
    /// The lowest key of a segment with entries at the index or after.
    first_kept: Index,
    /// That segment, if it has entries below the index as well.
    segment: Option<Index>,
}

/// What lies in the segments below a key.
#[derive(Default)]
struct Below {
    /// Live entries, without those of rows whose columns are damaged.
    live: Sums,
    has_rows: bool,
    /// Whether the columns of a row are damaged.
    is_damaged: bool,
}

impl PriorityLog {
    /// Removes every entry below `below`; says what that took away. At most one segment is read.
    pub fn remove_below(&mut self, access: &mut Access<'_, impl Rows>, below: Index) -> Result<Sums, StoreError> {
        let Some(tail) = self.tail else { return Ok(Sums::default()) };
        if below <= self.trim_point || self.live.length == 0 && self.damaged.is_empty() {
            return Ok(Sums::default());
        }
        if below > tail.last {
            let removed = core::mem::take(&mut self.live);
            self.segments.clear();
            self.tombstones.clear();
            self.damaged.clear();
            self.dirty.clear();
            // Not beyond what exists: entries with higher indexes may follow before the flush.
            let end = below.min(tail.last.next());
            (self.tail, self.trim_point, self.first_kept, self.trim_pending) = (None, end, end, true);
            return Ok(removed);
        }
        let boundary = self.boundary(access, below)?;
        let Below { live: mut removed, has_rows, is_damaged } = self.below(access, boundary.first_kept)?;
        if is_damaged {
            let row = segment_name(self.key, self.first_kept);
            let what = "its columns or those of one after it are wrong, so that its entries cannot be counted; \
                        truncate the whole queue to be rid of it";
            return Err(StoreError::corrupt(row, what));
        }
        self.trim_pending |= has_rows;
        self.live.take(removed)?;
        self.segments.retain(|first, _| *first >= boundary.first_kept);
        self.tombstones.retain(|first, _| *first >= boundary.first_kept);
        self.damaged.retain(|first, _| *first >= boundary.first_kept);
        self.dirty.retain(|first| *first >= boundary.first_kept);
        self.first_kept = self.first_kept.max(boundary.first_kept);
        if let Some(first) = boundary.segment {
            let end = self.resident(first).place_from(below);
            for place in 0..end {
                removed.add(self.remove(first, place)?);
            }
        }
        self.trim_point = below;
        Ok(removed)
    }

    /// Whether rows are to be deleted that a trim left behind.
    pub fn trim_pending(&self) -> bool {
        self.trim_pending
    }

    /// How many live entries there are below `below`. Reads one segment; of the others only sums,
    /// and none of a row whose columns are damaged.
    pub fn live_below(&mut self, access: &mut Access<'_, impl Rows>, below: Index) -> Result<u64, StoreError> {
        if self.live.length == 0 || below <= self.trim_point {
            return Ok(0);
        }
        if self.tail.is_some_and(|tail| tail.last < below) {
            return Ok(self.live.length);
        }
        let boundary = self.boundary(access, below)?;
        let whole = self.below(access, boundary.first_kept)?.live;
        let part = boundary.segment.map_or(0, |first| {
            let (tombstones, segment) = (self.tombstones.get(&first), self.resident(first));
            let places = segment.place_from(self.trim_point)..segment.place_from(below);
            places.filter(|place| tombstones.is_none_or(|tombstones| !tombstones.contains(*place))).count()
        });
        Ok(whole.length + part as u64)
    }

    fn boundary(&mut self, access: &mut Access<'_, impl Rows>, below: Index) -> Result<Boundary, StoreError> {
        let found = match before(below) {
            Some(upto) => self.seek_back(access, upto)?,
            None => None,
        };
        if let Some(first) = found
            && self.resident(first).last() >= below
        {
            return Ok(Boundary { first_kept: first, segment: Some(first) });
        }
        // A damaged one that may reach beyond the index stays whole.
        let mut damaged = self.damaged.range(found.unwrap_or_default()..below).rev();
        let damaged = damaged.find(|(_, extent)| extent.last >= below);
        Ok(Boundary { first_kept: damaged.map_or(below, |(first, _)| *first), segment: None })
    }

    /// What lies in the segments with a key below `end`: what the rows say, corrected by what is not in them yet.
    fn below(&self, access: &mut Access<'_, impl Rows>, end: Index) -> Result<Below, StoreError> {
        if end <= self.first_kept {
            return Ok(Below::default());
        }
        let rows = access.rows.sums(self.key, self.first_kept, end)?;
        let mut live = Sums { length: rows.count, bytes: rows.bytes };
        let mut gone = Sums::default();
        for first in self.dirty.iter().filter(|first| **first < end) {
            let segment = self.resident(*first);
            gone.add(segment.stored.map(Sums::from).unwrap_or_default());
            live.add(segment.extent().into());
        }
        for tombstones in self.tombstones.range(..end).map(|(_, tombstones)| tombstones) {
            gone.add(tombstones.into());
        }
        let is_damaged = rows.damaged > 0;
        match is_damaged {
            true => live.take_at_most(gone),
            false => live.take(gone)?,
        }
        Ok(Below { live, has_rows: rows.rows > 0, is_damaged })
    }
}
