//! A segment: neighbouring entries of one lane, in memory and as a row.
//!
//! # The body, version 1
//!
//! ```text
//! 1 byte      version, 1
//! varint      number of entries
//! per entry:  varint  index minus the index before it (the first: minus the segment's key)
//!             varint  zigzag of put time minus the put time before it (the first: minus 0)
//!             varint  length of the frame's part before its body field
//!             varint  length of the frame
//! frames      one after the other, to the end
//! ```
//!
//! # The head, version 1
//!
//! One byte 1, then six varints: the fields of [`Snapshot`] in order. All varints are LEB128 of at most ten bytes.

use super::holes::Hole;
use super::limits::{self, ROW_BYTES_MAX, SEGMENT_ENTRIES_MAX};
use super::marks::Marks;
use super::rows::{Extent, SegmentRow};
use crate::queue::entry::{Entry, Index, Lane, Mark};
use crate::queue::refusal::StoreError;
use alloc::{format, string::String, vec::Vec};
use bytes::{Buf, Bytes};
use prost::encoding::{decode_varint, encode_varint};

const VERSION: u8 = 1;

/// Sums of a side and of one of its lanes at the time a segment was written. Stored with every segment so that a put
/// needs no other row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Number of the flush.
    pub seq: u64,
    /// Index of the next entry of the side.
    pub next_index: u64,
    /// Live entries of the side.
    pub length: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Live entries of the lane.
    pub lane_length: u64,
    /// Their bytes.
    pub lane_bytes: u64,
}

impl Snapshot {
    /// The stored form.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(40);
        out.push(VERSION);
        for number in [self.seq, self.next_index, self.length, self.bytes, self.lane_length, self.lane_bytes] {
            encode_varint(number, &mut out);
        }
        out.into()
    }

    /// Reads the stored form.
    pub fn decode(mut head: Bytes) -> Result<Self, StoreError> {
        check_version(&mut head)?;
        let mut number = || varint(&mut head);
        let snapshot = Self {
            seq: number()?,
            next_index: number()?,
            length: number()?,
            bytes: number()?,
            lane_length: number()?,
            lane_bytes: number()?,
        };
        if head.has_remaining() { Err(bad("its head is too long")) } else { Ok(snapshot) }
    }
}

/// One entry of a segment; its lane is the segment's.
#[derive(Debug)]
struct Place {
    index: Index,
    put_ms: u64,
    head_len: u32,
    frame: Bytes,
}

