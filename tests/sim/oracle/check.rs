//! Compares with the oracle what the machine says about itself, and what it leaves behind.

use super::model::{Consumer, Group, Held, SideModel, Span, Sure};
use super::{Oracle, Turn, Verdict, demand};
use edgequeue::queue::Wake;
use edgequeue::queue::config::Settings;
use edgequeue::queue::effect::Reply;
use edgequeue::queue::entry::{Entry, Filter, Index, Priority, TAG_LAST_CODE, TAG_LAST_REASON, TAG_REQUEST_ID};
use edgequeue::queue::event::{ConsumerId, Event, Lease, ResumeState, Start, Watch, WatcherId};
use edgequeue::queue::limits;
use edgequeue::queue::refusal::Refusal;
use edgequeue::queue::request_id;
use edgequeue::queue::stats::{ConsumerStats, ConsumerStatus, EntryStatus, GroupStatus, Position, Stats};
use edgequeue::queue::store::Side;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The resume state of a connection, with its side.
pub type Attachment = (Side, ResumeState);

impl Oracle {
    /// Length, bytes and next index of both sides.
    pub fn check_totals(&self, turn: &Turn<'_>) -> Verdict {
        for (side, totals) in [Side::Main, Side::Rear].into_iter().zip(&turn.totals) {
            let model = self.side(side);
            let expected = (model.next, model.entries.len() as u64, model.bytes());
            let seen = (totals.next_index.0, totals.length, totals.bytes);
            demand!(seen == expected, "{side:?} (next index, length, bytes) is {seen:?} instead of {expected:?}");
        }
        Ok(())
    }

    /// A group that was forgotten and has begun again is recognized by the number of its commits.
    pub fn check_known(&self, turn: &Turn<'_>) -> Verdict {
        let Some(known) = turn.known else { return Ok(()) };
        for side in turn.sides().iter().copied() {
            for (name, group) in &self.side(side).groups {
                let seen = known.delivered.get(&(side, name.clone()));
                demand!(
                    seen == Some(&group.delivered),
                    "{side:?} group {name} delivered {seen:?} instead of {}",
                    group.delivered
                );
            }
        }
        Ok(())
    }

    /// Questions are answered before anything else happens in their turn.
    pub fn check_answers(&mut self, turn: &Turn<'_>) -> Verdict {
        let model = self.side(turn.side);
        match turn.event {
            Event::Stats(ticket) => {
                let Reply::Stats(stats) = turn.must_reply(*ticket)? else { return Err("stats without stats".into()) };
                self.check_stats(model, stats, turn.now)?;
                let model = self.side_mut(turn.side);
                (model.failed, model.failed_or_expired) = (stats.failed, 0);
                self.learn(turn.side, &stats.consumers, turn.now)
            }
            Event::Count(ticket, priority, filter) => {
                let reply = turn.must_reply(*ticket)?;
                let expected = Reply::Count(count(model, *priority, filter));
                demand!(*reply == expected, "{reply:?} instead of {expected:?}");
                Ok(())
            }
            Event::Search(ticket, consumer, index) => {
                check_search(model, consumer, *index, turn.must_reply(*ticket)?, turn.now)
            }
            Event::Find(ticket, request_id) => check_find(model, request_id, turn.must_reply(*ticket)?, turn.now),
            _ => Ok(()),
        }
    }

    /// Takes over the last heartbeats of consumers where they were not known exactly.
    pub fn learn(&mut self, side: Side, consumers: &[ConsumerStats], now: u64) -> Verdict {
        if !self.side(side).lost.is_empty() {
            // Neither does the machine know, before its next turn.
            return Ok(());
        }
        for seen in consumers {
            let group = self.side_mut(side).groups.get_mut(&seen.id.group);
            let consumer = group.and_then(|group| group.consumers.get_mut(&seen.id.user));
            if let Some(consumer) = consumer.filter(|consumer| consumer.life_ms.latest <= now) {
                let (heard, life) = (now - seen.idle_ms, consumer.life_ms);
                demand!(
                    (life.earliest..=life.latest).contains(&heard),
                    "{:?} was heard of at {heard}, not in {life:?}",
                    seen.id
                );
                consumer.life_ms = Span::at(heard);
            }
        }
        Ok(())
    }

