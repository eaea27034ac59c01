//! The memory of the oracle, in plain maps.

use edgequeue::queue::entry::{Entry, Filter, Tags};
use edgequeue::queue::event::{Get, Ticket, Watch, WatcherId};
use edgequeue::queue::limits;
use edgequeue::queue::store::Side;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Whether something is true, as far as it can be known from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sure {
    No,
    Maybe,
    Yes,
}

/// A time that is known but for what a crash took away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub earliest: u64,
    pub latest: u64,
}

impl Span {
    pub fn at(moment: u64) -> Self {
        Self { earliest: moment, latest: moment }
    }

    pub fn or(self, moment: u64) -> Self {
        Self { earliest: self.earliest.min(moment), latest: self.latest.max(moment) }
    }
}

#[derive(Clone, Debug)]
pub struct Held {
    pub entry: Entry,
    pub tags: Tags,
    /// The time of its put, or an older one if the clock went backward since: the older one is looked at first.
    pub ripe_ms: u64,
}

/// One side of the queue.
#[derive(Clone)]
pub struct SideModel {
    pub side: Side,
    pub entries: BTreeMap<u64, Held>,
    /// Live entries in the order of delivery.
    pub order: BTreeSet<(Reverse<i64>, u64)>,
    pub next: u64,
    pub ended: bool,
    pub groups: BTreeMap<String, Group>,
    pub waiters: Vec<Waiter>,
    /// Latest time of a put so far.
    pub ripe_ms: u64,
    /// Entries that no group needs since a group ended; they go in this turn or a later one.
    pub sweepable: BTreeSet<u64>,
    /// Consumers whose connection was lost with the memory: the machine learns of it in its next turn of this side.
    pub lost: BTreeSet<(String, String)>,
    /// All entries of another queue whose outcome was put; all below the second number count as put.
    pub outcomes: BTreeSet<u64>,
    pub outcomes_below: u64,
    /// Commits, and entries given up.
    pub done: u64,
    pub failed: u64,
    /// How many of them may have been too old, or the other way round: it does not show.
    pub failed_or_expired: u64,
    /// Entries that this turn took from their holders.
    pub revoked: Vec<(WatcherId, u64)>,
}

#[derive(Clone)]
pub struct Waiter {
    pub ticket: Ticket,
    pub get: Get,
    pub deadline_ms: u64,
}

#[derive(Clone, Default)]
pub struct Group {
    pub filter: Filter,
    /// Entries below count as settled.
    pub start: u64,
    pub settled: BTreeSet<u64>,
    /// Entries that were out at one of its consumers at least once. After a crash the machine may not know.
    pub touched: BTreeMap<u64, Sure>,
    pub leases: BTreeMap<u64, Leased>,
    pub attempts: BTreeMap<u64, u32>,
    pub gained: BTreeMap<u64, Tags>,
    /// How an entry last came back. Kept while it is out again: after a crash it counts again.
    pub returns: BTreeMap<u64, Return>,
    pub consumers: BTreeMap<String, Consumer>,
    /// Entries committed.
    pub delivered: u64,
}

#[derive(Clone, Debug)]
pub struct Return {
    /// The consumer that held it.
    pub user: String,
    /// That consumer rejected it or was too slow: another should get it next. Otherwise it goes back if there is room.
    pub avoid: bool,
    /// Until then only that consumer may have it; 0 for anybody at once.
    pub reserved_until_ms: u64,
    /// Until then nobody may have it; 0 for at once.
    pub not_before_ms: u64,
}

#[derive(Clone, Debug)]
pub struct Leased {
    pub user: String,
    pub since_ms: u64,
    pub bytes: u64,
}

