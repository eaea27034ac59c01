//! Puts: capacity, numbering, storing.

use super::effect::{Receipt, Reply, Write};
use super::entry::{self, Entry, Index, Mark, Priority, TAG_REQUEST_ID, marks};
use super::event::{NewEntry, Ticket};
use super::refusal::{Refusal, StoreError};
use super::store::Store;
use super::stream::{DeadLetter, Stream, Turn};
use super::{invariants, limits, request_id};
use alloc::{vec, vec::Vec};
use bytes::Bytes;
use core::ops::Range;

/// Bytes an entry may have beside body and tags: framing, and a request id made here.
const FRAMING_BYTES: u64 = 96;
/// Bytes of frames that are encoded into one piece of memory. The piece stays as long as one of its frames does, at the
/// longest until the next flush.
const CHUNK_BYTES: usize = 64 * 1024;

impl Stream {
    /// Stores all entries or none.
    pub(super) fn put<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        entries: Vec<NewEntry>,
    ) -> Result<(), StoreError> {
        if entries.iter().any(|entry| entry.dedup.is_some()) {
            return self.put_deduplicated(turn, ticket, entries);
        }
        if let Some(refusal) = self.make_room(turn, &entries)? {
            turn.refuse(ticket, refusal);
            return Ok(());
        }
        let receipts = self.append(turn, entries)?;
        turn.reply(ticket, Reply::Put(receipts));
        Ok(())
    }

    /// Takes over what failed too often on the other side. Never refused: the bytes it takes were just freed there.
    pub(super) fn dead_letter<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        dead: Vec<DeadLetter>,
    ) -> Result<(), StoreError> {
        for DeadLetter { priority, tags, data } in dead {
            let priorities = turn.store.priorities();
            let known =
                priorities.len() < limits::PRIORITIES_MAX || priorities.iter().any(|(live, _)| *live == priority);
            let priority = if known { priority } else { Priority::default() };
            self.append(turn, vec![NewEntry { priority, tags, data, random: 0, dedup: None }])?;
        }
        Ok(())
    }

    /// Checks the capacity rules in their fixed order; with `auto_evict` the oldest entries make room.
    pub(super) fn make_room<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        entries: &[NewEntry],
    ) -> Result<Option<Refusal>, StoreError> {
        if self.ended {
            return Ok(Some(Refusal::Ended));
        }
        let max = turn.settings.max_payload_bytes;
        if let Some(bytes) = entries.iter().map(|entry| entry.data.len() as u64).find(|bytes| *bytes > max) {
            return Ok(Some(Refusal::TooLarge { bytes, max }));
        }
        if let Some(refusal) = priorities_refusal(turn.store.priorities(), entries) {
            return Ok(Some(refusal));
        }
        let wanted = entries.len() as u64;
        let wanted_bytes: u64 = entries.iter().map(size).sum();
        let (max_length, max_bytes) = (turn.settings.max_length, limits::QUEUE_BYTES_MAX);
        let evict = turn.settings.auto_evict && wanted <= max_length;
        loop {
            let totals = turn.store.totals();
            let refusal = if totals.length.saturating_add(wanted) > max_length {
                Refusal::Full { length: totals.length, max: max_length }
            } else if totals.bytes + turn.other_bytes + wanted_bytes > max_bytes {
                Refusal::FullBytes { bytes: totals.bytes + turn.other_bytes, max: max_bytes }
            } else {
                return Ok(None);
            };
            let oldest = if evict { self.oldest(turn)? } else { None };
            match oldest {
                Some(entry) => self.remove_everywhere(turn, entry.index)?,
                None => return Ok(Some(refusal)),
            }
        }
    }

    /// The live entry with the lowest index.
    pub(super) fn oldest<S: Store>(&self, turn: &mut Turn<'_, S>) -> Result<Option<Entry>, StoreError> {
        let mut oldest: Option<Entry> = None;
        for (priority, _) in turn.store.priorities() {
            let first = turn.store.next(priority, Index(0))?;
            oldest = match (oldest, first) {
                (Some(old), Some(new)) => Some(if new.index < old.index { new } else { old }),
                (old, new) => old.or(new),
            };
        }
        Ok(oldest)
    }

    /// Gives entries their indexes and request ids and stores them. Several are encoded into one piece of memory, of
    /// which their frames are slices: a put is mostly allocating and copying.
    pub(super) fn append<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        entries: Vec<NewEntry>,
    ) -> Result<Vec<Receipt>, StoreError> {
        let mut receipts = Vec::with_capacity(entries.len());
        let mut left: usize = entries.iter().map(|entry| size(entry) as usize).sum();
        let mut drafts = Vec::with_capacity(entries.len());
        let mut frames = Vec::new();
        let first = turn.store.totals().next_index;
        let mut index = first;
        for entry in entries {
            let bytes = size(&entry) as usize;
            if !frames.is_empty() && frames.len() + bytes > CHUNK_BYTES {
                self.store(turn, &mut drafts, core::mem::take(&mut frames))?;
            }
            if frames.is_empty() {
                frames.reserve_exact(left.min(CHUNK_BYTES.max(bytes)));
            }
            left -= bytes;
            let NewEntry { priority, tags, data, random, .. } = entry;
            // A request id made here is found by the index in it, so it gets no mark.
            let marks = marks(&tags);
            let (request_id, made) = match tags.get(TAG_REQUEST_ID) {
                Some(given) => (given.clone(), false),
                None => (request_id::make(random, index), true),
            };
            self.waiters.wake(&marks);
            let more = made.then_some((TAG_REQUEST_ID, request_id.as_str()));
            let start = frames.len();
            let head_len = entry::encode(index, &tags, more, &data, &mut frames);
            drafts.push(Draft { index, priority, head_len, frame: start..frames.len(), marks });
            receipts.push(Receipt { index, request_id, repeated: false });
            index = index.next();
        }
        self.store(turn, &mut drafts, frames)?;
        invariants::appended(turn.store, first, index);
        Ok(receipts)
    }

    /// Stores encoded entries.
    fn store<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        drafts: &mut Vec<Draft>,
        frames: Vec<u8>,
    ) -> Result<(), StoreError> {
        let frames = Bytes::from(frames);
        for Draft { index, priority, head_len, frame, marks } in drafts.drain(..) {
            let entry = Entry { index, priority, put_ms: turn.now_ms, head_len, frame: frames.slice(frame) };
            turn.store.apply(Write::Append(entry, marks))?;
            self.timers.entry_put(turn.now_ms, turn.settings);
        }
        Ok(())
    }
}

/// An entry whose frame is a range of a larger piece of memory.
struct Draft {
    index: Index,
    priority: Priority,
    head_len: u32,
    frame: Range<usize>,
    marks: Vec<Mark>,
}

/// An upper bound of the bytes of an entry's frame.
fn size(entry: &NewEntry) -> u64 {
    let tags: usize = entry.tags.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
    (entry.data.len() + tags) as u64 + FRAMING_BYTES
}

/// The refusal of entries that would begin too many priorities.
fn priorities_refusal(live: Vec<(Priority, u64)>, entries: &[NewEntry]) -> Option<Refusal> {
    let mut priorities: Vec<Priority> = live.into_iter().map(|(priority, _)| priority).collect();
    for entry in entries {
        if !priorities.contains(&entry.priority) {
            priorities.push(entry.priority);
        }
    }
    (priorities.len() > limits::PRIORITIES_MAX).then_some(Refusal::TooMany {
        what: "different priorities",
        max: limits::PRIORITIES_MAX,
        advice: "use fewer priorities, or wait until some have no entries left",
    })
}