    /// Whether it is not known exactly when everybody was last heard of.
    pub fn is_vague(&self) -> bool {
        let groups = self.main.groups.values().chain(self.rear.groups.values());
        let mut lives = groups.flat_map(|group| group.consumers.values()).map(|consumer| consumer.life_ms);
        lives.any(|life| life.earliest != life.latest)
    }

    fn check_stats(&self, model: &SideModel, stats: &Stats, now: u64) -> Verdict {
        let first = model.entries.keys().next().copied().unwrap_or(0);
        let last = model.entries.keys().next_back().copied().unwrap_or(0);
        let expected =
            (model.ended, first, last, model.entries.len() as u64, model.bytes(), model.waiters.len() as u64);
        let seen = (stats.ended, stats.first.0, stats.last.0, stats.length, stats.bytes, stats.waiting_gets);
        demand!(
            seen == expected,
            "stats (ended, first, last, length, bytes, waiting) {seen:?} instead of {expected:?}"
        );
        let out: BTreeSet<u64> = model.groups.values().flat_map(|group| group.leases.keys().copied()).collect();
        let (in_flight, length) = (out.len() as u64, model.entries.len() as u64);
        let oldest_ms = model.entries.values().next().map_or(0, |held| now.saturating_sub(held.entry.put_ms));
        let expected = (length - in_flight, in_flight, oldest_ms, model.done);
        let seen = (stats.waiting, stats.in_flight, stats.oldest_ms, stats.done);
        demand!(seen == expected, "numbers (waiting, out, oldest, done) {seen:?} instead of {expected:?}");
        let (failed, vague) = (model.failed, model.failed_or_expired);
        demand!(stats.failed.abs_diff(failed) <= vague, "{} failed instead of {failed}", stats.failed);
        let rear = Settings { max_delivery: 0, auto_evict: false, retention_ms: 0, ..self.settings.clone() };
        let expected = if model.side == Side::Rear { &rear } else { &self.settings };
        demand!(stats.settings == *expected, "stats with settings {:?}", stats.settings);
        let names: Vec<&String> = stats.groups.iter().map(|group| &group.id).collect();
        let expected: Vec<&String> = model.groups.keys().collect();
        demand!(names == expected, "groups {names:?} instead of {expected:?}");
        for (seen, (name, group)) in stats.groups.iter().zip(&model.groups) {
            let pending = group.leases.len() as u64;
            demand!(seen.pending == pending, "group {name} has {} pending instead of {pending}", seen.pending);
            let consumers = group.consumers.len() as u64;
            demand!(
                seen.consumers == consumers,
                "group {name} has {} consumers instead of {consumers}",
                seen.consumers
            );
            let delivered = group.delivered;
            demand!(seen.delivered == delivered, "group {name} delivered {} instead of {delivered}", seen.delivered);
        }
        let ids: Vec<ConsumerId> = stats.consumers.iter().map(|consumer| consumer.id.clone()).collect();
        let mut expected = Vec::new();
        for (group, model) in &model.groups {
            expected.extend(model.consumers.keys().map(|user| ConsumerId { group: group.clone(), user: user.clone() }));
        }
        demand!(ids == expected, "consumers {ids:?} instead of {expected:?}");
        for seen in &stats.consumers {
            let group = &model.groups[&seen.id.group];
            check_consumer(group, seen, now).map_err(|why| format!("consumer {:?}: {why}", seen.id))?;
        }
        Ok(())
    }

