//! Entries that were committed a short while ago.

use crate::queue::entry::{Frame, Mark, TAG_REQUEST_ID, mark};
use alloc::collections::{BTreeMap, VecDeque};

/// How many are remembered. A frame comes twice only when it was sent before the service knew of the commit, so
/// anything beyond a few windows is enough.
const KEPT_MAX: usize = 65_536;

/// Fingerprint of a frame's request id: an index alone would take a new entry for an old one if a queue began anew.
pub fn fingerprint(frame: &Frame) -> Mark {
    mark(TAG_REQUEST_ID, frame.tags.get(TAG_REQUEST_ID).map_or("", |id| id))
}

/// The last [`KEPT_MAX`] committed entries.
#[derive(Debug, Default)]
pub struct Recent {
    marks: BTreeMap<u64, Mark>,
    order: VecDeque<u64>,
}

impl Recent {
    /// Remembers an entry, and forgets the one remembered longest when there are too many.
    pub fn insert(&mut self, index: u64, mark: Mark) {
        if self.marks.insert(index, mark).is_none() {
            self.order.push_back(index);
        }
        if self.order.len() > KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.marks.remove(&oldest);
        }
    }

    /// Whether exactly this entry is remembered.
    pub fn contains(&self, index: u64, mark: Mark) -> bool {
        self.marks.get(&index) == Some(&mark)
    }
}
