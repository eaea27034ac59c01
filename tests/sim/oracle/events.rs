//! What each event means, before anything is pushed for it.

use super::model::{Connection, Consumer, Group, Span, Sure, Waiter};
use super::settle::everybody_is_done;
use super::{Oracle, Turn, Verdict, demand};
use edgequeue::queue::config::Settings;
use edgequeue::queue::entry::{Entry, Index, TAG_REQUEST_ID};
use edgequeue::queue::event::{
    CODE_SHUTDOWN, ConsumerId, Event, Get, NewEntry, Rejection, Start, Ticket, Watch, WatcherId,
};
use edgequeue::queue::limits;
use edgequeue::queue::refusal::Refusal;
use edgequeue::queue::step::{CloseReason, Delivery, Receipt, Reply};
use edgequeue::queue::store::Side;
use std::collections::BTreeSet;
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
            Event::Resume(watcher, watch, _) => self.on_resume(side, *watcher, watch),
            Event::Detach(watcher) => {
                for side in [Side::Main, Side::Rear] {
                    self.disconnect(side, *watcher, turn.now);
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
                self.on_end(turn, *force);
                self.expect_done(turn, *ticket)
            }
            Event::Configure(ticket, settings) => {
                self.settings = settings.clone();
                self.expect_done(turn, *ticket)
            }
            Event::Stats(ticket) | Event::Count(ticket, ..) | Event::Search(ticket, ..) => {
                self.turn.replies.insert(*ticket);
                Ok(())
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
        if added > 0 && length + added > max_length && !may_evict {
            refusals.push(Refusal::Full { length, max: max_length });
        }
        refusals
    }

    fn evict_for(&mut self, side: Side, added: u64) {
        let most = self.settings.max_length;
        let model = self.side_mut(side);
        while added > 0 && model.entries.len() as u64 + added > most {
            let oldest = *model.entries.keys().next().expect("there is something to evict");
            model.remove(oldest);
        }
    }

    fn on_get(&mut self, turn: &Turn, ticket: Ticket, get: &Get) -> Verdict {
        let model = self.side_mut(turn.side);
        model.waiters.push(Waiter { ticket, get: get.clone(), deadline_ms: turn.now.saturating_add(get.wait_ms) });
        Ok(())
    }

    /// What a get finds now.
    pub fn found(&self, side: Side, get: &Get) -> Vec<u64> {
        let model = self.side(side);
        let matching = model.entries.iter().filter(|(_, held)| get.filter.matches_tags(&held.tags));
        let count = get.count as usize;
        let mut found: Vec<u64> = match get.start {
            Start::At(start) => matching.map(|(index, _)| *index).filter(|index| *index >= start.0).take(count).collect(),
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
        found.truncate(fitting);
        found
    }

    /// Answers gets that found enough, or waited long enough, in the order in which they came.
    pub fn answer_waiters(&mut self, turn: &Turn) -> Verdict {
        for side in [Side::Main, Side::Rear] {
            for waiter in std::mem::take(&mut self.side_mut(side).waiters) {
                let found = self.found(side, &waiter.get);
                let full = found.len() as u64 >= waiter.get.count;
                let due = waiter.deadline_ms <= turn.now;
                let ended = self.side(side).ended;
                let asked_now = matches!(turn.event, Event::Get(ticket, _) if *ticket == waiter.ticket);
                let ending = matches!(turn.event, Event::End(..)) && turn.side == side;
                let must = full || (due && (turn.is_tick() || asked_now)) || (ending && ended);
                let reply = turn.reply(waiter.ticket);
                demand!(reply.is_some() || !must, "get {:?} was not answered; it finds {found:?}", waiter.ticket);
                let Some(reply) = reply else {
                    self.side_mut(side).waiters.push(waiter);
                    continue;
                };
                demand!(must || due || ended, "get {:?} was answered too early with {reply:?}", waiter.ticket);
                self.turn.replies.insert(waiter.ticket);
                self.check_found(side, &found, reply)?;
                if waiter.get.remove {
                    found.iter().for_each(|index| self.side_mut(side).remove(*index));
                }
            }
        }
        Ok(())
    }

    fn check_found(&self, side: Side, found: &[u64], reply: &Reply) -> Verdict {
        let Reply::Entries(deliveries) = reply else { return Err(format!("a get was answered with {reply:?}")) };
        let indexes: Vec<u64> = deliveries.iter().map(|delivery| delivery.entry.index.0).collect();
        demand!(indexes == found, "a get found {indexes:?} instead of {found:?}");
        let model = self.side(side);
        for Delivery { entry, .. } in deliveries {
            let stored = &model.entries[&entry.index.0].entry;
            demand!(entry == stored, "a get found {entry:?} instead of {stored:?}");
        }
        Ok(())
    }

    fn on_attach(&mut self, turn: &Turn, ticket: Ticket, id: WatcherId, watch: &Watch) -> Verdict {
        self.turn.replies.insert(ticket);
        let reply = turn.must_reply(ticket)?;
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
            self.disconnect(turn.side, old, turn.now);
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
        let skip_below = if watch.start == Start::Newest { next } else { 0 };
        let connection = Connection { id, watch: watch.clone(), awake: true, skip_below, stopped: Sure::No };
        let now = Span::at(turn.now);
        let consumer = Consumer { connection: Some(connection), life_ms: now, gone_ms: now, last: None };
        group.consumers.insert(user.clone(), consumer);
        Ok(())
    }

    fn attach_refusals(&self, side: Side, watch: &Watch) -> Vec<Refusal> {
        let model = self.side(side);
        let mut refusals = Vec::new();
        if model.ended && model.entries.is_empty() {
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

    fn on_resume(&mut self, side: Side, id: WatcherId, watch: &Watch) -> Verdict {
        let consumer = self.side_mut(side).groups.get_mut(&watch.consumer.group);
        let consumer = consumer.and_then(|group| group.consumers.get_mut(&watch.consumer.user));
        let connection = consumer.and_then(|consumer| consumer.connection.as_mut());
        let connection = connection.filter(|connection| connection.id == id);
        connection.ok_or("a connection was resumed that the oracle does not know")?.awake = true;
        Ok(())
    }

    /// A connection is gone: what it holds is given back.
    pub fn disconnect(&mut self, side: Side, id: WatcherId, now: u64) {
        let model = self.side_mut(side);
        let Some((group, user)) = model.watcher(id).map(|(group, user)| (group.to_string(), user.to_string())) else {
            return;
        };
        let leaving = model.groups.get_mut(&group).expect("its group");
        let consumer = leaving.consumers.get_mut(&user).expect("its consumer");
        consumer.connection = None;
        consumer.gone_ms = Span::at(now);
        consumer.life_ms = consumer.life_ms.or(now);
        let out: Vec<u64> = leaving.out(&user).map(|(index, _)| index).collect();
        for index in out {
            self.give_back(side, &group, index, true);
        }
    }

    fn on_commit(&mut self, turn: &Turn, consumer: &ConsumerId, indexes: &[Index]) {
        for Index(index) in indexes {
            let model = self.side_mut(turn.side);
            let Some(group) = model.groups.get_mut(&consumer.group) else { return };
            if !model.entries.contains_key(index) || group.done(*index) == Sure::Yes {
                continue;
            }
            let leased = group.leases.contains_key(index);
            let touched = if leased { Sure::Yes } else { group.touched.get(index).copied().unwrap_or(Sure::No) };
            match touched {
                Sure::No => continue,
                Sure::Maybe => group.delivered.1 += 1,
                Sure::Yes => {
                    let possibly = group.done(*index) == Sure::Maybe;
                    group.delivered.0 += 1;
                    group.delivered.1 += u64::from(!possibly);
                }
            }
            self.settle(turn.side, &consumer.group, *index, touched);
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
            let gained = group.gained.entry(*index).or_default();
            for (key, value) in [("lastCode", &rejection.code), ("lastReason", &rejection.reason)] {
                if !value.is_empty() {
                    gained.insert(key.into(), value.clone());
                }
            }
            group.avoid.insert(*index, (consumer.user.clone(), Sure::Yes));
            self.give_back(turn.side, &consumer.group, *index, !shutdown);
        }
        self.live(turn, consumer);
        let group = self.side_mut(turn.side).groups.get_mut(&consumer.group);
        let consumer = group.and_then(|group| group.consumers.get_mut(&consumer.user));
        if let Some(connection) = consumer.and_then(|consumer| consumer.connection.as_mut()).filter(|_| shutdown) {
            connection.stopped = Sure::Yes;
        }
    }

    /// A consumer gave a sign of life.
    fn live(&mut self, turn: &Turn, consumer: &ConsumerId) {
        let group = self.side_mut(turn.side).groups.get_mut(&consumer.group);
        if let Some(consumer) = group.and_then(|group| group.consumers.get_mut(&consumer.user)) {
            consumer.life_ms = Span::at(turn.now);
        }
    }

    fn on_end(&mut self, turn: &Turn, force: bool) {
        let model = self.side_mut(turn.side);
        model.ended = true;
        if !force {
            return;
        }
        let next = model.next;
        let connections = model.groups.values().flat_map(|group| group.consumers.values());
        let open: Vec<WatcherId> = connections.filter_map(|consumer| Some(consumer.connection.as_ref()?.id)).collect();
        self.remove_below(turn.side, next);
        for id in open {
            self.turn.closes.insert(id, CloseReason::Ended);
            self.disconnect(turn.side, id, turn.now);
        }
    }

    /// Follows what was left to the machine: entries that could stay or go.
    pub fn resolve_optional(&mut self, turn: &Turn) -> Verdict {
        let mut candidates = std::mem::take(&mut self.turn.optional);
        for side in [Side::Main, Side::Rear] {
            candidates.extend(self.side(side).sweepable.iter().map(|index| (side, *index)));
        }
        for (side, index) in candidates {
            if self.side(side).entries.contains_key(&index) && (turn.peek)(side, index).is_none() {
                let swept = self.side(side).sweepable.contains(&index);
                let done = everybody_is_done(self.side(side), index);
                demand!(!swept || done != Sure::No || self.expired(side, index, turn.now), "{side:?} #{index} is lost");
                self.side_mut(side).remove(index);
            }
        }
        Ok(())
    }
}

impl Group {
    /// Whether it matters that an entry is still there: it was really settled, not only skipped by the start.
    pub fn really_settled(&self, index: u64) -> bool {
        self.settled.get(&index) == Some(&Sure::Yes)
    }
}
