//! What is done because time has passed, timer by timer.

use super::effect::{CloseReason, Effect, Write};
use super::entry::{Index, Priority};
use super::event::{ConsumerId, WatcherId};
use super::group::{Group, Requeue};
use super::limits;
use super::refusal::StoreError;
use super::store::Store;
use super::stream::{Stream, Turn};
use super::timer::Timer;
use super::watcher::connected;
use alloc::vec::Vec;

impl Stream {
    /// Looks after everything that is due.
    pub(super) fn housekeeping<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        let now_ms = turn.now_ms;
        if self.timers.take_due(Timer::Idle, now_ms) {
            self.return_idle(turn)?;
        }
        if self.timers.take_due(Timer::Silence, now_ms) {
            self.close_silent(turn)?;
        }
        if self.timers.take_due(Timer::Reservation, now_ms) {
            let reserved = self.groups.values().flat_map(Group::histories).map(|history| history.reserved_until_ms);
            self.timers.set(Timer::Reservation, reserved.filter(|until_ms| *until_ms > now_ms).min());
        }
        self.end_delays(now_ms);
        if let Some(from) = self.sweep.take() {
            self.sweep(turn, from)?;
        }
        Ok(())
    }

    /// Removes entries that are too old and consumers that are gone too long, and ends delays, before anybody can be
    /// told of them.
    pub(super) fn expire<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        if self.timers.take_due(Timer::Forget, turn.now_ms) {
            self.forget_consumers(turn);
        }
        self.end_delays(turn.now_ms);
        let retention_ms = turn.settings.retention_ms;
        if !self.timers.take_due(Timer::Retention, turn.now_ms) || retention_ms == 0 {
            return Ok(());
        }
        let mut left = limits::TURN_HOUSEKEEPING_MAX;
        for (priority, _) in turn.store.priorities() {
            while let Some(entry) = turn.store.next(priority, Index(0))? {
                let due_ms = entry.put_ms.saturating_add(retention_ms);
                if due_ms > turn.now_ms || left == 0 {
                    self.timers.set_earlier(Timer::Retention, due_ms);
                    self.changed.again |= due_ms <= turn.now_ms;
                    break;
                }
                left -= 1;
                self.remove_everywhere(turn, entry.index)?;
            }
        }
        Ok(())
    }

    /// What was delayed until now waits with the other requeued entries.
    fn end_delays(&mut self, now_ms: u64) {
        if self.timers.take_due(Timer::Delay, now_ms) {
            self.groups.values_mut().for_each(|group| group.end_delays(now_ms));
            self.timers.set(Timer::Delay, self.groups.values().filter_map(Group::delayed_until_ms).min());
        }
    }

    /// Takes back what a consumer holds for too long. A local consumer limits its attempts itself, and keeps an entry
    /// whose outcome it has until that is stored.
    fn return_idle<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        let max_idle_ms = turn.settings.max_idle_ms;
        if max_idle_ms == 0 {
            return Ok(());
        }
        let mut late: Vec<(ConsumerId, WatcherId, Index)> = Vec::new();
        for (index, unacked) in self.groups.values().flat_map(|group| &group.unacked) {
            let Some(holder) = unacked.holder else { continue };
            let watcher = connected(&self.watchers, holder.watcher);
            if watcher.local {
                continue;
            }
            let due_ms = holder.since_ms.saturating_add(max_idle_ms);
            if due_ms > turn.now_ms {
                self.timers.set_earlier(Timer::Idle, due_ms);
            } else {
                late.push((watcher.consumer.clone(), holder.watcher, *index));
            }
        }
        for (consumer, id, index) in late {
            turn.effects.push(Effect::Revoke(id, index));
            self.requeue(turn, &consumer, id, index, Requeue { counts: true, avoid: true, ..Requeue::default() })?;
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
            let pushed = self.leases(watcher).map(|lease| lease.since_ms);
            let due_ms = pushed.min().unwrap_or(0).max(watcher.heartbeat_ms).saturating_add(max_silence_ms);
            if due_ms > turn.now_ms {
                self.timers.set_earlier(Timer::Silence, due_ms);
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

    /// Removes entries that only a dropped group still needed, as many as one turn may, from a place on.
    fn sweep<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        (from_priority, from): (Priority, Index),
    ) -> Result<(), StoreError> {
        let mut left = limits::TURN_HOUSEKEEPING_MAX;
        for (priority, _) in turn.store.priorities().into_iter().filter(|(priority, _)| *priority <= from_priority) {
            let mut at = if priority == from_priority { from } else { Index(0) };
            while let Some(entry) = turn.store.next(priority, at)? {
                if left == 0 {
                    self.sweep = Some((priority, at));
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
        self.unsaved.groups = true;
        Ok(())
    }
}
