//! The phases of a turn in their order, for one side.

use super::config::Settings;
use super::effect::{Effect, Record, Write};
use super::event::Event;
use super::refusal::StoreError;
use super::store::Store;
use super::stream::{Stream, Turn};
use super::{invariants, record};
use core::mem::take;

impl Stream {
    /// Loads what is stored of one side. Entries that were out are requeued: their holders come back with `Resume`
    /// before any other event, or not at all.
    pub(super) fn open(settings: &Settings, store: &mut impl Store) -> Result<Self, StoreError> {
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
    pub(super) fn accept<S: Store>(&mut self, turn: &mut Turn<'_, S>, event: Event) -> Result<(), StoreError> {
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
            Event::Count(ticket, priority, filter) => self.count(turn, ticket, priority, &filter),
            Event::Search(ticket, consumer, index) => self.search(turn, ticket, consumer, index),
            Event::Find(ticket, request_id) => self.find(turn, ticket, &request_id),
            Event::Cancel(ticket, request_id) => self.cancel(turn, ticket, &request_id),
            // Settings belong to both sides: the queue itself has taken them in.
            Event::Configure(..) | Event::Tick => Ok(()),
        }
    }

    /// Does what has become due or possible, until nothing more is.
    pub(super) fn settle_down<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        self.housekeeping(turn)?;
        self.serve_waiters(turn)?;
        self.deliver(turn)?;
        if self.ended {
            self.close_finished(turn)?;
        }
        Ok(())
    }

    /// Tells the shell which resume states changed, and whether another turn is wanted.
    pub(super) fn close_turn<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        let changed = take(&mut self.changed);
        for id in changed.watchers {
            if self.watchers.contains_key(&id) {
                turn.effects.push(Effect::Remember(id));
            }
        }
        if changed.again {
            turn.effects.push(Effect::Again);
        }
        invariants::after_turn(self, turn)
    }

    /// Writes the records that changed since the last flush: what must outlive the memory beside the entries.
    pub(super) fn before_flush(&mut self, store: &mut impl Store) -> Result<(), StoreError> {
        let unsaved = take(&mut self.unsaved);
        if unsaved.groups {
            let priorities = store.priorities();
            for group in self.groups.values_mut() {
                group.undelivered.retain(|priority, _| priorities.iter().any(|(live, _)| live == priority));
            }
            store.apply(Write::Save(Record::Groups, record::save_groups(self)))?;
        }
        if unsaved.consumers {
            store.apply(Write::Save(Record::Consumers, record::save_consumers(self)))?;
        }
        invariants::before_flush(self, store)
    }
}
