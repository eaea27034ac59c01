//! One lane: its segments in rows, those of them in memory, and its removed entries.

use super::holes::Hole;
use super::limits::{EMPTY_LANES_MAX, LONG_LANE_BYTES, SMALL_BYTES, SMALL_ENTRIES, SMALL_MARKS};
use super::rows::{Extent, LaneKey, Rows, SegmentRow};
use super::segment::Segment;
use crate::queue::entry::{Entry, Index, Mark};
use crate::queue::refusal::StoreError;
use alloc::{collections::BTreeMap, format, vec::Vec};

/// Live entries and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub length: u64,
    pub bytes: u64,
}

impl Sums {
    pub fn add(&mut self, other: Self) {
        self.length += other.length;
        self.bytes += other.bytes;
    }

    /// Fails where stored sums contradict each other.
    pub fn take(&mut self, other: Self) -> Result<(), StoreError> {
        let length = self.length.checked_sub(other.length);
        let bytes = self.bytes.checked_sub(other.bytes);
        let (Some(length), Some(bytes)) = (length, bytes) else {
            return Err(StoreError("more was removed from a lane than it holds".into()));
        };
        *self = Self { length, bytes };
        Ok(())
    }
}

/// What all lanes of a side share in memory.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// Upper bound of what decoded segments take, in bytes.
    pub bytes: usize,
    /// What they may take.
    pub bytes_max: usize,
    /// Counts uses, to know the oldest.
    pub clock: u64,
}

/// What a lane needs to reach its rows.
pub(super) struct Desk<'a, R> {
    pub rows: &'a mut R,
    pub cache: &'a mut Cache,
}

/// One lane of one side.
///
/// Invariants: a segment whose row must be written is in `segments` and in `dirty`; a hole belongs to a segment that has
/// a row or is dirty; rows below `floor` are gone as soon as `cut` is carried out.
pub(super) struct LaneLog {
    pub key: LaneKey,
    pub live: Sums,
    /// The last segment: the only one that takes entries. It may have no live ones.
    pub tail: Option<Extent>,
    /// Every entry below is removed.
    floor: Index,
    /// Whether rows below the floor must be deleted.
    cut: bool,
    pub holes: BTreeMap<Index, Hole>,
    pub segments: BTreeMap<Index, Segment>,
    dirty: Vec<Index>,
}

impl LaneLog {
    pub fn new(key: LaneKey, live: Sums, tail: Option<Extent>) -> Self {
        Self {
            key,
            live,
            tail,
            floor: Index(0),
            cut: false,
            holes: BTreeMap::new(),
            segments: BTreeMap::new(),
            dirty: Vec::new(),
        }
    }

    /// The first live entry at `from` or after.
    pub fn next(&mut self, desk: &mut Desk<'_, impl Rows>, from: Index) -> Result<Option<Entry>, StoreError> {
        let mut at = from;
        while self.live.length > 0
            && let Some(first) = self.seek(desk, at)?
        {
            let segment = &self.segments[&first];
            let entry = segment.next_live(self.holes.get(&first), at.max(self.floor), self.key.lane);
            if entry.is_some() {
                return Ok(entry);
            }
            at = segment.last().next();
        }
        Ok(None)
    }

    /// The last live entry at `upto` or before.
    pub fn previous(&mut self, desk: &mut Desk<'_, impl Rows>, upto: Index) -> Result<Option<Entry>, StoreError> {
        let mut at = Some(upto);
        while let Some(upto) = at
            && self.live.length > 0
            && let Some(first) = self.seek_back(desk, upto)?
        {
            let entry = self.segments[&first].previous_live(self.holes.get(&first), upto, self.key.lane);
            if entry.is_some() {
                return Ok(entry);
            }
            at = before(first);
        }
        Ok(None)
    }

