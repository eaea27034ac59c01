//! Which pushes are legal, and which are owed.

use super::model::{Group, Held, Leased, SideModel, Sure};
use super::{Oracle, Verdict, demand};
use edgequeue::queue::event::WatcherId;
use edgequeue::queue::limits;
use edgequeue::queue::step::{CloseReason, Delivery};
use edgequeue::queue::store::Side;

impl Group {
    /// Whether a consumer could get one more entry of this size.
    fn has_room(&self, user: &str, bytes: u64) -> Sure {
        let Some(connection) = self.connection(user) else { return Sure::No };
        let taking = match connection.stopped {
            Sure::Yes => Sure::No,
            Sure::Maybe => Sure::Maybe,
            Sure::No => Sure::Yes,
        };
        if !connection.awake || taking == Sure::No {
            return Sure::No;
        }
        if connection.watch.auto_commit {
            return taking;
        }
        let (mut out, mut out_bytes) = (0, bytes);
        for (_, lease) in self.out(user) {
            out += 1;
            out_bytes += lease.bytes;
        }
        let fits = out < connection.window() && (out == 0 || out_bytes <= limits::WINDOW_BYTES_MAX as u64);
        if fits { taking } else { Sure::No }
    }

    /// Whether a consumer could get this entry, leaving aside who refused it.
    fn suits(&self, user: &str, held: &Held) -> Sure {
        let index = held.entry.index.0;
        let Some(connection) = self.connection(user) else { return Sure::No };
        let unsettled = match self.done(index) {
            Sure::Yes => Sure::No,
            Sure::Maybe => Sure::Maybe,
            Sure::No => Sure::Yes,
        };
        if index < connection.skip_below || self.leases.contains_key(&index) {
            return Sure::No;
        }
        let kept = match self.reserved.get(&index) {
            Some((keeper, _, sure)) if keeper != user => match sure {
                Sure::Yes => Sure::No,
                _ => Sure::Maybe,
            },
            _ => Sure::Yes,
        };
        unsettled.min(kept).min(self.has_room(user, held.entry.bytes()))
    }

    /// Whether a consumer may get this entry now, and whether it must when nobody else does.
    fn may_take(&self, user: &str, held: &Held) -> Sure {
        let suits = self.suits(user, held);
        let Some((refuser, known)) = self.avoid.get(&held.entry.index.0).filter(|(refuser, _)| refuser == user) else {
            return suits;
        };
        let others = self.consumers.keys().filter(|other| *other != refuser);
        let other = others.map(|other| self.suits(other, held)).max().unwrap_or(Sure::No);
        match (other, known) {
            (Sure::No, _) => suits,
            (Sure::Yes, Sure::Yes) => Sure::No,
            _ => suits.min(Sure::Maybe),
        }
    }

    /// Free places, for comparing watchers; `None` when the consumer cannot be compared.
    fn free(&self, user: &str) -> Option<usize> {
        let connection = self.connection(user)?;
        let comparable = !connection.watch.auto_commit && connection.stopped == Sure::No;
        comparable.then(|| connection.window().saturating_sub(self.out(user).count()))
    }
}

impl Oracle {
    /// Checks one push and follows it.
    pub fn push(&mut self, now: u64, watcher: WatcherId, delivery: &Delivery) -> Verdict {
        let index = delivery.entry.index.0;
        let sides = [Side::Main, Side::Rear];
        let side = sides.into_iter().find(|side| self.side(*side).watcher(watcher).is_some());
        let side = side.ok_or_else(|| format!("#{index} was pushed to {watcher:?}, which is not connected"))?;
        let (name, user) = self.side(side).watcher(watcher).expect("just found");
        let (name, user) = (name.to_string(), user.to_string());
        check_push(self.side(side), &name, &user, delivery).map_err(|why| format!("{side:?} push #{index} to {name}/{user}: {why}"))?;

        let model = self.side_mut(side);
        let group = model.groups.get_mut(&name).expect("just found");
        let auto_commit = group.connection(&user).expect("just found").watch.auto_commit;
        group.settled.remove(&index);
        group.touched.insert(index, Sure::Yes);
        group.avoid.remove(&index);
        group.reserved.remove(&index);
        group.consumers.get_mut(&user).expect("just found").last = Some(index);
        if auto_commit {
            group.delivered.0 += 1;
            group.delivered.1 += 1;
            self.settle(side, &name, index, Sure::Yes);
        } else {
            group.leases.insert(index, Leased { user, since_ms: now, bytes: delivery.entry.bytes() });
        }
        Ok(())
    }

