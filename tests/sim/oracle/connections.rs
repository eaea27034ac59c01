//! Connections: how they come, come back, change and go.

use super::model::{Connection, Consumer, Group, Leased, Return, SideModel, Span, Sure};
use super::{Oracle, Turn, Verdict, demand};
use edgequeue::queue::effect::{CloseReason, Reply};
use edgequeue::queue::entry::Index;
use edgequeue::queue::event::{ConsumerId, Lease, ResumeState, Start, Ticket, Watch, WatcherId};
use edgequeue::queue::limits;
use edgequeue::queue::refusal::Refusal;
use edgequeue::queue::store::Side;
use std::mem::discriminant;

impl Oracle {
    pub fn on_attach(&mut self, turn: &Turn<'_>, ticket: Ticket, id: WatcherId, watch: &Watch) -> Verdict {
        self.turn.replies.insert(ticket);
        let reply = turn.must_reply(ticket)?;
        if self.resize(turn, id, watch.window) || watch.window == 0 {
            demand!(*reply == Reply::Attached, "a watch without effect was answered with {reply:?}");
            return Ok(());
        }
        let refusals = self.attach_refusals(turn.side, watch);
        if let Reply::Refused(refusal) = reply {
            let known = refusals.iter().any(|known| discriminant(known) == discriminant(refusal));
            demand!(known, "a watch was refused with {refusal:?} instead of {refusals:?}");
            return Ok(());
        }
        demand!(*reply == Reply::Attached, "a watch was answered with {reply:?}");
        let ConsumerId { group: name, user } = &watch.consumer;
        // A local consumer that comes first of all after an opening was never away: if nothing is left for it, it is
        // closed, which is demanded of every connection.
        let seat = self.side(turn.side).groups.get(name).and_then(|group| group.consumers.get(user));
        let was_here = watch.local && seat.is_some_and(|seat| seat.connection.is_none());
        let closed = was_here && matches!(refusals.as_slice(), [Refusal::Ended]);
        demand!(refusals.is_empty() || closed, "a watch was accepted in spite of {refusals:?}");
        if let Some(old) = self.side(turn.side).groups.get(name).and_then(|group| group.connection(user)) {
            let old = old.id;
            self.turn.closes.insert(old, CloseReason::TakenOver);
            self.disconnect(turn.side, old, turn.now, 0);
        }
        let model = self.side_mut(turn.side);
        let (next, is_new) = (model.next, !model.groups.contains_key(name));
        let group = model.groups.entry(name.clone()).or_default();
        let begin = match watch.start {
            Start::At(index) => index.0,
            Start::Newest => next,
        };
        if is_new {
            group.filter = watch.filter.clone();
            group.start = begin;
        }
        let skip_below = if watch.start == Start::Newest && !is_new { next } else { 0 };
        let connection = Connection { id, watch: watch.clone(), skip_below, draining: false };
        let now = Span::at(turn.now);
        let connection = Some(connection);
        let stored_ms = group.consumers.get(user).map_or(now, |known| known.stored_ms.or(turn.now));
        let consumer = Consumer { connection, stored_ms, ..Consumer::new(turn.now) };
        group.consumers.insert(user.clone(), consumer);
        Ok(())
    }

    /// If the connection watches already, only its window changes.
    fn resize(&mut self, turn: &Turn<'_>, id: WatcherId, window: u32) -> bool {
        let consumers = self.side_mut(turn.side).groups.values_mut().flat_map(|group| group.consumers.values_mut());
        let mut connections = consumers.filter_map(|consumer| consumer.connection.as_mut());
        let Some(connection) = connections.find(|connection| connection.id == id) else { return false };
        connection.watch.window = window;
        connection.draining &= window == 0;
        self.heartbeat(id, turn.now, turn.now);
        true
    }

    /// A connection sent a heartbeat.
    pub fn heartbeat(&mut self, id: WatcherId, at_ms: u64, now: u64) {
        for side in [Side::Main, Side::Rear] {
            for consumer in self.side_mut(side).groups.values_mut().flat_map(|group| group.consumers.values_mut()) {
                if consumer.connection.as_ref().is_some_and(|connection| connection.id == id) {
                    let latest = |moment: u64| moment.max(at_ms.min(now));
                    let Span { earliest, latest: last } = consumer.life_ms;
                    consumer.life_ms = Span { earliest: latest(earliest), latest: latest(last) };
                }
            }
        }
    }