    /// The first live entry at `from` or after in a segment that has all of the marks.
    pub fn next_marked(
        &mut self,
        desk: &mut Desk<'_, impl Rows>,
        from: Index,
        marks: &[Mark],
    ) -> Result<Option<Entry>, StoreError> {
        if marks.is_empty() || self.live.length == 0 {
            return self.next(desk, from);
        }
        let mut candidate = self.seek(desk, from)?;
        while let Some(first) = candidate {
            let segment = self.segments.get_mut(&first).expect("a sought segment is in memory");
            if segment.marks.contain(marks) {
                let entry = segment.next_live(self.holes.get(&first), from.max(self.floor), self.key.lane);
                if entry.is_some() {
                    return Ok(entry);
                }
            }
            candidate = self.marked_above(desk, first, marks)?;
        }
        Ok(None)
    }

    /// Where an index is, looking into memory only.
    pub fn place_in_memory(&self, index: Index) -> Option<(Index, usize)> {
        let (first, segment) = self.segments.range(..=index).next_back()?;
        Some((*first, segment.place_of(index)?))
    }

    /// Where an index is.
    pub fn place(
        &mut self,
        desk: &mut Desk<'_, impl Rows>,
        index: Index,
    ) -> Result<Option<(Index, usize)>, StoreError> {
        if self.live.length == 0 || index < self.floor {
            return Ok(None);
        }
        let Some(first) = self.seek(desk, index)? else { return Ok(None) };
        Ok(self.segments[&first].place_of(index).map(|place| (first, place)))
    }

    /// The live entry at a place.
    pub fn entry(&self, first: Index, place: usize) -> Option<Entry> {
        if self.holes.get(&first).is_some_and(|hole| hole.has(place)) {
            return None;
        }
        self.segments.get(&first)?.entry(place, self.key.lane)
    }

    /// Appends an entry: to the tail while that is small or growing in this flush, else to a new segment.
    pub fn append(&mut self, desk: &mut Desk<'_, impl Rows>, entry: Entry, marks: &[Mark]) -> Result<(), StoreError> {
        let first = match self.open_tail(desk, &entry, marks)? {
            Some(first) => first,
            None => {
                let clear_from = self.tail.map_or(Index(0), |tail| tail.last.next());
                self.segments.insert(entry.index, Segment::new(entry.index, clear_from));
                entry.index
            }
        };
        self.live.add(Sums { length: 1, bytes: entry.bytes() });
        desk.cache.bytes += entry.frame.len() + 64;
        let segment = self.segments.get_mut(&first).expect("opened or inserted above");
        if segment.push(entry, marks) {
            self.dirty.push(first);
        }
        segment.used = desk.cache.clock;
        self.tail = Some(segment.extent());
        if let Some(hole) = self.holes.get_mut(&first) {
            hole.whole = false;
        }
        Ok(())
    }

    /// Removes the entry at a place; nothing when it is removed already.
    pub fn remove(&mut self, first: Index, place: usize) -> Result<Sums, StoreError> {
        let segment = &self.segments[&first];
        let removed = Sums { length: 1, bytes: segment.bytes_at(place) };
        let hole = self.holes.entry(first).or_default();
        if !hole.add(place, removed.bytes) {
            return Ok(Sums::default());
        }
        hole.whole = hole.count == segment.len() as u64;
        self.live.take(removed)?;
        Ok(removed)
    }

    /// Removes every entry below `below`. Whole segments go by their sums; at most one is read.
    pub fn remove_below(&mut self, desk: &mut Desk<'_, impl Rows>, below: Index) -> Result<Sums, StoreError> {
        let Some(tail) = self.tail else { return Ok(Sums::default()) };
        if self.live.length == 0 || below <= self.floor {
            return Ok(Sums::default());
        }
        if below > tail.last {
            let removed = core::mem::take(&mut self.live);
            self.segments.clear();
            self.holes.clear();
            self.dirty.clear();
            (self.tail, self.floor, self.cut) = (None, below, true);
            return Ok(removed);
        }
        let straddler = self.straddler(desk, below)?;
        let (mut removed, has_rows) = self.sums_below(desk, below, straddler)?;
        self.cut |= has_rows;
        self.live.take(removed)?;
        self.segments.retain(|first, _| *first >= below || Some(*first) == straddler);
        self.holes.retain(|first, _| *first >= below || Some(*first) == straddler);
        self.dirty.retain(|first| *first >= below || Some(*first) == straddler);
        if let Some(first) = straddler {
            let end = self.segments[&first].place_from(below);
            for place in 0..end {
                removed.add(self.remove(first, place)?);
            }
        }
        self.floor = below;
        Ok(removed)
    }

