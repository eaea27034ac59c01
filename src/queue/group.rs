//! A consumer group: its own copy of the stream, as a position and what is out.
//!
//! An entry is, for one group, either *undelivered* (never given to it), *unacked* (out at a consumer, or requeued and waiting
//! to go out again) or settled (everything else). Memory is therefore what is in flight, whatever the backlog.

use super::entry::{Entry, Filter, Index, Lane, TAG_LAST_CODE, TAG_LAST_REASON, Tags};
use super::event::WatcherId;
use super::ranges::Ranges;
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
};
use core::cmp::Reverse;

/// A consumer group.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// What it takes; the same for all its consumers.
    pub filter: Filter,
    /// Where it began: lanes it has not met yet are undelivered from here.
    pub start: u64,
    /// Per lane, what it was never given. A lane that is missing is undelivered from `start`.
    pub undelivered: BTreeMap<Lane, Ranges>,
    /// What is out or was requeued.
    pub unacked: BTreeMap<Index, Unacked>,
    /// The unacked entries that nobody holds, in delivery order, without the delayed ones.
    pub requeued: BTreeSet<(Reverse<Lane>, Index)>,
    /// The unacked entries that nobody may have yet, by when that ends in Unix milliseconds.
    pub delayed: BTreeSet<(u64, Index)>,
    /// Entries committed since it exists.
    pub delivered: u64,
    /// Its consumers, by user.
    pub consumers: BTreeMap<String, Consumer>,
}

/// An entry that was given out and is not settled.
#[derive(Debug)]
pub(super) struct Unacked {
    pub lane: Lane,
    /// The connection it is out at; nobody when it was requeued.
    pub holder: Option<Holder>,
    /// What went wrong with it, if anything did.
    pub history: Option<Box<FailureHistory>>,
}

/// Who holds an unacked entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub watcher: WatcherId,
    pub since_ms: u64,
    pub bytes: u32,
}

/// History of an entry that was requeued.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FailureHistory {
    /// Deliveries that count and did not end in a commit.
    pub attempts: u32,
    /// Code of the last rejection, or empty.
    pub code: String,
    /// Reason of the last rejection, or empty.
    pub reason: String,
    /// Who held it last.
    pub user: String,
    /// That user refused it or was too slow: prefer another.
    pub avoid: bool,
    /// Until then only that user may have it, Unix milliseconds.
    pub reserved_until_ms: u64,
    /// Until then nobody may have it, Unix milliseconds.
    pub not_before_ms: u64,
}

impl FailureHistory {
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

    /// What was never given to it in a lane.
    pub fn undelivered_in(&mut self, lane: Lane) -> &mut Ranges {
        let start = self.start;
        self.undelivered.entry(lane).or_insert_with(|| Ranges::starting_at(start))
    }

    /// Whether an entry was never given to it, matching or not.
    pub fn is_undelivered(&self, lane: Lane, index: Index) -> bool {
        self.undelivered.get(&lane).map_or(index.0 >= self.start, |undelivered| undelivered.contains(index.0))
    }

    /// Whether the entry must stay for this group's sake.
    pub fn needs(&self, entry: &Entry) -> bool {
        self.unacked.contains_key(&entry.index)
            || self.is_undelivered(entry.lane, entry.index) && self.filter.matches(entry)
    }

    /// Whether it was given the entry and is done with it.
    pub fn has_settled(&self, entry: &Entry) -> bool {
        entry.index.0 >= self.start && !self.needs(entry) && self.filter.matches(entry)
    }

    /// Whether a consumer that went away left entries that nobody holds now.
    pub fn has_left_entries(&self, user: &str) -> bool {
        let requeued = self.requeued.iter().map(|(_, index)| index);
        requeued.chain(self.delayed.iter().map(|(_, index)| index)).any(|index| {
            self.unacked
                .get(index)
                .and_then(|unacked| unacked.history.as_ref())
                .is_some_and(|history| history.user == user)
        })
    }

    /// An unacked entry that nobody holds waits to go out again.
    pub fn wait_again(&mut self, index: Index, lane: Lane, not_before_ms: u64) {
        match not_before_ms {
            0 => self.requeued.insert((Reverse(lane), index)),
            _ => self.delayed.insert((not_before_ms, index)),
        };
    }

    /// When the first of its delays ends.
    pub fn delayed_until_ms(&self) -> Option<u64> {
        self.delayed.first().map(|(until_ms, _)| *until_ms)
    }

    /// What was delayed until now can go out again.
    pub fn end_delays(&mut self, now_ms: u64) {
        while let Some((_, index)) = self.delayed.first().copied().filter(|(until_ms, _)| *until_ms <= now_ms) {
            self.delayed.pop_first();
            if let Some(unacked) = self.unacked.get(&index) {
                self.requeued.insert((Reverse(unacked.lane), index));
            }
        }
    }

    /// An unacked entry that nobody holds does not wait any more.
    pub fn wait_no_more(&mut self, index: Index, unacked: &Unacked) {
        if !self.requeued.remove(&(Reverse(unacked.lane), index))
            && let Some(history) = &unacked.history
        {
            self.delayed.remove(&(history.not_before_ms, index));
        }
    }
}
