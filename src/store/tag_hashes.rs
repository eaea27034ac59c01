//! Hashes of the tags of one segment's entries: a sorted set in its stored form, and what was added since. A search
//! reads only segments whose set has what it looks for.

use super::limits::SEGMENT_TAG_HASHES_MAX;
use crate::queue::entry::Mark;
use alloc::vec::Vec;
use bytes::Bytes;

/// Fewer additions than this are not sorted until somebody searches them.
const COMPACT_AT: usize = 64;

/// A set of tag hashes. It only grows: a removed entry leaves its hashes, which at worst make a search
/// look at a segment that has no match.
#[derive(Debug, Default)]
pub(super) struct TagHashes {
    stored: Bytes,
    fresh: Vec<Mark>,
    fresh_sorted: bool,
    compact_at: usize,
}

impl TagHashes {
    /// Takes the bytes of a row; none where they are not ascending words of four bytes.
    pub fn decode(stored: Bytes) -> Option<Self> {
        let (hashes, rest) = stored.as_chunks::<4>();
        if !rest.is_empty() || hashes.len() > SEGMENT_TAG_HASHES_MAX || !hashes.is_sorted_by(|left, right| left < right)
        {
            return None;
        }
        Some(Self { stored, ..Self::default() })
    }

    /// Adds the hashes of one entry's tags.
    pub fn add(&mut self, hashes: &[Mark]) {
        self.fresh.extend_from_slice(hashes);
        self.fresh_sorted &= hashes.is_empty();
        if self.fresh.len() > self.compact_at.max(COMPACT_AT) {
            self.compact();
        }
    }

    /// Upper bound of their number.
    pub fn len(&self) -> usize {
        self.stored.len() / 4 + self.fresh.len()
    }

    /// Whether `more` can be added.
    pub fn has_room(&mut self, more: usize) -> bool {
        if self.len() + more > SEGMENT_TAG_HASHES_MAX {
            self.compact();
        }
        self.len() + more <= SEGMENT_TAG_HASHES_MAX
    }

    /// Whether all of `hashes` are in the set.
    pub fn contain(&mut self, hashes: &[Mark]) -> bool {
        if !self.fresh_sorted {
            self.compact();
        }
        let stored = self.stored.as_chunks::<4>().0;
        hashes.iter().all(|hash| stored.binary_search(hash).is_ok() || self.fresh.binary_search(hash).is_ok())
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
        self.fresh.retain(|hash| stored.binary_search(hash).is_err());
        self.fresh_sorted = true;
        self.compact_at = self.fresh.len() * 2;
    }
}