    /// Compares everything that is durable.
    pub fn check_listing(&self, side: Side, listing: &BTreeMap<u64, Entry>) -> Verdict {
        let model = self.side(side);
        for (index, held) in &model.entries {
            let stored = listing.get(index).ok_or_else(|| format!("{side:?} #{index} is lost"))?;
            demand!(*stored == held.entry, "{side:?} #{index} is stored as {stored:?} instead of {:?}", held.entry);
        }
        let back = listing.keys().find(|index| !model.entries.contains_key(index));
        demand!(back.is_none(), "{side:?} #{back:?} is stored and should not be");
        Ok(())
    }

    /// Compares the resume state of one connection with its leases. A lease too many must be of an entry that is
    /// settled or gone.
    pub fn check_attachment(&self, watcher: WatcherId, kept: Option<&Attachment>, fresh: bool) -> Verdict {
        for side in [Side::Main, Side::Rear] {
            let model = self.side(side);
            let Some((name, user)) = model.watcher(watcher) else { continue };
            let group = &model.groups[name];
            let (kept_side, remembered) = kept.ok_or_else(|| format!("{name}/{user} remembers nothing"))?;
            let ResumeState { watch, leases, heartbeat_ms, draining } = remembered;
            demand!(
                *kept_side == side && watch.consumer.group == name && watch.consumer.user == user,
                "remembered as {watch:?}"
            );
            self.check_watch(side, watch)?;
            let consumer = &group.consumers[user];
            let connection = consumer.connection.as_ref().expect("looked up by its connection");
            demand!(*draining == connection.draining, "{name}/{user} remembers that it was draining: {draining}");
            // Heartbeats between events are not worth a new resume state each time.
            let life = consumer.life_ms;
            let heartbeats = if fresh { life.earliest..=life.latest } else { 0..=life.latest };
            demand!(
                heartbeats.contains(heartbeat_ms),
                "{name}/{user} remembers a heartbeat at {heartbeat_ms}, not {life:?}"
            );
            let kept: BTreeMap<u64, &Lease> = leases.iter().map(|lease| (lease.index.0, lease)).collect();
            for (index, lease) in group.out(user) {
                let seen = kept.get(&index).ok_or_else(|| format!("{name}/{user} does not remember #{index}"))?;
                let same = seen.since_ms == lease.since_ms && u64::from(seen.bytes) == lease.bytes;
                let priority = model.entries[&index].entry.priority;
                demand!(same && seen.priority == priority, "{name}/{user} remembers {seen:?} instead of {lease:?}");
            }
            for index in kept.keys() {
                let is_out = group.leases.get(index).is_some_and(|lease| lease.user == user);
                let over = !fresh && (!model.entries.contains_key(index) || group.done(*index));
                demand!(is_out || over, "{name}/{user} still remembers #{index}");
            }
            let bytes = encoded_bytes(watch, leases);
            demand!(bytes <= 16 * 1024, "{name}/{user} remembers {bytes} bytes");
            return Ok(());
        }
        Ok(())
    }

    /// The resume state also holds what the connection asked for.
    fn check_watch(&self, side: Side, watch: &Watch) -> Verdict {
        let ConsumerId { group: name, user } = &watch.consumer;
        let group = &self.side(side).groups[name];
        let connection = group.connection(user).expect("looked up by its connection");
        let asked = &connection.watch;
        let expected = Watch {
            start: Start::At(Index(connection.skip_below)),
            window: connection.window() as u32,
            filter: group.filter.clone(),
            ..asked.clone()
        };
        demand!(*watch == expected, "{name}/{user} is remembered as {watch:?} instead of {expected:?}");
        Ok(())
    }

