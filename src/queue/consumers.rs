//! Which consumers are known, and until when.

use super::entry::{Index, Priority};
use super::event::{ConsumerId, WatcherId};
use super::limits;
use super::store::Store;
use super::stream::{Stream, Turn};
use super::timer::Timer;
use super::watcher::connected_mut;
use alloc::{
    string::{String, ToString},
    vec::Vec,
};

impl Stream {
    /// The live connection of a consumer.
    pub(super) fn watcher_of(&self, consumer: &ConsumerId) -> Option<WatcherId> {
        self.groups.get(&consumer.group)?.consumers.get(&consumer.user)?.watcher
    }

    /// A consumer made a request. Unknown ones are passed over: a commit needs no watch.
    pub(super) fn heartbeat(&mut self, now_ms: u64, consumer: &ConsumerId) {
        let group = self.groups.get_mut(&consumer.group);
        let Some(known) = group.and_then(|group| group.consumers.get_mut(&consumer.user)) else { return };
        known.last_ms = now_ms;
        if let Some(id) = known.watcher {
            connected_mut(&mut self.watchers, id).heartbeat_ms = now_ms;
            self.changed.watchers.insert(id);
        }
    }

    /// Connections sent heartbeats. Unknown ones are passed over: they may be at the other side.
    pub(super) fn heartbeats(&mut self, now_ms: u64, heartbeats: &[(WatcherId, u64)]) {
        for (id, at_ms) in heartbeats {
            let Some(watcher) = self.watchers.get_mut(id) else { continue };
            watcher.heartbeat_ms = watcher.heartbeat_ms.max((*at_ms).min(now_ms));
            let heartbeat_ms = watcher.heartbeat_ms;
            let consumer = self.groups.get_mut(&watcher.consumer.group).expect("a watcher has a group");
            let known = consumer.consumers.get_mut(&watcher.consumer.user).expect("a watcher is a known consumer");
            known.last_ms = known.last_ms.max(heartbeat_ms);
        }
    }

    /// Forgets consumers that are gone for long and left nothing, and groups without consumers.
    pub(super) fn forget_consumers<S: Store>(&mut self, turn: &Turn<'_, S>) {
        let mut forgotten = Vec::new();
        self.timers.set(Timer::Forget, None);
        for (name, group) in &self.groups {
            for (user, consumer) in group.consumers.iter().filter(|(_, consumer)| consumer.watcher.is_none()) {
                let due_ms = consumer.last_ms.saturating_add(limits::FORGET_MS);
                if due_ms > turn.now_ms || group.has_left_entries(user) {
                    let again_ms = turn.now_ms.saturating_add(limits::LEAVING_MS);
                    self.timers.set_earlier(Timer::Forget, due_ms.max(again_ms));
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
    fn forget_consumer(&mut self, group_name: &str, user: &str) {
        let group = self.groups.get_mut(group_name).expect("a group stays as long as its last consumer");
        group.consumers.remove(user);
        self.unsaved.consumers = true;
        if group.consumers.is_empty() {
            self.groups.remove(group_name);
            self.unsaved.groups = true;
            self.sweep = (!self.groups.is_empty()).then_some((Priority(i64::MAX), Index(0)));
        }
    }

    /// Forgets the consumer that has been gone longest and left nothing; false when there is none.
    pub(super) fn forget_longest_gone(&mut self) -> bool {
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
