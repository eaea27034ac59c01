//! What arrived and was not worked off yet.

use std::collections::VecDeque;

use crate::queue::{
    Event,
    event::Ticket,
    limits::{FLUSH_BYTES_MAX, INBOX_BYTES_MAX},
    store::Side,
};

/// Events of one flush; more wait for the next one.
const BATCH_EVENTS_MAX: usize = 1_000;

/// Events in the order of their arrival.
#[derive(Default)]
pub struct Inbox {
    events: VecDeque<(Side, Event)>,
    bytes: usize,
}

impl Inbox {
    /// Whether a put of that many bytes can be taken in now.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes + bytes <= INBOX_BYTES_MAX
    }

    pub fn push(&mut self, side: Side, event: Event) {
        self.bytes += bytes(&event);
        self.events.push_back((side, event));
    }

    /// The events of the next flush; none when nothing waits.
    pub fn take(&mut self) -> Vec<(Side, Event)> {
        let (mut batch, mut taken) = (Vec::new(), 0);
        while let Some((_, event)) = self.events.front().filter(|_| batch.len() < BATCH_EVENTS_MAX) {
            let bytes = bytes(event);
            if taken > 0 && taken + bytes > FLUSH_BYTES_MAX {
                break;
            }
            taken += bytes;
            batch.extend(self.events.pop_front());
        }
        self.bytes -= taken;
        batch
    }

    /// The answers that will be owed once these events were worked off.
    pub fn tickets(&self) -> impl Iterator<Item = Ticket> {
        self.events.iter().filter_map(|(_, event)| event.ticket())
    }
}

/// What an event holds in memory; only puts hold much.
pub fn bytes(event: &Event) -> usize {
    match event {
        Event::Put(_, entries) => entries.iter().map(|entry| entry.data.len()).sum(),
        _ => 0,
    }
}
