//! Filling free windows: which entry goes to which consumer, in which order.

use super::effect::{Delivery, Effect};
use super::entry::{Entry, Index, Priority};
use super::event::WatcherId;
use super::group::{FailureHistory, Group, Holder, Unacked};
use super::invariants;
use super::limits;
use super::refusal::StoreError;
use super::store::Store;
use super::stream::{Stream, Turn};
use super::watcher::{Watcher, connected, connected_mut};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::cmp::Reverse;

/// What one turn may still push. The rest waits for the next turn.
struct Budget {
    entries: usize,
    bytes: usize,
    /// Entries that may still become unacked, see [`limits::UNACKED_MAX`].
    unacked: usize,
    /// Entries that may still be looked at for their tags.
    looks: usize,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.entries == 0 || self.bytes == 0 || self.looks == 0
    }
}

/// The deliveries to one group in one turn.
struct Round<'a> {
    name: &'a str,
    group: &'a mut Group,
    /// Its connections that have room.
    candidates: Vec<WatcherId>,
    budget: &'a mut Budget,
    /// Entries that were pushed to connections with auto commit, for all groups.
    committed: &'a mut Vec<(String, WatcherId, Index)>,
}

impl Round<'_> {
    fn is_over(&self) -> bool {
        self.candidates.is_empty() || self.budget.is_spent()
    }
}