/// Entries of one lane that share a row.
#[derive(Debug)]
pub(super) struct Segment {
    first: Index,
    places: Vec<Place>,
    bytes: u64,
    /// Fingerprints of the entries' tags.
    pub marks: Marks,
    /// What its row holds, when it has one.
    pub stored: Option<Extent>,
    /// No segment with an entry at this index or after lies before this one. Saves asking for what is known.
    pub clear_from: Index,
    /// When it was used last, by the cache's clock.
    pub used: u64,
    /// Whether anything was looked for in it since it is in memory.
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
            marks: Marks::default(),
            stored: None,
            clear_from,
            used: 0,
            sought: false,
            dirty: false,
        }
    }

    /// Reads a row. Frames are slices of its body.
    pub fn decode(row: SegmentRow) -> Result<Self, StoreError> {
        let SegmentRow { extent, marks, mut body, .. } = row;
        check_version(&mut body)?;
        let count = varint(&mut body)?;
        // Four bytes are the least a directory entry takes: hostile counts allocate nothing.
        if count == 0 || count > SEGMENT_ENTRIES_MAX as u64 || count != extent.count || body.len() as u64 / 4 < count {
            return Err(bad("it does not hold as many entries as it says"));
        }
        let mut directory = Vec::with_capacity(count as usize);
        let (mut index, mut put_ms) = (extent.first.0, 0_u64);
        for place in 0..count {
            let step = varint(&mut body)?;
            if step == 0 && place > 0 {
                return Err(bad("an index occurs twice"));
            }
            index = index.checked_add(step).ok_or_else(|| bad("an index is too large"))?;
            put_ms = put_ms.wrapping_add(unzigzag(varint(&mut body)?));
            directory.push((index, put_ms, varint(&mut body)?, varint(&mut body)?));
        }
        let bytes = body.len() as u64;
        let mut places = Vec::with_capacity(directory.len());
        for (index, put_ms, head_len, frame_len) in directory {
            if head_len > frame_len || head_len > u64::from(u32::MAX) || frame_len > body.len() as u64 {
                return Err(bad("a frame is cut off"));
            }
            let frame = body.split_to(frame_len as usize);
            places.push(Place { index: Index(index), put_ms, head_len: head_len as u32, frame });
        }
        if body.has_remaining() || bytes != extent.bytes || index != extent.last.0 {
            return Err(bad("its sums are wrong"));
        }
        Ok(Self {
            places,
            bytes,
            marks: Marks::decode(marks)?,
            stored: Some(extent),
            ..Self::new(extent.first, extent.first)
        })
    }

    /// The row. Afterwards the segment is what its row holds.
    pub fn encode(&mut self, snapshot: &Snapshot) -> Result<SegmentRow, StoreError> {
        let mut body = Vec::with_capacity(self.bytes as usize + self.places.len() * 12 + 4);
        body.push(VERSION);
        encode_varint(self.places.len() as u64, &mut body);
        let (mut index, mut put_ms) = (self.first.0, 0_u64);
        for place in &self.places {
            encode_varint(place.index.0 - index, &mut body);
            encode_varint(zigzag(place.put_ms.wrapping_sub(put_ms)), &mut body);
            encode_varint(u64::from(place.head_len), &mut body);
            encode_varint(place.frame.len() as u64, &mut body);
            (index, put_ms) = (place.index.0, place.put_ms);
        }
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
        let row = SegmentRow { extent: self.extent(), head: snapshot.encode(), marks: self.marks.encode(), body };
        // 64: key and sums. Holds by construction: see the limits.
        if row.body.len() + row.marks.len() + row.head.len() + 64 > ROW_BYTES_MAX {
            return Err(bad("it is larger than a row may be"));
        }
        self.stored = Some(row.extent);
        self.dirty = false;
        Ok(row)
    }

    /// Whether an entry may be appended without making the row too large.
    pub fn fits(&mut self, entry: &Entry, marks: &[Mark]) -> bool {
        self.bytes + entry.bytes() <= limits::SEGMENT_BYTES_MAX
            && self.places.len() < SEGMENT_ENTRIES_MAX
            && self.marks.has_room(marks.len())
    }

    /// Appends an entry; true when it is the first since the row was written.
    pub fn push(&mut self, entry: Entry, marks: &[Mark]) -> bool {
        self.bytes += entry.bytes();
        self.marks.add(marks);
        let Entry { index, put_ms, head_len, frame, .. } = entry;
        self.places.push(Place { index, put_ms, head_len, frame });
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
        self.bytes as usize + self.places.len() * size_of::<Place>() + self.marks.len() * 4 + 256
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
    pub fn next_live(&self, hole: Option<&Hole>, from: Index, lane: Lane) -> Option<Entry> {
        let place = self.place_from(from);
        self.entry(hole.map_or(place, |hole| hole.next_full(place)), lane)
    }

    /// The last live entry at an index or before.
    pub fn previous_live(&self, hole: Option<&Hole>, upto: Index, lane: Lane) -> Option<Entry> {
        let place = self.place_from(upto.next()).checked_sub(1)?;
        self.entry(hole.map_or(Some(place), |hole| hole.previous_full(place))?, lane)
    }

    /// The entry at a place.
    pub fn entry(&self, place: usize, lane: Lane) -> Option<Entry> {
        let Place { index, put_ms, head_len, frame } = self.places.get(place)?;
        Some(Entry { index: *index, lane, put_ms: *put_ms, head_len: *head_len, frame: frame.clone() })
    }

    /// Forgets the entries of a hole. Marks stay.
    pub fn fold(&mut self, hole: &Hole) {
        let mut place = 0;
        self.places.retain(|_| {
            place += 1;
            !hole.has(place - 1)
        });
        self.count_bytes();
    }

    /// Forgets the entries after the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.places.truncate(len);
        self.count_bytes();
    }

    fn count_bytes(&mut self) {
        self.bytes = self.places.iter().map(|place| place.frame.len() as u64).sum();
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

fn check_version(bytes: &mut Bytes) -> Result<(), StoreError> {
    match bytes.try_get_u8() {
        Ok(VERSION) => Ok(()),
        Ok(version) => Err(StoreError(format!(
            "a segment is stored in format {version} and this program knows format {VERSION}; run the newer program"
        ))),
        Err(_) => Err(bad("it is empty")),
    }
}

fn varint(bytes: &mut Bytes) -> Result<u64, StoreError> {
    decode_varint(bytes).map_err(|_| bad("a number is cut off"))
}

fn zigzag(difference: u64) -> u64 {
    let difference = difference as i64;
    (difference << 1 ^ difference >> 63) as u64
}

fn unzigzag(number: u64) -> u64 {
    number >> 1 ^ (number & 1).wrapping_neg()
}

fn bad(what: &str) -> StoreError {
    StoreError(String::from("a segment cannot be read: ") + what)
}