#[derive(Clone)]
pub struct Consumer {
    pub connection: Option<Connection>,
    /// Its last heartbeat. A crash takes away what was not stored of it.
    pub life_ms: Span,
    /// The heartbeats of which a crash leaves one.
    pub stored_ms: Span,
    /// The last time at which it had left entries that nobody held.
    pub left_ms: u64,
    /// The time its connection went, if it went: never before it was last seen connected.
    pub gone_ms: Span,
    /// Latest heartbeat by which the machine may have set its alarm; the clock may have gone backward since.
    pub heartbeats_ms: u64,
    /// Its connection went with the memory, not with a `Detach`: that may be noted anew whenever the memory is lost.
    pub lost: bool,
}

impl Consumer {
    /// A consumer whose heartbeat was now.
    pub fn new(now: u64) -> Self {
        let moment = Span::at(now);
        Self {
            connection: None,
            life_ms: moment,
            stored_ms: moment,
            left_ms: now,
            gone_ms: moment,
            heartbeats_ms: now,
            lost: false,
        }
    }
}

#[derive(Clone)]
pub struct Connection {
    pub id: WatcherId,
    pub watch: Watch,
    pub skip_below: u64,
    /// It said that it is about to leave.
    pub draining: bool,
}

impl Connection {
    pub fn window(&self) -> usize {
        self.watch.window.min(limits::WINDOW_MAX) as usize
    }
}

impl Group {
    pub fn connection(&self, user: &str) -> Option<&Connection> {
        self.consumers.get(user).and_then(|consumer| consumer.connection.as_ref())
    }

    pub fn out(&self, user: &str) -> impl Iterator<Item = (u64, &Leased)> {
        self.leases.iter().filter(move |(_, lease)| lease.user == user).map(|(index, lease)| (*index, lease))
    }

    /// Entries that may be out for too long: a local consumer holds entries as long as it likes.
    pub fn can_be_idle(&self) -> impl Iterator<Item = (&u64, &Leased)> {
        let local = |user: &str| self.connection(user).is_some_and(|connection| connection.watch.local);
        self.leases.iter().filter(move |(_, lease)| !local(&lease.user))
    }

    pub fn matches(&self, held: &Held) -> bool {
        self.filter.matches_tags(&held.tags)
    }

    /// Whether the group is done with an entry that matches.
    pub fn done(&self, index: u64) -> bool {
        index < self.start || self.settled.contains(&index)
    }

    /// The connection an entry is out at.
    pub fn holder(&self, index: u64) -> Option<WatcherId> {
        Some(self.connection(&self.leases.get(&index)?.user)?.id)
    }

    /// Whether an entry is delayed.
    pub fn is_delayed(&self, index: u64, now: u64) -> bool {
        self.returns.get(&index).is_some_and(|back| back.not_before_ms > now)
    }

    /// Forgets whatever was kept about an entry.
    pub fn forget(&mut self, index: u64) {
        self.settled.remove(&index);
        self.touched.remove(&index);
        self.leases.remove(&index);
        self.attempts.remove(&index);
        self.gained.remove(&index);
        self.returns.remove(&index);
    }

    /// Whether a consumer held entries that came back and that nobody holds now.
    pub fn has_left_entries(&self, user: &str) -> bool {
        self.returns.iter().any(|(index, back)| back.user == user && !self.leases.contains_key(index))
    }

    /// Whether the group is given `one` before `other`, of the same priority: requeued entries go first.
    pub fn comes_before(&self, one: u64, other: u64) -> bool {
        let came_back = |index| self.touched.get(&index).copied().unwrap_or(Sure::No);
        match (came_back(one), came_back(other)) {
            (Sure::Yes, Sure::No) => true,
            (Sure::No | Sure::Maybe, Sure::Yes | Sure::Maybe) => false,
            _ => one < other,
        }
    }
}

impl SideModel {
    pub fn new(side: Side) -> Self {
        Self {
            side,
            entries: BTreeMap::new(),
            order: BTreeSet::new(),
            next: 1,
            ended: false,
            groups: BTreeMap::new(),
            waiters: Vec::new(),
            ripe_ms: 0,
            sweepable: BTreeSet::new(),
            lost: BTreeSet::new(),
            outcomes: BTreeSet::new(),
            outcomes_below: 0,
            done: 0,
            failed: 0,
            failed_or_expired: 0,
            revoked: Vec::new(),
        }
    }