    /// Everything that waits for a time is woken at that time.
    pub fn check_wake(&self, wake: Wake, now: u64, ticked: bool) -> Verdict {
        let soonest = [wake.timer_ms, wake.alarm_ms].into_iter().flatten().min();
        demand!(
            !ticked || soonest.is_none_or(|soonest| soonest > now),
            "after a tick at {now} it wants to be woken again: {wake:?}"
        );
        for side in [Side::Main, Side::Rear] {
            let model = self.side(side);
            let deadline = model.waiters.iter().map(|waiter| waiter.deadline_ms).min();
            demand_by("a waiting get", soonest, deadline)?;
            let retention = if side == Side::Rear { 0 } else { self.settings.retention_ms };
            let oldest = model.entries.values().next().filter(|_| retention != 0);
            demand_by("retention", wake.alarm_ms, oldest.map(|held| held.ripe_ms.saturating_add(retention)))?;
            for (name, group) in &model.groups {
                self.check_group_wake(group, wake.alarm_ms).map_err(|why| format!("group {name}: {why}"))?;
            }
        }
        Ok(())
    }

    fn check_group_wake(&self, group: &Group, alarm: Option<u64>) -> Verdict {
        let (idle, silence) = (self.settings.max_idle_ms, self.settings.max_silence_ms);
        let oldest = group.can_be_idle().map(|(_, lease)| lease.since_ms).min();
        demand_by("an idle entry", alarm, oldest.filter(|_| idle != 0).map(|since| since.saturating_add(idle)))?;
        let may_be_silent = |consumer: &Consumer| consumer.connection.as_ref().is_some_and(|one| !one.watch.local);
        for (user, consumer) in group.consumers.iter().filter(|(_, consumer)| may_be_silent(consumer)) {
            let oldest = group.out(user).map(|(_, lease)| lease.since_ms).min().filter(|_| silence != 0);
            let due = oldest
                .map(|oldest| oldest.max(consumer.life_ms.latest).max(consumer.heartbeats_ms).saturating_add(silence));
            demand_by(&format!("the silence of {user}"), alarm, due)?;
        }
        let waiting = group.returns.iter().filter(|(index, _)| !group.leases.contains_key(index));
        let delayed = waiting.clone().map(|(_, back)| back.not_before_ms).filter(|until| *until > self.now).min();
        demand_by("a delayed entry", alarm, delayed)?;
        let reserved = waiting.map(|(_, back)| back.reserved_until_ms).filter(|until| *until > self.now).min();
        let somebody = group.consumers.values().any(|consumer| consumer.connection.is_some());
        demand_by("an entry kept for somebody", alarm, reserved.filter(|_| somebody))
    }
}

fn demand_by(what: &str, woken: Option<u64>, due: Option<u64>) -> Verdict {
    let Some(due) = due else { return Ok(()) };
    demand!(woken.is_some_and(|woken| woken <= due), "{what} is due at {due} and the wake-up is {woken:?}");
    Ok(())
}

fn count(model: &SideModel, priority: Option<Priority>, filter: &Filter) -> u64 {
    let matching =
        model.entries.values().filter(|held| priority.is_none_or(|priority| held.entry.priority == priority));
    matching.filter(|held| filter.matches_tags(&held.tags)).count() as u64
}

/// The request id of an entry that was found, or of none.
pub fn check_request(model: &SideModel, request_id: &str, index: Option<u64>) -> Verdict {
    let named = |held: &Held| held.tags.get(TAG_REQUEST_ID).is_some_and(|id| id == request_id);
    let first = model.entries.iter().find(|(_, held)| named(held)).map(|(index, _)| *index);
    // The machine may look first at the index that a request id carries: copies in the rear queue share one id.
    let made = index.filter(|index| request_id::index(request_id) == Some(Index(*index)));
    let expected = made.filter(|index| model.entries.get(index).is_some_and(named)).or(first);
    demand!(index == expected, "request {request_id:?} is entry {index:?} instead of {expected:?}");
    Ok(())
}

