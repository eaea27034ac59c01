//! What happened outside: one [`Event`] is one turn of the machine.

use super::config::Settings;
use super::entry::{Filter, Index, Priority, Tags};
use alloc::{string::String, vec::Vec};
use bytes::Bytes;

/// A pending reply to a request. Chosen by the shell, unique while the request is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One live connection. The id is chosen by the shell and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatcherId(pub u64);

/// The name of a consumer inside a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConsumerId {
    /// The group; each group gets its own copy of the stream.
    pub group: String,
    /// The consumer inside the group.
    pub user: String,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this index, or at the first one after it.
    At(Index),
    /// A get: the newest entry. A watch: the entries put from now on.
    Newest,
}

/// One entry to be put. Its index is given by the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewEntry {
    /// Priority; higher is delivered first.
    pub priority: Priority,
    /// Tags, checked by the wire. `requestId` is kept when given and made from `random` and the index otherwise.
    pub tags: Tags,
    /// The body.
    pub data: Bytes,
    /// Random bits for the request id.
    pub random: u128,
    /// Set when it is to be stored only if it was not stored before: how that is recognized.
    pub dedup: Option<Dedup>,
}

/// How the repetition of a put is recognized. A repeated put stores nothing and is answered like the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dedup {
    /// By the request id, as long as an entry with it is in the queue. Once that entry is gone, so is the knowledge.
    RequestId,
    /// By the entry of another queue, always the same queue, whose outcome this is: also when the first outcome was
    /// consumed meanwhile. No outcome of an entry below `settled_below` will be put again, and one that is put all the
    /// same counts as repeated. The queue remembers [`DEDUP_LOG_MAX`](super::limits::DEDUP_LOG_MAX) entries above.
    Source {
        /// Index in the other queue.
        index: Index,
        /// First index of the other queue whose outcome may still be put: see
        /// [`Queue::settled_below`](super::Queue::settled_below).
        settled_below: Index,
    },
}

/// A read. It ignores groups and consumers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    /// Where it begins.
    pub start: Start,
    /// The entries it takes.
    pub filter: Filter,
    /// Entries it waits for, and returns at most; at least 1.
    pub count: u64,
    /// Whether the entries it returns are removed.
    pub remove: bool,
    /// Time it waits for `count` entries, in milliseconds; then it returns those there are.
    pub wait_ms: u64,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The consumer that watches.
    pub consumer: ConsumerId,
    /// Where a new group begins. In an existing group only `Newest` matters: this consumer skips the entries that wait.
    pub start: Start,
    /// Most uncommitted entries at this consumer; with 0 nothing is pushed to it.
    pub window: u32,
    /// Entries are committed as they are pushed; the window matters only as 0 or not 0.
    pub auto_commit: bool,
    /// Push index and tags without the body.
    pub index_only: bool,
    /// The entries the group takes.
    pub filter: Filter,
    /// It has no connection but consumes inside the process: it is never silent, holds entries as long as it likes, and
    /// may attach again after each opening as if it had never been away. Entries that it holds when it is detached come
    /// back without counting an attempt.
    pub local: bool,
}

/// An entry that is out at a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The entry.
    pub index: Index,
    /// The entry's priority.
    pub priority: Priority,
    /// When it was pushed, Unix milliseconds.
    pub since_ms: u64,
    /// The bytes of its frame.
    pub bytes: u32,
}

/// What a connection must remember to be resumed after the machine left the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeState {
    /// How it watches. `start` is the first index that it may be given.
    pub watch: Watch,
    /// The entries that are out at it.
    pub leases: Vec<Lease>,
    /// Its last heartbeat, Unix milliseconds.
    pub heartbeat_ms: u64,
    /// It is about to leave: nothing more is pushed to it.
    pub draining: bool,
}

