//! The invariants of `docs/architecture.md` as assertions, by their numbers there. Those that cost nothing are always
//! on: a panic ends one request, and the next one opens the queue from the disk. Those that look at everything are on
//! in debug builds, which the tests and the simulator are.
//!
//! What one step takes for granted is asserted where it is taken for granted, as `expect("5: ...")`.
//!
//! | number | asserted by |
//! |---|---|
//! | 1 stays until it is settled | `leave_if_done`, `deliver_requeued`, [`after_turn`] (debug) |
//! | 2 nothing after its commit | [`first_delivery`], and `wait_no_more` for what is requeued |
//! | 3 window | [`delivery`] |
//! | 4 index order | [`first_delivery`] |
//! | 5 one consumer at a time | [`delivery`], `Watcher::take`, [`after_turn`] (debug) |
//! | 6 counters | [`after_turn`] |
//! | 7 indexes | [`appended`] |
//! | 8 memory | [`after_turn`] |
//! | 11 put-once | [`deduplicated`] |
//! | 12 delays | [`delivery`], [`after_turn`] |
//!
//! 9 (a token for each request) and 10 (no 5xx) are not the machine's to keep.

use super::dedup_log::DedupLog;
use super::entry::Index;
use super::event::Dedup;
use super::group::{Group, Unacked};
use super::limits;
use super::ranges::Ranges;
use super::record;
use super::refusal::StoreError;
use super::store::Store;
use super::stream::{Stream, Turn};
use super::timer::Timer;
use super::watcher::Watcher;

/// Before an entry goes out for the first time to a connection that wants entries at `from` or after.
pub(super) fn first_delivery(undelivered: &Ranges, from: u64, index: Index) {
    let first = undelivered.first_from(from).map(|(start, _)| Index(start));
    assert_eq!(first, Some(index), "2, 4: the first delivery of an entry is that of the first undelivered one");
}

/// Before an entry goes out to a connection.
pub(super) fn delivery(watcher: &Watcher, unacked: &Unacked, now_ms: u64) {
    assert!(watcher.has_room(), "3: an entry goes out only to a connection with room");
    assert!(unacked.holder.is_none(), "5: an entry that goes out is not out already");
    let not_before_ms = unacked.history.as_ref().map_or(0, |history| history.not_before_ms);
    assert!(not_before_ms <= now_ms, "12: an entry goes out when its delay is over");
}

/// After entries were appended from `first` on, the last of them before `next`.
pub(super) fn appended(store: &impl Store, first: Index, next: Index) {
    assert!(first >= Index(1) && first <= next, "7: indexes start at 1 and grow");
    assert_eq!(store.totals().next_index, next, "7: no index is given twice");
}

/// After an entry was put.
pub(super) fn deduplicated(log: &DedupLog, dedup: Dedup) {
    if let Dedup::Source { index, .. } = dedup {
        assert!(log.contains(index.0), "11: an outcome that was put is known");
    }
}

/// At the end of each turn.
pub(super) fn after_turn<S: Store>(stream: &Stream, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
    let totals = turn.store.totals();
    assert!(totals.length > 0 || totals.bytes == 0, "6: an empty queue has no bytes");
    assert!(stream.waiters.len() <= limits::WAITERS_MAX, "8: waiting gets");
    assert!(stream.groups.len() <= limits::GROUPS_MAX, "8: groups");
    let unacked: usize = stream.groups.values().map(|group| group.unacked.len()).sum();
    assert!(unacked <= limits::UNACKED_MAX, "8: unacked entries");
    let delayed_ms = stream.groups.values().filter_map(Group::delayed_until_ms).min();
    if let Some(until_ms) = delayed_ms {
        assert!(until_ms > turn.now_ms, "12: a delay that is over has ended");
        assert!(stream.timers.get(Timer::Delay).is_some_and(|at_ms| at_ms <= until_ms), "12: a delay wakes the queue");
    }
    look_at_everything(stream, turn.store)
}

/// Before each flush, when all records are written.
pub(super) fn before_flush(stream: &Stream, store: &mut impl Store) -> Result<(), StoreError> {
    assert!(!stream.unsaved.groups && !stream.unsaved.consumers, "every record is written before a flush");
    look_at_everything(stream, store)?;
    if is_looked_at(stream) {
        let groups = record::save_groups(stream);
        let mut loaded = Stream::default();
        record::load_groups(&mut loaded, &groups)?;
        assert_eq!(record::save_groups(&loaded), groups, "1, 2: what is stored of the groups can be read again");
    }
    Ok(())
}

/// Unacked entries up to which everything is looked at: beyond that, tests would do little else.
const LOOKED_AT_MAX: usize = 256;

fn is_looked_at(stream: &Stream) -> bool {
    cfg!(debug_assertions) && stream.groups.values().map(|group| group.unacked.len()).sum::<usize>() <= LOOKED_AT_MAX
}

/// Everything that is in memory, against itself and against the store, in debug builds.
fn look_at_everything(stream: &Stream, store: &mut impl Store) -> Result<(), StoreError> {
    if !is_looked_at(stream) {
        return Ok(());
    }
    let lengths: u64 = store.priorities().iter().map(|(_, length)| length).sum();
    assert_eq!(lengths, store.totals().length, "6: the priorities hold what the totals count");
    let consumers: usize = stream.groups.values().map(|group| group.consumers.len()).sum();
    assert!(consumers <= limits::CONSUMERS_MAX, "8: consumers");
    stream.dedup_log.check();
    for group in stream.groups.values() {
        check_group(group, store)?;
    }
    let mut leases = 0;
    for (id, watcher) in &stream.watchers {
        let known =
            stream.groups.get(&watcher.consumer.group).and_then(|group| group.consumers.get(&watcher.consumer.user));
        assert_eq!(known.and_then(|known| known.watcher), Some(*id), "5: a consumer has one connection");
        let bytes: usize = stream
            .leases(watcher)
            .map(|lease| {
                let holder = stream.groups[&watcher.consumer.group].unacked[&lease.index].holder;
                assert_eq!(holder.map(|holder| holder.watcher), Some(*id), "5: a lease names its holder");
                lease.bytes as usize
            })
            .sum();
        assert_eq!(bytes, watcher.leased_bytes, "6: bytes that are out come back");
        leases += watcher.leases.len();
    }
    let unacked = stream.groups.values().flat_map(|group| group.unacked.values());
    assert_eq!(unacked.filter(|unacked| unacked.holder.is_some()).count(), leases, "5: a holder has a lease");
    Ok(())
}

/// Each unacked entry is stored, not undelivered, and either held or waiting at one place.
fn check_group(group: &Group, store: &mut impl Store) -> Result<(), StoreError> {
    let mut waiting = 0;
    for (index, unacked) in &group.unacked {
        assert!(!group.is_undelivered(unacked.priority, *index), "2: {index:?} is either undelivered or unacked");
        assert!(store.find(*index)?.is_some_and(|entry| entry.priority == unacked.priority), "1: {index:?} is stored");
        let not_before_ms = unacked.history.as_ref().map_or(0, |history| history.not_before_ms);
        let requeued = group.requeued.contains(&(core::cmp::Reverse(unacked.priority), *index));
        let delayed = group.delayed.contains(&(not_before_ms, *index));
        let places = usize::from(unacked.holder.is_some()) + usize::from(requeued) + usize::from(delayed);
        assert_eq!(places, 1, "5: {index:?} is held or waits at one place");
        waiting += usize::from(requeued || delayed);
    }
    assert_eq!(waiting, group.requeued.len() + group.delayed.len(), "5: what waits is unacked");
    Ok(())
}
