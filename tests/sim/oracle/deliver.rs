//! Which pushes are legal, and which must come.

use super::model::{Group, Leased, Return, SideModel, Span, Sure};
use super::{Oracle, Verdict, demand};
use edgequeue::queue::effect::{CloseReason, Delivery};
use edgequeue::queue::event::WatcherId;
use edgequeue::queue::limits;
use edgequeue::queue::store::Side;

impl Group {
    /// Whether a consumer could get one more entry, however large.
    fn has_room(&self, user: &str) -> Sure {
        let Some(connection) = self.connection(user) else { return Sure::No };
        if connection.draining || connection.window() == 0 {
            return Sure::No;
        }
        if connection.watch.auto_commit {
            return Sure::Yes;
        }
        let (mut out, mut out_bytes) = (0, 0);
        for (_, lease) in self.out(user) {
            out += 1;
            out_bytes += lease.bytes;
        }
        let fits = out < connection.window() && out_bytes < limits::WINDOW_BYTES_MAX as u64;
        if fits { Sure::Yes } else { Sure::No }
    }

    /// Whether a consumer could get this entry, whether or not it rejected it.
    fn suits(&self, user: &str, index: u64, now: u64) -> Sure {
        let Some(connection) = self.connection(user) else { return Sure::No };
        let kept = |back: &Return| back.user != user && back.reserved_until_ms > now;
        let skipped = index < connection.skip_below || self.returns.get(&index).is_some_and(kept);
        let skipped = skipped || self.is_delayed(index, now);
        if skipped || self.done(index) || self.leases.contains_key(&index) { Sure::No } else { self.has_room(user) }
    }

    /// Whether a consumer may get this entry now, and whether it must when nobody else does.
    fn may_take(&self, user: &str, index: u64, now: u64) -> Sure {
        let suits = self.suits(user, index, now);
        if self.returns.get(&index).is_none_or(|back| !back.avoid || back.user != user) {
            return suits;
        }
        let others = self.consumers.keys().filter(|other| *other != user);
        match others.map(|other| self.suits(other, index, now)).max().unwrap_or(Sure::No) {
            Sure::No => suits,
            Sure::Maybe => suits.min(Sure::Maybe),
            Sure::Yes => Sure::No,
        }
    }

    /// Free slots, to compare watchers; `None` when the consumer cannot be compared.
    fn free(&self, user: &str) -> Option<usize> {
        let connection = self.connection(user)?;
        let comparable = !connection.watch.auto_commit && !connection.draining;
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
        check_push(self.side(side), &name, &user, delivery, now)
            .map_err(|why| format!("{side:?} push #{index} to {name}/{user}: {why}"))?;

        let model = self.side_mut(side);
        let group = model.groups.get_mut(&name).expect("just found");
        let auto_commit = group.connection(&user).expect("just found").watch.auto_commit;
        group.touched.insert(index, Sure::Yes);
        if auto_commit {
            group.delivered += 1;
            self.side_mut(side).done += 1;
            self.settle(side, &name, index, &user);
        } else {
            group.leases.insert(index, Leased { user, since_ms: now, bytes: delivery.entry.bytes() });
        }
        Ok(())
    }

    /// The queue ends a connection.
    pub fn close(&mut self, now: u64, watcher: WatcherId, reason: CloseReason) -> Verdict {
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
            let left = model.unsettled(group).next().map(|held| held.entry.index.0);
            demand!(left.is_none(), "{name}/{user} was closed as ended with #{left:?} to come");
            let consumer = self.side_mut(side).groups.get_mut(&name).and_then(|group| group.consumers.get_mut(&user));
            let consumer = consumer.expect("just found");
            consumer.connection = None;
            (consumer.life_ms, consumer.gone_ms, consumer.stored_ms) = (Span::at(now), Span::at(now), Span::at(now));
            return Ok(());
        }
        Err(format!("{watcher:?} was closed and is not connected"))
    }

    /// The machine says that nothing is left to do: so everything that could be done must be done.
    pub fn check_complete(&self, sides: &[Side], now: u64) -> Verdict {
        for (side, model) in sides.iter().map(|side| (side, self.side(*side))) {
            for (name, group) in &model.groups {
                complete(model, group, now).map_err(|why| format!("{side:?} group {name}: {why}"))?;
            }
            for index in &model.sweepable {
                let held = &model.entries[index];
                let mut matching = model.groups.values().filter(|group| group.matches(held)).peekable();
                let settled = matching.peek().is_some() && matching.all(|group| group.settled.contains(index));
                demand!(!settled, "{side:?} #{index} stays although every group has settled it");
            }
        }
        Ok(())
    }
}

