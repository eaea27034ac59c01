//! Remembers which entries the user was given, so that it is given none twice.

use super::recent::{Recent, fingerprint};
use crate::queue::entry::{Frame, Mark};
use alloc::collections::BTreeMap;

/// How an arriving entry stands to those that arrived before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is new: give it out.
    New,
    /// The user has it and has not decided.
    Held,
    /// It was committed, and the service does not know that yet.
    Committed,
}

/// Entries that were given out: those without a decision, and those committed a short while ago.
#[derive(Debug, Default)]
pub struct Held {
    undecided: BTreeMap<u64, Mark>,
    committed: Recent,
}

impl Held {
    /// Takes in an entry that arrived.
    pub fn take(&mut self, frame: &Frame) -> Arrival {
        let mark = fingerprint(frame);
        if self.committed.contains(frame.index, mark) {
            return Arrival::Committed;
        }
        match self.undecided.insert(frame.index, mark) == Some(mark) {
            true => Arrival::Held,
            false => Arrival::New,
        }
    }

    /// Lets an entry go; false if it is not held any more. One that is refused may come again and is new then, so only
    /// a commit is remembered.
    pub fn decide(&mut self, index: u64, is_commit: bool) -> bool {
        let Some(mark) = self.undecided.remove(&index) else { return false };
        if is_commit {
            self.committed.insert(index, mark);
        }
        true
    }

    /// Lets go of everything that is undecided: its indexes.
    pub fn hand_back(&mut self) -> impl Iterator<Item = u64> + use<> {
        core::mem::take(&mut self.undecided).into_keys()
    }

    /// How many entries are undecided.
    pub fn len(&self) -> usize {
        self.undecided.len()
    }
}
