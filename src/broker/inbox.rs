//! Tasks that wait for their turn.

use crate::queue::{
    Event,
    event::{Ticket, Watch},
    limits::{BATCH_BYTES_MAX, FLUSH_BYTES_MAX, INBOX_BYTES_MAX},
    store::Side,
};
use crate::wire::http::settings::Patch;
use alloc::{collections::VecDeque, vec::Vec};

/// Most tasks of one flush.
const BATCH_TASKS_MAX: usize = 1_000;

// Otherwise the largest put would be refused for ever.
const _: () = assert!(BATCH_BYTES_MAX <= INBOX_BYTES_MAX);

/// Something to do, nearly always one turn of the machine.
#[derive(Debug)]
pub(super) enum Task {
    /// An event on this side.
    Event(Side, Event),
    /// A watch. Its connection is numbered in its turn, when all open ones are known.
    Watch(Side, Ticket, Watch),
    /// The alarm went off. The shell hears when everything due is done.
    Alarm,
    /// A change of settings. It applies to the settings at its turn, so that no other change is lost.
    Configure(Ticket, Patch),
}

impl Task {
    /// The ticket of its reply, if it has one.
    fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Event(_, event) => event.ticket(),
            Self::Watch(_, ticket, _) | Self::Configure(ticket, _) => Some(*ticket),
            Self::Alarm => None,
        }
    }

    /// Bytes of memory it holds. Only puts hold many.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Event(_, Event::Put(_, entries)) => entries.iter().map(|entry| entry.data.len()).sum(),
            _ => 0,
        }
    }
}

/// Tasks in the order of their arrival. Those of the consumer beside the queue come first: a cancellation between a
/// stored result and its commit would remove a request that has ended.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    consumer: VecDeque<Task>,
    tasks: VecDeque<Task>,
    bytes: usize,
}

impl Inbox {
    /// Whether a put of this many bytes fits in now.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes + bytes <= INBOX_BYTES_MAX
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.consumer.is_empty() && self.tasks.is_empty()
    }

    /// Whether settings are to be changed.
    pub fn has_settings(&self) -> bool {
        self.tasks.iter().any(|task| matches!(task, Task::Configure(..)))
    }

    pub fn push(&mut self, task: Task) {
        self.bytes += task.bytes();
        self.tasks.push_back(task);
    }

    /// A task of the consumer beside the queue; it holds no bytes.
    pub fn push_of_consumer(&mut self, task: Task) {
        self.consumer.push_back(task);
    }

    /// Takes back a task whose client went away. Returns whether it still waited.
    pub fn take_back(&mut self, ticket: Ticket) -> bool {
        let place = self.tasks.iter().position(|task| task.ticket() == Some(ticket));
        let task = place.and_then(|place| self.tasks.remove(place));
        self.bytes -= task.as_ref().map_or(0, Task::bytes);
        task.is_some()
    }

    /// The tasks of the next flush.
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

    /// The tickets of all waiting tasks.
    pub fn tickets(&self) -> impl Iterator<Item = Ticket> {
        self.consumer.iter().chain(&self.tasks).filter_map(Task::ticket)
    }
}