    /// How many live entries there are below `below`. Reads one segment; of the others only sums.
    pub fn live_below(&mut self, desk: &mut Desk<'_, impl Rows>, below: Index) -> Result<u64, StoreError> {
        if self.live.length == 0 || below <= self.floor {
            return Ok(0);
        }
        if self.tail.is_some_and(|tail| tail.last < below) {
            return Ok(self.live.length);
        }
        let straddler = self.straddler(desk, below)?;
        let (whole, _) = self.sums_below(desk, below, straddler)?;
        let part = straddler.map_or(0, |first| {
            let hole = self.holes.get(&first);
            let segment = &self.segments[&first];
            let places = segment.place_from(self.floor)..segment.place_from(below);
            places.filter(|place| hole.is_none_or(|hole| !hole.has(*place))).count()
        });
        Ok(whole.length + part as u64)
    }

    /// The segment that has entries on both sides of a border.
    fn straddler(&mut self, desk: &mut Desk<'_, impl Rows>, below: Index) -> Result<Option<Index>, StoreError> {
        Ok(match before(below) {
            Some(upto) => self.seek_back(desk, upto)?.filter(|first| self.segments[first].last() >= below),
            None => None,
        })
    }

    /// Live entries of the segments that end below `below`: what the rows say, corrected by what is not in them yet. And
    /// whether there are such rows.
    fn sums_below(
        &mut self,
        desk: &mut Desk<'_, impl Rows>,
        below: Index,
        straddler: Option<Index>,
    ) -> Result<(Sums, bool), StoreError> {
        let rows = desk.rows.sums(self.key, self.floor, below)?;
        let mut live = Sums { length: rows.count, bytes: rows.bytes };
        let mut gone = Sums::default();
        for first in self.dirty.iter().filter(|first| **first < below) {
            let segment = &self.segments[first];
            if let Some(stored) = segment.stored
                && (self.floor..below).contains(&stored.last)
            {
                gone.add(Sums { length: stored.count, bytes: stored.bytes });
            }
            if Some(*first) != straddler {
                let extent = segment.extent();
                live.add(Sums { length: extent.count, bytes: extent.bytes });
            }
        }
        for (first, hole) in self.holes.range(..below) {
            if Some(*first) != straddler {
                gone.add(Sums { length: hole.count, bytes: hole.bytes });
            }
        }
        live.take(gone)?;
        Ok((live, rows.rows > 0))
    }

    /// Key of the tail if it takes the entry.
    fn open_tail(
        &mut self,
        desk: &mut Desk<'_, impl Rows>,
        entry: &Entry,
        marks: &[Mark],
    ) -> Result<Option<Index>, StoreError> {
        let Some(tail) = self.tail else { return Ok(None) };
        let growing = self.segments.get(&tail.first).is_some_and(|segment| segment.dirty);
        if !growing && !is_small(tail) {
            return Ok(None);
        }
        let segment = self.read(desk, tail.first)?;
        let takes = (growing || segment.marks.len() < SMALL_MARKS) && segment.fits(entry, marks);
        Ok(takes.then_some(tail.first))
    }

    /// The first segment that ends at `at` or after.
    fn seek(&mut self, desk: &mut Desk<'_, impl Rows>, at: Index) -> Result<Option<Index>, StoreError> {
        let at = at.max(self.floor);
        if self.tail.is_none_or(|tail| tail.last < at) {
            return Ok(None);
        }
        desk.cache.clock += 1;
        if let Some((first, segment)) = self.segments.range_mut(..=at).next_back()
            && segment.last() >= at
        {
            segment.used = desk.cache.clock;
            segment.sought = true;
            return Ok(Some(*first));
        }
        let after = self.segments.range(at..).next().map(|(first, segment)| (*first, segment.clear_from));
        let first = match after {
            Some((first, clear_from)) if clear_from <= at => first,
            _ => match desk.rows.segment_from(self.key, at)? {
                Some(row) if after.is_none_or(|(first, _)| row.extent.first < first) => self.keep(desk, row)?,
                _ => after.ok_or_else(|| self.lost(at))?.0,
            },
        };
        let segment = self.segments.get_mut(&first).expect("kept or found above");
        segment.clear_from = segment.clear_from.min(at);
        segment.used = desk.cache.clock;
        segment.sought = true;
        Ok(Some(first))
    }

