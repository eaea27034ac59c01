//! A view of every turn, for simulators that check each one. A deployment has none.

use crate::queue::{Effect, Event, Queue, store::Side};

/// One turn that was taken and is not durable yet.
pub struct ObservedTurn<'a, S> {
    /// Its time, Unix milliseconds.
    pub now_ms: u64,
    /// Its side.
    pub side: Side,
    /// Its event.
    pub event: Event,
    /// Its effects.
    pub effects: &'a [Effect],
    /// The machine after it.
    pub queue: &'a Queue,
    /// The store after it.
    pub store: &'a mut S,
}

/// Sees every turn.
pub trait Observer<S> {
    /// Whether turns are observed at all. If not, nothing is copied.
    const LOOKS: bool = true;

    /// A turn was taken.
    fn turn(&mut self, turn: ObservedTurn<'_, S>);

    /// All turns so far were flushed.
    fn flushed(&mut self) {}

    /// The machine was lost from memory, with all turns since the last flush.
    fn lost(&mut self) {}
}

impl<S> Observer<S> for () {
    const LOOKS: bool = false;

    fn turn(&mut self, _: ObservedTurn<'_, S>) {}
}