/// What happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Entries to store, all or none. Answer: [`Reply::Put`](super::Reply::Put).
    Put(Ticket, Vec<NewEntry>),
    /// A read. Answer: [`Reply::Entries`](super::Reply::Entries), now or when its wait is over.
    Get(Ticket, Get),
    /// The client of a waiting get went away: nothing may be removed for it. No answer.
    Abandon(Ticket),
    /// A connection asks to watch. Answer: [`Reply::Attached`](super::Reply::Attached), before any push.
    ///
    /// If the connection watches already, only its window changes. With a window of 0 a connection that does not watch
    /// yet goes on not watching: it takes nobody's place, and no group begins.
    Attach(Ticket, WatcherId, Watch),
    /// A connection that outlived the memory, with what it remembers. No answer.
    Resume(WatcherId, ResumeState),
    /// A connection is gone. No answer; unknown watchers are ignored.
    Detach(WatcherId),
    /// Connections, on either side, were alive at these times, Unix milliseconds. No answer.
    Heartbeats(Vec<(WatcherId, u64)>),
    /// Entries are done. Answer: [`Reply::Done`](super::Reply::Done), also for unknown indexes.
    Commit(Ticket, ConsumerId, Vec<Index>),
    /// A consumer rejects entries it holds. Answer: [`Reply::Done`](super::Reply::Done), also for others.
    Reject(Ticket, ConsumerId, Vec<Index>, Rejection),
    /// Entries are removed for everybody. Answer: [`Reply::Done`](super::Reply::Done), also for unknown indexes.
    Remove(Ticket, Vec<Index>),
    /// Entries below the index are removed for everybody. Answer: [`Reply::Done`](super::Reply::Done).
    Truncate(Ticket, Index),
    /// The end of the stream: no more puts. With `true` the entries that wait are removed too. Answer:
    /// [`Reply::Done`](super::Reply::Done).
    End(Ticket, bool),
    /// New settings, already checked. Answer: [`Reply::Done`](super::Reply::Done).
    Configure(Ticket, Settings),
    /// The state of one side is asked for. Answer: [`Reply::Stats`](super::Reply::Stats).
    Stats(Ticket),
    /// The number of entries that match is asked for. Answer: [`Reply::Count`](super::Reply::Count).
    Count(Ticket, Option<Priority>, Filter),
    /// The position of an entry in a group is asked for. Answer: [`Reply::Position`](super::Reply::Position) or
    /// [`Refusal::NotFound`](super::refusal::Refusal::NotFound).
    Search(Ticket, ConsumerId, Index),
    /// The status of the first entry with this request id is asked for. Answer: [`Reply::Found`](super::Reply::Found).
    Find(Ticket, String),
    /// The first entry with this request id is removed for everybody. Answer:
    /// [`Reply::Cancelled`](super::Reply::Cancelled).
    Cancel(Ticket, String),
    /// Time has passed: an alarm, a timer, or a turn asked for by [`Effect::Again`](super::Effect::Again).
    Tick,
}

/// Why a consumer rejects an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejection {
    /// Code in the vendor's grammar, or empty.
    pub code: String,
    /// Text for people, or empty.
    pub reason: String,
    /// Time for which nobody of the group is given the entry again, in milliseconds; others are delivered meanwhile.
    pub delay_ms: u64,
}

/// Code of a rejection by a consumer that is about to leave: nothing more is pushed to it, and the delivery does not
/// count as an attempt.
pub const CODE_SHUTDOWN: &str = "Shutdown";

impl Event {
    /// The ticket of its answer, if it has one.
    pub fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Put(ticket, ..)
            | Self::Get(ticket, ..)
            | Self::Attach(ticket, ..)
            | Self::Commit(ticket, ..)
            | Self::Reject(ticket, ..)
            | Self::Remove(ticket, ..)
            | Self::Truncate(ticket, ..)
            | Self::End(ticket, ..)
            | Self::Configure(ticket, ..)
            | Self::Stats(ticket)
            | Self::Count(ticket, ..)
            | Self::Search(ticket, ..)
            | Self::Find(ticket, ..)
            | Self::Cancel(ticket, ..) => Some(*ticket),
            Self::Abandon(_) | Self::Resume(..) | Self::Detach(_) | Self::Heartbeats(_) | Self::Tick => None,
        }
    }
}
