//! The work of time, in any turn of a side: retention, forgetting, idle entries, silent connections.

use super::model::Return;
use super::{Choice, Oracle, Turn, Verdict, demand};
use edgequeue::queue::effect::CloseReason;
use edgequeue::queue::event::{ConsumerId, WatcherId};
use edgequeue::queue::limits;
use edgequeue::queue::store::Side;
use std::cmp::Reverse;

const SIDES: [Side; 2] = [Side::Main, Side::Rear];

impl Oracle {
    /// Entries of a side that are too old: those that must go, and those that may wait because one in front of them is
    /// younger (the clock went backward) or because there are too many for one turn.
    fn too_old(&self, side: Side, now: u64) -> (Vec<u64>, Vec<u64>) {
        // The rear keeps its entries.
        let retention = if side == Side::Rear { 0 } else { self.settings.retention_ms };
        let over = |since: u64| retention != 0 && since.saturating_add(retention) <= now;
        let (mut must, mut may) = (Vec::new(), Vec::new());
        for (index, held) in &self.side(side).entries {
            if over(held.ripe_ms) {
                must.push(*index);
            } else if over(held.entry.put_ms) {
                may.push(*index);
            }
        }
        if must.len() > limits::TURN_HOUSEKEEPING_MAX {
            may.append(&mut must);
        }
        (must, may)
    }

    /// How many entries of a side must go.
    fn ripe(&self, side: Side, now: u64) -> usize {
        let retention = if side == Side::Rear { 0 } else { self.settings.retention_ms };
        let is_ripe = |since: u64| retention != 0 && since.saturating_add(retention) <= now;
        self.side(side).entries.values().filter(|held| is_ripe(held.ripe_ms)).count()
    }

    /// Whether the age of entries leaves a choice.
    pub fn expires_in_disorder(&self, sides: &[Side], now: u64) -> bool {
        sides.iter().any(|side| !self.too_old(*side, now).1.is_empty())
    }

    /// Old entries go before anything else happens.
    pub fn expire(&mut self, turn: &Turn<'_>, with_choice: bool) -> Verdict {
        for side in turn.sides() {
            let (must, mut may) = self.too_old(*side, turn.now);
            // Those that may wait behind younger ones need no other turn.
            let many = self.ripe(*side, turn.now) > limits::TURN_HOUSEKEEPING_MAX;
            demand!(!many || turn.again(), "too many entries are too old for one turn, and no other is asked for");
            may.retain(|index| (turn.peek)(*side, *index).is_none() && !self.shows(turn, *side, *index));
            let gone = may.len() as u64;
            may.retain(|_| with_choice);
            // Priority by priority, the oldest first, and no more than a turn removes: others that are gone went
            // another way.
            may.sort_by_key(|index| (Reverse(self.side(*side).entries[index].entry.priority), *index));
            may.truncate(limits::TURN_HOUSEKEEPING_MAX);
            self.side_mut(*side).failed_or_expired += gone;
            must.into_iter().chain(may).for_each(|index| self.side_mut(*side).remove(index));
        }
        Ok(())
    }

    /// Consumers that may be forgotten in this turn, and may be kept.
    pub fn fading(&self, sides: &[Side], now: u64) -> Vec<(Side, ConsumerId)> {
        let mut fading = Vec::new();
        for side in sides {
            for (name, group) in &self.side(*side).groups {
                for (user, consumer) in &group.consumers {
                    let since = consumer.life_ms.earliest.max(consumer.gone_ms.earliest);
                    let due = since.saturating_add(limits::FORGET_MS) <= now;
                    if consumer.connection.is_none() && due {
                        fading.push((*side, ConsumerId { group: name.clone(), user: user.clone() }));
                    }
                }
            }
        }
        fading
    }

    /// Whether the last heartbeat of a consumer is known exactly.
    pub fn is_exact(&self, (side, id): &(Side, ConsumerId)) -> bool {
        let consumer = self.side(*side).groups.get(&id.group).and_then(|group| group.consumers.get(&id.user));
        let noted = !self.side(*side).lost.contains(&(id.group.clone(), id.user.clone()));
        noted && consumer.is_some_and(|consumer| consumer.life_ms.earliest == consumer.life_ms.latest)
    }

