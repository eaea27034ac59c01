//! What each event means, before anything is pushed for it.

use super::model::{Connection, Consumer, Group, Leased, Return, SideModel, Span, Sure, Waiter};
use super::settle::everybody_is_done;
use super::{Oracle, Turn, Verdict, demand};
use edgequeue::queue::config::Settings;
use edgequeue::queue::entry::{Entry, Index, TAG_REQUEST_ID};
use edgequeue::queue::event::{
    CODE_SHUTDOWN, ConsumerId, Event, Get, NewEntry, Rejection, Start, Ticket, Watch, WatcherId,
};
use edgequeue::queue::limits;
use edgequeue::queue::refusal::Refusal;
use edgequeue::queue::step::{CloseReason, Delivery, Effect, Receipt, Reply};
use edgequeue::queue::store::Side;
use edgequeue::queue::watcher::{Lease, Remembered};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

impl Oracle {
    /// Applies the event of a turn.
    pub fn happen(&mut self, turn: &Turn) -> Verdict {
        let side = turn.side;
        match turn.event {
            Event::Put(ticket, entries) => self.on_put(turn, *ticket, entries),
            Event::Get(ticket, get) => self.on_get(turn, *ticket, get),
            Event::Abandon(ticket) => {
                self.main.waiters.retain(|waiter| waiter.ticket != *ticket);
                self.rear.waiters.retain(|waiter| waiter.ticket != *ticket);
                Ok(())
            }
            Event::Attach(ticket, watcher, watch) => self.on_attach(turn, *ticket, *watcher, watch),
            Event::Resume(watcher, remembered) => self.on_resume(turn, *watcher, remembered),
            Event::Alive(signs) => {
                signs.iter().for_each(|(id, at_ms)| self.heard_of(*id, *at_ms, turn.now));
                Ok(())
            }
            Event::Detach(watcher) => {
                for side in [Side::Main, Side::Rear] {
                    self.disconnect(side, *watcher, turn.now, 0);
                }
                Ok(())
            }
            Event::Commit(ticket, consumer, indexes) => {
                self.on_commit(turn, consumer, indexes);
                self.expect_done(turn, *ticket)
            }
            Event::Reject(ticket, consumer, indexes, rejection) => {
                self.on_reject(turn, consumer, indexes, rejection);
                self.expect_done(turn, *ticket)
            }
            Event::Remove(ticket, indexes) => {
                indexes.iter().for_each(|index| self.side_mut(side).remove(index.0));
                self.expect_done(turn, *ticket)
            }
            Event::Truncate(ticket, index) => {
                self.remove_below(side, index.0);
                self.expect_done(turn, *ticket)
            }
            Event::End(ticket, force) => {
                self.on_end(turn, *force)?;
                self.expect_done(turn, *ticket)
            }
            Event::Configure(ticket, _) => self.expect_done(turn, *ticket),
            Event::Stats(ticket) | Event::Count(ticket, ..) | Event::Search(ticket, ..) => {
                self.turn.replies.insert(*ticket);
                self.check_answers(turn)
            }
            Event::Tick => Ok(()),
        }
    }

    fn expect_done(&mut self, turn: &Turn, ticket: Ticket) -> Verdict {
        self.turn.replies.insert(ticket);
        let reply = turn.must_reply(ticket)?;
        demand!(*reply == Reply::Done, "{reply:?} instead of Done");
        Ok(())
    }

    fn remove_below(&mut self, side: Side, bound: u64) {
        let model = self.side_mut(side);
        let below: Vec<u64> = model.entries.range(..bound).map(|(index, _)| *index).collect();
        below.into_iter().for_each(|index| model.remove(index));
    }

    fn on_put(&mut self, turn: &Turn, ticket: Ticket, entries: &[NewEntry]) -> Verdict {
        self.turn.replies.insert(ticket);
        let reply = turn.must_reply(ticket)?;
        let refusals = self.put_refusals(turn.side, entries);
        let receipts = match reply {
            Reply::Refused(refusal) => {
                let first = refusals.first().ok_or_else(|| format!("a put was refused for nothing: {refusal:?}"))?;
                demand!(discriminant(first) == discriminant(refusal), "{refusal:?} instead of {first:?}");
                return Ok(());
            }
            Reply::Put(receipts) => receipts,
            other => return Err(format!("a put was answered with {other:?}")),
        };
        demand!(refusals.is_empty(), "a put was accepted in spite of {refusals:?}");
        demand!(receipts.len() == entries.len(), "{} receipts for {} entries", receipts.len(), entries.len());
        self.evict_for(turn.side, entries.len() as u64);
        for (entry, receipt) in entries.iter().zip(receipts) {
            self.append(turn, entry, receipt)?;
        }
        Ok(())
    }

