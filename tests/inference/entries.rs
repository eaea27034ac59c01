//! Looks on while turns are taken: every entry that comes to be durable, however soon it is gone again.

use edgequeue::broker::observer::{ObservedTurn, Observer};
use edgequeue::queue::entry::{Index, Tags};
use edgequeue::queue::store::{Side, Store, Stores};
use std::cell::RefCell;
use std::rc::Rc;

/// The entries of one queue that nobody has heard of yet. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Entries(Rc<RefCell<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// Put in turns that are not written, written and not durable, and durable.
    taken: Stage,
    written: Stage,
    durable: Stage,
    /// Memories that were lost with a failure of the storage.
    losses: u64,
}

#[derive(Clone, Debug, Default)]
struct Stage {
    /// How many entries each side ever had.
    put: [u64; 2],
    new: Vec<(Side, Tags)>,
}

impl Stage {
    /// Goes on from an earlier stage.
    fn take(&mut self, earlier: &mut Self) {
        self.put = earlier.put;
        self.new.append(&mut earlier.new);
    }

    /// Goes back to a later stage.
    fn go_back(&mut self, later: &Self) {
        *self = Self { put: later.put, new: Vec::new() };
    }
}

impl Entries {
    /// What was written is durable.
    pub fn synced(&self) {
        let Inner { written, durable, .. } = &mut *self.0.borrow_mut();
        durable.take(written);
    }

    /// The memory was lost. What was written may be durable or not.
    pub fn died(&self, survives: bool) {
        let inner = &mut *self.0.borrow_mut();
        if survives {
            inner.durable.take(&mut inner.written);
        }
        inner.written.go_back(&inner.durable);
        inner.taken.go_back(&inner.durable);
    }

    /// What is durable and was not told of before.
    pub fn take(&self) -> Vec<(Side, Tags)> {
        std::mem::take(&mut self.0.borrow_mut().durable.new)
    }

    /// How often the storage failed.
    pub fn losses(&self) -> u64 {
        self.0.borrow().losses
    }
}

impl<S: Stores> Observer<S> for Entries {
    fn turn(&mut self, turn: ObservedTurn<'_, S>) {
        let taken = &mut self.0.borrow_mut().taken;
        for (side, put) in [Side::Main, Side::Rear].into_iter().zip(&mut taken.put) {
            let mut store = turn.store.side(side);
            let last = store.totals().next_index.0 - 1;
            for index in *put + 1..=last {
                let entry = store.find(Index(index)).expect("no faults here");
                taken.new.extend(entry.map(|entry| (side, entry.tags())));
            }
            *put = last;
        }
    }

    fn flushed(&mut self) {
        let Inner { taken, written, .. } = &mut *self.0.borrow_mut();
        written.take(taken);
    }

    fn lost(&mut self) {
        let Inner { taken, written, losses, .. } = &mut *self.0.borrow_mut();
        taken.go_back(written);
        *losses += 1;
    }
}
