//! Filling free windows: what goes to whom, in which order.

use super::effect::{Delivery, Effect};
use super::entry::{Entry, Index, Lane};
use super::event::WatcherId;
use super::group::{Group, Holder, Unacked};
use super::limits;
use super::refusal::StoreError;
use super::store::Store;
use super::stream::{Stream, Turn};
use super::watcher::Watcher;
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::cmp::Reverse;

/// What one turn may still push. What is left waits for the next turn.
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

impl Stream {
    /// Gives every group what its consumers have room for: highest lane first, inside a lane what was requeued, then
    /// what is undelivered, each in index order.
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
            outcome = self.deliver_to(turn, name, group, &mut budget, &mut committed);
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

    fn deliver_to<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        name: &str,
        group: &mut Group,
        budget: &mut Budget,
        committed: &mut Vec<(String, WatcherId, Index)>,
    ) -> Result<(), StoreError> {
        let mut candidates: Vec<WatcherId> = group
            .consumers
            .values()
            .filter_map(|consumer| consumer.watcher)
            .filter(|id| self.watchers.get(id).is_some_and(Watcher::has_room))
            .collect();
        if candidates.is_empty() {
            return Ok(());
        }
        for (lane, _) in turn.store.lanes() {
            self.deliver_requeued(turn, name, group, lane, &mut candidates, budget, committed)?;
            self.deliver_undelivered(turn, name, group, lane, &mut candidates, budget, committed)?;
            if candidates.is_empty() || budget.is_spent() {
                break;
            }
        }
        Ok(())
    }

    /// Gives out again what came back.
    #[allow(clippy::too_many_arguments)]
    fn deliver_requeued<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        name: &str,
        group: &mut Group,
        lane: Lane,
        candidates: &mut Vec<WatcherId>,
        budget: &mut Budget,
        committed: &mut Vec<(String, WatcherId, Index)>,
    ) -> Result<(), StoreError> {
        let mut after = (Reverse(lane), Index(0));
        while !candidates.is_empty() && !budget.is_spent() {
            let Some(&place) = group.requeued.range(after..).next().filter(|(Reverse(of), _)| *of == lane) else {
                break;
            };
            after = (place.0, place.1.next());
            let Some(id) = recipient(&self.watchers, candidates, group.unacked.get(&place.1), place.1, turn.now_ms)
            else {
                continue;
            };
            group.requeued.remove(&place);
            match turn.store.find(place.1)? {
                Some(entry) => self.push(turn, name, group, id, entry, candidates, budget, committed),
                None => {
                    group.unacked.remove(&place.1);
                }
            }
        }
        Ok(())
    }

    /// Gives out what was never given.
    #[allow(clippy::too_many_arguments)]
    fn deliver_undelivered<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        name: &str,
        group: &mut Group,
        lane: Lane,
        candidates: &mut Vec<WatcherId>,
        budget: &mut Budget,
        committed: &mut Vec<(String, WatcherId, Index)>,
    ) -> Result<(), StoreError> {
        // A consumer that wants new entries only may find none where another still does.
        let mut reach = u64::MAX;
        while !budget.is_spent() && budget.unacked > 0 {
            let reaching =
                candidates.iter().copied().filter(|id| self.watchers.get(id).is_some_and(|w| w.from < reach));
            let Some(id) = roomiest(&self.watchers, reaching) else { break };
            let from = self.watchers.get(&id).map_or(0, |watcher| watcher.from);
            let undelivered = group.next_undelivered(turn.store, lane, from, budget.looks)?;
            match undelivered {
                Some((entry, looked_at)) => {
                    budget.looks = budget.looks.saturating_sub(looked_at);
                    let Some(entry) = entry else { break };
                    group.undelivered_in(lane).remove(entry.index.0, entry.index.0 + 1);
                    budget.unacked -= 1;
                    self.push(turn, name, group, id, entry, candidates, budget, committed);
                }
                None => reach = from,
            }
        }
        Ok(())
    }

    /// One entry goes out to one connection.
    #[allow(clippy::too_many_arguments)]
    fn push<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        name: &str,
        group: &mut Group,
        id: WatcherId,
        entry: Entry,
        candidates: &mut Vec<WatcherId>,
        budget: &mut Budget,
        committed: &mut Vec<(String, WatcherId, Index)>,
    ) {
        let Some(watcher) = self.watchers.get_mut(&id) else { return };
        let (index, bytes) = (entry.index, entry.frame.len() as u32);
        let unacked = group.unacked.entry(index).or_insert(Unacked { lane: entry.lane, holder: None, history: None });
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
            committed.push((String::from(name), id, index));
        } else {
            self.changed.watchers.insert(id);
        }
        if !watcher.has_room() {
            candidates.retain(|candidate| *candidate != id);
        }
        budget.entries -= 1;
        budget.bytes = budget.bytes.saturating_sub(entry.frame.len());
        let delivery = Delivery { entry, gained, index_only: watcher.index_only, attempt: attempts.saturating_add(1) };
        turn.effects.push(Effect::Push(id, delivery));
    }
}

