//! The state of one side of a queue (the queue itself or its rear twin), and what a turn works with beside it.

use super::config::Settings;
use super::dedup_log::DedupLog;
use super::effect::{Effect, Reply};
use super::entry::{Index, Priority, Tags};
use super::event::{Lease, Ticket, WatcherId};
use super::group::{Group, Unacked};
use super::refusal::Refusal;
use super::timer::Timers;
use super::waiter::Waiters;
use super::watcher::Watcher;
use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use bytes::Bytes;

/// State of one side.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// No more puts.
    pub ended: bool,
    /// Groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Live connections.
    pub watchers: BTreeMap<WatcherId, Watcher>,
    /// Gets that wait.
    pub waiters: Waiters,
    /// When something is due.
    pub timers: Timers,
    /// A group was dropped: from here on entries are looked for that waited for it alone.
    pub sweep: Option<(Priority, Index)>,
    /// Entries that failed too often in this turn, on their way to the rear side.
    pub dead: Vec<DeadLetter>,
    /// What the shell must be told at the end of the turn.
    pub changed: Changed,
    /// Records that differ from what was last written.
    pub unsaved: Unsaved,
    /// Just opened: a connection that does not come back before the first turn is gone.
    pub opened: bool,
    /// Deliveries so far, so that consumers can take turns.
    pub rotation: u64,
    /// The entries of another queue whose outcome was put here.
    pub dedup_log: DedupLog,
    /// Commits since the queue exists.
    pub done: u64,
    /// Entries given up since the queue exists.
    pub failed: u64,
}

/// What the shell must be told at the end of a turn.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Connections whose resume state changed.
    pub watchers: BTreeSet<WatcherId>,
    /// Work was left for another turn.
    pub again: bool,
}

/// Records that must be written before the next flush.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    pub groups: bool,
    pub consumers: bool,
}

/// An entry on its way to the rear side.
#[derive(Debug)]
pub(super) struct DeadLetter {
    pub priority: Priority,
    pub tags: Tags,
    pub data: Bytes,
}

/// Everything a phase needs beside the stream.
pub(super) struct Turn<'a, S> {
    pub now_ms: u64,
    pub settings: &'a Settings,
    pub store: &'a mut S,
    pub effects: &'a mut Vec<Effect>,
    /// Bytes the other side holds: both share one bound.
    pub other_bytes: u64,
}

impl<S> Turn<'_, S> {
    pub fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.effects.push(Effect::Reply(ticket, reply));
    }

    pub fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        self.reply(ticket, Reply::Refused(refusal));
    }

    /// An entry is taken from the watcher that holds it, if one does.
    pub fn revoke(&mut self, index: Index, unacked: &Unacked) {
        if let Some(holder) = unacked.holder {
            self.effects.push(Effect::Revoke(holder.watcher, index));
        }
    }
}

impl Stream {
    /// What is out at a watcher.
    pub fn leases<'a>(&'a self, watcher: &'a Watcher) -> impl Iterator<Item = Lease> + 'a {
        let group = self.groups.get(&watcher.consumer.group).expect("a watcher has a group");
        watcher.leases.iter().map(|index| {
            let unacked = group.unacked.get(index).expect("5: a lease is an unacked entry");
            let holder = unacked.holder.expect("5: a leased entry has a holder");
            Lease { index: *index, priority: unacked.priority, since_ms: holder.since_ms, bytes: holder.bytes }
        })
    }
}