    pub fn append(&mut self, entry: Entry) {
        assert_eq!(entry.index.0, self.next);
        self.next += 1;
        self.order.insert((Reverse(entry.priority.0), entry.index.0));
        let tags = entry.tags();
        self.ripe_ms = self.ripe_ms.max(entry.put_ms);
        self.entries.insert(entry.index.0, Held { entry, tags, ripe_ms: self.ripe_ms });
    }

    /// Removes an entry for everybody.
    pub fn remove(&mut self, index: u64) {
        if let Some(held) = self.entries.remove(&index) {
            self.order.remove(&(Reverse(held.entry.priority.0), index));
            self.sweepable.remove(&index);
            self.revoked.extend(self.groups.values().filter_map(|group| Some((group.holder(index)?, index))));
            self.groups.values_mut().for_each(|group| group.forget(index));
        }
    }

    pub fn bytes(&self) -> u64 {
        self.entries.values().map(|held| held.entry.bytes()).sum()
    }

    /// Group and user of a connection.
    pub fn watcher(&self, id: WatcherId) -> Option<(&str, &str)> {
        self.groups.iter().find_map(|(name, group)| {
            let is_it =
                |consumer: &Consumer| consumer.connection.as_ref().is_some_and(|connection| connection.id == id);
            group.consumers.iter().find(|(_, consumer)| is_it(consumer)).map(|(user, _)| (name.as_str(), user.as_str()))
        })
    }

    /// Live entries the group has not settled, in the order of delivery.
    pub fn unsettled<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a Held> {
        let held = self.order.iter().map(|(_, index)| &self.entries[index]);
        held.filter(|held| !group.done(held.entry.index.0) && group.matches(held))
    }

    pub fn lose_memory(&mut self, survivors: &BTreeSet<WatcherId>, before: u64, now: u64) {
        self.waiters.clear();
        for (name, group) in &mut self.groups {
            for user in group.lose_memory(survivors, before, now) {
                self.lost.insert((name.clone(), user));
            }
        }
    }

    /// The first turn after an opening: the machine notes which consumers did not come back.
    pub fn note_lost(&mut self, now: u64) {
        for (name, user) in std::mem::take(&mut self.lost) {
            let consumer = self.groups.get_mut(&name).and_then(|group| group.consumers.get_mut(&user));
            if let Some(consumer) = consumer.filter(|consumer| consumer.connection.is_none()) {
                consumer.life_ms = consumer.life_ms.or(now);
                consumer.gone_ms = consumer.gone_ms.or(now);
                consumer.stored_ms = consumer.stored_ms.or(now);
            }
        }
    }
}

impl Group {
    /// The memory is lost that was valid `before`; only what was stored and the surviving connections are left `now`.
    /// Returns the consumers whose connection is gone.
    fn lose_memory(&mut self, survivors: &BTreeSet<WatcherId>, before: u64, now: u64) -> Vec<String> {
        let mut lost_users = Vec::new();
        for (user, consumer) in &mut self.consumers {
            let Some(connection) = consumer.connection.take() else {
                // Commits without a connection are heartbeats that need not be stored.
                consumer.life_ms = consumer.life_ms.or(consumer.stored_ms.earliest).or(consumer.stored_ms.latest);
                if consumer.lost {
                    lost_users.push(user.clone());
                }
                continue;
            };
            if !survivors.contains(&connection.id) {
                // It was connected until the memory was lost.
                lost_users.push(user.clone());
                consumer.lost = true;
                consumer.life_ms = consumer.life_ms.or(consumer.stored_ms.earliest).or(before).or(now);
                consumer.gone_ms = Span::at(before).or(now);
            }
        }
        // That an entry is out is known again when its holder comes back.
        for (index, _) in std::mem::take(&mut self.leases) {
            if !self.returns.contains_key(&index) {
                self.touched.insert(index, Sure::Maybe);
            }
        }
        lost_users
    }
}
