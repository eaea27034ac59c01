//! Putting entries: capacity, numbering, storing.

use super::entry::{Entry, Index, Lane, TAG_REQUEST_ID, marks};
use super::event::{NewEntry, Ticket};
use super::refusal::{Refusal, StoreError};
use super::step::{Receipt, Reply, Write};
use super::store::Store;
use super::stream::{DeadLetter, Stream, Turn};
use super::{limits, request_id};
use alloc::vec::Vec;

/// Bytes of framing an entry may have beside body and tags; for the byte bound only.
const FRAMING_BYTES: u64 = 64;

impl Stream {
    /// Stores all entries or none.
    pub(super) fn put<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        entries: Vec<NewEntry>,
    ) -> Result<(), StoreError> {
        if let Some(refusal) = self.make_room(turn, &entries)? {
            turn.refuse(ticket, refusal);
            return Ok(());
        }
        let mut receipts = Vec::with_capacity(entries.len());
        for entry in entries {
            receipts.push(self.append(turn, entry)?);
        }
        turn.reply(ticket, Reply::Put(receipts));
        Ok(())
    }

    /// Takes over what failed too often on the other side. Never refused: what it takes was just freed there.
    pub(super) fn bury<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        letters: Vec<DeadLetter>,
    ) -> Result<(), StoreError> {
        for DeadLetter { lane, tags, data } in letters {
            let lanes = turn.store.lanes();
            let known = lanes.len() < limits::LANES_MAX || lanes.iter().any(|(live, _)| *live == lane);
            let lane = if known { lane } else { Lane::default() };
            self.append(turn, NewEntry { lane, tags, data, random: 0 })?;
        }
        Ok(())
    }

    /// The capacity rules in their fixed order; with `auto_evict` the oldest entries go.
    fn make_room<S: Store>(
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
        if let Some(refusal) = lanes_refusal(turn.store.lanes(), entries) {
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
    pub(super) fn oldest<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<Option<Entry>, StoreError> {
        let mut oldest: Option<Entry> = None;
        for (lane, _) in turn.store.lanes() {
            let first = turn.store.next(lane, Index(0))?;
            oldest = match (oldest, first) {
                (Some(old), Some(new)) => Some(if new.index < old.index { new } else { old }),
                (old, new) => old.or(new),
            };
        }
        Ok(oldest)
    }

    /// Gives an entry its index and request id and stores it.
    fn append<S: Store>(&mut self, turn: &mut Turn<'_, S>, new: NewEntry) -> Result<Receipt, StoreError> {
        let NewEntry { lane, tags, data, random } = new;
        let index = turn.store.totals().next_index;
        // A request id made here is found by the index in it, so it gets no mark.
        let marks = marks(&tags);
        let (request_id, made) = match tags.get(TAG_REQUEST_ID) {
            Some(given) => (given.clone(), false),
            None => (request_id::make(random, index), true),
        };
        self.waiters.wake(&marks);
        let more = made.then_some((TAG_REQUEST_ID, request_id.as_str()));
        let entry = Entry::encode_with(index, lane, turn.now_ms, &tags, more, &data);
        turn.store.apply(Write::Append(entry, marks))?;
        self.timers.entry_put(turn.now_ms, turn.settings);
        Ok(Receipt { index, request_id })
    }
}

/// An upper bound of the bytes an entry takes.
fn size(entry: &NewEntry) -> u64 {
    let tags: usize = entry.tags.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
    (entry.data.len() + tags) as u64 + FRAMING_BYTES
}

/// Refuses entries that would open too many lanes.
fn lanes_refusal(live: Vec<(Lane, u64)>, entries: &[NewEntry]) -> Option<Refusal> {
    let mut lanes: Vec<Lane> = live.into_iter().map(|(lane, _)| lane).collect();
    for entry in entries {
        if !lanes.contains(&entry.lane) {
            lanes.push(entry.lane);
        }
    }
    (lanes.len() > limits::LANES_MAX).then_some(Refusal::TooMany {
        what: "different priorities",
        max: limits::LANES_MAX,
        advice: "use fewer priorities, or wait until some have no entries left",
    })
}