    /// The last segment whose key is at `at` or before and that does not end below the floor.
    pub fn seek_back(&mut self, desk: &mut Desk<'_, impl Rows>, at: Index) -> Result<Option<Index>, StoreError> {
        let Some(tail) = self.tail else { return Ok(None) };
        desk.cache.clock += 1;
        if at >= tail.first {
            self.read(desk, tail.first)?;
            return Ok(Some(tail.first).filter(|_| tail.last >= self.floor));
        }
        let resident = self.segments.range(..=at).next_back().map(|(first, segment)| (*first, segment.last()));
        let clear = self.segments.range(at.next()..).next().map(|(_, segment)| segment.clear_from);
        let found = match resident {
            Some((first, last)) if last >= at || clear.is_some_and(|clear| clear <= last.next()) => Some(first),
            _ => match desk.rows.segment_upto(self.key, at)? {
                Some(row) if row.extent.last < self.floor => resident.map(|(first, _)| first),
                Some(row) if resident.is_none_or(|(first, _)| row.extent.first > first) => Some(self.keep(desk, row)?),
                _ => resident.map(|(first, _)| first),
            },
        };
        Ok(found.filter(|first| self.segments[first].last() >= self.floor))
    }

    /// The first segment after `above` that may have all of the marks.
    fn marked_above(
        &mut self,
        desk: &mut Desk<'_, impl Rows>,
        above: Index,
        marks: &[Mark],
    ) -> Result<Option<Index>, StoreError> {
        let row = desk.rows.segment_marked(self.key, above, marks)?;
        let row = row.filter(|row| self.tail.is_some_and(|tail| row.extent.first <= tail.first));
        let mut unflushed = self.dirty.iter().copied().filter(|first| *first > above).min();
        while let Some(first) = unflushed {
            if self.segments.get_mut(&first).is_some_and(|segment| segment.marks.contain(marks)) {
                break;
            }
            unflushed = self.dirty.iter().copied().filter(|next| *next > first).min();
        }
        match row {
            Some(row) if unflushed.is_none_or(|first| row.extent.first < first) => {
                let first = row.extent.first;
                if !self.segments.contains_key(&first) {
                    self.keep(desk, row)?;
                }
                Ok(Some(first))
            }
            _ => Ok(unflushed),
        }
    }

    /// The segment with this key, from memory or its row.
    pub fn read(&mut self, desk: &mut Desk<'_, impl Rows>, first: Index) -> Result<&mut Segment, StoreError> {
        if !self.segments.contains_key(&first) {
            let row = desk.rows.segment_upto(self.key, first)?.filter(|row| row.extent.first == first);
            self.keep(desk, row.ok_or_else(|| self.lost(first))?)?;
        }
        let segment = self.segments.get_mut(&first).expect("kept above");
        segment.used = desk.cache.clock;
        Ok(segment)
    }

    fn keep(&mut self, desk: &mut Desk<'_, impl Rows>, row: SegmentRow) -> Result<Index, StoreError> {
        let segment = Segment::decode(row)?;
        let first = segment.extent().first;
        if self.holes.get(&first).is_some_and(|hole| hole.end() > segment.len()) || self.segments.contains_key(&first) {
            return Err(self.lost(first));
        }
        desk.cache.bytes += segment.cost();
        self.segments.insert(first, segment);
        Ok(first)
    }

    fn lost(&self, at: Index) -> StoreError {
        StoreError(format!("lane {} has no usable segment at index {} where it must have one", self.key.lane.0, at.0))
    }
}

