//! The state of a queue as it is told to people and programs.

use super::effect::Reply;
use super::entry::{Entry, Index, Priority};
use super::event::{ConsumerId, Ticket};
use super::group::{Consumer, Group};
use super::limits;
use super::refusal::{Refusal, StoreError};
use super::stats::{ConsumerStats, ConsumerStatus, GroupStats, Position, Stats};
use super::store::Store;
use super::stream::{Stream, Turn};
use super::watcher::{Watcher, connected};
use alloc::{boxed::Box, vec::Vec};
use core::cmp::Reverse;

impl Stream {
    /// Answers with the state of this side.
    pub(super) fn stats<S: Store>(&self, turn: &mut Turn<'_, S>, ticket: Ticket) -> Result<(), StoreError> {
        let totals = turn.store.totals();
        let first = self.oldest(turn)?;
        let mut last = Index(0);
        for (priority, _) in turn.store.priorities() {
            last = turn.store.previous(priority, Index(u64::MAX))?.map_or(last, |entry| last.max(entry.index));
        }
        let (consumers, groups) = self.members(turn.now_ms);
        let in_flight = self.in_flight();
        let stats = Stats {
            ended: self.ended,
            first: first.as_ref().map(|entry| entry.index).unwrap_or_default(),
            last,
            length: totals.length,
            bytes: totals.bytes,
            waiting: totals.length.saturating_sub(in_flight),
            in_flight,
            oldest_ms: first.map_or(0, |entry| turn.now_ms.saturating_sub(entry.put_ms)),
            done: self.done,
            failed: self.failed,
            waiting_gets: self.waiters.len() as u64,
            settings: turn.settings.clone(),
            consumers,
            groups,
        };
        turn.reply(ticket, Reply::Stats(Box::new(stats)));
        Ok(())
    }

    /// The consumers that are known, and their groups.
    pub(super) fn members(&self, now_ms: u64) -> (Vec<ConsumerStats>, Vec<GroupStats>) {
        let consumers = self.groups.iter().flat_map(|(name, group)| {
            group.consumers.iter().map(|(user, consumer)| {
                let id = ConsumerId { group: name.clone(), user: user.clone() };
                self.consumer_stats(now_ms, id, group, consumer)
            })
        });
        (consumers.collect(), self.groups.iter().map(|(name, group)| group_stats(name, group)).collect())
    }

    /// Entries that are out, each counted once.
    fn in_flight(&self) -> u64 {
        let mut count = 0;
        for (nth, group) in self.groups.values().enumerate() {
            let counted = |index: &Index| self.groups.values().take(nth).any(|earlier| earlier.is_out(*index));
            count += group.out().filter(|index| !counted(index)).count() as u64;
        }
        count
    }

    /// The index below which everything is settled for a group; 0 for an unknown group.
    pub(super) fn settled_below<S: Store>(&self, group_name: &str, store: &S) -> Index {
        let Some(group) = self.groups.get(group_name) else { return Index(0) };
        let unacked = group.unacked.keys().next().copied();
        let undelivered =
            store.priorities().into_iter().filter_map(|(priority, _)| match group.undelivered.get(&priority) {
                Some(undelivered) => undelivered.first_from(0).map(|(start, _)| Index(start)),
                None => Some(Index(group.start)),
            });
        undelivered.chain(unacked).min().unwrap_or(Index(u64::MAX)).min(store.totals().next_index)
    }

    fn consumer_stats(&self, now_ms: u64, id: ConsumerId, group: &Group, consumer: &Consumer) -> ConsumerStats {
        let watcher = consumer.watcher.map(|id| connected(&self.watchers, id));
        let idle_ms = now_ms.saturating_sub(consumer.last_ms);
        let status = match watcher {
            Some(_) => ConsumerStatus::Running,
            None if idle_ms < limits::LEAVING_MS => ConsumerStatus::Leaving,
            None if group.has_left_entries(&id.user) => ConsumerStatus::Exit,
            None => ConsumerStatus::Complete,
        };
        let window = watcher.filter(|watcher| !watcher.auto_commit);
        ConsumerStats {
            id,
            index: watcher.and_then(|watcher| watcher.leases.last().copied()).unwrap_or_default(),
            pending: watcher.map_or(0, |watcher| watcher.leases.len() as u64),
            status,
            idle_ms,
            window: window.map_or(0, |watcher| watcher.window),
            slots: window.map_or(0, Watcher::slots),
            auto_commit: consumer.auto_commit,
            filter: group.filter.clone(),
        }
    }