fn check_find(model: &SideModel, request_id: &str, reply: &Reply, now: u64) -> Verdict {
    let Reply::Found(found) = reply else { return Err(format!("a find was answered with {reply:?}")) };
    check_request(model, request_id, found.as_ref().map(|found| found.index.0))?;
    let Some(found) = found else { return Ok(()) };
    let held = &model.entries[&found.index.0];
    let place = (Reverse(held.entry.priority.0), held.entry.index.0);
    let expected = EntryStatus {
        index: held.entry.index,
        priority: held.entry.priority,
        put_ms: held.entry.put_ms,
        tags: held.tags.clone(),
        ahead: model.order.range(..place).count() as u64,
        groups: found.groups.clone(),
    };
    demand!(*found == expected, "found {found:?} instead of {expected:?}");
    let names: Vec<&String> = found.groups.iter().map(|(name, _)| name).collect();
    let needs = |group: &Group| group.matches(held) && !group.done(held.entry.index.0);
    let expected: Vec<&String> = model.groups.iter().filter(|(_, group)| needs(group)).map(|(name, _)| name).collect();
    demand!(names == expected, "it is found in the groups {names:?} instead of {expected:?}");
    for (name, status) in &found.groups {
        check_group_status(model, name, held, status, now).map_err(|why| format!("group {name}: {why}"))?;
    }
    Ok(())
}

fn check_group_status(model: &SideModel, name: &str, held: &Held, status: &GroupStatus, now: u64) -> Verdict {
    let (group, index) = (&model.groups[name], held.entry.index.0);
    let attempts = group.attempts.get(&index).copied().unwrap_or(0);
    let expected = match group.leases.get(&index) {
        Some(lease) => GroupStatus::Running {
            consumer: ConsumerId { group: name.into(), user: lease.user.clone() },
            attempt: attempts + 1,
            since_ms: lease.since_ms,
        },
        None => {
            let gained =
                |key: &str| group.gained.get(&index).and_then(|tags| tags.get(key)).cloned().unwrap_or_default();
            let GroupStatus::Queued { ahead: seen, .. } = status else {
                return Err(format!("nobody holds it: {status:?}"));
            };
            let until = group.returns.get(&index).map(|back| back.not_before_ms);
            GroupStatus::Queued {
                ahead: ahead(model, group, held, *seen, now),
                attempts,
                not_before_ms: until.filter(|until| *until > now).unwrap_or(0),
                code: gained(TAG_LAST_CODE),
                reason: gained(TAG_LAST_REASON),
            }
        }
    };
    demand!(*status == expected, "it stands {status:?} instead of {expected:?}");
    Ok(())
}

/// Entries that go to a group before this one. Where that cannot be known exactly, the number seen, if it is possible.
fn ahead(model: &SideModel, group: &Group, held: &Held, seen: u64, now: u64) -> u64 {
    let index = held.entry.index.0;
    let goes_first = |other: &&Held| {
        let (priority, other) = (other.entry.priority, other.entry.index);
        priority > held.entry.priority || (priority == held.entry.priority && group.comes_before(other.0, index))
    };
    let waiting = |other: &&Held| {
        let other = other.entry.index.0;
        !group.leases.contains_key(&other) && !group.is_delayed(other, now)
    };
    let ahead = model.unsettled(group).filter(waiting).filter(goes_first).count() as u64;
    // For a group with a filter the machine may count entries that the filter leaves out; after a crash it may take
    // requeued entries for undelivered ones.
    let vague = !group.filter.is_any() || group.touched.values().any(|sure| *sure == Sure::Maybe);
    let possible = vague && seen >= ahead.min(1) && seen <= model.entries.len() as u64;
    if possible { seen } else { ahead }
}

