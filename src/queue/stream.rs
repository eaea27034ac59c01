//! One side of a queue (the queue itself or its rear twin): its state, and the order of the phases of a turn.

use super::config::Settings;
use super::dedup::DedupLog;
use super::effect::{Effect, Record, Reply, Write};
use super::entry::{Index, Lane, Tags};
use super::event::{Event, Ticket, WatcherId};
use super::group::{Group, Unacked};
use super::refusal::{Refusal, StoreError};
use super::store::Store;
use super::waiter::Waiters;
use super::watcher::Watcher;
use super::{record, timer::Timers};
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
    /// A group was dropped: entries that waited for it alone are looked for from here on.
    pub sweep: Option<(Lane, Index)>,
    /// Entries that failed too often in this turn, on their way to the rear side.
    pub dead: Vec<DeadLetter>,
    /// What this turn changed beside entries.
    pub changed: Changed,
    /// Just opened: connections that did not come back by the first turn are gone.
    pub opened: bool,
    /// Counts deliveries, for fairness.
    pub rotation: u64,
    /// Which entries of another queue have their outcome here.
    pub dedup_log: DedupLog,
    /// Commits since the queue exists.
    pub done: u64,
    /// Entries given up since the queue exists.
    pub failed: u64,
}

/// What must be saved or told at the end of a turn.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub groups: bool,
    pub consumers: bool,
    pub watchers: BTreeSet<WatcherId>,
    /// Work was left for another turn.
    pub again: bool,
}

/// An entry on its way to the rear side.
#[derive(Debug)]
pub(super) struct DeadLetter {
    pub lane: Lane,
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

impl<S: Store> Turn<'_, S> {
    pub fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.effects.push(Effect::Reply(ticket, reply));
    }

    /// An entry is taken from whoever holds it.
    pub fn revoke(&mut self, index: Index, unacked: &Unacked) {
        if let Some(holder) = unacked.holder {
            self.effects.push(Effect::Revoke(holder.watcher, index));
        }
    }

    pub fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        self.reply(ticket, Reply::Refused(refusal));
    }
}

impl Stream {
    /// What is stored of one side. Entries that were out are requeued: their holders come again with `Resume`, before
    /// any other event, or not at all.
    pub fn open(settings: &Settings, store: &mut impl Store) -> Result<Self, StoreError> {
        let mut stream = Self::default();
        if let Some(groups) = store.load(Record::Groups)? {
            record::load_groups(&mut stream, &groups)?;
        }
        if let Some(consumers) = store.load(Record::Consumers)? {
            record::load_consumers(&mut stream, &consumers)?;
        }
        stream.timers.reset(&stream.groups, settings);
        stream.opened = true;
        Ok(stream)
    }

    /// Takes in what happened.
    pub fn accept<S: Store>(&mut self, turn: &mut Turn<'_, S>, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Put(ticket, entries) => self.put(turn, ticket, entries),
            Event::Get(ticket, get) => self.get(turn, ticket, get),
            Event::Abandon(ticket) => {
                self.waiters.abandon(ticket);
                Ok(())
            }
            Event::Attach(ticket, id, watch) => self.attach(turn, ticket, id, watch),
            Event::Resume(id, state) => self.resume(turn, id, state),
            Event::Detach(id) => self.release(turn, id, 0),
            Event::Heartbeats(heartbeats) => {
                self.heartbeats(turn.now_ms, &heartbeats);
                Ok(())
            }
            Event::Commit(ticket, consumer, indexes) => self.commit(turn, ticket, consumer, &indexes),
            Event::Reject(ticket, consumer, indexes, rejection) => {
                self.reject(turn, ticket, consumer, &indexes, rejection)
            }
            Event::Remove(ticket, indexes) => self.remove(turn, ticket, &indexes),
            Event::Truncate(ticket, below) => self.truncate(turn, ticket, below),
            Event::End(ticket, force) => self.end(turn, ticket, force),
            Event::Stats(ticket) => self.stats(turn, ticket),
            Event::Count(ticket, lane, filter) => self.count(turn, ticket, lane, &filter),
            Event::Search(ticket, consumer, index) => self.search(turn, ticket, consumer, index),
            Event::Find(ticket, request_id) => self.find(turn, ticket, &request_id),
            Event::Cancel(ticket, request_id) => self.cancel(turn, ticket, &request_id),
            // Settings belong to both sides; the queue has taken them in.
            Event::Configure(..) | Event::Tick => Ok(()),
        }
    }

    /// Does what has become due or possible, until nothing more is.
    pub fn settle_down<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        self.housekeeping(turn)?;
        self.serve_waiters(turn)?;
        self.deliver(turn)?;
        if self.ended {
            self.close_finished(turn)?;
        }
        Ok(())
    }

    /// Saves what must outlive the memory and tells the shell what connections must remember.
    pub fn close_turn<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        let changed = core::mem::take(&mut self.changed);
        if changed.groups {
            let lanes = turn.store.lanes();
            for group in self.groups.values_mut() {
                group.undelivered.retain(|lane, _| lanes.iter().any(|(live, _)| live == lane));
            }
            turn.store.apply(Write::Save(Record::Groups, record::save_groups(self)))?;
        }
        if changed.consumers {
            turn.store.apply(Write::Save(Record::Consumers, record::save_consumers(self)))?;
        }
        for id in changed.watchers {
            if self.watchers.contains_key(&id) {
                turn.effects.push(Effect::Remember(id));
            }
        }
        if changed.again {
            turn.effects.push(Effect::Again);
        }
        Ok(())
    }
}
