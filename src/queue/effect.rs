//! The results of a turn: [`Write`]s for the store, in order, and [`Effect`]s for the shell, which nobody may see
//! before the writes are durable.

use super::entry::{Entry, Index, Mark, Tags};
use super::event::{Ticket, WatcherId};
use super::refusal::Refusal;
use super::stats::{EntryStatus, Position, Stats};
use alloc::{boxed::Box, string::String, vec::Vec};
use bytes::Bytes;
use prost::Message;

/// A change to what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Appends an entry to its priority. Its index is the store's next one.
    Append(Entry, Vec<Mark>),
    /// Removes a live entry.
    Remove(Index),
    /// Removes every entry below the index.
    RemoveBelow(Index),
    /// Replaces one of the queue's own records.
    Save(Record, Bytes),
}

/// The queue's own records beside its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// Progress of the groups. Stored together with the totals, in one row.
    Groups,
    /// The consumers that are known.
    Consumers,
    /// The settings. Saved at the main side, valid for both.
    Settings,
}

/// Something the shell must do, in this order, when the writes of the turn are durable and not before.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answer a request; its ticket is used up.
    Reply(Ticket, Reply),
    /// Send an entry to a connection.
    Push(WatcherId, Delivery),
    /// An entry that is out at this watcher was taken from it: it was removed, cancelled, committed by another
    /// consumer, or held for too long. Further work on it changes nothing.
    Revoke(WatcherId, Index),
    /// End a connection. The queue has forgotten it already: its `Detach` may come or not.
    Close(WatcherId, CloseReason),
    /// The resume state of the connection changed: take it from [`Queue::resume_state`](super::Queue::resume_state) and
    /// keep it with the socket.
    Remember(WatcherId),
    /// There is more to do: take another turn with [`Event::Tick`](super::Event::Tick) soon.
    Again,
}

/// Answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Stored, in the order of the request.
    Put(Vec<Receipt>),
    /// The entries a get found; may be empty.
    Entries(Vec<Delivery>),
    /// The connection watches now.
    Attached,
    /// Carried out.
    Done,
    /// State of the queue.
    Stats(Box<Stats>),
    /// A number of entries.
    Count(u64),
    /// The position of an entry in a group.
    Position(Position),
    /// The status of an entry in every group; none when there is no such entry.
    Found(Option<EntryStatus>),
    /// The index of the entry that was removed; none when there was none.
    Cancelled(Option<Index>),
    /// Not carried out, and why.
    Refused(Refusal),
}

/// Proof of a stored entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Its index; 0 for a repeated put whose first index is not known.
    pub index: Index,
    /// Its request id.
    pub request_id: String,
    /// Nothing was stored: an earlier put had stored it.
    pub repeated: bool,
}

/// An entry on its way out, with the tags it gained from failed attempts.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The entry as stored.
    pub entry: Entry,
    /// Tags gained since it was put (`lastCode`, `lastReason`); they override stored ones.
    pub gained: Tags,
    /// Whether the body is left out.
    pub index_only: bool,
    /// Number of this delivery in its group, from 1; 0 in the answer to a get.
    pub attempt: u32,
}

impl Delivery {
    /// The encoded frame. Gained tags are appended as further map fields, which every protobuf reader merges.
    pub fn frame(&self) -> Bytes {
        let stored = if self.index_only { self.entry.head() } else { self.entry.frame.clone() };
        if self.gained.is_empty() {
            return stored;
        }
        let gained = super::entry::Frame { tags: self.gained.clone(), ..Default::default() };
        [stored.as_ref(), &gained.encode_to_vec()].concat().into()
    }

    /// All its tags.
    pub fn tags(&self) -> Tags {
        let mut tags = self.entry.tags();
        tags.extend(self.gained.clone());
        tags
    }
}

/// Why the queue ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The same group and user connected again.
    TakenOver,
    /// The stream was ended and everything was delivered.
    Ended,
    /// It held entries and sent no heartbeat for too long.
    Silent,
}