    /// Answers with the position of an entry in the group of the caller.
    pub(super) fn search<S: Store>(
        &self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        caller: ConsumerId,
        index: Index,
    ) -> Result<(), StoreError> {
        let Some(entry) = turn.store.find(index)? else {
            turn.refuse(ticket, Refusal::NotFound);
            return Ok(());
        };
        let holder = self
            .groups
            .get(&caller.group)
            .and_then(|group| group.unacked.get(&index))
            .and_then(|unacked| unacked.holder);
        let position = match holder.map(|holder| connected(&self.watchers, holder.watcher)) {
            Some(watcher) => Position { consumer: watcher.consumer.clone(), pending: true, ahead: 0 },
            None => {
                let ahead = ahead_of(turn.store, self.groups.get(&caller.group), &entry)?;
                Position { consumer: caller, pending: false, ahead }
            }
        };
        turn.reply(ticket, Reply::Position(position));
        Ok(())
    }
}

/// Entries that a group, or one that begins now, will be given before this one. Entries that a filter leaves out count
/// too; delayed ones do not.
pub(super) fn ahead_of<S: Store>(store: &mut S, group: Option<&Group>, entry: &Entry) -> Result<u64, StoreError> {
    let mut ahead = 0;
    for (priority, length) in store.priorities().into_iter().filter(|(priority, _)| *priority >= entry.priority) {
        let below = if priority == entry.priority { entry.index } else { Index(u64::MAX) };
        let Some(group) = group else {
            ahead += if priority == entry.priority { store.count(priority, Index(0), below)? } else { length };
            continue;
        };
        if priority == entry.priority && group.unacked.contains_key(&entry.index) {
            ahead += group.requeued_before(priority, below);
            continue;
        }
        // Requeued entries go out before the undelivered ones of their priority.
        ahead += group.requeued_before(priority, Index(u64::MAX)) + group.undelivered_before(store, priority, below)?;
    }
    Ok(ahead)
}

impl Group {
    /// Entries that are out at its consumers.
    fn out(&self) -> impl Iterator<Item = Index> {
        self.unacked.iter().filter(|(_, unacked)| unacked.holder.is_some()).map(|(index, _)| *index)
    }

    fn is_out(&self, index: Index) -> bool {
        self.unacked.get(&index).is_some_and(|unacked| unacked.holder.is_some())
    }

    /// Entries of a priority that were requeued and wait below an index.
    fn requeued_before(&self, priority: Priority, below: Index) -> u64 {
        self.requeued.range((Reverse(priority), Index(0))..(Reverse(priority), below)).count() as u64
    }

    /// Entries of a priority below an index that were never given to it, matching or not.
    fn undelivered_before<S: Store>(&self, store: &mut S, priority: Priority, below: Index) -> Result<u64, StoreError> {
        let undelivered: Vec<_> = match self.undelivered.get(&priority) {
            Some(undelivered) => undelivered.pairs().collect(),
            None => Vec::from([(self.start, u64::MAX)]),
        };
        let mut count = 0;
        for (start, end) in undelivered {
            count += store.count(priority, Index(start), Index(end.min(below.0)))?;
        }
        Ok(count)
    }
}

fn group_stats(name: &str, group: &Group) -> GroupStats {
    GroupStats {
        id: name.into(),
        index: group.out().max().unwrap_or_default(),
        pending: group.out().count() as u64,
        delivered: group.delivered,
        consumers: group.consumers.len() as u64,
    }
}
