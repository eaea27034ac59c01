//! Connections coming and going.

use super::effect::{CloseReason, Effect, Reply};
use super::event::{ConsumerId, Start, Ticket, Watch, WatcherId};
use super::group::{Consumer, Group, Requeue};
use super::refusal::{Refusal, StoreError};
use super::store::Store;
use super::stream::{Stream, Turn};
use super::watcher::Watcher;
use super::{limits, record};
use alloc::vec::Vec;

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

    /// Changes the window of a connection that watches already; false when it does not watch.
    fn resize(&mut self, now_ms: u64, id: WatcherId, window: u32) -> bool {
        let Some(watcher) = self.watchers.get_mut(&id) else { return false };
        watcher.window = window.min(limits::WINDOW_MAX);
        // A connection that said it would leave and now asks for more has changed its mind.
        watcher.draining &= window == 0;
        self.changed.watchers.insert(id);
        self.heartbeats(now_ms, &[(id, now_ms)]);
        true
    }

    /// Whether anything is left for a watch. Without this check, after the end, a client would connect, be closed and
    /// connect again.
    fn has_work_for<S: Store>(&mut self, turn: &mut Turn<'_, S>, watch: &Watch) -> Result<bool, StoreError> {
        match (self.groups.get_mut(&watch.consumer.group), watch.start) {
            (Some(group), _) => Ok(!group.unacked.is_empty() || group.has_undelivered(turn.store)?),
            (None, Start::Newest) => Ok(false),
            (None, Start::At(start)) => Group::starting_at(start.0, watch.filter.clone()).has_undelivered(turn.store),
        }
    }

    /// Why a watch is refused, if it is.
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

    /// Makes a connection a watcher, with its consumer and its group.
    pub(super) fn register<S: Store>(
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
            self.unsaved.groups = true;
            Group::starting_at(start, filter)
        });
        let known = Consumer { last_ms: heartbeat_ms, watcher: Some(id), auto_commit };
        let before = group.consumers.insert(consumer.user.clone(), known);
        self.unsaved.consumers |= before.is_none_or(|before| {
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

    /// A connection is gone: what was out at it is requeued, and each delivery counts as an attempt. A local one was
    /// not lost but sent away, in the middle of attempts that have not failed. Unknown ones are passed over.
    pub(super) fn release<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        id: WatcherId,
        reserved_until_ms: u64,
    ) -> Result<(), StoreError> {
        let Some(watcher) = self.watchers.get(&id) else { return Ok(()) };
        let (consumer, leases) = (watcher.consumer.clone(), watcher.leases.clone());
        let back = Requeue { counts: !watcher.local, reserved_until_ms, ..Requeue::default() };
        for index in leases {
            self.requeue(turn, &consumer, id, index, back)?;
        }
        self.watchers.remove(&id);
        let group = self.groups.get_mut(&consumer.group).expect("a watcher has a group");
        let known = group.consumers.get_mut(&consumer.user).expect("a watcher is a known consumer");
        assert_eq!(known.watcher.take(), Some(id), "a consumer has one connection");
        known.last_ms = turn.now_ms;
        self.unsaved.consumers = true;
        self.timers.consumer_gone(turn.now_ms);
        Ok(())
    }
}
