//! Removed entries of a segment that still lives: which places of it are empty.

use super::limits::SEGMENT_ENTRIES_MAX;
use crate::queue::refusal::StoreError;
use alloc::{string::String, vec::Vec};
use bytes::{Buf, Bytes};
use prost::encoding::{decode_varint, encode_varint};

/// Empty places of one segment, by position, as a bit set.
///
/// Stored as runs: `gap, length, gap, length, ...`, each a LEB128 number; a gap counts from the end of the run before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hole {
    words: Vec<u64>,
    /// Empty places.
    pub count: u64,
    /// Bytes of the removed frames.
    pub bytes: u64,
    /// Runs of neighbouring empty places: what the hole takes in the ledger.
    pub runs: usize,
    /// Whether every place of the segment is empty.
    pub whole: bool,
}

impl Hole {
    /// Empties a place; false when it was empty.
    pub fn add(&mut self, place: usize, bytes: u64) -> bool {
        if self.has(place) {
            return false;
        }
        let word = place / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (place % 64);
        let left = place > 0 && self.has(place - 1);
        let right = self.has(place + 1);
        self.runs = self.runs + 1 - usize::from(left) - usize::from(right);
        self.count += 1;
        self.bytes += bytes;
        true
    }

    /// Whether a place is empty.
    pub fn has(&self, place: usize) -> bool {
        self.words.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// The first place at `from` or after that is not empty; it may lie behind the segment's end.
    pub fn next_full(&self, from: usize) -> usize {
        let mut place = from;
        while let Some(word) = self.words.get(place / 64) {
            let full = !word >> (place % 64);
            if full != 0 {
                return place + full.trailing_zeros() as usize;
            }
            place = (place / 64 + 1) * 64;
        }
        place
    }

    /// The last place at `upto` or before that is not empty.
    pub fn previous_full(&self, upto: usize) -> Option<usize> {
        let mut place = upto;
        loop {
            let Some(word) = self.words.get(place / 64) else { return Some(place) };
            let full = !word << (63 - place % 64);
            if full != 0 {
                return Some(place - full.leading_zeros() as usize);
            }
            place = (place / 64 * 64).checked_sub(1)?;
        }
    }

    /// Fills the places from `len` on again: their entries never were stored.
    pub fn truncate(&mut self, len: usize, bytes_of: impl Fn(usize) -> u64) {
        let mut kept = Self::default();
        for place in (0..len).filter(|place| self.has(*place)) {
            kept.add(place, bytes_of(place));
        }
        *self = kept;
    }

    /// What it takes in the ledger at the most in the usual case, in bytes.
    pub fn weight(&self) -> usize {
        16 + 3 * self.runs
    }

    /// One more than the last empty place.
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
            let start = self.next_empty(end);
            let stop = self.next_full(start);
            encode_varint((start - end) as u64, &mut out);
            encode_varint((stop - start) as u64, &mut out);
            end = stop;
        }
        out.into()
    }

    /// Reads the stored form.
    pub fn decode(mut runs: Bytes, bytes: u64, whole: bool) -> Result<Self, StoreError> {
        let bad = || StoreError(String::from("the holes of a segment cannot be read"));
        let mut hole = Self { whole, ..Self::default() };
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
                hole.add(place, 0);
            }
        }
        hole.bytes = bytes;
        if hole.count == 0 { Err(bad()) } else { Ok(hole) }
    }

    fn next_empty(&self, from: usize) -> usize {
        let mut place = from;
        while let Some(word) = self.words.get(place / 64) {
            let empty = word >> (place % 64);
            if empty != 0 {
                return place + empty.trailing_zeros() as usize;
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
    fn finds_full_places_around_empty_ones() {
        let mut hole = Hole::default();
        (0..130).for_each(|place| assert!(hole.add(place, 1)));
        assert!(!hole.add(5, 1));
        assert!(hole.add(140, 1));
        assert_eq!((hole.count, hole.runs, hole.end()), (131, 2, 141));
        assert_eq!(
            (hole.next_full(0), hole.next_full(139), hole.next_full(140), hole.next_full(500)),
            (130, 139, 141, 500)
        );
        assert_eq!(hole.previous_full(129), None);
        assert_eq!(
            (hole.previous_full(140), hole.previous_full(130), hole.previous_full(999)),
            (Some(139), Some(130), Some(999))
        );
    }

    #[test]
    fn survives_storage() {
        let mut hole = Hole::default();
        [3, 1, 64, 63, 65, 127, 128, 2].into_iter().for_each(|place| assert!(hole.add(place, 10)));
        assert_eq!(Hole::decode(hole.encode(), 80, false), Ok(hole));
    }

    #[test]
    fn refuses_nonsense() {
        for bytes in
            [&b""[..], b"\x00", b"\x00\x00", b"\x00\x01\x00\x01", b"\xff\xff\xff\x7f\x01", b"\x01\xff\xff\x7f", b"\xff"]
        {
            assert!(Hole::decode(Bytes::from_static(bytes), 1, false).is_err(), "{bytes:?}");
        }
    }
}
