//! The ends of a delivery: commit, rejection, or the return of the entry because its holder is gone.

use super::config::DeadPolicy;
use super::effect::{Reply, Write};
use super::entry::Index;
use super::event::{CODE_SHUTDOWN, ConsumerId, Rejection, Ticket, WatcherId};
use super::group::{Group, Requeue, Unacked};
use super::limits;
use super::ranges::Ranges;
use super::refusal::{Refusal, StoreError};
use super::store::Store;
use super::stream::{DeadLetter, Stream, Turn};
use super::watcher::{connected, connected_mut};

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
        let pieces: usize = group.undelivered.values().map(Ranges::len).sum();
        if pieces > limits::GROUP_RANGES_MAX + limits::PRIORITIES_MAX {
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

    /// An entry is done for a group, by the consumer with this connection. The group need not remember that it was
    /// given the entry: after a crash it may not.
    pub(super) fn settle<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        group_name: &str,
        index: Index,
        by: Option<WatcherId>,
    ) -> Result<(), StoreError> {
        let group = self.groups.get_mut(group_name).expect("only a known group settles entries");
        if let Some(unacked) = group.unacked.remove(&index) {
            group.delivered += 1;
            if unacked.holder.is_some_and(|holder| Some(holder.watcher) != by) {
                turn.revoke(index, &unacked);
            }
            self.free_slot(group_name, index, &unacked);
        } else {
            let Some(entry) = turn.store.find(index)? else { return Ok(()) };
            if !group.needs(&entry) {
                return Ok(());
            }
            group.delivered += 1;
            group.undelivered_in(entry.priority).remove(index.0, index.0 + 1);
        }
        self.done += 1;
        self.unsaved.groups = true;
        self.leave_if_done(turn, group_name, index)
    }

    /// Removes an entry that no group but `settled` can still need.
    fn leave_if_done<S: Store>(&self, turn: &mut Turn<'_, S>, settled: &str, index: Index) -> Result<(), StoreError> {
        if self.groups.len() > 1 {
            let entry = turn.store.find(index)?.expect("1: an entry is stored until its last group settles it");
            if self.groups.iter().any(|(name, group)| name != settled && group.needs(&entry)) {
                return Ok(());
            }
        }
        turn.store.apply(Write::Remove(index))
    }

    /// An entry is no longer unacked: frees the slot of its holder, or its place among the requeued.
    pub(super) fn free_slot(&mut self, group_name: &str, index: Index, unacked: &Unacked) {
        let Some(holder) = unacked.holder else {
            let group = self.groups.get_mut(group_name).expect("a group outlives its unacked entries");
            return group.wait_no_more(index, unacked);
        };
        let watcher = connected_mut(&mut self.watchers, holder.watcher);
        watcher.drop_lease(index, holder.bytes);
        // With auto commit nothing stays out, so there is nothing new to remember.
        if !watcher.auto_commit {
            self.changed.watchers.insert(holder.watcher);
        }
    }

    /// A consumer rejects entries it holds. Others are passed over.
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
                if connected(&self.watchers, id).holds(index) {
                    self.requeue(turn, &consumer, id, index, back)?;
                }
            }
            if shutdown {
                connected_mut(&mut self.watchers, id).draining = true;
                self.changed.watchers.insert(id);
            }
        }
        turn.reply(ticket, Reply::Done);
        Ok(())
    }

    /// The rejection, without its reason when too many bytes of reasons are kept already.
    fn shortened(&self, mut rejection: Rejection) -> Rejection {
        let histories = self.groups.values().flat_map(Group::histories);
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
        let group = self.groups.get_mut(&consumer.group).expect("a watcher has a group");
        let unacked = group.unacked.get_mut(&index).expect("5: a lease is an unacked entry");
        let holder = unacked.holder.take().expect("5: a leased entry has a holder");
        assert_eq!(holder.watcher, id, "5: an entry comes back from the connection that holds it");
        connected_mut(&mut self.watchers, id).drop_lease(index, holder.bytes);
        self.changed.watchers.insert(id);
        self.unsaved.groups = true;
        let history = unacked.history.get_or_insert_default();
        history.add(&consumer.user, back);
        self.timers.entry_reserved(turn.now_ms, back.reserved_until_ms);
        let max = turn.settings.max_delivery;
        if max != 0 && history.attempts >= max {
            return self.give_up(turn, &consumer.group, index);
        }
        self.timers.entry_delayed(back.not_before_ms);
        let priority = unacked.priority;
        group.wait_again(index, priority, back.not_before_ms);
        Ok(())
    }

    /// A group gives up an entry that nobody holds and that does not wait: by policy a copy goes to the rear side.
    fn give_up<S: Store>(&mut self, turn: &mut Turn<'_, S>, group_name: &str, index: Index) -> Result<(), StoreError> {
        let group = self.groups.get_mut(group_name).expect("a watcher has a group");
        let unacked = group.unacked.remove(&index).expect("it was just requeued");
        self.failed += 1;
        if turn.settings.dead_message_policy == DeadPolicy::Rear as i32 {
            let entry = turn.store.find(index)?.expect("1: an entry is stored until its last group settles it");
            let mut tags = entry.tags();
            tags.extend(unacked.history.map(|history| history.tags()).unwrap_or_default());
            self.dead.push(DeadLetter { priority: entry.priority, tags, data: entry.data() });
        }
        self.leave_if_done(turn, group_name, index)
    }
}
