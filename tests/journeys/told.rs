//! What followed from a line, as text.

use edgequeue::queue::entry::Index;
use edgequeue::queue::event::ConsumerId;
use edgequeue::queue::stats::{ConsumerStats, EntryStatus, GroupStats, GroupStatus, Stats};
use edgequeue::wire::{Answer, duration, names::HEADER_REPEATED, names::REPEATED, proto::frame};
use std::collections::BTreeMap;

use super::line::About;

/// What followed so far.
#[derive(Default)]
pub struct Told {
    lines: Vec<String>,
    /// Entries pushed since the last line, by connection: their order between connections is not promised.
    pushes: BTreeMap<String, String>,
}

impl Told {
    pub fn say(&mut self, line: String) {
        self.pause();
        self.lines.push(line);
    }

    /// What is pushed from now on comes later.
    pub fn pause(&mut self) {
        self.lines.extend(std::mem::take(&mut self.pushes).into_values());
    }

    pub fn push(&mut self, name: String, entry: &str) {
        let line = self.pushes.entry(name.clone()).or_insert_with(|| format!("{name}:"));
        *line += " ";
        *line += entry;
    }

    pub fn lines(mut self) -> Vec<String> {
        self.lines.extend(self.pushes.into_values());
        self.lines
    }
}

/// What a put answered: index, request id, and whether it was stored before.
pub fn receipts(answer: &Answer) -> Vec<(Index, String, bool)> {
    if answer.content_type.as_deref() == Some(edgequeue::wire::names::PROTOBUF) {
        let frames = frame::decode_list(&answer.body).unwrap();
        let receipt = |frame: edgequeue::queue::entry::Frame| {
            let id = frame.tags.get("requestId").cloned().unwrap_or_default();
            (Index(frame.index), id, frame.message == REPEATED)
        };
        return frames.into_iter().map(receipt).collect();
    }
    let header = |name: &str| answer.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
    let index = std::str::from_utf8(&answer.body).unwrap().parse().unwrap();
    let id = header(edgequeue::wire::names::HEADER_REQUEST_ID).unwrap_or_default();
    vec![(Index(index), id, header(HEADER_REPEATED).is_some())]
}

/// Where an entry stands: for a group that begins now, then for each one that needs it.
pub fn entry_status(found: &EntryStatus, now_ms: u64) -> Vec<String> {
    let group = |(name, status): &(String, GroupStatus)| match status {
        GroupStatus::Running { consumer, attempt, since_ms } => {
            let since = duration::print(now_ms - since_ms);
            format!("{name}: attempt {attempt} at {}.{} for {since}", consumer.group, consumer.user)
        }
        GroupStatus::Queued { ahead, attempts, not_before_ms, code, reason } => {
            let mut text = format!("{name}: {ahead} before it, {attempts} failed");
            for (what, told) in [("code", code), ("reason", reason)].iter().filter(|(_, told)| !told.is_empty()) {
                text += &format!(", {what} {told}");
            }
            if *not_before_ms > 0 {
                text += &format!(", not before {}", duration::print(not_before_ms - now_ms));
            }
            text
        }
    };
    let first = format!("found {}, {} before it", found.index.0, found.ahead);
    std::iter::once(first).chain(found.groups.iter().map(group)).collect()
}

/// The state of a queue, of its consumers or of its groups.
pub fn state(stats: &Stats, about: About) -> Vec<String> {
    let consumer = |consumer: &ConsumerStats| {
        let ConsumerId { group, user } = &consumer.id;
        let window = match (consumer.window, consumer.auto_commit) {
            (_, true) => " auto".into(),
            (0, false) => String::new(),
            (window, false) => format!(" {} of {window}", consumer.pending),
        };
        format!("{group}.{user} {:?}{window} idle {}", consumer.status, duration::print(consumer.idle_ms))
    };
    let group = |group: &GroupStats| {
        let GroupStats { id, pending, delivered, consumers, .. } = group;
        format!("{id}: {pending} out, {delivered} done, {consumers} known")
    };
    let numbers = || {
        let Stats { waiting, in_flight, done, failed, .. } = stats;
        let oldest = duration::print(stats.oldest_ms);
        vec![format!("{waiting} waiting, {in_flight} out, {done} done, {failed} failed, oldest {oldest}")]
    };
    let lines: Vec<String> = match about {
        About::Numbers => numbers(),
        About::Consumers => stats.consumers.iter().map(consumer).collect(),
        About::Groups => stats.groups.iter().map(group).collect(),
        About::Queue | About::Entry => {
            let held = match stats.length {
                0 => "holds 0".into(),
                length => format!("holds {length} from {} to {}", stats.first.0, stats.last.0),
            };
            vec![held + if stats.ended { ", ended" } else { "" }]
        }
    };
    if lines.is_empty() { vec!["none".into()] } else { lines }
}