    fn append(&mut self, turn: &Turn, new: &NewEntry, receipt: &Receipt) -> Verdict {
        let model = self.side_mut(turn.side);
        demand!(receipt.index.0 == model.next, "receipt for #{} instead of #{}", receipt.index.0, model.next);
        demand!(!receipt.request_id.is_empty(), "a receipt without request id");
        let mut tags = new.tags.clone();
        let named = tags.insert(TAG_REQUEST_ID.into(), receipt.request_id.clone());
        demand!(named.is_none_or(|name| name == receipt.request_id), "the given request id was replaced");
        model.append(Entry::encode(receipt.index, new.lane, turn.now, tags, new.data.clone()));
        Ok(())
    }

    /// Why a put cannot be carried out, most important first.
    fn put_refusals(&self, side: Side, entries: &[NewEntry]) -> Vec<Refusal> {
        let model = self.side(side);
        let Settings { max_length, max_payload_bytes, .. } = self.settings;
        let mut refusals = Vec::new();
        if model.ended {
            refusals.push(Refusal::Ended);
        }
        if let Some(large) = entries.iter().find(|entry| entry.data.len() as u64 > max_payload_bytes) {
            refusals.push(Refusal::TooLarge { bytes: large.data.len() as u64, max: max_payload_bytes });
        }
        let mut lanes: BTreeSet<i64> = model.order.iter().map(|(lane, _)| lane.0).collect();
        let before = lanes.len();
        lanes.extend(entries.iter().map(|entry| entry.lane.0));
        if lanes.len() > limits::LANES_MAX && lanes.len() > before {
            refusals.push(Refusal::TooMany { what: "priorities", max: limits::LANES_MAX, advice: "" });
        }
        let (length, added) = (model.entries.len() as u64, entries.len() as u64);
        let may_evict = self.settings.auto_evict && side == Side::Main && added <= max_length;
        if length + added > max_length && !may_evict {
            refusals.push(Refusal::Full { length, max: max_length });
        }
        refusals
    }

    fn evict_for(&mut self, side: Side, added: u64) {
        let most = self.settings.max_length;
        let model = self.side_mut(side);
        while model.entries.len() as u64 + added > most {
            let oldest = *model.entries.keys().next().expect("there is something to evict");
            model.remove(oldest);
        }
    }

    fn on_get(&mut self, turn: &Turn, ticket: Ticket, get: &Get) -> Verdict {
        let found = self.found(turn.side, get);
        if !found.complete(get) && get.wait_ms > 0 && !self.side(turn.side).ended {
            let deadline_ms = turn.now.saturating_add(get.wait_ms);
            self.side_mut(turn.side).waiters.push(Waiter { ticket, get: get.clone(), deadline_ms });
            return Ok(());
        }
        self.turn.replies.insert(ticket);
        self.hand_out(turn.side, get, &found, turn.must_reply(ticket)?)
    }

    /// What a get finds now.
    fn found(&self, side: Side, get: &Get) -> Found {
        let model = self.side(side);
        let matching = model.entries.iter().filter(|(_, held)| get.filter.matches_tags(&held.tags));
        let count = get.count as usize;
        let mut found: Vec<u64> = match get.start {
            Start::At(start) => {
                matching.map(|(index, _)| *index).filter(|index| *index >= start.0).take(count).collect()
            }
            Start::Newest => {
                let newest: Vec<u64> = matching.rev().map(|(index, _)| *index).take(count).collect();
                newest.into_iter().rev().collect()
            }
        };
        let mut bytes = 0;
        let mut within = |index: &u64| {
            bytes += model.entries[index].entry.bytes() as usize;
            bytes <= limits::GET_BYTES_MAX
        };
        let fitting = found.iter().take_while(|index| within(index)).count().max(1);
        let cut = fitting < found.len();
        found.truncate(fitting);
        Found { indexes: found, cut }
    }

    /// Answers gets that found enough, or waited long enough. The order is the machine's as far as it may choose: those
    /// that a put satisfied are served in the order in which they came.
    pub fn answer_waiters(&mut self, turn: &Turn) -> Verdict {
        let mut latest = BTreeMap::new();
        for effect in turn.effects {
            let Effect::Reply(ticket, reply) = effect else { continue };
            let is_it = |waiter: &Waiter| waiter.ticket == *ticket;
            let sides = [Side::Main, Side::Rear];
            let place =
                sides.into_iter().find_map(|side| Some((side, self.side(side).waiters.iter().position(is_it)?)));
            let Some((side, place)) = place else { continue };
            self.turn.replies.insert(*ticket);
            let waiter = self.side_mut(side).waiters.remove(place);
            let found = self.found(side, &waiter.get);
            let full = found.complete(&waiter.get);
            let (due, ended) = (waiter.deadline_ms <= turn.now, self.side(side).ended);
            demand!(full || due || ended, "{ticket:?} was answered too early with {reply:?}");
            self.hand_out(side, &waiter.get, &found, reply)?;
            let before = latest.insert(side, *ticket).filter(|_| full && !due && !ended);
            demand!(
                before.is_none_or(|before| before < *ticket),
                "{ticket:?} was answered after the younger {before:?}"
            );
        }
        Ok(())
    }

