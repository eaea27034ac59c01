//! One live connection and the entries that are out at it.

use super::entry::Index;
use super::event::{ConsumerId, WatcherId};
use super::limits;
use alloc::{collections::BTreeMap, vec::Vec};

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
    pub draining: bool,
    /// What is out at it, sorted.
    pub leases: Vec<Index>,
    /// Bytes of the entries that are out at it.
    pub leased_bytes: usize,
    /// Turn of the rotation in which it was last given something; of equals, the one served longest ago goes first.
    pub last_served: u64,
    /// Its last heartbeat, Unix milliseconds.
    pub heartbeat_ms: u64,
}

impl Watcher {
    /// Free slots of its window.
    pub fn slots(&self) -> u32 {
        let unlimited = self.auto_commit && self.window > 0;
        if unlimited { u32::MAX } else { self.window.saturating_sub(self.leases.len() as u32) }
    }

    /// Whether it may be given one more entry.
    pub fn has_room(&self) -> bool {
        !self.draining && self.slots() > 0 && (self.leases.is_empty() || self.leased_bytes < limits::WINDOW_BYTES_MAX)
    }

    /// Whether an entry is out at it.
    pub fn holds(&self, index: Index) -> bool {
        self.leases.binary_search(&index).is_ok()
    }

    /// An entry goes out to it.
    pub fn take(&mut self, index: Index, bytes: u32) {
        let at = self.leases.binary_search(&index).expect_err("5: an entry is out at most once");
        self.leases.insert(at, index);
        self.leased_bytes += bytes as usize;
    }

    /// An entry is no longer out at it.
    pub fn drop_lease(&mut self, index: Index, bytes: u32) {
        let at = self.leases.binary_search(&index).expect("5: a holder has a lease");
        self.leases.remove(at);
        self.leased_bytes -= bytes as usize;
    }
}

/// The watcher of an id that a group or a delivery names.
pub(super) fn connected(watchers: &BTreeMap<WatcherId, Watcher>, id: WatcherId) -> &Watcher {
    watchers.get(&id).expect("5: whatever holds an entry is connected")
}

/// The same, to change it.
pub(super) fn connected_mut(watchers: &mut BTreeMap<WatcherId, Watcher>, id: WatcherId) -> &mut Watcher {
    watchers.get_mut(&id).expect("5: whatever holds an entry is connected")
}
