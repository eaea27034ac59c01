//! The queue's own records as bytes: the state beside the entries that must outlive the memory.

use super::dedup_log::DedupLog;
use super::entry::{Filter, Index, Priority, Tags};
use super::group::{Consumer, FailureHistory, Group, Unacked};
use super::ranges::Ranges;
use super::refusal::StoreError;
use super::stream::Stream;
use alloc::{boxed::Box, format, string::String, vec::Vec};
use bytes::Bytes;
use prost::Message;

/// [`Record::Groups`](super::effect::Record::Groups).
#[derive(Clone, PartialEq, Message)]
struct GroupsRecord {
    #[prost(bool, tag = "1")]
    ended: bool,
    /// A group was dropped, and the search for entries that only it needed is not over.
    #[prost(bool, tag = "2")]
    sweeping: bool,
    #[prost(message, repeated, tag = "3")]
    groups: Vec<GroupRecord>,
    #[prost(uint64, tag = "4")]
    done: u64,
    #[prost(uint64, tag = "5")]
    failed: u64,
    /// Dedup log: no outcome of an entry of the other queue below this index will be put again.
    #[prost(uint64, tag = "6")]
    dedup_below: u64,
    /// Entries at or above it whose outcome was put, in the order of the puts, each as the difference to the one
    /// before.
    #[prost(sint64, repeated, tag = "7")]
    dedup: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct GroupRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(btree_map = "string, string", tag = "2")]
    filter: Tags,
    #[prost(uint64, tag = "3")]
    start: u64,
    #[prost(uint64, tag = "4")]
    delivered: u64,
    #[prost(message, repeated, tag = "5")]
    undelivered: Vec<PriorityRecord>,
    /// Unacked entries, each as the distance from the one before.
    #[prost(uint64, repeated, tag = "6")]
    unacked: Vec<u64>,
    /// Their priorities; left out when all are 0.
    #[prost(sint64, repeated, tag = "7")]
    priorities: Vec<i64>,
    #[prost(message, repeated, tag = "8")]
    histories: Vec<FailureRecord>,
    /// The users that the histories name.
    #[prost(string, repeated, tag = "9")]
    users: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct PriorityRecord {
    #[prost(sint64, tag = "1")]
    priority: i64,
    /// Start and length of each range, alternating; a length of 0 means without end.
    #[prost(uint64, repeated, tag = "2")]
    ranges: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct FailureRecord {
    /// Place of the entry in `unacked`.
    #[prost(uint32, tag = "1")]
    place: u32,
    #[prost(uint32, tag = "2")]
    attempts: u32,
    #[prost(string, tag = "3")]
    code: String,
    #[prost(string, tag = "4")]
    reason: String,
    /// Place of the last holder in `users`.
    #[prost(uint32, tag = "5")]
    user: u32,
    #[prost(bool, tag = "6")]
    avoid: bool,
    #[prost(uint64, tag = "7")]
    reserved_until_ms: u64,
    #[prost(uint64, tag = "8")]
    not_before_ms: u64,
}

/// [`Record::Consumers`](super::effect::Record::Consumers).
#[derive(Clone, PartialEq, Message)]
struct ConsumersRecord {
    #[prost(message, repeated, tag = "1")]
    consumers: Vec<ConsumerRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct ConsumerRecord {
    #[prost(string, tag = "1")]
    group: String,
    #[prost(string, tag = "2")]
    user: String,
    #[prost(uint64, tag = "3")]
    last_ms: u64,
    #[prost(bool, tag = "4")]
    auto_commit: bool,
}

/// The groups of a stream as bytes.
pub(super) fn save_groups(stream: &Stream) -> Bytes {
    let groups = stream.groups.iter().map(|(name, group)| save_group(name, group)).collect();
    let record = GroupsRecord {
        ended: stream.ended,
        sweeping: stream.sweep.is_some(),
        groups,
        done: stream.done,
        failed: stream.failed,
        dedup_below: stream.dedup_log.below(),
        dedup: stream.dedup_log.steps(),
    };
    record.encode_to_vec().into()
}

fn save_group(name: &str, group: &Group) -> GroupRecord {
    let undelivered = group.undelivered.iter().map(|(priority, ranges)| PriorityRecord {
        priority: priority.0,
        ranges: ranges
            .pairs()
            .flat_map(|(start, end)| [start, if end == u64::MAX { 0 } else { end - start }])
            .collect(),
    });
    let mut record = GroupRecord {
        name: name.into(),
        filter: group.filter.0.clone(),
        start: group.start,
        delivered: group.delivered,
        undelivered: undelivered.collect(),
        ..GroupRecord::default()
    };
    let mut before = 0;
    for (place, (index, unacked)) in group.unacked.iter().enumerate() {
        record.unacked.push(index.0 - before);
        record.priorities.push(unacked.priority.0);
        before = index.0;
        if let Some(history) = &unacked.history {
            record.histories.push(save_history(place as u32, history, &mut record.users));
        }
    }
    if record.priorities.iter().all(|priority| *priority == 0) {
        record.priorities.clear();
    }
    record
}

fn save_history(place: u32, history: &FailureHistory, users: &mut Vec<String>) -> FailureRecord {
    let user = users.iter().position(|user| *user == history.user).unwrap_or_else(|| {
        users.push(history.user.clone());
        users.len() - 1
    });
    FailureRecord {
        place,
        attempts: history.attempts,
        code: history.code.clone(),
        reason: history.reason.clone(),
        user: user as u32,
        avoid: history.avoid,
        reserved_until_ms: history.reserved_until_ms,
        not_before_ms: history.not_before_ms,
    }
}

/// Puts stored groups into a stream. All unacked entries are requeued.
pub(super) fn load_groups(stream: &mut Stream, bytes: &Bytes) -> Result<(), StoreError> {
    let record = GroupsRecord::decode(bytes.clone())
        .map_err(|error| StoreError::corrupt("the record of groups", format!("{error}")))?;
    stream.ended = record.ended;
    (stream.done, stream.failed) = (record.done, record.failed);
    stream.dedup_log = DedupLog::load(record.dedup_below, &record.dedup);
    stream.sweep = record.sweeping.then_some((Priority(i64::MAX), Index(0)));
    stream.groups = record.groups.into_iter().map(|group| (group.name.clone(), load_group(group))).collect();
    Ok(())
}

fn load_group(record: GroupRecord) -> Group {
    let mut group = Group::starting_at(record.start, Filter(record.filter));
    group.delivered = record.delivered;
    for PriorityRecord { priority, ranges } in record.undelivered {
        let pairs = ranges.chunks_exact(2).filter_map(|pair| {
            let (start, length) = (*pair.first()?, *pair.get(1)?);
            Some((start, if length == 0 { u64::MAX } else { start.saturating_add(length) }))
        });
        group.undelivered.insert(Priority(priority), Ranges::from_pairs(pairs));
    }
    let mut histories = record.histories.into_iter().peekable();
    let mut index = Index(0);
    for (place, step) in record.unacked.into_iter().enumerate() {
        index = Index(index.0.saturating_add(step));
        let priority = Priority(record.priorities.get(place).copied().unwrap_or(0));
        let history = histories.next_if(|history| history.place as usize == place).map(|history| {
            Box::new(FailureHistory {
                attempts: history.attempts,
                code: history.code,
                reason: history.reason,
                user: record.users.get(history.user as usize).cloned().unwrap_or_default(),
                avoid: history.avoid,
                reserved_until_ms: history.reserved_until_ms,
                not_before_ms: history.not_before_ms,
            })
        });
        let not_before_ms = history.as_deref().map_or(0, |history: &FailureHistory| history.not_before_ms);
        group.wait_again(index, priority, not_before_ms);
        group.unacked.insert(index, Unacked { priority, holder: None, history });
    }
    group
}

/// Stored as the last heartbeat of a consumer that was connected: nobody saw when it went.
pub(super) const CONNECTED_MS: u64 = 0;

/// The consumers of a stream as bytes.
pub(super) fn save_consumers(stream: &Stream) -> Bytes {
    let consumers = stream.groups.iter().flat_map(|(name, group)| {
        group.consumers.iter().map(|(user, consumer)| ConsumerRecord {
            group: name.clone(),
            user: user.clone(),
            last_ms: if consumer.watcher.is_some() { CONNECTED_MS } else { consumer.last_ms },
            auto_commit: consumer.auto_commit,
        })
    });
    ConsumersRecord { consumers: consumers.collect() }.encode_to_vec().into()
}

/// Puts stored consumers into the groups of a stream. None of them is connected.
pub(super) fn load_consumers(stream: &mut Stream, bytes: &Bytes) -> Result<(), StoreError> {
    let record = ConsumersRecord::decode(bytes.clone())
        .map_err(|error| StoreError::corrupt("the record of consumers", format!("{error}")))?;
    for consumer in record.consumers {
        if let Some(group) = stream.groups.get_mut(&consumer.group) {
            let gone = Consumer { last_ms: consumer.last_ms, watcher: None, auto_commit: consumer.auto_commit };
            group.consumers.insert(consumer.user, gone);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group `eas` with two commits, entry 3 requeued after two attempts with the code `E`, and undelivered from 5
    /// on, as it was written before there were delays, a dedup log and counters.
    const EARLIER: [u8; 31] =
        *b"\x1a\x1d\x0a\x03eas\x20\x02\x2a\x04\x12\x02\x05\x00\x32\x01\x03\x42\x07\x10\x02\x1a\x01E\x30\x01\x4a\x02w1";

    #[test]
    fn a_record_of_an_earlier_version_is_read_and_would_be_written_the_same() {
        let mut stream = Stream::default();
        load_groups(&mut stream, &Bytes::from_static(&EARLIER)).expect("it can be read");
        let group = &stream.groups["eas"];
        let history = group.unacked[&Index(3)].history.as_deref().expect("it failed");
        assert_eq!((history.attempts, history.user.as_str(), history.not_before_ms), (2, "w1", 0));
        assert!(group.delayed.is_empty() && group.requeued.len() == 1);
        assert_eq!((stream.done, stream.failed, stream.dedup_log.below()), (0, 0, 0));
        assert_eq!(save_groups(&stream), EARLIER[..]);
    }
}
