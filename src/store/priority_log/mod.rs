//! One priority of one side: its segments in rows, those of them in memory, and the tombstones of its removed entries.
//!
//! `seek` finds and reads segments, `append` adds and removes entries, `trim` removes all below an index, `flush`
//! decides what is written.

mod append;
mod flush;
mod seek;
mod trim;

use super::checkpoint::{Checkpoint, repeats_columns};
use super::damage::Damage;
use super::limits::{SEGMENT_ENTRIES_MAX, SMALL_BYTES, SMALL_ENTRIES};
use super::rows::{Extent, PriorityKey, Rows};
use super::segment::Segment;
use super::tombstones::Tombstones;
use crate::queue::entry::{Entry, Index};
use crate::queue::refusal::StoreError;
use alloc::{collections::BTreeMap, vec::Vec};

/// Live entries and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub length: u64,
    pub bytes: u64,
}

impl Sums {
    pub fn add(&mut self, other: Self) {
        self.length = self.length.saturating_add(other.length);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// Fails where stored sums contradict each other.
    pub fn take(&mut self, other: Self) -> Result<(), StoreError> {
        let length = self.length.checked_sub(other.length);
        let bytes = self.bytes.checked_sub(other.bytes);
        let (Some(length), Some(bytes)) = (length, bytes) else {
            return Err(StoreError::Contradiction("more was removed from a priority than it holds".into()));
        };
        *self = Self { length, bytes };
        Ok(())
    }

    /// Takes what may not all be counted here, because rows are damaged.
    pub fn take_at_most(&mut self, other: Self) {
        self.length = self.length.saturating_sub(other.length);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

impl From<Extent> for Sums {
    fn from(extent: Extent) -> Self {
        Self { length: extent.count, bytes: extent.bytes }
    }
}

impl From<&Tombstones> for Sums {
    fn from(tombstones: &Tombstones) -> Self {
        Self { length: tombstones.count, bytes: tombstones.bytes }
    }
}

/// What all priorities of a side share in memory.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// Upper bound of what decoded segments take, in bytes.
    pub bytes: usize,
    /// What they may take.
    pub bytes_max: usize,
    /// Counts uses, to know the oldest.
    pub clock: u64,
}

/// What a priority needs to reach its rows.
pub(super) struct Access<'a, R> {
    pub rows: &'a mut R,
    pub cache: &'a mut Cache,
    pub damage: &'a mut Damage,
}

/// One priority of one side.
///
/// Invariants: a segment whose row must be written is in `segments` and in `dirty`; tombstones belong to a segment that
/// has a row or is dirty; rows with a key below `first_kept` are gone once a pending trim is carried out.
pub(super) struct PriorityLog {
    pub key: PriorityKey,
    pub live: Sums,
    /// The last segment: the only one that takes entries. It may have no live ones.
    pub tail: Option<Extent>,
    /// Every entry below is removed.
    trim_point: Index,
    /// Every row with a key below is to be deleted.
    first_kept: Index,
    trim_pending: bool,
    pub tombstones: BTreeMap<Index, Tombstones>,
    pub segments: BTreeMap<Index, Segment>,
    /// Rows that cannot be read, as far as they were met. They are passed over and stay as they are.
    damaged: BTreeMap<Index, Extent>,
    dirty: Vec<Index>,
}

/// A priority as it was found.
pub(super) struct Opened {
    pub log: PriorityLog,
    /// The last one that can be read.
    pub checkpoint: Option<Checkpoint>,
    /// Set where that is not the tail's: the live entries must be [counted](PriorityLog::recount).
    pub uncounted: Option<Sums>,
}

impl PriorityLog {
    pub fn new(key: PriorityKey) -> Self {
        Self {
            key,
            live: Sums::default(),
            tail: None,
            trim_point: Index(0),
            first_kept: Index(0),
            trim_pending: false,
            tombstones: BTreeMap::new(),
            segments: BTreeMap::new(),
            damaged: BTreeMap::new(),
            dirty: Vec::new(),
        }
    }

