//! One live connection and what is out at it.

use super::entry::{Index, Lane};
use super::event::{ConsumerId, Watch};
use super::limits;
use alloc::vec::Vec;

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
pub struct Remembered {
    /// How it watches; it begins at what it may be given.
    pub watch: Watch,
    /// What is out at it.
    pub leases: Vec<Lease>,
    /// Its last heartbeat, Unix milliseconds.
    pub heartbeat_ms: u64,
    /// It is about to leave and is to be pushed nothing more.
    pub stopped: bool,
}

/// A live connection.
#[derive(Clone, Debug)]
pub(super) struct Watcher {
    pub consumer: ConsumerId,
    pub window: u32,
    pub auto_commit: bool,
    pub index_only: bool,
    /// It consumes inside the process: it is never silent.
    pub local: bool,
    /// It is given nothing below: it asked for new entries only.
    pub from: u64,
    /// It said that it is about to leave: push no more.
    pub stopped: bool,
    /// What is out at it, sorted.
    pub leases: Vec<Index>,
    /// Bytes of what is out at it.
    pub leased_bytes: usize,
    /// Turn of the rotation at which it was last given something; the longest unserved goes first.
    pub last_served: u64,
    /// Its last heartbeat, Unix milliseconds.
    pub heartbeat_ms: u64,
}

impl Watcher {
    /// Free places in its window.
    pub fn slots(&self) -> u32 {
        let unlimited = self.auto_commit && self.window > 0;
        if unlimited { u32::MAX } else { self.window.saturating_sub(self.leases.len() as u32) }
    }

    /// Whether it may be given one more entry.
    pub fn has_room(&self) -> bool {
        !self.stopped && self.slots() > 0 && (self.leases.is_empty() || self.leased_bytes < limits::WINDOW_BYTES_MAX)
    }

    /// An entry goes out to it.
    pub fn take(&mut self, index: Index, bytes: u32) {
        if let Err(at) = self.leases.binary_search(&index) {
            self.leases.insert(at, index);
            self.leased_bytes += bytes as usize;
        }
    }

    /// An entry is no longer out at it.
    pub fn drop_lease(&mut self, index: Index, bytes: u32) {
        if let Ok(at) = self.leases.binary_search(&index) {
            self.leases.remove(at);
            self.leased_bytes = self.leased_bytes.saturating_sub(bytes as usize);
        }
    }
}