/// What a flush does with a lane.
impl LaneLog {
    /// Before a flush that writes the ledger: drops what was appended and removed at once, folds what is written anyway,
    /// and lets go of a tail without live entries unless the next put can use it.
    pub fn settle(&mut self, desk: &mut Desk<'_, impl Rows>, empty_lanes: usize) -> Result<(), StoreError> {
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
            let may_stay = tail_exists && empty_lanes < EMPTY_LANES_MAX;
            self.tail = self.tail.filter(|tail| may_stay && is_small(*tail) && tail.last >= self.floor);
            return Ok(());
        }
        while let Some(tail) = self.tail {
            let whole = self.holes.get(&tail.first).is_some_and(|hole| hole.whole);
            if tail_exists && (!whole || is_small(tail)) {
                return Ok(());
            }
            tail_exists = true;
            let previous = match before(tail.first) {
                Some(upto) => self.seek_back(desk, upto)?,
                None => None,
            };
            self.tail = previous.map(|first| self.segments[&first].extent());
        }
        Err(self.lost(self.floor))
    }

    /// Drops new entries that are all removed again; false when nothing is left to write.
    fn settle_dirty(&mut self, first: Index) -> bool {
        let Some(segment) = self.segments.get_mut(&first) else { return false };
        let Some(hole) = self.holes.get_mut(&first) else { return true };
        let stored_len = segment.stored.map_or(0, |stored| stored.count as usize);
        let stays = hole.next_full(stored_len) < segment.len();
        if stays {
            segment.fold(hole);
            self.holes.remove(&first);
        } else if segment.stored.is_none() {
            self.segments.remove(&first);
            self.holes.remove(&first);
            return false;
        } else {
            hole.truncate(stored_len, |place| segment.bytes_at(place));
            hole.whole = hole.count == stored_len as u64;
            if hole.count == 0 {
                self.holes.remove(&first);
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
        with_ledger: bool,
        mut row_of: impl FnMut(&mut Segment, Sums) -> Result<SegmentRow, StoreError>,
    ) -> Result<(u64, u64), StoreError> {
        let (mut written, mut deleted) = (0, 0);
        if with_ledger {
            if core::mem::take(&mut self.cut) {
                deleted += rows.delete_below(self.key, self.floor)?;
            }
            let tail = self.tail.map(|tail| tail.first);
            let spent = self.holes.iter().filter(|(first, hole)| hole.whole && Some(**first) != tail);
            let spent: Vec<Index> = spent.map(|(first, _)| *first).collect();
            for first in spent {
                rows.delete_segment(self.key, first)?;
                self.holes.remove(&first);
                self.segments.remove(&first);
                deleted += 1;
            }
        }
        for first in core::mem::take(&mut self.dirty) {
            let segment = self.segments.get_mut(&first).expect("dirty segments stay in memory");
            rows.put_segment(self.key, row_of(segment, self.live)?)?;
            written += 1;
            // At the end of a long lane it is out of the cache again long before anybody asks for it.
            let grows = self.tail.is_some_and(|tail| tail.first == first && is_small(tail));
            if self.live.bytes > LONG_LANE_BYTES && !segment.sought && !grows {
                self.segments.remove(&first);
            }
        }
        Ok((written, deleted))
    }

    /// Rewrites a segment without its removed entries.
    pub fn fold(&mut self, desk: &mut Desk<'_, impl Rows>, first: Index) -> Result<(), StoreError> {
        self.read(desk, first)?;
        let hole = self.holes.remove(&first).unwrap_or_default();
        let segment = self.segments.get_mut(&first).expect("read above");
        segment.fold(&hole);
        if !core::mem::replace(&mut segment.dirty, true) {
            self.dirty.push(first);
        }
        if self.tail.is_some_and(|tail| tail.first == first) {
            self.tail = Some(segment.extent());
        }
        Ok(())
    }
}

fn is_small(extent: Extent) -> bool {
    extent.count < SMALL_ENTRIES && extent.bytes < SMALL_BYTES
}

fn before(index: Index) -> Option<Index> {
    index.0.checked_sub(1).map(Index)
}