fn complete(model: &SideModel, group: &Group, now: u64) -> Verdict {
    let connected = |consumer: &super::model::Consumer| consumer.connection.is_some();
    let open: Vec<&String> = group.consumers.iter().filter(|(_, one)| connected(one)).map(|(user, _)| user).collect();
    if open.is_empty() {
        return Ok(());
    }
    for held in model.unsettled(group) {
        let index = held.entry.index.0;
        let owed = open.iter().find(|user| group.may_take(user, index, now) == Sure::Yes);
        demand!(owed.is_none(), "#{index} waits although {owed:?} has room");
    }
    let over = model.ended && model.unsettled(group).next().is_none();
    demand!(!over, "{open:?} stay connected after the end of the stream");
    Ok(())
}

fn check_push(model: &SideModel, name: &str, user: &str, delivery: &Delivery, now: u64) -> Verdict {
    let group = &model.groups[name];
    let connection = group.connection(user).ok_or("it is not connected")?;
    let index = delivery.entry.index.0;
    let held = model.entries.get(&index).ok_or("there is no such entry")?;
    demand!(held.entry == delivery.entry, "the entry is {:?} instead of {:?}", delivery.entry, held.entry);
    demand!(delivery.index_only == connection.watch.index_only, "with the wrong index_only");
    demand!(group.matches(held), "it does not match the group's filter");
    demand!(!group.done(index), "the group has settled it");
    if let Some(lease) = group.leases.get(&index) {
        return Err(format!("it is out at {}", lease.user));
    }
    let gained = group.gained.get(&index).cloned().unwrap_or_default();
    demand!(gained == delivery.gained, "it gained {:?} instead of {gained:?}", delivery.gained);
    let attempt = group.attempts.get(&index).copied().unwrap_or(0) + 1;
    demand!(delivery.attempt == attempt, "it is attempt {} instead of {attempt}", delivery.attempt);
    demand!(!group.is_delayed(index, now), "it is delayed");
    demand!(group.has_room(user) != Sure::No, "the consumer has no room or was draining");
    let may = group.may_take(user, index, now);
    demand!(may != Sure::No, "this consumer must not get it (skipped, kept for another, or refused)");
    for (priority, other) in model.order.iter().filter(|(_, other)| *other != index) {
        let before = priority.0 > held.entry.priority.0
            || (priority.0 == held.entry.priority.0 && group.comes_before(*other, index));
        let waits = before && group.matches(&model.entries[other]);
        demand!(!waits || group.may_take(user, *other, now) != Sure::Yes, "#{other} comes first");
        if priority.0 < held.entry.priority.0 {
            break;
        }
    }
    let came_back = group.returns.get(&index).filter(|back| !back.avoid);
    if let Some(back) = came_back.filter(|back| group.may_take(&back.user, index, now) == Sure::Yes) {
        demand!(back.user == user, "{} held it last and has room", back.user);
    } else if let Some(free) = group.free(user) {
        let rivals =
            group.consumers.keys().filter(|rival| *rival != user && group.may_take(rival, index, now) == Sure::Yes);
        let freer = rivals.filter_map(|rival| Some((rival, group.free(rival)?))).find(|(_, rival)| *rival > free);
        demand!(freer.is_none(), "{freer:?} has more free places than {free}");
    }
    Ok(())
}
