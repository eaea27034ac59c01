//! What happens because time passes. Every wake-up has a name; alarms cost a stored row, so each is set once for the
//! earliest of its kind and looked after when it comes, not with every entry.

use super::config::Settings;
use super::effect::{CloseReason, Effect, Write};
use super::entry::{Index, Lane};
use super::event::{ConsumerId, WatcherId};
use super::group::Group;
use super::limits;
use super::refusal::StoreError;
use super::settle::Requeue;
use super::store::Store;
use super::stream::{Stream, Turn};
use alloc::{collections::BTreeMap, string::String, vec::Vec};

/// Earliest time at which something of a kind may be due, Unix milliseconds.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// An entry reaches its retention time.
    expire_ms: Option<u64>,
    /// A consumer holds an entry for too long.
    idle_ms: Option<u64>,
    /// A consumer that holds entries is silent for too long.
    silence_ms: Option<u64>,
    /// A reservation ends.
    reserved_ms: Option<u64>,
    /// The delay of an entry ends.
    delayed_ms: Option<u64>,
    /// A consumer can be forgotten. Needs no alarm: it is looked at when something else happens.
    forget_ms: Option<u64>,
}

fn earlier(timer: &mut Option<u64>, at_ms: u64) {
    *timer = Some(timer.map_or(at_ms, |set| set.min(at_ms)));
}

impl Timers {
    /// The earliest that must wake a sleeping queue.
    pub fn alarm_ms(&self) -> Option<u64> {
        [self.expire_ms, self.idle_ms, self.silence_ms, self.reserved_ms, self.delayed_ms].into_iter().flatten().min()
    }

    /// Everything is looked at in the next turn: after opening, and when settings change.
    pub fn reset(&mut self, groups: &BTreeMap<String, Group>, settings: &Settings) {
        let held = groups.values().any(|group| !group.unacked.is_empty());
        self.expire_ms = (settings.retention_ms > 0).then_some(0);
        self.idle_ms = (settings.max_idle_ms > 0 && held).then_some(0);
        self.silence_ms = (settings.max_silence_ms > 0 && held).then_some(0);
        self.reserved_ms = held.then_some(0);
        self.delayed_ms = groups.values().filter_map(Group::delayed_until_ms).min();
        self.forget_ms = Some(0);
    }

    pub fn entry_put(&mut self, now_ms: u64, settings: &Settings) {
        if settings.retention_ms > 0 {
            earlier(&mut self.expire_ms, now_ms.saturating_add(settings.retention_ms));
        }
    }

    pub fn entry_leased(&mut self, now_ms: u64, heartbeat_ms: u64, settings: &Settings) {
        if settings.max_idle_ms > 0 {
            earlier(&mut self.idle_ms, now_ms.saturating_add(settings.max_idle_ms));
        }
        if settings.max_silence_ms > 0 {
            earlier(&mut self.silence_ms, heartbeat_ms.max(now_ms).saturating_add(settings.max_silence_ms));
        }
    }

    pub fn entry_reserved(&mut self, now_ms: u64, until_ms: u64) {
        if until_ms > now_ms {
            earlier(&mut self.reserved_ms, until_ms);
        }
    }

    pub fn entry_delayed(&mut self, until_ms: u64) {
        if until_ms > 0 {
            earlier(&mut self.delayed_ms, until_ms);
        }
    }

    pub fn consumer_gone(&mut self, now_ms: u64) {
        earlier(&mut self.forget_ms, now_ms.saturating_add(limits::FORGET_MS));
    }
}

/// Whether a timer is due; a timer that is due is cleared, to be set anew by who looks after it.
fn due(timer: &mut Option<u64>, now_ms: u64) -> bool {
    timer.take_if(|at_ms| *at_ms <= now_ms).is_some()
}