    /// Nobody waits who need not.
    pub fn check_waiters(&self, turn: &Turn) -> Verdict {
        for side in [Side::Main, Side::Rear] {
            for waiter in &self.side(side).waiters {
                let found = self.found(side, &waiter.get);
                let due = waiter.deadline_ms <= turn.now && turn.sides().contains(&side);
                let must = found.complete(&waiter.get) || due || self.side(side).ended;
                demand!(!must, "{:?} was not answered; it finds {:?}", waiter.ticket, found.indexes);
            }
        }
        Ok(())
    }

    fn hand_out(&mut self, side: Side, get: &Get, found: &Found, reply: &Reply) -> Verdict {
        let found = &found.indexes;
        let Reply::Entries(deliveries) = reply else { return Err(format!("a get was answered with {reply:?}")) };
        let indexes: Vec<u64> = deliveries.iter().map(|delivery| delivery.entry.index.0).collect();
        demand!(indexes == *found, "a get found {indexes:?} instead of {found:?}");
        let model = self.side(side);
        for Delivery { entry, .. } in deliveries {
            let stored = &model.entries[&entry.index.0].entry;
            demand!(entry == stored, "a get found {entry:?} instead of {stored:?}");
        }
        if get.remove {
            found.iter().for_each(|index| self.side_mut(side).remove(*index));
        }
        Ok(())
    }

    fn on_attach(&mut self, turn: &Turn, ticket: Ticket, id: WatcherId, watch: &Watch) -> Verdict {
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
        demand!(refusals.is_empty(), "a watch was accepted in spite of {refusals:?}");
        let ConsumerId { group: name, user } = &watch.consumer;
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
        let connection = Connection { id, watch: watch.clone(), skip_below, stopped: false };
        let now = Span::at(turn.now);
        let connection = Some(connection);
        let stored_ms = group.consumers.get(user).map_or(now, |known| known.stored_ms.or(turn.now));
        let consumer = Consumer { connection, stored_ms, ..Consumer::new(turn.now) };
        group.consumers.insert(user.clone(), consumer);
        Ok(())
    }

    /// Of a connection that watches already only the window changes.
    fn resize(&mut self, turn: &Turn, id: WatcherId, window: u32) -> bool {
        let consumers = self.side_mut(turn.side).groups.values_mut().flat_map(|group| group.consumers.values_mut());
        let mut connections = consumers.filter_map(|consumer| consumer.connection.as_mut());
        let Some(connection) = connections.find(|connection| connection.id == id) else { return false };
        connection.watch.window = window;
        connection.stopped &= window == 0;
        self.heard_of(id, turn.now, turn.now);
        true
    }

