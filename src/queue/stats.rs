//! The state of a queue, of an entry and of a consumer, as it is told to people and programs.

use super::config::Settings;
use super::entry::{Filter, Index, Priority, Tags};
use super::event::ConsumerId;
use alloc::{string::String, vec::Vec};

/// State of one side of a queue at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// Whether the stream was ended.
    pub ended: bool,
    /// Index of the first stored entry, 0 when empty.
    pub first: Index,
    /// Index of the last stored entry, 0 when empty.
    pub last: Index,
    /// Stored entries.
    pub length: u64,
    /// Stored bytes.
    pub bytes: u64,
    /// Entries that are out at no consumer: they can be delivered, now or when their delay is over.
    pub waiting: u64,
    /// Entries that are out at consumers; one that is out in several groups counts once.
    pub in_flight: u64,
    /// Time since the first stored entry was put, in milliseconds; 0 when empty.
    pub oldest_ms: u64,
    /// Commits since the queue was created, those of forgotten groups included.
    pub done: u64,
    /// Entries given up after too many deliveries since the queue was created.
    pub failed: u64,
    /// Gets that wait.
    pub waiting_gets: u64,
    /// The settings in force.
    pub settings: Settings,
    /// Consumers, sorted by group and user.
    pub consumers: Vec<ConsumerStats>,
    /// Groups, sorted by name.
    pub groups: Vec<GroupStats>,
}

/// One consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerStats {
    /// Its group and user.
    pub id: ConsumerId,
    /// The highest entry pushed to it and not committed; 0 when nothing is pending.
    pub index: Index,
    /// Entries pushed and not committed.
    pub pending: u64,
    /// Whether it is connected, and if not, what it left.
    pub status: ConsumerStatus,
    /// Time since its last heartbeat, in milliseconds.
    pub idle_ms: u64,
    /// Its window; 0 with auto commit or without a connection.
    pub window: u32,
    /// Free slots of the window; 0 with auto commit or without a connection.
    pub slots: u32,
    /// Whether entries are committed as they are pushed.
    pub auto_commit: bool,
    /// Its group's filter.
    pub filter: Filter,
}

/// The status of a consumer, in the vendor's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerStatus {
    /// Connected.
    Running,
    /// Gone for less than a minute.
    Leaving,
    /// Gone, with entries that nobody has consumed yet.
    Exit,
    /// Gone, with everything consumed.
    Complete,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStats {
    /// Its name.
    pub id: String,
    /// The highest entry pushed and not committed; 0 when nothing is pending.
    pub index: Index,
    /// Entries pushed and not committed.
    pub pending: u64,
    /// Entries committed since the group began.
    pub delivered: u64,
    /// Consumers that are known, connected or not.
    pub consumers: u64,
}

/// The position of an entry in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The consumer that holds it; the caller when nobody does.
    pub consumer: ConsumerId,
    /// Whether a consumer holds it.
    pub pending: bool,
    /// Entries that will be delivered before it.
    pub ahead: u64,
}

/// The status of an entry in every group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryStatus {
    /// The entry.
    pub index: Index,
    /// Its priority.
    pub priority: Priority,
    /// When it was put, Unix milliseconds.
    pub put_ms: u64,
    /// Its tags as stored.
    pub tags: Tags,
    /// Entries that would be delivered before it in a group that begins now: those of higher priorities, and those of
    /// its own that were put before it.
    pub ahead: u64,
    /// The groups that still need it, by name.
    pub groups: Vec<(String, GroupStatus)>,
}

/// The status of an entry in a group that needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupStatus {
    /// It waits.
    Queued {
        /// Entries that will be delivered before it.
        ahead: u64,
        /// Deliveries so far that did not end in a commit.
        attempts: u32,
        /// End of its delay, Unix milliseconds; 0 when it is not delayed.
        not_before_ms: u64,
        /// Code of the last rejection, or empty.
        code: String,
        /// Reason of the last rejection, or empty.
        reason: String,
    },
    /// A consumer holds it.
    Running {
        /// The consumer.
        consumer: ConsumerId,
        /// Number of this delivery, from 1.
        attempt: u32,
        /// When it was pushed, Unix milliseconds.
        since_ms: u64,
    },
}
