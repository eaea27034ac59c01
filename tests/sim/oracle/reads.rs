//! Gets: the entries they find, and the times at which those that wait are answered.

use super::model::Waiter;
use super::{Oracle, Turn, Verdict, demand};
use edgequeue::queue::effect::{Delivery, Effect, Reply};
use edgequeue::queue::event::{Get, Start, Ticket};
use edgequeue::queue::limits;
use edgequeue::queue::store::Side;
use std::collections::BTreeMap;

impl Oracle {
    pub fn on_get(&mut self, turn: &Turn<'_>, ticket: Ticket, get: &Get) -> Verdict {
        let found = self.found(turn.side, get);
        if !found.complete(get) && get.wait_ms > 0 && !self.side(turn.side).ended {
            let deadline_ms = turn.now.saturating_add(get.wait_ms);
            self.side_mut(turn.side).waiters.push(Waiter { ticket, get: get.clone(), deadline_ms });
            return Ok(());
        }
        self.turn.replies.insert(ticket);
        self.hand_out(turn.side, get, &found, turn.must_reply(ticket)?)
    }

    /// The entries a get finds now.
    fn found(&self, side: Side, get: &Get) -> Found {
        let model = self.side(side);
        let matching = model.entries.iter().filter(|(_, held)| get.filter.matches_tags(&held.tags));
        let count = get.count as usize;
        let mut found: Vec<u64> = match get.start {
            Start::At(start) => {
                matching.map(|(index, _)| *index).filter(|index| *index >= start.0).take(count).collect()
            }
            Start::Newest => matching.rev().map(|(index, _)| *index).take(count).collect(),
        };
        let mut bytes = 0;
        let mut within = |index: &u64| {
            bytes += model.entries[index].entry.bytes() as usize;
            bytes <= limits::GET_BYTES_MAX
        };
        let fitting = found.iter().take_while(|index| within(index)).count().max(1);
        let cut = fitting < found.len();
        found.truncate(fitting);
        found.sort_unstable();
        Found { indexes: found, cut }
    }

    /// Answers gets that found enough or waited long enough. The machine may choose their order, except that those a
    /// put satisfied are served in order of arrival.
    pub fn answer_waiters(&mut self, turn: &Turn<'_>) -> Verdict {
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

    /// No get waits that could be answered.
    pub fn check_waiters(&self, turn: &Turn<'_>) -> Verdict {
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
}

/// The entries a get finds.
struct Found {
    indexes: Vec<u64>,
    /// Whether more would not fit into one answer.
    cut: bool,
}

impl Found {
    fn complete(&self, get: &Get) -> bool {
        self.cut || self.indexes.len() as u64 >= get.count
    }
}
