//! The meaning of each event, before anything is pushed for it.

use super::check::check_request;
use super::model::{Return, Span};
use super::settle::everybody_is_done;
use super::{Oracle, Turn, Verdict, demand};
use edgequeue::queue::config::Settings;
use edgequeue::queue::effect::{CloseReason, Receipt, Reply};
use edgequeue::queue::entry::{Entry, Index, TAG_REQUEST_ID};
use edgequeue::queue::event::{CODE_SHUTDOWN, ConsumerId, Dedup, Event, NewEntry, Rejection, Ticket, WatcherId};
use edgequeue::queue::limits;
use edgequeue::queue::refusal::Refusal;
use edgequeue::queue::store::Side;
use std::collections::BTreeSet;
use std::mem::discriminant;

/// Whether an entry with a dedup was put before.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    No,
    /// Its index, as far as the machine says.
    Stored(u64),
    InThisPut(usize),
}

impl Oracle {
    /// Applies the event of a turn.
    pub fn happen(&mut self, turn: &Turn<'_>) -> Verdict {
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
            Event::Resume(watcher, state) => self.on_resume(turn, *watcher, state),
            Event::Heartbeats(heartbeats) => {
                heartbeats.iter().for_each(|(id, at_ms)| self.heartbeat(*id, *at_ms, turn.now));
                Ok(())
            }
            Event::Detach(watcher) => {
                self.disconnect(side, *watcher, turn.now, 0);
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
            Event::Stats(ticket) | Event::Count(ticket, ..) | Event::Search(ticket, ..) | Event::Find(ticket, ..) => {
                self.turn.replies.insert(*ticket);
                self.check_answers(turn)
            }
            Event::Cancel(ticket, request_id) => {
                self.turn.replies.insert(*ticket);
                self.on_cancel(turn, request_id, turn.must_reply(*ticket)?)
            }
            Event::Tick => Ok(()),
        }
    }

    fn on_cancel(&mut self, turn: &Turn<'_>, request_id: &str, reply: &Reply) -> Verdict {
        let Reply::Cancelled(index) = reply else { return Err(format!("a cancellation was answered with {reply:?}")) };
        let index = index.map(|index| index.0);
        check_request(self.side(turn.side), request_id, index)?;
        index.into_iter().for_each(|index| self.side_mut(turn.side).remove(index));
        Ok(())
    }

