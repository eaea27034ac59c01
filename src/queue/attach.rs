//! Connections coming, coming back and going.

use super::effect::{CloseReason, Effect, Reply};
use super::entry::Index;
use super::event::{ConsumerId, Event, Lease, ResumeState, Start, Ticket, Watch, WatcherId};
use super::group::{Consumer, Group, Holder, Unacked};
use super::refusal::{Refusal, StoreError};
use super::settle::Requeue;
use super::store::Store;
use super::stream::{Stream, Turn};
use super::watcher::Watcher;
use super::{limits, record};
use alloc::{string::ToString, vec::Vec};
use core::cmp::Reverse;

impl Stream {
    /// A connection asks to watch.
    pub(super) fn attach<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        id: WatcherId,
        watch: Watch,
    ) -> Result<(), StoreError> {
        if self.resize(turn.now_ms, id, watch.window) || watch.window == 0 {
            turn.reply(ticket, Reply::Attached);
            return Ok(());
        }
        self.forget_consumers(turn);
        if let Some(refusal) = self.attach_refusal(&watch) {
            turn.refuse(ticket, refusal);
            return Ok(());
        }
        if self.ended && !self.has_work_for(turn, &watch)? {
            turn.refuse(ticket, Refusal::Ended);
            return Ok(());
        }
        let next_index = turn.store.totals().next_index.0;
        let known = self.groups.contains_key(&watch.consumer.group);
        let from = if known && watch.start == Start::Newest { next_index } else { 0 };
        let start = match watch.start {
            Start::At(index) => index.0,
            Start::Newest => next_index,
        };
        if let Some(old) = self.watcher_of(&watch.consumer) {
            self.release(turn, old, 0)?;
            turn.effects.push(Effect::Close(old, CloseReason::TakenOver));
        }
        self.register(turn, id, watch, start, from, turn.now_ms);
        turn.reply(ticket, Reply::Attached);
        Ok(())
    }

    /// Gives a connection that watches already another window; false when it does not watch.
    fn resize(&mut self, now_ms: u64, id: WatcherId, window: u32) -> bool {
        let Some(watcher) = self.watchers.get_mut(&id) else { return false };
        watcher.window = window.min(limits::WINDOW_MAX);
        // Who says that it leaves and then asks for more has changed its mind.
        watcher.draining &= window == 0;
        self.changed.watchers.insert(id);
        self.heartbeats(now_ms, &[(id, now_ms)]);
        true
    }

    /// Whether anything is left for a watch. After the end nobody else shall connect, be closed and connect again.
    fn has_work_for<S: Store>(&mut self, turn: &mut Turn<'_, S>, watch: &Watch) -> Result<bool, StoreError> {
        match (self.groups.get_mut(&watch.consumer.group), watch.start) {
            (Some(group), _) => Ok(!group.unacked.is_empty() || group.has_undelivered(turn.store)?),
            (None, Start::Newest) => Ok(false),
            (None, Start::At(start)) => Group::starting_at(start.0, watch.filter.clone()).has_undelivered(turn.store),
        }
    }

    /// Why a watch cannot be.
    fn attach_refusal(&mut self, watch: &Watch) -> Option<Refusal> {
        let filter_bytes: usize = watch.filter.0.iter().map(|(key, value)| key.len() + value.len()).sum();
        if filter_bytes > limits::FILTER_BYTES_MAX {
            let max = limits::FILTER_BYTES_MAX;
            let text = alloc::format!("the tags to watch for have {filter_bytes} bytes, at most {max} are allowed");
            return Some(Refusal::Bad(text));
        }
        let ConsumerId { group: name, user } = &watch.consumer;
        match self.groups.get(name) {
            Some(group) if group.filter != watch.filter => return Some(Refusal::FilterDiffers { group: name.clone() }),
            None if self.groups.len() >= limits::GROUPS_MAX => {
                let advice = "use an existing group, or wait until the consumers of one have been gone for ten minutes";
                return Some(Refusal::TooMany { what: "consumer groups", max: limits::GROUPS_MAX, advice });
            }
            Some(group) if group.consumers.contains_key(user) => return None,
            _ => {}
        }
        let consumers: usize = self.groups.values().map(|group| group.consumers.len()).sum();
        if consumers >= limits::CONSUMERS_MAX && !self.forget_longest_gone() {
            let advice = "use the same user name again when a consumer comes back";
            return Some(Refusal::TooMany { what: "consumers", max: limits::CONSUMERS_MAX, advice });
        }
        None
    }

    /// A connection that outlived the memory comes back with what is out at it. Nothing is delivered in this turn: the
    /// others must come back first.
    pub(super) fn resume<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        id: WatcherId,
        state: ResumeState,
    ) -> Result<(), StoreError> {
        let ResumeState { watch, leases, heartbeat_ms, draining } = state;
        // Two connections of one consumer can only mean that the end of the older one was not seen.
        if let Some(old) = self.watcher_of(&watch.consumer) {
            let (stale, live) = if old < id { (old, id) } else { (id, old) };
            turn.effects.push(Effect::Close(stale, CloseReason::TakenOver));
            if live == old {
                return Ok(());
            }
            self.release(turn, old, 0)?;
        }
        let Start::At(from) = watch.start else { return Ok(()) };
        let group_name = watch.consumer.group.clone();
        self.register(turn, id, watch, from.0, from.0, heartbeat_ms);
        if let Some(watcher) = self.watchers.get_mut(&id) {
            watcher.draining = draining;
        }
        for lease in leases {
            let Some(group) = self.groups.get_mut(&group_name) else { continue };
            let holder = Some(Holder { watcher: id, since_ms: lease.since_ms, bytes: lease.bytes });
            if let Some(unacked) = group.unacked.get_mut(&lease.index) {
                if unacked.holder.is_some() {
                    continue;
                }
                unacked.holder = holder;
                // What it remembers may be older than that it requeued the entry.
                group.requeued.remove(&(Reverse(lease.lane), lease.index));
                if let Some(history) = &unacked.history {
                    group.delayed.remove(&(history.not_before_ms, lease.index));
                }
            } else if group.is_undelivered(lease.lane, lease.index) && turn.store.find(lease.index)?.is_some() {
                group.undelivered_in(lease.lane).remove(lease.index.0, lease.index.0 + 1);
                group.unacked.insert(lease.index, Unacked { lane: lease.lane, holder, history: None });
            } else {
                continue;
            }
            if let Some(watcher) = self.watchers.get_mut(&id) {
                watcher.take(lease.index, lease.bytes);
                self.timers.entry_leased(lease.since_ms, heartbeat_ms, turn.settings);
            }
        }
        Ok(())
    }

    /// Makes a connection a watcher, and its consumer and group known.
    fn register<S: Store>(
        &mut self,
        turn: &Turn<'_, S>,
        id: WatcherId,
        watch: Watch,
        start: u64,
        from: u64,
        heartbeat_ms: u64,
    ) {
        let Watch { consumer, window, auto_commit, index_only, filter, local, .. } = watch;
        let group = self.groups.entry(consumer.group.clone()).or_insert_with(|| {
            self.changed.groups = true;
            Group::starting_at(start, filter)
        });
        let known = Consumer { last_ms: heartbeat_ms, watcher: Some(id), auto_commit };
        let before = group.consumers.insert(consumer.user.clone(), known);
        self.changed.consumers |= before.is_none_or(|before| {
            let stored_as_gone = before.watcher.is_none() && before.last_ms != record::CONNECTED_MS;
            before.auto_commit != auto_commit || stored_as_gone
        });
        self.changed.watchers.insert(id);
        self.watchers.insert(
            id,
            Watcher {
                consumer,
                window: window.min(limits::WINDOW_MAX),
                auto_commit,
                index_only,
                local,
                from,
                draining: false,
                leases: Vec::new(),
                leased_bytes: 0,
                last_served: 0,
                heartbeat_ms,
            },
        );
        self.timers.consumer_gone(turn.now_ms);
    }

    /// A connection is gone: what was out at it comes back, each delivery counted. One inside the process is not lost but
    /// sent away, in the middle of attempts that have not failed.
    pub(super) fn release<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        id: WatcherId,
        reserved_until_ms: u64,
    ) -> Result<(), StoreError> {
        let Some(watcher) = self.watchers.get(&id) else { return Ok(()) };
        let (consumer, leases) = (watcher.consumer.clone(), watcher.leases.clone());
        let counts = !watcher.local;
        let back = Requeue { counts, rejection: None, avoid: false, reserved_until_ms, not_before_ms: 0 };
        for index in leases {
            self.requeue(turn, &consumer, id, index, back)?;
        }
        self.watchers.remove(&id);
        let known = self.groups.get_mut(&consumer.group).and_then(|group| group.consumers.get_mut(&consumer.user));
        if let Some(known) = known.filter(|known| known.watcher == Some(id)) {
            known.watcher = None;
            known.last_ms = turn.now_ms;
            self.changed.consumers = true;
            self.timers.consumer_gone(turn.now_ms);
        }
        Ok(())
    }

    /// After opening: consumers that were connected and did not come back are gone from now on. One inside the process
    /// that attaches first of all was never away.
    pub(super) fn mark_absent<S: Store>(&mut self, turn: &Turn<'_, S>, event: &Event) {
        if !core::mem::take(&mut self.opened) {
            return;
        }
        if let Event::Attach(_, id, watch) = event
            && watch.local
            && watch.window > 0
            && let Some(group) = self.groups.get(&watch.consumer.group)
            && group.filter == watch.filter
            && group.consumers.get(&watch.consumer.user).is_some_and(|known| known.last_ms == record::CONNECTED_MS)
        {
            self.register(turn, *id, watch.clone(), 0, 0, turn.now_ms);
        }
        let consumers = self.groups.values_mut().flat_map(|group| group.consumers.values_mut());
        for known in consumers.filter(|known| known.watcher.is_none() && known.last_ms == record::CONNECTED_MS) {
            known.last_ms = turn.now_ms;
            self.changed.consumers = true;
        }
    }

    /// The live connection of a consumer.
    pub(super) fn watcher_of(&self, consumer: &ConsumerId) -> Option<WatcherId> {
        self.groups.get(&consumer.group)?.consumers.get(&consumer.user)?.watcher
    }

    /// A consumer did something.
    pub(super) fn heartbeat(&mut self, now_ms: u64, consumer: &ConsumerId) {
        let group = self.groups.get_mut(&consumer.group);
        let Some(known) = group.and_then(|group| group.consumers.get_mut(&consumer.user)) else { return };
        known.last_ms = now_ms;
        if let Some(watcher) = known.watcher.and_then(|id| self.watchers.get_mut(&id)) {
            watcher.heartbeat_ms = now_ms;
            self.changed.watchers.extend(known.watcher);
        }
    }

    /// Connections sent heartbeats.
    pub(super) fn heartbeats(&mut self, now_ms: u64, heartbeats: &[(WatcherId, u64)]) {
        for (id, at_ms) in heartbeats {
            let Some(watcher) = self.watchers.get_mut(id) else { continue };
            watcher.heartbeat_ms = watcher.heartbeat_ms.max((*at_ms).min(now_ms));
            let group = self.groups.get_mut(&watcher.consumer.group);
            if let Some(known) = group.and_then(|group| group.consumers.get_mut(&watcher.consumer.user)) {
                known.last_ms = known.last_ms.max(watcher.heartbeat_ms);
            }
        }
    }

    /// What a connection must remember to be resumed.
    pub(super) fn resume_state(&self, id: WatcherId) -> Option<ResumeState> {
        let watcher = self.watchers.get(&id)?;
        let group = self.groups.get(&watcher.consumer.group)?;
        let leases = watcher.leases.iter().filter_map(|index| {
            let unacked = group.unacked.get(index)?;
            let holder = unacked.holder?;
            Some(Lease { index: *index, lane: unacked.lane, since_ms: holder.since_ms, bytes: holder.bytes })
        });
        let watch = Watch {
            consumer: watcher.consumer.clone(),
            start: Start::At(Index(watcher.from)),
            window: watcher.window,
            auto_commit: watcher.auto_commit,
            index_only: watcher.index_only,
            filter: group.filter.clone(),
            local: watcher.local,
        };
        Some(ResumeState {
            watch,
            leases: leases.collect(),
            heartbeat_ms: watcher.heartbeat_ms,
            draining: watcher.draining,
        })
    }

    /// Forgets the consumer that is gone longest and left nothing; false when there is none.
    fn forget_longest_gone(&mut self) -> bool {
        let gone = self.groups.iter().flat_map(|(name, group)| {
            group
                .consumers
                .iter()
                .filter(|(user, consumer)| consumer.watcher.is_none() && !group.has_left_entries(user))
                .map(move |(user, consumer)| (consumer.last_ms, name, user))
        });
        let Some((name, user)) = gone.min().map(|(_, name, user)| (name.to_string(), user.to_string())) else {
            return false;
        };
        self.forget_consumer(&name, &user);
        true
    }
}