impl Stream {
    /// Looks after everything that is due.
    pub(super) fn housekeeping<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        let now_ms = turn.now_ms;
        if due(&mut self.timers.idle_ms, now_ms) {
            self.return_idle(turn)?;
        }
        if due(&mut self.timers.silence_ms, now_ms) {
            self.close_silent(turn)?;
        }
        if due(&mut self.timers.reserved_ms, now_ms) {
            let histories = self
                .groups
                .values()
                .flat_map(|group| group.unacked.values())
                .filter_map(|unacked| unacked.history.as_ref());
            let reserved = histories.map(|history| history.reserved_until_ms);
            self.timers.reserved_ms = reserved.filter(|until_ms| *until_ms > now_ms).min();
        }
        self.end_delays(now_ms);
        if self.sweep.is_some() {
            self.sweep_on(turn)?;
        }
        Ok(())
    }

    /// Removes entries that are too old and consumers that are gone too long, and ends delays, before anybody can be told
    /// of them.
    pub(super) fn expire<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        if due(&mut self.timers.forget_ms, turn.now_ms) {
            self.forget_consumers(turn);
        }
        self.end_delays(turn.now_ms);
        let retention_ms = turn.settings.retention_ms;
        if !due(&mut self.timers.expire_ms, turn.now_ms) || retention_ms == 0 {
            return Ok(());
        }
        let mut left = limits::TURN_HOUSEKEEPING_MAX;
        for (lane, _) in turn.store.lanes() {
            while let Some(entry) = turn.store.next(lane, Index(0))? {
                let due_ms = entry.put_ms.saturating_add(retention_ms);
                if due_ms > turn.now_ms || left == 0 {
                    earlier(&mut self.timers.expire_ms, due_ms);
                    self.changed.again |= due_ms <= turn.now_ms;
                    break;
                }
                left -= 1;
                self.remove_everywhere(turn, entry.index)?;
            }
        }
        Ok(())
    }

    /// What was delayed until now waits with the others.
    fn end_delays(&mut self, now_ms: u64) {
        if due(&mut self.timers.delayed_ms, now_ms) {
            self.groups.values_mut().for_each(|group| group.end_delays(now_ms));
            self.timers.delayed_ms = self.groups.values().filter_map(Group::delayed_until_ms).min();
        }
    }

    /// Takes back what a consumer holds for too long. One inside the process knows itself when an attempt takes too long;
    /// what it has the outcome of it keeps until that is stored.
    fn return_idle<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        let max_idle_ms = turn.settings.max_idle_ms;
        if max_idle_ms == 0 {
            return Ok(());
        }
        let mut late: Vec<(ConsumerId, WatcherId, Index)> = Vec::new();
        for group in self.groups.values() {
            for (index, unacked) in &group.unacked {
                let Some(holder) = unacked.holder else { continue };
                let Some(watcher) = self.watchers.get(&holder.watcher).filter(|watcher| !watcher.local) else {
                    continue;
                };
                let due_ms = holder.since_ms.saturating_add(max_idle_ms);
                if due_ms > turn.now_ms {
                    earlier(&mut self.timers.idle_ms, due_ms);
                } else {
                    late.push((watcher.consumer.clone(), holder.watcher, *index));
                }
            }
        }
        let back = Requeue { counts: true, rejection: None, avoid: true, reserved_until_ms: 0, not_before_ms: 0 };
        for (consumer, id, index) in late {
            turn.effects.push(Effect::Revoke(id, index));
            self.requeue(turn, &consumer, id, index, back)?;
        }
        Ok(())
    }

    /// Disconnects consumers that hold entries and say nothing. A living one comes back at once and finds its entries
    /// reserved; a dead one does not, and others get them.
    fn close_silent<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        let max_silence_ms = turn.settings.max_silence_ms;
        if max_silence_ms == 0 {
            return Ok(());
        }
        let mut silent = Vec::new();
        for (id, watcher) in self.watchers.iter().filter(|(_, watcher)| !watcher.local && !watcher.leases.is_empty()) {
            let leases = self.groups.get(&watcher.consumer.group).map(|group| &group.unacked);
            let pushed =
                watcher.leases.iter().filter_map(|index| leases?.get(index)?.holder).map(|holder| holder.since_ms);
            let due_ms = pushed.min().unwrap_or(0).max(watcher.heartbeat_ms).saturating_add(max_silence_ms);
            if due_ms > turn.now_ms {
                earlier(&mut self.timers.silence_ms, due_ms);
            } else {
                silent.push(*id);
            }
        }
        for id in silent {
            self.release(turn, id, turn.now_ms.saturating_add(limits::SILENCE_GRACE_MS))?;
            turn.effects.push(Effect::Close(id, CloseReason::Silent));
        }
        Ok(())
    }

    /// Forgets consumers that are gone for long and left nothing, and groups without consumers.
    pub(super) fn forget_consumers<S: Store>(&mut self, turn: &mut Turn<'_, S>) {
        let mut forgotten = Vec::new();
        self.timers.forget_ms = None;
        for (name, group) in &self.groups {
            for (user, consumer) in group.consumers.iter().filter(|(_, consumer)| consumer.watcher.is_none()) {
                let due_ms = consumer.last_ms.saturating_add(limits::FORGET_MS);
                if due_ms > turn.now_ms || group.has_left_entries(user) {
                    earlier(&mut self.timers.forget_ms, due_ms.max(turn.now_ms + limits::LEAVING_MS));
                } else {
                    forgotten.push((name.clone(), user.clone()));
                }
            }
            if group.consumers.is_empty() {
                forgotten.push((name.clone(), String::new()));
            }
        }
        for (name, user) in forgotten {
            self.forget_consumer(&name, &user);
        }
    }

    /// Forgets a consumer, and its group with the last one.
    pub(super) fn forget_consumer(&mut self, group_name: &str, user: &str) {
        let Some(group) = self.groups.get_mut(group_name) else { return };
        group.consumers.remove(user);
        self.changed.consumers = true;
        if group.consumers.is_empty() {
            self.groups.remove(group_name);
            self.changed.groups = true;
            self.sweep = (!self.groups.is_empty()).then_some((Lane(i64::MAX), Index(0)));
        }
    }

    /// Removes entries that only a dropped group still needed, a piece in each turn.
    fn sweep_on<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        let Some((from_lane, from)) = self.sweep.take() else { return Ok(()) };
        let mut left = limits::TURN_HOUSEKEEPING_MAX;
        for (lane, _) in turn.store.lanes().into_iter().filter(|(lane, _)| *lane <= from_lane) {
            let mut at = if lane == from_lane { from } else { Index(0) };
            while let Some(entry) = turn.store.next(lane, at)? {
                if left == 0 {
                    self.sweep = Some((lane, at));
                    self.changed.again = true;
                    return Ok(());
                }
                left -= 1;
                at = entry.index.next();
                let settled = self.groups.values().any(|group| group.has_settled(&entry));
                if settled && !self.groups.values().any(|group| group.needs(&entry)) {
                    turn.store.apply(Write::Remove(entry.index))?;
                }
            }
        }
        self.changed.groups = true;
        Ok(())
    }
}
