//! Damage that was met: each row is reported once while the store is open.

use crate::queue::entry::Index;
use crate::queue::refusal::StoreError;
use alloc::{collections::BTreeSet, vec::Vec};

/// Damaged segments of one side. Keys of different priorities differ: an index exists once.
#[derive(Debug, Default)]
pub(super) struct Damage {
    known: BTreeSet<Index>,
    /// What nobody was told yet.
    unreported: Vec<StoreError>,
}

impl Damage {
    /// Something is wrong with the segment with this key.
    pub fn report(&mut self, first: Index, errors: impl IntoIterator<Item = StoreError>) {
        let mut errors = errors.into_iter().peekable();
        if errors.peek().is_some() && self.known.insert(first) {
            self.unreported.extend(errors);
        }
    }

    /// What was met since the last call.
    pub fn take(&mut self) -> Vec<StoreError> {
        core::mem::take(&mut self.unreported)
    }
}
