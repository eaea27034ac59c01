//! Attributes: the state of a queue as a map of strings.

use super::address::Address;
use super::settings;
use crate::queue::entry::Tags;
use crate::queue::limits::QUEUE_BYTES_MAX;
use crate::queue::stats::{ConsumerStats, ConsumerStatus, GroupStats, Stats};
use crate::queue::store::Side;
use crate::wire::duration;
use crate::wire::names::{BACKEND, HEADER_GROUP, HEADER_PRIORITY, HEADER_USER};
use alloc::{collections::BTreeMap, format, string::String, string::ToString, vec::Vec};

/// All attributes of one side of a queue, by key.
pub fn attributes(stats: &Stats, address: &Address, side: Side) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    let mut set = |key: &str, value: String| {
        map.insert(key.into(), value);
    };
    set("meta.name", address.queue_name());
    set("meta.kind", if address.sink { "sink" } else { "source" }.into());
    set("meta.side", if side == Side::Rear { "rear" } else { "main" }.into());
    set("meta.state", if stats.ended { "Ended" } else { "Normal" }.into());
    set("meta.backend", BACKEND.into());
    set("meta.header.user", HEADER_USER.into());
    set("meta.header.group", HEADER_GROUP.into());
    set("meta.header.priority", HEADER_PRIORITY.into());
    // The same names as clients of 2022 look for them.
    set("meta.header.userIdentifyHeader", HEADER_USER.into());
    set("meta.header.groupIdentifyHeader", HEADER_GROUP.into());
    set("meta.maxPayloadBytes", stats.settings.max_payload_bytes.to_string());
    set("stream.maxPayloadBytes", stats.settings.max_payload_bytes.to_string());
    set("stream.approxMaxLength", approximate_max_length(stats).to_string());
    set("stream.firstEntry", stats.first.0.to_string());
    set("stream.lastEntry", stats.last.0.to_string());
    set("stream.length", stats.length.to_string());
    set("stream.bytes", stats.bytes.to_string());
    set("stream.waitingGets", stats.waiting_gets.to_string());
    set("stream.waiting", stats.waiting.to_string());
    set("stream.inFlight", stats.in_flight.to_string());
    set("stream.avgbacklog", average_backlog(stats).to_string());
    set("stream.oldestMs", stats.oldest_ms.to_string());
    set("stream.done", stats.done.to_string());
    set("stream.failed", stats.failed.to_string());
    set("consumers.stats.total", stats.consumers.len().to_string());
    set("consumers.status.total", stats.consumers.len().to_string());
    for (position, consumer) in stats.consumers.iter().enumerate() {
        set(&format!("consumers.list.[{position}]"), consumer_line(consumer));
    }
    for (position, group) in stats.groups.iter().enumerate() {
        set(&format!("groups.list.[{position}]"), group_line(group));
    }
    for (key, value) in settings::shown(&stats.settings) {
        set(&format!("queue.{key}"), value);
    }
    map
}

/// Waiting entries per running consumer, rounded up: the number that the vendor's autoscaler compares with its
/// threshold.
fn average_backlog(stats: &Stats) -> u64 {
    let running = stats.consumers.iter().filter(|consumer| consumer.status == ConsumerStatus::Running).count();
    stats.waiting.div_ceil(running.max(1) as u64)
}

/// Number of entries that fit when every body is as long as allowed.
fn approximate_max_length(stats: &Stats) -> u64 {
    (QUEUE_BYTES_MAX / stats.settings.max_payload_bytes.max(1)).min(stats.settings.max_length)
}

/// One consumer, in the vendor's words.
pub fn consumer_line(consumer: &ConsumerStats) -> String {
    let status = match consumer.status {
        ConsumerStatus::Running => "Running",
        ConsumerStatus::Leaving => "Leaving",
        ConsumerStatus::Exit => "Exit",
        ConsumerStatus::Complete => "Complete",
    };
    let mut line = format!(
        "Id: {}.{}, Index: {}, Pending: {}, Status: {status}, Idle: {}, Window: {}, Slots: {}, AutoCommit: {}",
        consumer.id.group,
        consumer.id.user,
        consumer.index.0,
        consumer.pending,
        duration::print(consumer.idle_ms),
        consumer.window,
        consumer.slots,
        consumer.auto_commit
    );
    if !consumer.filter.is_any() {
        line.push_str(", Tags: ");
        line.push_str(&tags_text(&consumer.filter.0));
    }
    line
}

/// One group, in the vendor's words.
pub fn group_line(group: &GroupStats) -> String {
    format!(
        "Id: {}, Index: {}, Pending: {}, Delivered: {}, Consumers: {}",
        group.id, group.index.0, group.pending, group.delivered, group.consumers
    )
}

/// Tags as text: `tags[a=1 b=2]`.
pub fn tags_text(tags: &Tags) -> String {
    let pairs: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("tags[{}]", pairs.join(" "))
}