fn check_search(model: &SideModel, asked: &ConsumerId, index: Index, reply: &Reply, now: u64) -> Verdict {
    let Some(held) = model.entries.get(&index.0) else {
        demand!(
            *reply == Reply::Refused(Refusal::NotFound),
            "a search for a missing entry was answered with {reply:?}"
        );
        return Ok(());
    };
    let Reply::Position(position) = reply else { return Err(format!("a search was answered with {reply:?}")) };
    let Some(group) = model.groups.get(&asked.group) else {
        demand!(!position.pending && position.consumer == *asked, "nobody can hold it: {position:?}");
        return Ok(());
    };
    let mut expected = Position { consumer: asked.clone(), pending: false, ahead: 0 };
    if let Some(lease) = group.leases.get(&index.0) {
        expected.consumer.user.clone_from(&lease.user);
        expected.pending = true;
    } else if !group.done(index.0) && group.matches(held) {
        expected.ahead = ahead(model, group, held, position.ahead, now);
    } else {
        expected.ahead = position.ahead;
    }
    demand!(*position == expected, "position {position:?} instead of {expected:?}");
    Ok(())
}

fn check_consumer(group: &Group, seen: &ConsumerStats, now: u64) -> Verdict {
    let consumer = &group.consumers[&seen.id.user];
    let pending = group.out(&seen.id.user).count() as u64;
    demand!(seen.pending == pending, "{} pending instead of {pending}", seen.pending);
    demand!((seen.index.0 == 0) == (pending == 0), "index {:?} with {pending} pending", seen.index);
    let out = pending == 0 || group.out(&seen.id.user).any(|(index, _)| index == seen.index.0);
    demand!(out, "index {:?} is not out", seen.index);
    let (least, most) = (now.saturating_sub(consumer.life_ms.latest), now.saturating_sub(consumer.life_ms.earliest));
    demand!((least..=most).contains(&seen.idle_ms), "idle {} ms instead of {least} to {most}", seen.idle_ms);
    demand!(seen.filter == group.filter, "filter {:?}", seen.filter);
    let (window, slots, running) = match &consumer.connection {
        Some(connection) if !connection.watch.auto_commit => {
            let window = connection.window() as u64;
            (window, window.saturating_sub(pending), true)
        }
        other => (0, 0, other.is_some()),
    };
    demand!(
        u64::from(seen.window) == window && u64::from(seen.slots) == slots,
        "window {} slots {} instead of {window}, {slots}",
        seen.window,
        seen.slots
    );
    demand!((seen.status == ConsumerStatus::Running) == running, "status {:?}", seen.status);
    if !running {
        let leaving = |gone: u64| gone.saturating_add(limits::LEAVING_MS) > now;
        let left = if group.has_left_entries(&seen.id.user) { ConsumerStatus::Exit } else { ConsumerStatus::Complete };
        let (life, status) = (consumer.life_ms, seen.status);
        let possible = match status {
            ConsumerStatus::Leaving => leaving(life.latest),
            other => other == left && !leaving(life.earliest),
        };
        demand!(possible, "status {status:?} {} ms after it went", now.saturating_sub(life.latest));
    }
    Ok(())
}

/// Bytes of a resume state whose numbers are written as differences in base 128.
fn encoded_bytes(watch: &Watch, leases: &[Lease]) -> usize {
    let number = |value: u64| (64 - (value | 1).leading_zeros() as usize).div_ceil(7);
    let signed = |value: i64| number(((value << 1) ^ (value >> 63)) as u64);
    let tags: usize = watch.filter.0.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
    let start = if let Start::At(index) = watch.start { number(index.0) } else { 1 };
    let names = watch.consumer.group.len() + watch.consumer.user.len();
    let mut bytes = 32 + tags + start + names;
    let mut before = Lease { index: Index(0), priority: Priority(0), since_ms: 0, bytes: 0 };
    for lease in leases {
        bytes += signed(lease.index.0 as i64 - before.index.0 as i64);
        bytes += signed(lease.priority.0 - before.priority.0);
        bytes += signed(lease.since_ms as i64 - before.since_ms as i64);
        bytes += number(u64::from(lease.bytes));
        before = *lease;
    }
    bytes
}
