//! The state of a queue as people and programs are told it.

use super::config::Settings;
use super::entry::{Filter, Index};
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
    /// Who.
    pub id: ConsumerId,
    /// Last entry pushed to it; 0 when nothing is pending.
    pub index: Index,
    /// Entries pushed and not committed.
    pub pending: u64,
    /// How it is.
    pub status: ConsumerStatus,
    /// Time since its last sign of life, in milliseconds.
    pub idle_ms: u64,
    /// Its window; 0 with auto commit or without a connection.
    pub window: u32,
    /// Free places in the window; 0 with auto commit or without a connection.
    pub slots: u32,
    /// Whether entries are committed as they are pushed.
    pub auto_commit: bool,
    /// Its group's filter.
    pub filter: Filter,
}

/// How a consumer is, in the vendor's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerStatus {
    /// Connected.
    Running,
    /// Gone since a short time.
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
    /// Last entry pushed; 0 when nothing is pending.
    pub index: Index,
    /// Entries pushed and not committed.
    pub pending: u64,
    /// Entries committed since the group exists.
    pub delivered: u64,
    /// Remembered consumers.
    pub consumers: u64,
}

/// Where an entry stands for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Who holds it, or who asked when nobody does.
    pub consumer: ConsumerId,
    /// Whether a consumer holds it.
    pub pending: bool,
    /// Entries that will be delivered before it.
    pub ahead: u64,
}