    /// Forgets the consumers that the machine forgot; none may be kept for ever.
    pub fn forget_consumers(&mut self, turn: &Turn<'_>, choice: &Choice) -> Verdict {
        let forgotten = &choice.forgotten;
        let fading = self.fading(turn.sides(), turn.now);
        let early = forgotten.iter().find(|id| !fading.contains(id));
        demand!(early.is_none(), "{early:?} was forgotten before its time");
        for (side, id) in fading {
            let group = self.side_mut(side).groups.get_mut(&id.group).expect("just listed");
            let consumer = &group.consumers[&id.user];
            let since = consumer.life_ms.latest.max(consumer.gone_ms.latest).saturating_add(limits::FORGET_MS);
            let over = since.max(consumer.left_ms).saturating_add(limits::LEAVING_MS) <= turn.now;
            let left = group.has_left_entries(&id.user);
            let comes_back = !left && choice.back == Some((side, id.clone()));
            if !comes_back && !forgotten.contains(&(side, id.clone())) {
                demand!(!over || left, "{side:?} {id:?} is never forgotten");
                continue;
            }
            demand!(!left, "{side:?} {id:?} was forgotten in spite of what it left");
            group.consumers.remove(&id.user);
            if group.consumers.is_empty() {
                self.drop_group(side, &id.group);
            }
        }
        Ok(())
    }

    /// Notes until when each consumer had left entries.
    pub fn note_leftovers(&mut self, now: u64) {
        for side in SIDES {
            for group in self.side_mut(side).groups.values_mut() {
                let users: Vec<String> =
                    group.consumers.keys().filter(|user| group.has_left_entries(user)).cloned().collect();
                for user in users {
                    let consumer = group.consumers.get_mut(&user).expect("just listed");
                    consumer.left_ms = consumer.left_ms.max(now);
                }
            }
        }
    }

    /// Slow entries are taken back, then silent connections are closed.
    pub fn lapse(&mut self, side: Side, turn: &Turn<'_>) -> Verdict {
        self.take_back_idle(side, turn.now);
        self.silence(side, turn)
    }

    fn silence(&mut self, side: Side, turn: &Turn<'_>) -> Verdict {
        let most = self.settings.max_silence_ms;
        for (group, user, id) in self.connections(side) {
            let model = &self.side(side).groups[&group];
            if model.connection(&user).is_some_and(|connection| connection.watch.local) {
                continue;
            }
            let (life, told_ms) = (model.consumers[&user].life_ms, model.consumers[&user].heartbeats_ms);
            // A consumer that has only just been given an entry is not silent.
            let oldest = model.out(&user).map(|(_, lease)| lease.since_ms).min();
            let silent = |moment: u64| {
                oldest.is_some_and(|oldest| most != 0 && moment.max(oldest).saturating_add(most) <= turn.now)
            };
            if !turn.closes(id, CloseReason::Silent) {
                // After a clock was set back a socket may remember a heartbeat that is still to come.
                demand!(!silent(life.latest.max(told_ms)), "{group}/{user} is silent and stays connected");
                continue;
            }
            demand!(silent(life.earliest), "{group}/{user} was closed as silent and is not");
            self.turn.closes.insert(id, CloseReason::Silent);
            self.disconnect(side, id, turn.now, turn.now.saturating_add(limits::SILENCE_GRACE_MS));
        }
        Ok(())
    }

    fn take_back_idle(&mut self, side: Side, now: u64) {
        let most = self.settings.max_idle_ms;
        let names: Vec<String> = self.side(side).groups.keys().cloned().collect();
        for name in names.iter().filter(|_| most != 0) {
            let group = &self.side(side).groups[name];
            let old = group.can_be_idle().filter(|(_, lease)| lease.since_ms.saturating_add(most) <= now);
            let old: Vec<(u64, String)> = old.map(|(index, lease)| (*index, lease.user.clone())).collect();
            for (index, user) in old {
                let model = self.side_mut(side);
                let holder = model.groups[name].holder(index);
                model.revoked.extend(holder.map(|holder| (holder, index)));
                let back = Return { user, avoid: true, reserved_until_ms: 0, not_before_ms: 0 };
                self.requeue(side, name, index, true, back);
            }
        }
    }

    /// Group, user and id of each connection.
    pub fn connections(&self, side: Side) -> Vec<(String, String, WatcherId)> {
        let mut connections = Vec::new();
        for (name, group) in &self.side(side).groups {
            for (user, consumer) in &group.consumers {
                if let Some(connection) = &consumer.connection {
                    connections.push((name.clone(), user.clone(), connection.id));
                }
            }
        }
        connections
    }
}
