//! Marks of one segment: a sorted set in its stored form, and what was added since.

use super::limits::SEGMENT_MARKS_MAX;
use crate::queue::entry::Mark;
use crate::queue::refusal::StoreError;
use alloc::{string::String, vec::Vec};
use bytes::Bytes;

/// Below this many additions they are not sorted in between.
const COMPACT_AT: usize = 64;

/// A set of marks. It only grows: removing an entry leaves its marks, which costs a search a look and nothing else.
#[derive(Debug, Default)]
pub(super) struct Marks {
    stored: Bytes,
    fresh: Vec<Mark>,
    fresh_sorted: bool,
    compact_at: usize,
}

impl Marks {
    /// Takes the bytes of a row, which must be ascending.
    pub fn decode(stored: Bytes) -> Result<Self, StoreError> {
        let (marks, rest) = stored.as_chunks::<4>();
        if !rest.is_empty() || marks.len() > SEGMENT_MARKS_MAX || !marks.is_sorted_by(|left, right| left < right) {
            return Err(StoreError(String::from(
                "the marks of a segment are not an ascending list of four-byte words",
            )));
        }
        Ok(Self { stored, ..Self::default() })
    }

    /// Adds marks of one entry.
    pub fn add(&mut self, marks: &[Mark]) {
        self.fresh.extend_from_slice(marks);
        self.fresh_sorted &= marks.is_empty();
        if self.fresh.len() > self.compact_at.max(COMPACT_AT) {
            self.compact();
        }
    }

    /// Upper bound of how many there are.
    pub fn len(&self) -> usize {
        self.stored.len() / 4 + self.fresh.len()
    }

    /// Whether `more` marks can be added.
    pub fn has_room(&mut self, more: usize) -> bool {
        if self.len() + more > SEGMENT_MARKS_MAX {
            self.compact();
        }
        self.len() + more <= SEGMENT_MARKS_MAX
    }

    /// Whether all of `marks` are in the set.
    pub fn contain(&mut self, marks: &[Mark]) -> bool {
        if !self.fresh_sorted {
            self.compact();
        }
        let stored = self.stored.as_chunks::<4>().0;
        marks.iter().all(|mark| stored.binary_search(mark).is_ok() || self.fresh.binary_search(mark).is_ok())
    }

    /// The stored form.
    pub fn encode(&mut self) -> Bytes {
        if !self.fresh.is_empty() {
            let mut all = core::mem::take(&mut self.fresh);
            all.extend_from_slice(self.stored.as_chunks::<4>().0);
            all.sort_unstable();
            all.dedup();
            self.stored = all.concat().into();
            self.compact_at = 0;
        }
        self.stored.clone()
    }

    fn compact(&mut self) {
        let stored = self.stored.as_chunks::<4>().0;
        self.fresh.sort_unstable();
        self.fresh.dedup();
        self.fresh.retain(|mark| stored.binary_search(mark).is_err());
        self.fresh_sorted = true;
        self.compact_at = self.fresh.len() * 2;
    }
}
