//! A segment: neighbouring entries of one priority, in memory and as a row.
//!
//! # The body, version 2
//!
//! ```text
//! 1 byte      version, 2
//! varint      number of entries
//! per entry:  varint  index minus the index before it (the first: minus the segment's key)
//!             varint  zigzag of put time minus the put time before it (the first: minus 0)
//!             varint  length of the frame's part before its body field
//!             varint  length of the frame
//!             4 bytes checksum of the frame
//! 4 bytes     checksum of the row's tag hashes, seeded with the key
//! 4 bytes     checksum of everything before, seeded with the key
//! frames      one after the other, to the end
//! ```
//!
//! Varints are LEB128 of at most ten bytes, checksums little-endian. A frame is summed once, when it is put: rewriting
//! a row sums its directory only. Version 1 has no checksums.
//!
//! # Damage
//!
//! It costs as little as possible, and is reported. Where the directory is right only entries whose frames are damaged
//! are out of reach; they keep their wrong checksums when the row is rewritten. Columns, checkpoint and tag hashes cost
//! no entry. A segment whose directory is damaged cannot be read.

use super::checkpoint::Checkpoint;
use super::directory::{Directory, Draft};
use super::format::{self, checksum, segment_name, segment_seed};
use super::limits::{self, ROW_BYTES_MAX, ROW_REST_BYTES_MAX, SEGMENT_ENTRIES_MAX};
use super::rows::{Extent, PriorityKey, SegmentRow};
use super::tag_hashes::TagHashes;
use super::tombstones::Tombstones;
use crate::queue::entry::{self, Entry, Index, Mark, Priority};
use crate::queue::refusal::StoreError;
use alloc::{collections::BTreeSet, format, vec::Vec};
use bytes::Bytes;
use prost::encoding::encode_varint;

/// One entry of a segment; its priority is the segment's.
#[derive(Debug)]
struct Place {
    index: Index,
    put_ms: u64,
    head_len: u32,
    checksum: u32,
    frame: Bytes,
}

/// Entries of one priority that share a row.
#[derive(Debug)]
pub(super) struct Segment {
    first: Index,
    places: Vec<Place>,
    bytes: u64,
    /// Places whose frames are not what was put.
    damaged: BTreeSet<usize>,
    /// Hashes of the entries' tags.
    pub tag_hashes: TagHashes,
    /// What its row holds, when it has one.
    pub stored: Option<Extent>,
    /// No segment with an entry at this index or after lies before this one. Saves asking the database again and again
    /// by a reader that waits for the next entry of a priority.
    pub clear_from: Index,
    /// When it was used last, by the cache's clock.
    pub used: u64,
    /// Whether a read came here since it is in memory.
    pub sought: bool,
    /// Whether its row must be written. Such a segment stays in memory.
    pub dirty: bool,
}

impl Segment {
    /// An empty segment.
    pub fn new(first: Index, clear_from: Index) -> Self {
        Self {
            first,
            places: Vec::new(),
            bytes: 0,
            damaged: BTreeSet::new(),
            tag_hashes: TagHashes::default(),
            stored: None,
            clear_from,
            used: 0,
            sought: false,
            dirty: false,
        }
    }