    fn expect_done(&mut self, turn: &Turn<'_>, ticket: Ticket) -> Verdict {
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

    fn on_put(&mut self, turn: &Turn<'_>, ticket: Ticket, entries: &[NewEntry]) -> Verdict {
        self.turn.replies.insert(ticket);
        let reply = turn.must_reply(ticket)?;
        let known = self.put_before(turn.side, entries);
        let new = entries.iter().zip(&known).filter(|(_, known)| **known == Before::No).map(|(entry, _)| entry.clone());
        let new: Vec<NewEntry> = new.collect();
        let all_known = new.is_empty() && !entries.is_empty();
        let refusals = if all_known { Vec::new() } else { self.put_refusals(turn.side, &new) };
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
        if !all_known {
            self.evict_for(turn.side, new.len() as u64);
        }
        for ((entry, receipt), known) in entries.iter().zip(receipts).zip(known) {
            let index = match known {
                Before::No => {
                    demand!(!receipt.repeated, "a first put was taken for a repeated one: {receipt:?}");
                    self.append(turn, entry, receipt)?;
                    continue;
                }
                Before::Stored(index) => index,
                Before::InThisPut(place) => receipts[place].index.0,
            };
            let request_id = entry.tags.get(TAG_REQUEST_ID).cloned().unwrap_or_default();
            let expected = Receipt { index: Index(index), request_id, repeated: true };
            demand!(*receipt == expected, "a repeated put was answered with {receipt:?} instead of {expected:?}");
        }
        let model = self.side_mut(turn.side);
        for entry in entries {
            if let Some(Dedup::Source { index, settled_below }) = entry.dedup {
                model.outcomes.insert(index.0);
                model.outcomes_below = model.outcomes_below.max(settled_below.0);
            }
        }
        Ok(())
    }

    /// For each entry of a put, whether it was put before.
    fn put_before(&self, side: Side, entries: &[NewEntry]) -> Vec<Before> {
        let model = self.side(side);
        let mut known: Vec<Before> = Vec::new();
        for entry in entries {
            let id = entry.tags.get(TAG_REQUEST_ID);
            let mut earlier = entries.iter().zip(&known).enumerate().filter(|(_, (_, known))| **known == Before::No);
            known.push(match entry.dedup {
                None => Before::No,
                Some(Dedup::RequestId) => {
                    let live = model.entries.iter().find(|(_, held)| held.tags.get(TAG_REQUEST_ID) == id);
                    let same = earlier.find(|(_, (other, _))| other.tags.get(TAG_REQUEST_ID) == id);
                    match (live, same) {
                        (Some((index, _)), _) => Before::Stored(*index),
                        (None, Some((place, _))) => Before::InThisPut(place),
                        (None, None) => Before::No,
                    }
                }
                Some(Dedup::Source { index, .. }) => {
                    let is_same = |other: &NewEntry| match other.dedup {
                        Some(Dedup::Source { index: other, .. }) => other == index,
                        _ => false,
                    };
                    let same = earlier.find(|(_, (other, _))| is_same(other));
                    match same {
                        _ if index.0 < model.outcomes_below || model.outcomes.contains(&index.0) => Before::Stored(0),
                        Some((place, _)) => Before::InThisPut(place),
                        None => Before::No,
                    }
                }
            });
        }
        known
    }

    fn append(&mut self, turn: &Turn<'_>, new: &NewEntry, receipt: &Receipt) -> Verdict {
        let model = self.side_mut(turn.side);
        demand!(receipt.index.0 == model.next, "receipt for #{} instead of #{}", receipt.index.0, model.next);
        demand!(!receipt.request_id.is_empty(), "a receipt without request id");
        let mut tags = new.tags.clone();
        let named = tags.insert(TAG_REQUEST_ID.into(), receipt.request_id.clone());
        demand!(named.is_none_or(|name| name == receipt.request_id), "the given request id was replaced");
        model.append(Entry::encode(receipt.index, new.priority, turn.now, tags, new.data.clone()));
        Ok(())
    }

    /// The reasons to refuse a put, the first of which counts.
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
        let mut priorities: BTreeSet<i64> = model.order.iter().map(|(priority, _)| priority.0).collect();
        let before = priorities.len();
        priorities.extend(entries.iter().map(|entry| entry.priority.0));
        if priorities.len() > limits::PRIORITIES_MAX && priorities.len() > before {
            refusals.push(Refusal::TooMany { what: "priorities", max: limits::PRIORITIES_MAX, advice: "" });
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

    fn on_commit(&mut self, turn: &Turn<'_>, consumer: &ConsumerId, indexes: &[Index]) {
        for Index(index) in indexes {
            let model = self.side_mut(turn.side);
            let Some(group) = model.groups.get_mut(&consumer.group) else { return };
            let needed = model.entries.get(index).is_some_and(|held| group.matches(held));
            if needed && !group.done(*index) {
                group.delivered += 1;
                self.side_mut(turn.side).done += 1;
                self.settle(turn.side, &consumer.group, *index, &consumer.user);
            }
        }
        self.live(turn, consumer);
    }

    fn on_reject(&mut self, turn: &Turn<'_>, consumer: &ConsumerId, indexes: &[Index], rejection: &Rejection) {
        let shutdown = rejection.code == CODE_SHUTDOWN;
        for Index(index) in indexes {
            let Some(group) = self.side_mut(turn.side).groups.get_mut(&consumer.group) else { return };
            if group.leases.get(index).is_none_or(|lease| lease.user != consumer.user) {
                continue;
            }
            let told = [("lastCode", &rejection.code), ("lastReason", &rejection.reason)];
            let told = told.into_iter().filter(|(_, value)| !value.is_empty());
            if !shutdown {
                group.gained.insert(*index, told.map(|(key, value)| (key.to_string(), value.clone())).collect());
            }
            let not_before_ms = if rejection.delay_ms == 0 { 0 } else { turn.now.saturating_add(rejection.delay_ms) };
            let back = Return { user: consumer.user.clone(), avoid: true, reserved_until_ms: 0, not_before_ms };
            self.requeue(turn.side, &consumer.group, *index, !shutdown, back);
        }
        self.live(turn, consumer);
        let group = self.side_mut(turn.side).groups.get_mut(&consumer.group);
        let consumer = group.and_then(|group| group.consumers.get_mut(&consumer.user));
        if let Some(connection) = consumer.and_then(|consumer| consumer.connection.as_mut()).filter(|_| shutdown) {
            connection.draining = true;
        }
    }

    /// A consumer sent a heartbeat.
    fn live(&mut self, turn: &Turn<'_>, consumer: &ConsumerId) {
        let group = self.side_mut(turn.side).groups.get_mut(&consumer.group);
        if let Some(consumer) = group.and_then(|group| group.consumers.get_mut(&consumer.user)) {
            consumer.life_ms = Span::at(turn.now);
            consumer.gone_ms = consumer.gone_ms.or(turn.now);
            consumer.stored_ms = consumer.stored_ms.or(turn.now);
        }
    }

    fn on_end(&mut self, turn: &Turn<'_>, force: bool) -> Verdict {
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

    /// Follows which of the entries that may be swept are gone. An entry that a get of this turn returns was still
    /// there when the get was answered.
    pub fn resolve_swept(&mut self, turn: &Turn<'_>, answered: bool) {
        for side in [Side::Main, Side::Rear] {
            for index in self.side(side).sweepable.clone() {
                let later = !answered && self.shows(turn, side, index);
                if !later && everybody_is_done(self.side(side), index) && (turn.peek)(side, index).is_none() {
                    self.side_mut(side).remove(index);
                }
            }
        }
    }
}
