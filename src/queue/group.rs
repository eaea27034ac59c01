//! A consumer group: its own copy of the stream, kept as a position and the entries in flight.
//!
//! For one group an entry is *undelivered* (never given to it), *unacked* (out at a consumer, or *requeued*: waiting to
//! go out again) or settled (everything else). Memory therefore grows with the entries in flight and not with the
//! backlog.

use super::entry::{Entry, Filter, Index, Priority, TAG_LAST_CODE, TAG_LAST_REASON, Tags};
use super::event::{Rejection, WatcherId};
use super::ranges::Ranges;
use super::refusal::StoreError;
use super::store::Store;
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
};
use core::cmp::Reverse;

/// A consumer group.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// The entries it takes; the same for all its consumers.
    pub filter: Filter,
    /// Where it began: a priority it has not met yet is undelivered from here.
    pub start: u64,
    /// Per priority, what it was never given. A priority that is missing is undelivered from `start`.
    pub undelivered: BTreeMap<Priority, Ranges>,
    /// What is out or requeued.
    pub unacked: BTreeMap<Index, Unacked>,
    /// The unacked entries that nobody holds, in delivery order, without the delayed ones.
    pub requeued: BTreeSet<(Reverse<Priority>, Index)>,
    /// The requeued entries that are delayed, by the end of their delay in Unix milliseconds.
    pub delayed: BTreeSet<(u64, Index)>,
    /// Entries committed since the group exists.
    pub delivered: u64,
    /// Its consumers, by user.
    pub consumers: BTreeMap<String, Consumer>,
}

/// An entry that was given out and is not settled.
#[derive(Debug)]
pub(super) struct Unacked {
    pub priority: Priority,
    /// The connection it is out at; none while it is requeued.
    pub holder: Option<Holder>,
    /// Its failed deliveries, if there were any.
    pub history: Option<Box<FailureHistory>>,
}

/// The connection that holds an unacked entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub watcher: WatcherId,
    pub since_ms: u64,
    pub bytes: u32,
}

/// The deliveries of an entry that ended without a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FailureHistory {
    /// Deliveries that count as attempts.
    pub attempts: u32,
    /// Code of the last rejection, or empty.
    pub code: String,
    /// Reason of the last rejection, or empty.
    pub reason: String,
    /// The user that held it last.
    pub user: String,
    /// That user rejected it or was too slow: prefer another.
    pub avoid: bool,
    /// Until then only that user may have it, Unix milliseconds.
    pub reserved_until_ms: u64,
    /// Until then nobody may have it, Unix milliseconds.
    pub not_before_ms: u64,
}

/// How an entry comes back to its group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Requeue<'a> {
    /// Whether the delivery counts as an attempt.
    pub counts: bool,
    /// Code and reason, when the consumer rejected it.
    pub rejection: Option<&'a Rejection>,
    /// Whether another consumer should have it next. Otherwise it goes back to its last holder, if that has room.
    pub avoid: bool,
    /// Until then only its last holder may have it, Unix milliseconds; 0 when anybody may at once.
    pub reserved_until_ms: u64,
    /// Until then nobody may have it, Unix milliseconds; 0 for at once.
    pub not_before_ms: u64,
}

impl FailureHistory {
    /// One more delivery to `user` ended without a commit.
    pub fn add(&mut self, user: &str, requeue: Requeue<'_>) {
        self.attempts += u32::from(requeue.counts);
        self.user = user.to_string();
        self.avoid = requeue.avoid;
        self.reserved_until_ms = requeue.reserved_until_ms;
        self.not_before_ms = requeue.not_before_ms;
        if let Some(Rejection { code, reason, .. }) = requeue.rejection {
            self.code.clone_from(code);
            self.reason.clone_from(reason);
        }
    }

    /// The tags an entry gains from it.
    pub fn tags(&self) -> Tags {
        [(TAG_LAST_CODE, &self.code), (TAG_LAST_REASON, &self.reason)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.to_string(), value.clone()))
            .collect()
    }
}

/// A consumer that is or was connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Consumer {
    /// Its last heartbeat, Unix milliseconds.
    pub last_ms: u64,
    /// Its connection, if it has one.
    pub watcher: Option<WatcherId>,
    /// Whether its last watch committed by itself.
    pub auto_commit: bool,
}

impl Group {
    /// A group that begins at an index.
    pub fn starting_at(start: u64, filter: Filter) -> Self {
        Self { start, filter, ..Self::default() }
    }