impl Stream {
    /// Gives every group what its consumers have room for: highest priority first, inside a priority the requeued
    /// entries, then the undelivered ones, each in index order.
    pub(super) fn deliver<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        if self.watchers.is_empty() {
            return Ok(());
        }
        let unacked: usize = self.groups.values().map(|group| group.unacked.len()).sum();
        let mut budget = Budget {
            entries: limits::TURN_PUSH_ENTRIES_MAX,
            bytes: limits::TURN_PUSH_BYTES_MAX,
            unacked: limits::UNACKED_MAX.saturating_sub(unacked),
            looks: limits::TURN_LOOKS_MAX,
        };
        // The groups are taken out so that one can be worked on beside the watchers.
        let mut groups = core::mem::take(&mut self.groups);
        let mut committed = Vec::new();
        let mut outcome = Ok(());
        for (name, group) in &mut groups {
            let candidates = self.candidates(group);
            let round = Round { name, group, candidates, budget: &mut budget, committed: &mut committed };
            outcome = self.deliver_round(turn, round);
            if outcome.is_err() {
                break;
            }
        }
        self.groups = groups;
        outcome?;
        self.changed.again |= budget.is_spent();
        for (name, id, index) in committed {
            self.settle(turn, &name, index, Some(id))?;
        }
        Ok(())
    }

    /// The connections of a group that have room.
    fn candidates(&self, group: &Group) -> Vec<WatcherId> {
        let connections = group.consumers.values().filter_map(|consumer| consumer.watcher);
        connections.filter(|id| connected(&self.watchers, *id).has_room()).collect()
    }

    fn deliver_round<S: Store>(&mut self, turn: &mut Turn<'_, S>, mut round: Round<'_>) -> Result<(), StoreError> {
        if round.candidates.is_empty() {
            return Ok(());
        }
        for (priority, _) in turn.store.priorities() {
            self.deliver_requeued(turn, &mut round, priority)?;
            self.deliver_undelivered(turn, &mut round, priority)?;
            if round.is_over() {
                break;
            }
        }
        Ok(())
    }

    /// Gives out again what came back.
    fn deliver_requeued<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        round: &mut Round<'_>,
        priority: Priority,
    ) -> Result<(), StoreError> {
        let mut after = (Reverse(priority), Index(0));
        while !round.is_over() {
            let next = round.group.requeued.range(after..).next().copied();
            let Some(place @ (_, index)) = next.filter(|(Reverse(of), _)| *of == priority) else { break };
            after = (place.0, index.next());
            let unacked = round.group.unacked.get(&index).expect("5: a requeued entry is unacked");
            let history = unacked.history.as_deref();
            let Some(id) = recipient(&self.watchers, &round.candidates, history, index, turn.now_ms) else { continue };
            round.group.requeued.remove(&place);
            let entry = turn.store.find(index)?.expect("1: an unacked entry is stored");
            self.push(turn, round, id, entry);
        }
        Ok(())
    }

    /// Gives out what was never given.
    fn deliver_undelivered<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        round: &mut Round<'_>,
        priority: Priority,
    ) -> Result<(), StoreError> {
        // A consumer that wants new entries only may find none where another still does.
        let mut reach = u64::MAX;
        while !round.budget.is_spent() && round.budget.unacked > 0 {
            let candidates = round.candidates.iter().copied();
            let reaching = candidates.filter(|id| connected(&self.watchers, *id).from < reach);
            let Some(id) = roomiest(&self.watchers, reaching) else { break };
            let from = connected(&self.watchers, id).from;
            match round.group.next_undelivered(turn.store, priority, from, round.budget.looks)? {
                Some((entry, looked_at)) => {
                    round.budget.looks = round.budget.looks.saturating_sub(looked_at);
                    let Some(entry) = entry else { break };
                    let undelivered = round.group.undelivered_in(priority);
                    invariants::first_delivery(undelivered, from, entry.index);
                    undelivered.remove(entry.index.0, entry.index.0 + 1);
                    round.budget.unacked -= 1;
                    self.push(turn, round, id, entry);
                }
                None => reach = from,
            }
        }
        Ok(())
    }

    /// One entry goes out to one connection.
    fn push<S: Store>(&mut self, turn: &mut Turn<'_, S>, round: &mut Round<'_>, id: WatcherId, entry: Entry) {
        let watcher = connected_mut(&mut self.watchers, id);
        let (index, bytes) = (entry.index, entry.frame.len() as u32);
        let new = Unacked { priority: entry.priority, holder: None, history: None };
        let unacked = round.group.unacked.entry(index).or_insert(new);
        invariants::delivery(watcher, unacked, turn.now_ms);
        unacked.holder = Some(Holder { watcher: id, since_ms: turn.now_ms, bytes });
        let (gained, attempts) = match &unacked.history {
            Some(history) => (history.tags(), history.attempts),
            None => Default::default(),
        };
        self.rotation += 1;
        watcher.last_served = self.rotation;
        watcher.take(index, bytes);
        self.timers.entry_leased(turn.now_ms, watcher.heartbeat_ms, turn.settings);
        if watcher.auto_commit {
            round.committed.push((String::from(round.name), id, index));
        } else {
            self.changed.watchers.insert(id);
        }
        if !watcher.has_room() {
            round.candidates.retain(|candidate| *candidate != id);
        }
        round.budget.entries -= 1;
        round.budget.bytes = round.budget.bytes.saturating_sub(entry.frame.len());
        let delivery = Delivery { entry, gained, index_only: watcher.index_only, attempt: attempts.saturating_add(1) };
        turn.effects.push(Effect::Push(id, delivery));
    }
}

/// The candidate with most free slots; among equals the one that was served longest ago.
fn roomiest(watchers: &BTreeMap<WatcherId, Watcher>, candidates: impl Iterator<Item = WatcherId>) -> Option<WatcherId> {
    candidates.max_by_key(|id| {
        let watcher = connected(watchers, *id);
        (watcher.slots(), Reverse(watcher.last_served), *id)
    })
}

/// The candidate for a requeued entry: the consumer that held it last, so that one that reconnects finds its entries;
/// but another one, if it has room, when that consumer rejected it. While the entry is reserved nobody else may have
/// it.
fn recipient(
    watchers: &BTreeMap<WatcherId, Watcher>,
    candidates: &[WatcherId],
    history: Option<&FailureHistory>,
    index: Index,
    now_ms: u64,
) -> Option<WatcherId> {
    let able = candidates.iter().copied().filter(|id| connected(watchers, *id).from <= index.0);
    let Some(history) = history else { return roomiest(watchers, able) };
    let held_last = |id: &WatcherId| connected(watchers, *id).consumer.user == history.user;
    let last = able.clone().find(held_last);
    if history.reserved_until_ms > now_ms || last.is_some() && !history.avoid {
        return last;
    }
    roomiest(watchers, able.filter(|id| !held_last(id))).or(last)
}
