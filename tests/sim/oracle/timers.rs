//! What time does: retention and forgetting on any turn, returns and silence on ticks.

use super::model::Sure;
use super::{Oracle, Turn, Verdict, demand};
use edgequeue::queue::event::WatcherId;
use edgequeue::queue::limits;
use edgequeue::queue::step::CloseReason;
use edgequeue::queue::store::Side;

const SIDES: [Side; 2] = [Side::Main, Side::Rear];

impl Oracle {
    /// Whether this turn may remove entries or forget consumers because of their age.
    pub fn housekeeping_due(&self, now: u64) -> bool {
        let forgettable = |side: Side| {
            let groups = self.side(side).groups.values();
            groups.flat_map(|group| group.consumers.values()).any(|consumer| {
                consumer.connection.is_none() && consumer.life_ms.earliest.saturating_add(limits::FORGET_MS) <= now
            })
        };
        let expired = |side: Side| self.side(side).entries.keys().any(|index| self.expired(side, *index, now));
        SIDES.into_iter().any(|side| forgettable(side) || expired(side))
    }

    /// Retention, then forgetting.
    pub fn housekeep(&mut self, turn: &Turn) -> Verdict {
        for side in SIDES {
            self.expire(side, turn);
            self.forget_consumers(side, turn.now);
        }
        Ok(())
    }

    pub fn expired(&self, side: Side, index: u64, now: u64) -> bool {
        let retention = self.settings.retention_ms;
        retention != 0 && self.side(side).entries[&index].entry.put_ms.saturating_add(retention) <= now
    }

    /// Old entries go, oldest first. One behind a younger one (the clock went backward) may wait, and a long run of them
    /// may take several turns.
    fn expire(&mut self, side: Side, turn: &Turn) {
        let indexes: Vec<u64> = self.side(side).entries.keys().copied().collect();
        let mut in_front = true;
        for (position, index) in indexes.into_iter().enumerate() {
            let expired = self.expired(side, index, turn.now);
            in_front &= expired && position < limits::TURN_HOUSEKEEPING_MAX;
            if expired && (in_front || (turn.peek)(side, index).is_none()) {
                self.side_mut(side).remove(index);
            }
        }
    }

    fn forget_consumers(&mut self, side: Side, now: u64) {
        let names: Vec<String> = self.side(side).groups.keys().cloned().collect();
        for name in names {
            let group = self.side_mut(side).groups.get_mut(&name).expect("listed");
            group.consumers.retain(|_, consumer| {
                consumer.connection.is_some() || consumer.life_ms.latest.saturating_add(limits::FORGET_MS) > now
            });
            if group.consumers.is_empty() {
                self.drop_group(side, &name);
            }
        }
    }

    /// Silent connections are closed, slow entries are taken back, and what was kept for somebody is kept no longer.
    pub fn lapse(&mut self, turn: &Turn) -> Verdict {
        for side in SIDES {
            self.silence(side, turn)?;
            if turn.is_tick() {
                self.take_back_idle(side, turn.now);
            }
            for group in self.side_mut(side).groups.values_mut() {
                let tick = turn.is_tick();
                group.reserved.retain(|_, (_, until, _)| *until > turn.now || !tick);
                for (_, until, sure) in group.reserved.values_mut() {
                    *sure = if *until <= turn.now { Sure::Maybe } else { *sure };
                }
            }
        }
        Ok(())
    }

    fn silence(&mut self, side: Side, turn: &Turn) -> Verdict {
        let most = self.settings.max_silence_ms;
        for (group, user, id) in self.connections(side) {
            let model = &self.side(side).groups[&group];
            let life = model.consumers[&user].life_ms;
            let holds = model.out(&user).next().is_some();
            let silent = |moment: u64| most != 0 && holds && moment.saturating_add(most) <= turn.now;
            if !turn.closes(id, CloseReason::Silent) {
                let slow = self.settings.max_idle_ms != 0;
                demand!(!turn.is_tick() || !silent(life.latest) || slow, "{group}/{user} is silent and stays connected");
                continue;
            }
            demand!(silent(life.earliest), "{group}/{user} was closed as silent and is not");
            let out: Vec<u64> = model.out(&user).map(|(index, _)| index).collect();
            self.disconnect(side, id, turn.now);
            self.turn.closes.insert(id, CloseReason::Silent);
            let until = turn.now + limits::SILENCE_GRACE_MS;
            let model = self.side_mut(side);
            for index in out.into_iter().filter(|index| model.entries.contains_key(index)) {
                let group = model.groups.get_mut(&group).expect("listed");
                if group.done(index) != Sure::Yes {
                    group.reserved.insert(index, (user.clone(), until, Sure::Yes));
                }
            }
        }
        Ok(())
    }

    fn take_back_idle(&mut self, side: Side, now: u64) {
        let most = self.settings.max_idle_ms;
        let names: Vec<String> = self.side(side).groups.keys().cloned().collect();
        for name in names.iter().filter(|_| most != 0) {
            let leases = &self.side(side).groups[name].leases;
            let old = leases.iter().filter(|(_, lease)| lease.since_ms.saturating_add(most) <= now);
            let old: Vec<u64> = old.map(|(index, _)| *index).collect();
            old.into_iter().for_each(|index| self.give_back(side, name, index, true));
        }
    }

    /// Group, user and id of everybody connected.
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