    /// Opens what the rows hold, from the last checkpoint that can be read.
    pub fn open(key: PriorityKey, access: &mut Access<'_, impl Rows>) -> Result<Opened, StoreError> {
        let mut log = Self::new(key);
        let (mut below, mut uncounted) = (Index(u64::MAX), None);
        while let Some((extent, stored)) = access.rows.checkpoint_below(key, below)? {
            let error = match Checkpoint::decode(key, &extent, &stored) {
                Ok(checkpoint) => {
                    log.tail = log.tail.or(Some(extent));
                    return Ok(Opened { log, checkpoint: Some(checkpoint), uncounted });
                }
                Err(error) => error,
            };
            access.damage.report(extent.first, [error]);
            below = extent.first;
            // Its columns are not to be trusted, but its entries may be in order.
            let readable = log.read(access, extent.first)?.map(|segment| segment.extent());
            let uncounted = uncounted.get_or_insert_default();
            if let Some(extent) = readable.filter(|_| !repeats_columns(key.priority, &extent, &stored)) {
                uncounted.add(extent.into());
            }
            log.tail = log.tail.or(readable).or_else(|| log.damaged.get(&extent.first).copied());
        }
        Ok(Opened { log, checkpoint: None, uncounted })
    }

    /// Counts the live entries, as far as rows can be read: what their columns say, and what `uncounted` says of rows
    /// whose columns are damaged, less the tombstones.
    pub fn recount(&mut self, access: &mut Access<'_, impl Rows>, uncounted: Sums) -> Result<(), StoreError> {
        let rows = access.rows.sums(self.key, Index(0), Index(u64::MAX))?;
        self.live = Sums { length: rows.count, bytes: rows.bytes };
        self.live.add(uncounted);
        self.tombstones.values().for_each(|tombstones| self.live.take_at_most(tombstones.into()));
        Ok(())
    }

    /// A damaged tail does not end beyond what was given out.
    pub fn bound_tail(&mut self, next_index: Index) {
        if let Some(tail) = &mut self.tail
            && let Some(last) = before(next_index)
        {
            tail.last = tail.last.min(last).max(tail.first);
        }
    }

    /// One more than the highest index that can have been given out in this priority, as far as its tail tells.
    pub fn next_index(&self) -> Index {
        let highest = self.tail.map(|tail| match self.damaged.contains_key(&tail.first) {
            true => Index(tail.first.0.saturating_add(SEGMENT_ENTRIES_MAX as u64)),
            false => tail.last,
        });
        highest.map_or(Index(0), Index::next)
    }

    /// The live entry at a place.
    pub fn entry(&self, first: Index, place: usize) -> Option<Entry> {
        if self.tombstones.get(&first).is_some_and(|tombstones| tombstones.contains(place)) {
            return None;
        }
        self.segments.get(&first)?.entry(place, self.key.priority)
    }

    /// A segment that was just found in memory.
    fn resident(&self, first: Index) -> &Segment {
        self.segments.get(&first).expect("a segment stays in memory while an operation uses it")
    }

    /// What must hold after each flush, in O(segments in memory).
    pub fn check(&self) {
        assert!(self.dirty.is_empty(), "a flush writes every segment that changed");
        for (first, segment) in &self.segments {
            assert!(!segment.dirty && segment.stored.is_some(), "a segment in memory has its row");
            assert!(*first >= self.first_kept, "a trimmed segment is not in memory");
        }
        for (first, tombstones) in &self.tombstones {
            assert!(*first >= self.first_kept && tombstones.count > 0, "tombstones belong to a segment that is kept");
            let segment = self.segments.get(first);
            assert!(segment.is_none_or(|segment| tombstones.end() <= segment.len()), "tombstones are within it");
        }
    }

    fn lost(&self, at: Index) -> StoreError {
        let priority = self.key.priority.0;
        StoreError::Contradiction(alloc::format!("priority {priority} has no segment at index {} or after", at.0))
    }
}

/// Whether a tail takes entries in a later flush, which rewrites it.
fn is_small(extent: Extent) -> bool {
    extent.count < SMALL_ENTRIES && extent.bytes < SMALL_BYTES
}

fn before(index: Index) -> Option<Index> {
    index.0.checked_sub(1).map(Index)
}