    /// A connection is ended by the queue.
    pub fn close(&mut self, watcher: WatcherId, reason: CloseReason) -> Verdict {
        if self.turn.closes.remove(&watcher) == Some(reason) {
            return Ok(());
        }
        demand!(reason == CloseReason::Ended, "{watcher:?} was closed as {reason:?} without a reason");
        for side in [Side::Main, Side::Rear] {
            let model = self.side(side);
            let Some((name, user)) = model.watcher(watcher) else { continue };
            let (name, user) = (name.to_string(), user.to_string());
            demand!(model.ended, "{name}/{user} was closed as ended and the stream is not");
            let group = &model.groups[&name];
            let left: Vec<u64> = model.unsettled(group).map(|held| held.entry.index.0).filter(|index| group.done(*index) == Sure::No).collect();
            demand!(left.is_empty(), "{name}/{user} was closed as ended with {left:?} to come");
            let consumer = self.side_mut(side).groups.get_mut(&name).and_then(|group| group.consumers.get_mut(&user));
            consumer.expect("just found").connection = None;
            return Ok(());
        }
        Err(format!("{watcher:?} was closed and is not connected"))
    }

    /// Nothing is left to do, so nothing that could be done may be undone.
    pub fn check_complete(&self, now: u64) -> Verdict {
        for side in [Side::Main, Side::Rear] {
            let model = self.side(side);
            for (name, group) in &model.groups {
                let asleep = |connection: &super::model::Connection| !connection.awake;
                if group.consumers.values().filter_map(|consumer| consumer.connection.as_ref()).any(asleep) {
                    return Ok(());
                }
                for held in model.unsettled(group) {
                    let index = held.entry.index.0;
                    let owed = group.consumers.keys().find(|user| group.may_take(user, held) == Sure::Yes);
                    if let Some(user) = owed {
                        return Err(format!("{side:?} #{index} waits although {name}/{user} has room"));
                    }
                }
                let done = model.unsettled(group).next().is_none();
                let open = group.consumers.iter().find(|(_, consumer)| consumer.connection.is_some());
                if let Some((user, _)) = open.filter(|_| model.ended && done) {
                    return Err(format!("{side:?} {name}/{user} stays connected after the end of the stream"));
                }
            }
            for index in &model.sweepable {
                let held = &model.entries[index];
                let mut matching = model.groups.values().filter(|group| group.matches(held)).peekable();
                let some = matching.peek().is_some();
                let settled = some && matching.all(|group| group.really_settled(*index));
                demand!(!settled, "{side:?} #{index} stays although every group has settled it");
            }
            let expired = model.entries.keys().next().filter(|index| self.expired(side, **index, now));
            demand!(expired.is_none(), "{side:?} #{expired:?} stays although its time is over");
        }
        Ok(())
    }
}

fn check_push(model: &SideModel, name: &str, user: &str, delivery: &Delivery) -> Verdict {
    let group = &model.groups[name];
    let connection = group.connection(user).ok_or("it is not connected")?;
    let index = delivery.entry.index.0;
    let held = model.entries.get(&index).ok_or("there is no such entry")?;
    demand!(held.entry == delivery.entry, "the entry is {:?} instead of {:?}", delivery.entry, held.entry);
    demand!(delivery.index_only == connection.watch.index_only, "with the wrong index_only");
    demand!(group.matches(held), "it does not match the group's filter");
    demand!(group.done(index) != Sure::Yes, "the group has settled it");
    if let Some(lease) = group.leases.get(&index) {
        return Err(format!("it is out at {}", lease.user));
    }
    let gained = group.gained.get(&index).cloned().unwrap_or_default();
    demand!(gained == delivery.gained, "it gained {:?} instead of {gained:?}", delivery.gained);
    demand!(group.has_room(user, held.entry.bytes()) != Sure::No, "the consumer has no room or was stopped");
    demand!(group.may_take(user, held) != Sure::No, "this consumer must not get it (skipped, kept for another, or refused)");
    for (_, earlier) in model.order.iter().take_while(|(_, earlier)| *earlier != index) {
        let earlier_held = &model.entries[earlier];
        let passed_over = group.matches(earlier_held) && group.may_take(user, earlier_held) == Sure::Yes;
        demand!(!passed_over, "#{earlier} comes first");
    }
    if let Some(free) = group.free(user) {
        let rivals = group.consumers.keys().filter(|rival| *rival != user && group.may_take(rival, held) == Sure::Yes);
        let freer = rivals.filter_map(|rival| Some((rival, group.free(rival)?))).find(|(_, rival)| *rival > free);
        demand!(freer.is_none(), "{freer:?} has more free places than {free}");
    }
    Ok(())
}
