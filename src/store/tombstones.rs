//! The removed entries of one segment: its row still holds them, reads skip them.

use super::limits::SEGMENT_ENTRIES_MAX;
use crate::queue::refusal::StoreError;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use prost::encoding::{decode_varint, encode_varint};

/// Places of removed entries in one segment, as a bit set.
///
/// Stored as runs: `gap, length, gap, length, ...`, each a LEB128 number; a gap counts from the end of the run before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tombstones {
    words: Vec<u64>,
    /// Removed entries.
    pub count: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// Runs of neighbouring places: their number decides how many bytes the manifest needs.
    pub runs: usize,
    /// Whether every entry of the segment is removed.
    pub all_deleted: bool,
}

impl Tombstones {
    /// Marks a place as removed; false when it was already.
    pub fn add(&mut self, place: usize, bytes: u64) -> bool {
        if self.contains(place) {
            return false;
        }
        let word = place / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (place % 64);
        let left = place > 0 && self.contains(place - 1);
        let right = self.contains(place + 1);
        self.runs = self.runs + 1 - usize::from(left) - usize::from(right);
        self.count += 1;
        self.bytes += bytes;
        true
    }

    /// Whether the entry at a place is removed.
    pub fn contains(&self, place: usize) -> bool {
        self.words.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// The first place at `from` or after that is not removed; it may lie behind the segment's end.
    pub fn next_live(&self, from: usize) -> usize {
        let mut place = from;
        while let Some(word) = self.words.get(place / 64) {
            let live = !word >> (place % 64);
            if live != 0 {
                return place + live.trailing_zeros() as usize;
            }
            place = (place / 64 + 1) * 64;
        }
        place
    }

    /// The last place at `upto` or before that is not removed.
    pub fn previous_live(&self, upto: usize) -> Option<usize> {
        let mut place = upto;
        loop {
            let Some(word) = self.words.get(place / 64) else { return Some(place) };
            let live = !word << (63 - place % 64);
            if live != 0 {
                return Some(place - live.leading_zeros() as usize);
            }
            place = (place / 64 * 64).checked_sub(1)?;
        }
    }

    /// Forgets the places from `len` on: their entries were never stored.
    pub fn truncate(&mut self, len: usize, bytes_of: impl Fn(usize) -> u64) {
        let mut kept = Self::default();
        for place in (0..len).filter(|place| self.contains(*place)) {
            kept.add(place, bytes_of(place));
        }
        *self = kept;
    }

    /// Bytes it takes in the manifest, within a few.
    pub fn weight(&self) -> usize {
        16 + 3 * self.runs
    }

    /// One more than the last removed place.
    pub fn end(&self) -> usize {
        self.words.iter().rposition(|word| *word != 0).map_or(0, |word| {
            let top = 64 - self.words[word].leading_zeros() as usize;
            word * 64 + top
        })
    }

    /// The stored form.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.runs * 3);
        let mut end = 0;
        for _ in 0..self.runs {
            let start = self.next_removed(end);
            let stop = self.next_live(start);
            encode_varint((start - end) as u64, &mut out);
            encode_varint((stop - start) as u64, &mut out);
            end = stop;
        }
        out.into()
    }

    /// Reads the stored form.
    pub fn decode(mut runs: Bytes, bytes: u64) -> Result<Self, StoreError> {
        let bad = || StoreError::Contradiction("the tombstones of a segment cannot be read".into());
        let mut tombstones = Self::default();
        let mut end = 0;
        while runs.has_remaining() {
            let gap = decode_varint(&mut runs).map_err(|_| bad())?;
            let length = decode_varint(&mut runs).map_err(|_| bad())?;
            let most = SEGMENT_ENTRIES_MAX as u64;
            if length == 0 || gap > most || length > most || (gap == 0 && end > 0) {
                return Err(bad());
            }
            let start = end + gap as usize;
            end = start + length as usize;
            if end > SEGMENT_ENTRIES_MAX {
                return Err(bad());
            }
            for place in start..end {
                tombstones.add(place, 0);
            }
        }
        tombstones.bytes = bytes;
        if tombstones.count == 0 { Err(bad()) } else { Ok(tombstones) }
    }

    fn next_removed(&self, from: usize) -> usize {
        let mut place = from;
        while let Some(word) = self.words.get(place / 64) {
            let removed = word >> (place % 64);
            if removed != 0 {
                return place + removed.trailing_zeros() as usize;
            }
            place = (place / 64 + 1) * 64;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_live_places_around_removed_ones() {
        let mut tombstones = Tombstones::default();
        (0..130).for_each(|place| assert!(tombstones.add(place, 1)));
        assert!(!tombstones.add(5, 1));
        assert!(tombstones.add(140, 1));
        assert_eq!((tombstones.count, tombstones.runs, tombstones.end()), (131, 2, 141));
        assert_eq!(
            (tombstones.next_live(0), tombstones.next_live(139), tombstones.next_live(140), tombstones.next_live(500)),
            (130, 139, 141, 500)
        );
        assert_eq!(tombstones.previous_live(129), None);
        assert_eq!(
            (tombstones.previous_live(140), tombstones.previous_live(130), tombstones.previous_live(999)),
            (Some(139), Some(130), Some(999))
        );
    }

    #[test]
    fn survives_storage() {
        let mut tombstones = Tombstones::default();
        [3, 1, 64, 63, 65, 127, 128, 2].into_iter().for_each(|place| assert!(tombstones.add(place, 10)));
        assert_eq!(Tombstones::decode(tombstones.encode(), 80), Ok(tombstones));
    }

    #[test]
    fn refuses_nonsense() {
        for bytes in
            [&b""[..], b"\x00", b"\x00\x00", b"\x00\x01\x00\x01", b"\xff\xff\xff\x7f\x01", b"\x01\xff\xff\x7f", b"\xff"]
        {
            assert!(Tombstones::decode(Bytes::from_static(bytes), 1).is_err(), "{bytes:?}");
        }
    }
}
