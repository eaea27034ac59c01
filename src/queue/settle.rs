//! What ends a delivery: commit, rejection, or the entry coming back because its holder is gone.

use super::config::DeadPolicy;
use super::effect::{Reply, Write};
use super::entry::Index;
use super::event::{CODE_SHUTDOWN, ConsumerId, Rejection, Ticket, WatcherId};
use super::group::{FailureHistory, Unacked};
use super::limits;
use super::refusal::{Refusal, StoreError};
use super::store::Store;
use super::stream::{DeadLetter, Stream, Turn};

/// How an entry comes back to its group.
#[derive(Clone, Copy)]
pub(super) struct Requeue<'a> {
    /// Whether the delivery counts as an attempt.
    pub counts: bool,
    /// Code and reason, when the consumer refused it.
    pub rejection: Option<&'a Rejection>,
    /// Whether another consumer should have it next. Otherwise it goes back to its last holder, if that has room.
    pub avoid: bool,
    /// Until then only its last holder may have it, Unix milliseconds; 0 for anybody at once.
    pub reserved_until_ms: u64,
    /// Until then nobody may have it, Unix milliseconds; 0 for at once.
    pub not_before_ms: u64,
}

impl Stream {
    /// Entries are done for a group. Unknown and settled ones are passed over: a commit may come twice.
    pub(super) fn commit<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        consumer: ConsumerId,
        indexes: &[Index],
    ) -> Result<(), StoreError> {
        self.heartbeat(turn.now_ms, &consumer);
        let Some(group) = self.groups.get(&consumer.group) else {
            turn.reply(ticket, Reply::Done);
            return Ok(());
        };
        let pieces: usize = group.undelivered.values().map(|ranges| ranges.len()).sum();
        if pieces > limits::GROUP_RANGES_MAX + limits::LANES_MAX {
            turn.refuse(
                ticket,
                Refusal::TooMany {
                    what: "gaps from commits of entries that were not delivered yet",
                    max: limits::GROUP_RANGES_MAX,
                    advice: "commit entries after they were delivered",
                },
            );
            return Ok(());
        }
        let by = self.watcher_of(&consumer);
        for &index in indexes {
            self.settle(turn, &consumer.group, index, by)?;
        }
        turn.reply(ticket, Reply::Done);
        Ok(())
    }

    /// An entry is done for a group, by the consumer with this connection, whether or not the group remembers having been
    /// given it: after a crash it may not.
    pub(super) fn settle<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        group_name: &str,
        index: Index,
        by: Option<WatcherId>,
    ) -> Result<(), StoreError> {
        let Some(group) = self.groups.get_mut(group_name) else { return Ok(()) };
        match group.unacked.remove(&index) {
            Some(unacked) => {
                if unacked.holder.is_some_and(|holder| Some(holder.watcher) != by) {
                    turn.revoke(index, &unacked);
                }
                self.free_slot(group_name, index, &unacked);
            }
            None => {
                let Some(entry) = turn.store.find(index)? else { return Ok(()) };
                if !group.needs(&entry) {
                    return Ok(());
                }
                group.undelivered_in(entry.lane).remove(index.0, index.0 + 1);
            }
        }
        if let Some(group) = self.groups.get_mut(group_name) {
            group.delivered += 1;
        }
        self.done += 1;
        self.changed.groups = true;
        self.leave_if_done(turn, group_name, index)
    }

    /// Removes an entry that no group but `settled` can still need.
    fn leave_if_done<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        settled: &str,
        index: Index,
    ) -> Result<(), StoreError> {
        if self.groups.len() > 1 {
            let Some(entry) = turn.store.find(index)? else { return Ok(()) };
            if self.groups.iter().any(|(name, group)| name != settled && group.needs(&entry)) {
                return Ok(());
            }
        }
        turn.store.apply(Write::Remove(index))
    }

    /// Clears the traces of an entry that is no longer unacked: the holder's slot, the queue of requeued ones.
    pub(super) fn free_slot(&mut self, group_name: &str, index: Index, unacked: &Unacked) {
        match unacked.holder {
            Some(holder) => {
                if let Some(watcher) = self.watchers.get_mut(&holder.watcher) {
                    watcher.drop_lease(index, holder.bytes);
                    // With auto commit nothing stays out, so there is nothing new to remember.
                    if !watcher.auto_commit {
                        self.changed.watchers.insert(holder.watcher);
                    }
                }
            }
            None => {
                if let Some(group) = self.groups.get_mut(group_name) {
                    group.wait_no_more(index, unacked);
                }
            }
        }
    }

    /// A consumer refuses entries it holds. Others are passed over.
    pub(super) fn reject<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        consumer: ConsumerId,
        indexes: &[Index],
        rejection: Rejection,
    ) -> Result<(), StoreError> {
        self.heartbeat(turn.now_ms, &consumer);
        let shutdown = rejection.code == CODE_SHUTDOWN;
        let rejection = self.shortened(rejection);
        // A consumer that leaves says nothing about the entry.
        let told = Some(&rejection).filter(|_| !shutdown);
        let not_before_ms = if rejection.delay_ms > 0 { turn.now_ms.saturating_add(rejection.delay_ms) } else { 0 };
        let back = Requeue { counts: !shutdown, rejection: told, avoid: true, reserved_until_ms: 0, not_before_ms };
        if let Some(id) = self.watcher_of(&consumer) {
            for &index in indexes {
                self.requeue(turn, &consumer, id, index, back)?;
            }
            if shutdown && let Some(watcher) = self.watchers.get_mut(&id) {
                watcher.draining = true;
                self.changed.watchers.insert(id);
            }
        }
        turn.reply(ticket, Reply::Done);
        Ok(())
    }

    /// Without its reason when too many bytes of reasons are kept already.
    fn shortened(&self, mut rejection: Rejection) -> Rejection {
        let histories = self
            .groups
            .values()
            .flat_map(|group| group.unacked.values())
            .filter_map(|unacked| unacked.history.as_ref());
        let kept: usize = histories.map(|history| history.reason.len()).sum();
        if kept + rejection.reason.len() > limits::REASONS_BYTES_MAX {
            rejection.reason.clear();
        }
        rejection
    }

    /// An entry comes back from the connection that holds it: it goes out again, or is dead after too many attempts.
    pub(super) fn requeue<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        consumer: &ConsumerId,
        id: WatcherId,
        index: Index,
        back: Requeue<'_>,
    ) -> Result<(), StoreError> {
        let Some(group) = self.groups.get_mut(&consumer.group) else { return Ok(()) };
        let Some(unacked) = group.unacked.get_mut(&index) else { return Ok(()) };
        let Some(holder) = unacked.holder.take_if(|holder| holder.watcher == id) else { return Ok(()) };
        if let Some(watcher) = self.watchers.get_mut(&id) {
            watcher.drop_lease(index, holder.bytes);
            self.changed.watchers.insert(id);
        }
        let history = unacked.history.get_or_insert_default();
        history.attempts += u32::from(back.counts);
        history.user.clone_from(&consumer.user);
        history.avoid = back.avoid;
        history.reserved_until_ms = back.reserved_until_ms;
        history.not_before_ms = back.not_before_ms;
        if let Some(Rejection { code, reason, .. }) = back.rejection {
            history.code.clone_from(code);
            history.reason.clone_from(reason);
        }
        self.timers.entry_reserved(turn.now_ms, back.reserved_until_ms);
        self.changed.groups = true;
        let max = turn.settings.max_delivery;
        if max != 0 && history.attempts >= max {
            let history = core::mem::take(history.as_mut());
            return self.give_up(turn, &consumer.group, index, &history);
        }
        self.timers.entry_delayed(back.not_before_ms);
        let lane = unacked.lane;
        group.wait_again(index, lane, back.not_before_ms);
        Ok(())
    }

    /// A group gives an entry up: by policy a copy goes to the rear side.
    fn give_up<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        group_name: &str,
        index: Index,
        history: &FailureHistory,
    ) -> Result<(), StoreError> {
        if let Some(group) = self.groups.get_mut(group_name) {
            group.unacked.remove(&index);
        }
        self.failed += 1;
        let entry = turn.store.find(index)?;
        if let Some(entry) = entry.filter(|_| turn.settings.dead_message_policy == DeadPolicy::Rear as i32) {
            let mut tags = entry.tags();
            tags.extend(history.tags());
            self.dead.push(DeadLetter { lane: entry.lane, tags, data: entry.data() });
        }
        self.leave_if_done(turn, group_name, index)
    }
}