impl Group {
    /// Whether something waits that it was never given. Looks at everything it has not passed over yet.
    pub(super) fn has_undelivered<S: Store>(&mut self, store: &mut S) -> Result<bool, StoreError> {
        for (lane, _) in store.lanes() {
            if self.next_undelivered(store, lane, 0, usize::MAX)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first entry of a lane at `from` or after that the group was never given and wants, with the number of entries
    /// that were looked at. `Some((None, n))` when `looks` ran out, `None` when there is no such entry.
    /// What the group does not want is passed over for good.
    pub(super) fn next_undelivered<S: Store>(
        &mut self,
        store: &mut S,
        lane: Lane,
        from: u64,
        looks: usize,
    ) -> Result<Option<(Option<Entry>, usize)>, StoreError> {
        let mut at = from;
        let mut looked_at = 0;
        while let Some((start, end)) = self.undelivered_in(lane).first_from(at) {
            let Some(entry) = store.next(lane, Index(start))? else { return Ok(None) };
            if entry.index.0 >= end {
                // Nothing lives in this range any more and nothing will.
                self.undelivered_in(lane).remove(start, end);
                at = end;
                continue;
            }
            if self.filter.matches(&entry) {
                // What lies before it is gone.
                self.undelivered_in(lane).remove(start, entry.index.0);
                return Ok(Some((Some(entry), looked_at)));
            }
            if looked_at >= looks {
                return Ok(Some((None, looked_at)));
            }
            looked_at += 1;
            at = entry.index.0 + 1;
            self.undelivered_in(lane).remove(start, at);
        }
        Ok(None)
    }
}

/// The seat with most free places; among equals the one that was served longest ago.
fn roomiest(watchers: &BTreeMap<WatcherId, Watcher>, candidates: impl Iterator<Item = WatcherId>) -> Option<WatcherId> {
    candidates
        .filter_map(|id| watchers.get(&id).map(|watcher| (watcher.slots(), Reverse(watcher.last_served), id)))
        .max()
        .map(|(_, _, id)| id)
}

/// The seat for an entry that came back: the consumer that held it last, so that one that reconnects finds its entries;
/// but another one, if it has room, when that consumer refused it. While it is reserved nobody else may have it.
fn recipient(
    watchers: &BTreeMap<WatcherId, Watcher>,
    candidates: &[WatcherId],
    unacked: Option<&Unacked>,
    index: Index,
    now_ms: u64,
) -> Option<WatcherId> {
    let wants = |id: &WatcherId| watchers.get(id).is_some_and(|watcher| watcher.from <= index.0);
    let able = candidates.iter().copied().filter(wants);
    let Some(history) = unacked.and_then(|unacked| unacked.history.as_deref()) else { return roomiest(watchers, able) };
    let held_last = |id: &WatcherId| watchers.get(id).is_some_and(|watcher| watcher.consumer.user == history.user);
    let last = able.clone().find(held_last);
    if history.reserved_until_ms > now_ms || last.is_some() && !history.avoid {
        return last;
    }
    roomiest(watchers, able.filter(|id| !held_last(id))).or(last)
}
