//! What arrived and waits for its turn.

use crate::queue::{
    Event,
    event::{Ticket, Watch},
    limits::{BATCH_BYTES_MAX, FLUSH_BYTES_MAX, INBOX_BYTES_MAX},
    store::Side,
};
use crate::wire::http::settings::Patch;
use alloc::{collections::VecDeque, vec::Vec};

/// Tasks of one flush; more wait for the next one.
const BATCH_TASKS_MAX: usize = 1_000;

// A single put must fit into the inbox, or it would be refused for ever.
const _: () = assert!(BATCH_BYTES_MAX <= INBOX_BYTES_MAX);

/// One turn of the machine that is to be taken.
#[derive(Debug)]
pub(super) enum Task {
    /// An event, on this side.
    Event(Side, Event),
    /// A watch. Its connection is numbered in its turn: only then are all known that are open.
    Watch(Side, Ticket, Watch),
    /// The alarm went off: what is due is done, and the shell is told when it is.
    Alarm,
    /// A change of settings. It is applied to the settings of its turn, so that no other change is lost.
    Configure(Ticket, Patch),
}

impl Task {
    /// The ticket of the reply that is owed for it.
    fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Event(_, event) => event.ticket(),
            Self::Watch(_, ticket, _) | Self::Configure(ticket, _) => Some(*ticket),
            Self::Alarm => None,
        }
    }

    /// What it holds in memory; only puts hold much.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Event(_, Event::Put(_, entries)) => entries.iter().map(|entry| entry.data.len()).sum(),
            _ => 0,
        }
    }
}

/// Tasks in the order of their arrival. Those of the consumer beside the queue come first: a cancellation that is taken
/// after a result was stored, and before the commit that followed from it, would remove a request that has ended.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    consumer: VecDeque<Task>,
    tasks: VecDeque<Task>,
    bytes: usize,
}

impl Inbox {
    /// Whether a put of this many bytes can be taken in now.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes + bytes <= INBOX_BYTES_MAX
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.consumer.is_empty() && self.tasks.is_empty()
    }

    pub fn push(&mut self, task: Task) {
        self.bytes += task.bytes();
        self.tasks.push_back(task);
    }

    /// A task of the consumer beside the queue; it holds no bytes.
    pub fn push_of_consumer(&mut self, task: Task) {
        self.consumer.push_back(task);
    }

    /// Takes back what nobody asks for any more. Says whether it still waited.
    pub fn take_back(&mut self, ticket: Ticket) -> bool {
        let place = self.tasks.iter().position(|task| task.ticket() == Some(ticket));
        let task = place.and_then(|place| self.tasks.remove(place));
        self.bytes -= task.as_ref().map_or(0, Task::bytes);
        task.is_some()
    }

    /// The tasks of the next flush; none when nothing waits.
    pub fn take(&mut self) -> Vec<Task> {
        let of_consumer = self.consumer.len().min(BATCH_TASKS_MAX);
        let (mut batch, mut taken): (Vec<Task>, _) = (self.consumer.drain(..of_consumer).collect(), 0);
        while let Some(task) = self.tasks.front().filter(|_| batch.len() < BATCH_TASKS_MAX) {
            let bytes = task.bytes();
            if taken > 0 && taken + bytes > FLUSH_BYTES_MAX {
                break;
            }
            taken += bytes;
            batch.extend(self.tasks.pop_front());
        }
        self.bytes -= taken;
        assert!(!self.tasks.is_empty() || self.bytes == 0, "an empty inbox holds {} bytes", self.bytes);
        batch
    }

    /// The tickets of the replies that are owed for what waits.
    pub fn tickets(&self) -> impl Iterator<Item = Ticket> {
        self.consumer.iter().chain(&self.tasks).filter_map(Task::ticket)
    }
}