    /// Reads a row; frames are slices of its body. Damage that leaves entries in reach is appended to `damage`, any
    /// other is the error.
    pub fn decode(key: PriorityKey, row: SegmentRow, damage: &mut Vec<StoreError>) -> Result<Self, StoreError> {
        let SegmentRow { extent, checkpoint, tag_hashes, body } = row;
        let first = extent.first;
        let corrupt = |what: &str| StoreError::corrupt(segment_name(key, first), what);
        let directory = Directory::read(key, first, &body).map_err(|what| corrupt(&what))?;
        let (mut segment, is_checked) = (Self::new(first, first), directory.tag_hashes_sum.is_some());
        let mut frames = body.slice(directory.len..);
        segment.bytes = frames.len() as u64;
        for Draft { index, put_ms, head_len, frame_len, checksum: stored } in directory.places {
            let frame = frames.split_to(frame_len);
            let is_right = match stored {
                Some(sum) => checksum(0, &frame) == sum,
                None => entry::is_frame(index, head_len, &frame),
            };
            if !is_right {
                segment.damaged.insert(segment.places.len());
                damage.push(StoreError::corrupt(
                    format!("entry {} in {}", index.0, segment_name(key, first)),
                    "its frame",
                ));
            }
            let checksum = stored.unwrap_or_else(|| checksum(0, &frame));
            segment.places.push(Place { index, put_ms, head_len, checksum, frame });
        }
        let found = segment.extent();
        if extent != found && !is_checked {
            return Err(corrupt("its columns are not those of its entries"));
        }
        if let Err(error) = Checkpoint::decode(key, &extent, &checkpoint) {
            damage.push(error);
        }
        let hashes_are_right =
            directory.tag_hashes_sum.is_none_or(|sum| sum == checksum(segment_seed(key, first), &tag_hashes));
        match TagHashes::decode(tag_hashes).filter(|_| hashes_are_right) {
            Some(hashes) => segment.tag_hashes = hashes,
            None => {
                damage.push(corrupt("its tag hashes"));
                segment.hash_tags(key.priority);
            }
        }
        segment.stored = Some(found);
        Ok(segment)
    }

    /// The row. Afterwards the segment is what its row holds.
    pub fn encode(&mut self, key: PriorityKey, checkpoint: &Checkpoint) -> SegmentRow {
        let mut body = Vec::with_capacity(self.bytes as usize + self.places.len() * 16 + 16);
        body.push(format::SEGMENT);
        encode_varint(self.places.len() as u64, &mut body);
        let (mut index, mut put_ms) = (self.first.0, 0_u64);
        for place in &self.places {
            encode_varint(place.index.0 - index, &mut body);
            encode_varint(zigzag(place.put_ms.wrapping_sub(put_ms)), &mut body);
            encode_varint(u64::from(place.head_len), &mut body);
            encode_varint(place.frame.len() as u64, &mut body);
            body.extend_from_slice(&place.checksum.to_le_bytes());
            (index, put_ms) = (place.index.0, place.put_ms);
        }
        let (tag_hashes, seed) = (self.tag_hashes.encode(), segment_seed(key, self.first));
        body.extend_from_slice(&checksum(seed, &tag_hashes).to_le_bytes());
        body.extend_from_slice(&checksum(seed, &body).to_le_bytes());
        let frames = body.len();
        for place in &self.places {
            body.extend_from_slice(&place.frame);
        }
        let body = Bytes::from(body);
        // From now on the frames are slices of the row, and nothing that they were part of stays in memory.
        let mut end = frames;
        for place in &mut self.places {
            let start = end;
            end += place.frame.len();
            place.frame = body.slice(start..end);
        }
        let extent = self.extent();
        let row = SegmentRow { extent, checkpoint: checkpoint.encode(key, &extent), tag_hashes, body };
        let bytes = row.body.len() + row.tag_hashes.len() + ROW_REST_BYTES_MAX;
        assert!(bytes <= ROW_BYTES_MAX, "the limits keep a segment's row small enough, not {bytes} bytes");
        self.stored = Some(extent);
        self.dirty = false;
        row
    }

    /// Whether an entry may be appended without making the row too large.
    pub fn fits(&mut self, entry: &Entry, hashes: &[Mark]) -> bool {
        self.bytes + entry.bytes() <= limits::SEGMENT_BYTES_MAX
            && self.places.len() < SEGMENT_ENTRIES_MAX
            && self.tag_hashes.has_room(hashes.len())
    }

    /// Appends an entry; true when it is the first since the row was written.
    pub fn push(&mut self, entry: Entry, hashes: &[Mark]) -> bool {
        debug_assert!(self.places.is_empty() || self.last() < entry.index, "indexes ascend");
        self.bytes += entry.bytes();
        self.tag_hashes.add(hashes);
        let Entry { index, put_ms, head_len, frame, .. } = entry;
        self.places.push(Place { index, put_ms, head_len, checksum: checksum(0, &frame), frame });
        !core::mem::replace(&mut self.dirty, true)
    }

