//! Removing entries for everybody, and the end of the stream.

use super::effect::{CloseReason, Effect, Reply, Write};
use super::entry::Index;
use super::event::Ticket;
use super::refusal::StoreError;
use super::store::Store;
use super::stream::{Stream, Turn};
use alloc::{string::String, vec::Vec};

impl Stream {
    /// Removes entries; those that are not there are passed over.
    pub(super) fn remove<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        indexes: &[Index],
    ) -> Result<(), StoreError> {
        for &index in indexes {
            if turn.store.find(index)?.is_some() {
                self.remove_everywhere(turn, index)?;
            }
        }
        turn.reply(ticket, Reply::Done);
        Ok(())
    }

    /// Removes a live entry from the store and from every group in which it is unacked.
    pub(super) fn remove_everywhere<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        index: Index,
    ) -> Result<(), StoreError> {
        let holding = |stream: &Self| {
            stream.groups.iter().find(|(_, group)| group.unacked.contains_key(&index)).map(|(name, _)| name.clone())
        };
        while let Some(name) = holding(self) {
            self.forget_unacked(turn, &name, index);
        }
        turn.store.apply(Write::Remove(index))
    }

    /// Removes everything below an index.
    pub(super) fn truncate<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        below: Index,
    ) -> Result<(), StoreError> {
        self.remove_below(turn, below)?;
        turn.reply(ticket, Reply::Done);
        Ok(())
    }

    fn remove_below<S: Store>(&mut self, turn: &mut Turn<'_, S>, below: Index) -> Result<(), StoreError> {
        let unacked: Vec<(String, Index)> = self
            .groups
            .iter()
            .flat_map(|(name, group)| group.unacked.range(..below).map(|(index, _)| (name.clone(), *index)))
            .collect();
        for (name, index) in unacked {
            self.forget_unacked(turn, &name, index);
        }
        turn.store.apply(Write::RemoveBelow(below))
    }

    /// An entry that was unacked in a group is gone.
    fn forget_unacked<S: Store>(&mut self, turn: &mut Turn<'_, S>, group_name: &str, index: Index) {
        let group = self.groups.get_mut(group_name).expect("a group outlives its unacked entries");
        let unacked = group.unacked.remove(&index).expect("it was just found there");
        turn.revoke(index, &unacked);
        self.free_slot(group_name, index, &unacked);
        self.unsaved.groups = true;
    }

    /// Ends the stream: no more puts. With `force` the entries that wait are removed, which closes every watcher.
    pub(super) fn end<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        force: bool,
    ) -> Result<(), StoreError> {
        self.ended = true;
        self.unsaved.groups = true;
        if force {
            let next = turn.store.totals().next_index;
            self.remove_below(turn, next)?;
        }
        self.answer_all_waiters(turn)?;
        turn.reply(ticket, Reply::Done);
        Ok(())
    }

    /// Closes the watchers of an ended stream whose group has nothing left.
    pub(super) fn close_finished<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        let mut finished = Vec::new();
        for group in self.groups.values_mut() {
            if group.consumers.values().all(|consumer| consumer.watcher.is_none()) || !group.unacked.is_empty() {
                continue;
            }
            if !group.has_undelivered(turn.store)? {
                finished.extend(group.consumers.values().filter_map(|consumer| consumer.watcher));
            }
        }
        for id in finished {
            self.release(turn, id, 0)?;
            turn.effects.push(Effect::Close(id, CloseReason::Ended));
        }
        Ok(())
    }
}