    /// A connection gave a sign of life.
    fn heard_of(&mut self, id: WatcherId, at_ms: u64, now: u64) {
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

    /// After the end nobody may connect for whom nothing is left.
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

    /// A connection is what it remembers. That may be older than what is stored: leases of entries that are settled, gone
    /// or out elsewhere are no longer leases.
    fn on_resume(&mut self, turn: &Turn, id: WatcherId, remembered: &Remembered) -> Verdict {
        let Remembered { watch, leases, sign_ms, stopped } = remembered;
        let Start::At(Index(skip_below)) = watch.start else { return Err("resumed without a place".into()) };
        let SideModel { groups, entries, .. } = self.side_mut(turn.side);
        let ConsumerId { group, user } = &watch.consumer;
        // After a long batch whose effects were lost its group may be forgotten.
        let group = groups.entry(group.clone()).or_insert_with(|| {
            let (filter, start) = (watch.filter.clone(), skip_below);
            Group { filter, start, ..Group::default() }
        });
        let consumer = group.consumers.entry(user.clone()).or_insert_with(|| Consumer::new(turn.now));
        demand!(consumer.connection.is_none(), "{user} was resumed twice");
        consumer.life_ms = Span::at(*sign_ms);
        consumer.signs_ms = turn.now.max(*sign_ms);
        consumer.connection = Some(Connection { id, watch: watch.clone(), skip_below, stopped: *stopped });
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

    /// A connection is gone: what it holds is given back.
    pub fn disconnect(&mut self, side: Side, id: WatcherId, now: u64, reserved_until_ms: u64) {
        let model = self.side_mut(side);
        let Some((group, user)) = model.watcher(id).map(|(group, user)| (group.to_string(), user.to_string())) else {
            return;
        };
        let leaving = model.groups.get_mut(&group).expect("its group");
        let consumer = leaving.consumers.get_mut(&user).expect("its consumer");
        consumer.connection = None;
        consumer.gone_ms = Span::at(now);
        consumer.stored_ms = Span::at(now);
        consumer.lost = false;
        consumer.life_ms = Span::at(now);
        let out: Vec<u64> = leaving.out(&user).map(|(index, _)| index).collect();
        for index in out {
            let back = Return { user: user.clone(), avoid: false, reserved_until_ms };
            self.give_back(side, &group, index, true, back);
        }
    }

    fn on_commit(&mut self, turn: &Turn, consumer: &ConsumerId, indexes: &[Index]) {
        for Index(index) in indexes {
            let model = self.side_mut(turn.side);
            let Some(group) = model.groups.get_mut(&consumer.group) else { return };
            let needed = model.entries.get(index).is_some_and(|held| group.matches(held));
            if needed && !group.done(*index) {
                group.delivered += 1;
                self.settle(turn.side, &consumer.group, *index);
            }
        }
        self.live(turn, consumer);
    }

    fn on_reject(&mut self, turn: &Turn, consumer: &ConsumerId, indexes: &[Index], rejection: &Rejection) {
        let shutdown = rejection.code == CODE_SHUTDOWN;
        for Index(index) in indexes {
            let Some(group) = self.side_mut(turn.side).groups.get_mut(&consumer.group) else { return };
            if group.leases.get(index).is_none_or(|lease| lease.user != consumer.user) {
                continue;
            }
            let told = [("lastCode", &rejection.code), ("lastReason", &rejection.reason)];
            let told = told.into_iter().filter(|(_, value)| !value.is_empty());
            group.gained.insert(*index, told.map(|(key, value)| (key.to_string(), value.clone())).collect());
            let back = Return { user: consumer.user.clone(), avoid: true, reserved_until_ms: 0 };
            self.give_back(turn.side, &consumer.group, *index, !shutdown, back);
        }
        self.live(turn, consumer);
        let group = self.side_mut(turn.side).groups.get_mut(&consumer.group);
        let consumer = group.and_then(|group| group.consumers.get_mut(&consumer.user));
        if let Some(connection) = consumer.and_then(|consumer| consumer.connection.as_mut()).filter(|_| shutdown) {
            connection.stopped = true;
        }
    }

    /// A consumer gave a sign of life.
    fn live(&mut self, turn: &Turn, consumer: &ConsumerId) {
        let group = self.side_mut(turn.side).groups.get_mut(&consumer.group);
        if let Some(consumer) = group.and_then(|group| group.consumers.get_mut(&consumer.user)) {
            consumer.life_ms = Span::at(turn.now);
            consumer.gone_ms = consumer.gone_ms.or(turn.now);
            consumer.stored_ms = consumer.stored_ms.or(turn.now);
        }
    }

    fn on_end(&mut self, turn: &Turn, force: bool) -> Verdict {
        let model = self.side_mut(turn.side);
        model.ended = true;
        let next = model.next;
        if !force {
            return self.answer_waiters(turn);
        }
        let connections = model.groups.values().flat_map(|group| group.consumers.values());
        let open: Vec<WatcherId> = connections.filter_map(|consumer| Some(consumer.connection.as_ref()?.id)).collect();
        self.remove_below(turn.side, next);
        for id in open {
            self.turn.closes.insert(id, CloseReason::Ended);
            self.disconnect(turn.side, id, turn.now, 0);
        }
        self.answer_waiters(turn)
    }

    /// Follows which of the entries that may be swept are gone. Those that a get of this turn returns were still there
    /// when it was answered.
    pub fn resolve_swept(&mut self, turn: &Turn, answered: bool) {
        for side in [Side::Main, Side::Rear] {
            for index in self.side(side).sweepable.clone() {
                let later = !answered && turn.handed_out(index);
                if !later && everybody_is_done(self.side(side), index) && (turn.peek)(side, index).is_none() {
                    self.side_mut(side).remove(index);
                }
            }
        }
    }
}

/// What a get finds.
struct Found {
    indexes: Vec<u64>,
    /// More would not fit into one answer.
    cut: bool,
}

impl Found {
    fn complete(&self, get: &Get) -> bool {
        self.cut || self.indexes.len() as u64 >= get.count
    }
}