    /// What it was never given of a priority.
    pub fn undelivered_in(&mut self, priority: Priority) -> &mut Ranges {
        let start = self.start;
        self.undelivered.entry(priority).or_insert_with(|| Ranges::starting_at(start))
    }

    /// Whether an entry was never given to it, matching or not.
    pub fn is_undelivered(&self, priority: Priority, index: Index) -> bool {
        self.undelivered.get(&priority).map_or(index.0 >= self.start, |undelivered| undelivered.contains(index.0))
    }

    /// Whether the entry must stay for this group's sake.
    pub fn needs(&self, entry: &Entry) -> bool {
        self.unacked.contains_key(&entry.index)
            || self.is_undelivered(entry.priority, entry.index) && self.filter.matches(entry)
    }

    /// Whether it was given the entry and is done with it.
    pub fn has_settled(&self, entry: &Entry) -> bool {
        entry.index.0 >= self.start && !self.needs(entry) && self.filter.matches(entry)
    }

    /// The failure histories of its unacked entries.
    pub fn histories(&self) -> impl Iterator<Item = &FailureHistory> {
        self.unacked.values().filter_map(|unacked| unacked.history.as_deref())
    }

    /// Whether a consumer that went away left entries that nobody holds now.
    pub fn has_left_entries(&self, user: &str) -> bool {
        let requeued = self.requeued.iter().map(|(_, index)| index);
        requeued.chain(self.delayed.iter().map(|(_, index)| index)).any(|index| {
            let unacked = self.unacked.get(index).expect("5: a requeued entry is unacked");
            unacked.history.as_ref().is_some_and(|history| history.user == user)
        })
    }

    /// An unacked entry that nobody holds waits to go out again.
    pub fn wait_again(&mut self, index: Index, priority: Priority, not_before_ms: u64) {
        match not_before_ms {
            0 => self.requeued.insert((Reverse(priority), index)),
            _ => self.delayed.insert((not_before_ms, index)),
        };
    }

    /// The end of the first of its delays.
    pub fn delayed_until_ms(&self) -> Option<u64> {
        self.delayed.first().map(|(until_ms, _)| *until_ms)
    }

    /// What was delayed until now can go out again.
    pub fn end_delays(&mut self, now_ms: u64) {
        while let Some((_, index)) = self.delayed.first().copied().filter(|(until_ms, _)| *until_ms <= now_ms) {
            self.delayed.pop_first();
            let unacked = self.unacked.get(&index).expect("12: a delayed entry is unacked");
            self.requeued.insert((Reverse(unacked.priority), index));
        }
    }

    /// An unacked entry that nobody held does not wait any more.
    pub fn wait_no_more(&mut self, index: Index, unacked: &Unacked) {
        let waited = self.requeued.remove(&(Reverse(unacked.priority), index)) || {
            let not_before_ms = unacked.history.as_ref().map_or(0, |history| history.not_before_ms);
            self.delayed.remove(&(not_before_ms, index))
        };
        assert!(waited, "5: an unacked entry that nobody holds waits, {index:?} does not");
    }

    /// Whether there is an entry that it wants and was never given. Looks at everything it has not passed over yet.
    pub fn has_undelivered<S: Store>(&mut self, store: &mut S) -> Result<bool, StoreError> {
        for (priority, _) in store.priorities() {
            if self.next_undelivered(store, priority, 0, usize::MAX)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first entry of a priority at `from` or after that the group was never given and wants, with the number of
    /// entries that were looked at. `Some((None, n))` when `looks` ran out, `None` when there is no such entry. What
    /// the group does not want is passed over for good.
    pub fn next_undelivered<S: Store>(
        &mut self,
        store: &mut S,
        priority: Priority,
        from: u64,
        looks: usize,
    ) -> Result<Option<(Option<Entry>, usize)>, StoreError> {
        let mut at = from;
        let mut looked_at = 0;
        while let Some((start, end)) = self.undelivered_in(priority).first_from(at) {
            let Some(entry) = store.next(priority, Index(start))? else { return Ok(None) };
            if entry.index.0 >= end {
                // Nothing lives in this range, and nothing ever will again.
                self.undelivered_in(priority).remove(start, end);
                at = end;
                continue;
            }
            if self.filter.matches(&entry) {
                // The entries before it are gone.
                self.undelivered_in(priority).remove(start, entry.index.0);
                return Ok(Some((Some(entry), looked_at)));
            }
            if looked_at >= looks {
                return Ok(Some((None, looked_at)));
            }
            looked_at += 1;
            at = entry.index.0 + 1;
            self.undelivered_in(priority).remove(start, at);
        }
        Ok(None)
    }
}
