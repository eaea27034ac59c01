//! One request, found by its request id: its status, and its cancellation.

use super::effect::Reply;
use super::entry::{Entry, Filter, Index, TAG_REQUEST_ID, Tags};
use super::event::Ticket;
use super::group::Group;
use super::inspect::ahead_of;
use super::read::made_here;
use super::refusal::StoreError;
use super::stats::{EntryStatus, GroupStatus};
use super::store::Store;
use super::stream::{Stream, Turn};
use super::watcher::connected;
use alloc::{string::ToString, vec::Vec};

impl Stream {
    /// The status of the first entry with a request id.
    pub(super) fn find<S: Store>(
        &self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        request_id: &str,
    ) -> Result<(), StoreError> {
        let found = match find_request(turn.store, request_id)? {
            Some(entry) => Some(self.entry_status(turn, &entry)?),
            None => None,
        };
        turn.reply(ticket, Reply::Found(found));
        Ok(())
    }

    /// Removes the first entry with a request id.
    pub(super) fn cancel<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        request_id: &str,
    ) -> Result<(), StoreError> {
        let index = find_request(turn.store, request_id)?.map(|entry| entry.index);
        if let Some(index) = index {
            self.remove_everywhere(turn, index)?;
        }
        turn.reply(ticket, Reply::Cancelled(index));
        Ok(())
    }

    fn entry_status<S: Store>(&self, turn: &mut Turn<'_, S>, entry: &Entry) -> Result<EntryStatus, StoreError> {
        let mut groups = Vec::new();
        for (name, group) in self.groups.iter().filter(|(_, group)| group.needs(entry)) {
            groups.push((name.clone(), self.group_status(turn, group, entry)?));
        }
        Ok(EntryStatus {
            index: entry.index,
            priority: entry.priority,
            put_ms: entry.put_ms,
            tags: entry.tags(),
            ahead: ahead_of(turn.store, None, entry)?,
            groups,
        })
    }

    fn group_status<S: Store>(
        &self,
        turn: &mut Turn<'_, S>,
        group: &Group,
        entry: &Entry,
    ) -> Result<GroupStatus, StoreError> {
        let unacked = group.unacked.get(&entry.index);
        let history = unacked.and_then(|unacked| unacked.history.as_deref());
        let attempts = history.map_or(0, |history| history.attempts);
        let holder = unacked.and_then(|unacked| unacked.holder);
        if let Some(holder) = holder {
            let consumer = connected(&self.watchers, holder.watcher).consumer.clone();
            let attempt = attempts.saturating_add(1);
            return Ok(GroupStatus::Running { consumer, attempt, since_ms: holder.since_ms });
        }
        let not_before_ms = history.map_or(0, |history| history.not_before_ms);
        Ok(GroupStatus::Queued {
            ahead: ahead_of(turn.store, Some(group), entry)?,
            attempts,
            not_before_ms: if not_before_ms > turn.now_ms { not_before_ms } else { 0 },
            code: history.map(|history| history.code.clone()).unwrap_or_default(),
            reason: history.map(|history| history.reason.clone()).unwrap_or_default(),
        })
    }
}

/// The live entry with a request id; of several, the one with the lowest index.
pub(super) fn find_request<S: Store>(store: &mut S, request_id: &str) -> Result<Option<Entry>, StoreError> {
    let filter = Filter(Tags::from([(TAG_REQUEST_ID.to_string(), request_id.to_string())]));
    if let Some(entry) = made_here(store, &filter)? {
        return Ok(Some(entry));
    }
    let marks = filter.marks();
    let mut first: Option<Entry> = None;
    for (priority, _) in store.priorities() {
        let mut at = Index(0);
        while let Some(entry) = store.next_marked(priority, at, &marks)? {
            if first.as_ref().is_some_and(|first| first.index < entry.index) {
                break;
            }
            at = entry.index.next();
            if filter.matches(&entry) {
                first = Some(entry);
                break;
            }
        }
    }
    Ok(first)
}