    /// Key and sums of what is in memory.
    pub fn extent(&self) -> Extent {
        Extent { first: self.first, last: self.last(), count: self.places.len() as u64, bytes: self.bytes }
    }

    /// The last entry.
    pub fn last(&self) -> Index {
        self.places.last().map_or(self.first, |place| place.index)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Bytes it takes in memory, roughly.
    pub fn cost(&self) -> usize {
        self.bytes as usize + self.places.len() * size_of::<Place>() + self.tag_hashes.len() * 4 + 256
    }

    /// Place of an index.
    pub fn place_of(&self, index: Index) -> Option<usize> {
        let place = self.place_from(index);
        (self.places.get(place)?.index == index).then_some(place)
    }

    /// Bytes of the frame at a place.
    pub fn bytes_at(&self, place: usize) -> u64 {
        self.places.get(place).map_or(0, |place| place.frame.len() as u64)
    }

    /// The first live entry at an index or after.
    pub fn next_live(&self, tombstones: Option<&Tombstones>, from: Index, priority: Priority) -> Option<Entry> {
        let mut place = self.place_from(from);
        loop {
            place = tombstones.map_or(place, |tombstones| tombstones.next_live(place));
            if !self.damaged.contains(&place) {
                return self.entry(place, priority);
            }
            place += 1;
        }
    }

    /// The last live entry at an index or before.
    pub fn previous_live(&self, tombstones: Option<&Tombstones>, upto: Index, priority: Priority) -> Option<Entry> {
        let mut place = self.place_from(upto.next()).checked_sub(1)?;
        loop {
            place = tombstones.map_or(Some(place), |tombstones| tombstones.previous_live(place))?;
            if !self.damaged.contains(&place) {
                return self.entry(place, priority);
            }
            place = place.checked_sub(1)?;
        }
    }

    /// The entry at a place, removed or not; none where its frame is damaged.
    pub fn entry(&self, place: usize, priority: Priority) -> Option<Entry> {
        if self.damaged.contains(&place) {
            return None;
        }
        let Place { index, put_ms, head_len, frame, .. } = self.places.get(place)?;
        Some(Entry { index: *index, priority, put_ms: *put_ms, head_len: *head_len, frame: frame.clone() })
    }

    /// Drops the entries with tombstones. Their tag hashes stay.
    pub fn compact(&mut self, tombstones: &Tombstones) {
        let kept = (0..self.places.len()).filter(|place| !tombstones.contains(*place)).enumerate();
        self.damaged = kept.filter(|(_, was)| self.damaged.contains(was)).map(|(place, _)| place).collect();
        let mut place = 0;
        self.places.retain(|_| {
            place += 1;
            !tombstones.contains(place - 1)
        });
        self.count_bytes();
    }

    /// Drops the entries after the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.places.truncate(len);
        self.damaged.split_off(&len);
        self.count_bytes();
    }

    fn count_bytes(&mut self) {
        self.bytes = self.places.iter().map(|place| place.frame.len() as u64).sum();
    }

    /// Makes the tag hashes anew from the entries.
    fn hash_tags(&mut self, priority: Priority) {
        for place in 0..self.places.len() {
            let hashes = self.entry(place, priority).map(|entry| entry::marks(&entry.tags())).unwrap_or_default();
            if self.tag_hashes.has_room(hashes.len()) {
                self.tag_hashes.add(&hashes);
            }
        }
    }

    /// The first place with an index at `from` or after. Indexes mostly have no gaps: guess before searching.
    pub fn place_from(&self, from: Index) -> usize {
        let Some(lowest) = self.places.first() else { return 0 };
        let Some(guess) = from.0.checked_sub(lowest.index.0) else { return 0 };
        match self.places.get(guess as usize) {
            Some(place) if place.index == from => guess as usize,
            _ => self.places.partition_point(|place| place.index < from),
        }
    }
}

fn zigzag(difference: u64) -> u64 {
    let difference = difference as i64;
    (difference << 1 ^ difference >> 63) as u64
}
