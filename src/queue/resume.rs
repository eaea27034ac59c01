//! Connections that outlive the memory: what they must remember, and how they come back.

use super::effect::{CloseReason, Effect};
use super::entry::Index;
use super::event::{Event, Lease, ResumeState, Start, Watch, WatcherId};
use super::group::{Holder, Unacked};
use super::record;
use super::refusal::StoreError;
use super::store::Store;
use super::stream::{Stream, Turn};
use super::watcher::connected_mut;

impl Stream {
    /// What a connection must remember to be resumed; none when it does not watch.
    pub(super) fn resume_state(&self, id: WatcherId) -> Option<ResumeState> {
        let watcher = self.watchers.get(&id)?;
        let group = self.groups.get(&watcher.consumer.group).expect("a watcher has a group");
        let watch = Watch {
            consumer: watcher.consumer.clone(),
            start: Start::At(Index(watcher.from)),
            window: watcher.window,
            auto_commit: watcher.auto_commit,
            index_only: watcher.index_only,
            filter: group.filter.clone(),
            local: watcher.local,
        };
        let leases = self.leases(watcher).collect();
        Some(ResumeState { watch, leases, heartbeat_ms: watcher.heartbeat_ms, draining: watcher.draining })
    }

    /// A connection that outlived the memory comes back with the entries that are out at it. Nothing is delivered in
    /// this turn: the others must come back first.
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
        let Start::At(from) = watch.start else { unreachable!("a resume state begins at an index") };
        let group_name = watch.consumer.group.clone();
        self.register(turn, id, watch, from.0, from.0, heartbeat_ms);
        connected_mut(&mut self.watchers, id).draining = draining;
        for lease in leases {
            if self.resume_lease(turn, &group_name, id, lease)? {
                connected_mut(&mut self.watchers, id).take(lease.index, lease.bytes);
                self.timers.entry_leased(lease.since_ms, heartbeat_ms, turn.settings);
            }
        }
        Ok(())
    }

    /// Gives an entry back to the connection it was out at, unless what the connection remembers is out of date. Says
    /// whether it holds the entry now.
    fn resume_lease<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        group_name: &str,
        id: WatcherId,
        lease: Lease,
    ) -> Result<bool, StoreError> {
        let group = self.groups.get_mut(group_name).expect("a watcher has a group");
        let holder = Some(Holder { watcher: id, since_ms: lease.since_ms, bytes: lease.bytes });
        if let Some(mut unacked) = group.unacked.remove(&lease.index) {
            let free = unacked.holder.is_none();
            if free {
                group.wait_no_more(lease.index, &unacked);
                unacked.holder = holder;
            }
            group.unacked.insert(lease.index, unacked);
            return Ok(free);
        }
        if !group.is_undelivered(lease.priority, lease.index) || turn.store.find(lease.index)?.is_none() {
            return Ok(false);
        }
        group.undelivered_in(lease.priority).remove(lease.index.0, lease.index.0 + 1);
        group.unacked.insert(lease.index, Unacked { priority: lease.priority, holder, history: None });
        Ok(true)
    }

    /// The first event after opening: consumers that were connected and did not come back are gone from now on. A local
    /// one that attaches with this very event was never away.
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
            self.unsaved.consumers = true;
        }
    }
}
