//! What happened outside: one [`Event`] is one turn of the machine.

use super::config::Settings;
use super::entry::{Filter, Index, Lane, Tags};
use alloc::{string::String, vec::Vec};
use bytes::Bytes;

/// A reply the shell owes to a request. Chosen by the shell, unique while the request is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One live connection. Chosen by the shell, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatcherId(pub u64);

/// Who consumes: a name inside a group.
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
    /// A get: the newest entry. A watch: what is put from now on.
    Newest,
}

/// One entry to be put. Its index is given by the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewEntry {
    /// Priority; higher is delivered first.
    pub lane: Lane,
    /// Tags, checked by the wire. `requestId` is kept when given and made from `random` and the index otherwise.
    pub tags: Tags,
    /// The body.
    pub data: Bytes,
    /// Random bits for the request id.
    pub random: u128,
    /// Whether it is stored only if it was not before, and how that is told.
    pub dedup: Option<Dedup>,
}

/// How the repetition of a put is recognized. A repeated put stores nothing and is answered like the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dedup {
    /// An entry with the same request id is in the queue. Once that is consumed, nothing is known of it any more.
    RequestId,
    /// The entry is what came of entry `index` of another queue, always the same one, and such a thing was put before: also
    /// when it was consumed meanwhile. Of entries below `settled_below` nothing will be put again; what is put all the
    /// same counts as repeated. The queue remembers [`DEDUP_LOG_MAX`](super::limits::DEDUP_LOG_MAX) of them.
    Source {
        /// Index in the other queue.
        index: Index,
        /// First index of the other queue of which something may still be put: see
        /// [`Queue::settled_below`](super::Queue::settled_below).
        settled_below: Index,
    },
}

/// A read. It ignores groups and consumers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    /// Where it begins.
    pub start: Start,
    /// What it takes.
    pub filter: Filter,
    /// How many entries it waits for and returns at the most; at least 1.
    pub count: u64,
    /// Whether what is returned is removed.
    pub remove: bool,
    /// How long it waits for `count` entries, in milliseconds; then it returns what there is.
    pub wait_ms: u64,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Who watches.
    pub consumer: ConsumerId,
    /// Where a new group begins; for an existing group only `Newest` matters (this consumer skips what is waiting).
    pub start: Start,
    /// Most uncommitted entries at this consumer; with 0 it is pushed nothing.
    pub window: u32,
    /// Entries are committed as they are pushed; of the window only matters whether it is 0.
    pub auto_commit: bool,
    /// Push index and tags without the body.
    pub index_only: bool,
    /// What the group takes.
    pub filter: Filter,
    /// It has no connection, but consumes inside the process: it is never silent, holds entries as long as it likes, and may
    /// attach again after each opening as if it had never been away. What it holds when it is detached counts as no attempt.
    pub local: bool,
}

/// An entry that is out at a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The entry.
    pub index: Index,
    /// Its lane.
    pub lane: Lane,
    /// When it was pushed, Unix milliseconds.
    pub since_ms: u64,
    /// Its bytes.
    pub bytes: u32,
}

/// What a connection must remember to be resumed after the machine was out of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeState {
    /// How it watches; it begins at what it may be given.
    pub watch: Watch,
    /// What is out at it.
    pub leases: Vec<Lease>,
    /// Its last heartbeat, Unix milliseconds.
    pub heartbeat_ms: u64,
    /// It is about to leave and is to be pushed nothing more.
    pub draining: bool,
}

/// What happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Entries to store, all or none. Answer: [`Reply::Put`](super::Reply::Put).
    Put(Ticket, Vec<NewEntry>),
    /// A read. Answer: [`Reply::Entries`](super::Reply::Entries), now or when its wait is over.
    Get(Ticket, Get),
    /// The client of a waiting request went away: nothing may be removed for it. No answer.
    Abandon(Ticket),
    /// A connection asks to watch. Answer: [`Reply::Attached`](super::Reply::Attached), before any push.
    ///
    /// Of a connection that watches already only the window changes. With a window of 0 a connection that does not watch
    /// yet stays so: it takes nobody's place and no group begins.
    Attach(Ticket, WatcherId, Watch),
    /// A connection that outlived the queue in memory, with what it remembers. No answer.
    Resume(WatcherId, ResumeState),
    /// A connection is gone. No answer; unknown watchers are ignored.
    Detach(WatcherId),
    /// Connections, on either side, were heard of at these times, Unix milliseconds. No answer.
    Heartbeats(Vec<(WatcherId, u64)>),
    /// Entries are done. Answer: [`Reply::Done`](super::Reply::Done), also for unknown indexes.
    Commit(Ticket, ConsumerId, Vec<Index>),
    /// Entries are refused by their consumer. `code` and `reason` may be empty. Answer: [`Reply::Done`](super::Reply::Done).
    Reject(Ticket, ConsumerId, Vec<Index>, Rejection),
    /// Entries are removed for everybody. Answer: [`Reply::Done`](super::Reply::Done), also for unknown indexes.
    Remove(Ticket, Vec<Index>),
    /// Entries below the index are removed for everybody. Answer: [`Reply::Done`](super::Reply::Done).
    Truncate(Ticket, Index),
    /// No more puts; with `true` what is waiting is dropped too. Answer: [`Reply::Done`](super::Reply::Done).
    End(Ticket, bool),
    /// New settings, already checked. Answer: [`Reply::Done`](super::Reply::Done).
    Configure(Ticket, Settings),
    /// Answer: [`Reply::Stats`](super::Reply::Stats).
    Stats(Ticket),
    /// How many entries match. Answer: [`Reply::Count`](super::Reply::Count).
    Count(Ticket, Option<Lane>, Filter),
    /// Where an entry stands for a group. Answer: [`Reply::Position`](super::Reply::Position) or a 404.
    Search(Ticket, ConsumerId, Index),
    /// Where the first entry with this request id stands. Answer: [`Reply::Found`](super::Reply::Found).
    Find(Ticket, String),
    /// The first entry with this request id is removed for everybody. Answer: [`Reply::Cancelled`](super::Reply::Cancelled).
    Cancel(Ticket, String),
    /// Time has passed: an alarm, a timer, or a turn asked for by [`Effect::Again`](super::Effect::Again).
    Tick,
}

/// Why a consumer refuses an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejection {
    /// Code in the vendor's grammar, or empty.
    pub code: String,
    /// Text for people, or empty.
    pub reason: String,
    /// Nobody of the group is given the entry before so many milliseconds have passed; others are delivered meanwhile.
    pub delay_ms: u64,
}

/// Code of a rejection that says: the consumer is about to leave; push no more, and do not count this delivery.
pub const CODE_SHUTDOWN: &str = "Shutdown";

impl Event {
    /// The ticket of the answer that is owed for it, if one is.
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
