//! Looking on while turns are taken: simulators check each one, deployments look at none.

use crate::queue::{Effect, Event, Queue, store::Side};

/// One turn that was taken and is not durable yet.
pub struct ObservedTurn<'a, S> {
    /// When, Unix milliseconds.
    pub now_ms: u64,
    /// On which side.
    pub side: Side,
    /// What happened.
    pub event: Event,
    /// What it results in.
    pub effects: &'a [Effect],
    /// The machine after it.
    pub queue: &'a Queue,
    /// The store after it.
    pub store: &'a mut S,
}

/// Somebody who looks on.
pub trait Observer<S> {
    /// Whether anybody looks. Nothing is copied for somebody who does not.
    const LOOKS: bool = true;

    /// A turn was taken.
    fn turn(&mut self, turn: ObservedTurn<'_, S>);

    /// All turns so far are written.
    fn flushed(&mut self) {}

    /// The machine was lost from memory, with all turns since the last flush.
    fn lost(&mut self) {}
}

impl<S> Observer<S> for () {
    const LOOKS: bool = false;

    fn turn(&mut self, _: ObservedTurn<'_, S>) {}
}