    /// After the end no consumer may connect that would find nothing.
    fn has_work_for(&self, side: Side, watch: &Watch) -> bool {
        let model = self.side(side);
        match (model.groups.get(&watch.consumer.group), watch.start) {
            (Some(group), _) => model.unsettled(group).next().is_some(),
            (None, Start::Newest) => false,
            (None, Start::At(start)) => {
                model.entries.range(start.0..).any(|(_, held)| watch.filter.matches_tags(&held.tags))
            }
        }
    }

    fn attach_refusals(&self, side: Side, watch: &Watch) -> Vec<Refusal> {
        let model = self.side(side);
        let mut refusals = Vec::new();
        if model.ended && !self.has_work_for(side, watch) {
            refusals.push(Refusal::Ended);
        }
        match model.groups.get(&watch.consumer.group) {
            Some(group) if group.filter != watch.filter => {
                refusals.push(Refusal::FilterDiffers { group: watch.consumer.group.clone() });
            }
            None if model.groups.len() >= limits::GROUPS_MAX => {
                refusals.push(Refusal::TooMany { what: "groups", max: limits::GROUPS_MAX, advice: "" });
            }
            _ => {}
        }
        refusals
    }

    /// A connection comes back as its resume state says. That may be older than what is stored: entries that are
    /// settled, gone or out elsewhere are no longer leased to it.
    pub fn on_resume(&mut self, turn: &Turn<'_>, id: WatcherId, state: &ResumeState) -> Verdict {
        let ResumeState { watch, leases, heartbeat_ms, draining } = state;
        let Start::At(Index(skip_below)) = watch.start else { return Err("resumed without a place".into()) };
        let SideModel { groups, entries, .. } = self.side_mut(turn.side);
        let ConsumerId { group, user } = &watch.consumer;
        // After a long batch whose effects were lost, its group may have been forgotten.
        let group = groups.entry(group.clone()).or_insert_with(|| {
            let (filter, start) = (watch.filter.clone(), skip_below);
            Group { filter, start, ..Group::default() }
        });
        let consumer = group.consumers.entry(user.clone()).or_insert_with(|| Consumer::new(turn.now));
        demand!(consumer.connection.is_none(), "{user} was resumed twice");
        consumer.life_ms = Span::at(*heartbeat_ms);
        consumer.heartbeats_ms = turn.now.max(*heartbeat_ms);
        consumer.connection = Some(Connection { id, watch: watch.clone(), skip_below, draining: *draining });
        for Lease { index: Index(index), since_ms, bytes, .. } in leases {
            let needed = entries.get(index).is_some_and(|held| group.matches(held)) && !group.done(*index);
            if needed && !group.leases.contains_key(index) {
                let (user, bytes) = (user.clone(), u64::from(*bytes));
                group.leases.insert(*index, Leased { user, since_ms: *since_ms, bytes });
                group.touched.insert(*index, Sure::Yes);
            }
        }
        Ok(())
    }

    /// A connection is gone: the entries it holds are requeued. That counts as an attempt unless it was local.
    pub fn disconnect(&mut self, side: Side, id: WatcherId, now: u64, reserved_until_ms: u64) {
        let model = self.side_mut(side);
        let Some((group, user)) = model.watcher(id).map(|(group, user)| (group.to_string(), user.to_string())) else {
            return;
        };
        let leaving = model.groups.get_mut(&group).expect("its group");
        let consumer = leaving.consumers.get_mut(&user).expect("its consumer");
        let local = consumer.connection.take().is_some_and(|connection| connection.watch.local);
        consumer.gone_ms = Span::at(now);
        consumer.stored_ms = Span::at(now);
        consumer.lost = false;
        consumer.life_ms = Span::at(now);
        let out: Vec<u64> = leaving.out(&user).map(|(index, _)| index).collect();
        for index in out {
            let back = Return { user: user.clone(), avoid: false, reserved_until_ms, not_before_ms: 0 };
            self.requeue(side, &group, index, !local, back);
        }
    }
}
