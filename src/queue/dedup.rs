//! Puts that must not be stored twice.

use super::effect::{Receipt, Reply};
use super::entry::{Index, TAG_REQUEST_ID};
use super::event::{Dedup, NewEntry, Ticket};
use super::limits::DEDUP_LOG_MAX;
use super::lookup::find_request;
use super::refusal::StoreError;
use super::store::Store;
use super::stream::{Stream, Turn};
use alloc::{string::String, vec::Vec};

/// Of which entries of another queue the outcome was put here: all below an index, and the latest ones above it. What may
/// be put again is what its consumer had put and not committed when it failed, which is far less than is remembered.
#[derive(Debug, Default)]
pub(super) struct DedupLog {
    below: u64,
    /// In the order of putting, the latest last.
    latest: Vec<u64>,
}

impl DedupLog {
    /// From what is stored.
    pub fn load(below: u64, steps: &[i64]) -> Self {
        let mut last = 0_u64;
        let step = |step: &i64| {
            last = last.wrapping_add_signed(*step);
            last
        };
        Self { below, latest: steps.iter().map(step).collect() }
    }

    /// The index below which all count as put.
    pub fn below(&self) -> u64 {
        self.below
    }

    /// Those above it, each as the difference to the one before.
    pub fn steps(&self) -> Vec<i64> {
        let mut last = 0_u64;
        let step = |index: &u64| {
            let step = index.wrapping_sub(last) as i64;
            last = *index;
            step
        };
        self.latest.iter().map(step).collect()
    }

    /// Whether the outcome of an entry was put. What was put last is most likely to be put again.
    fn contains(&self, index: u64) -> bool {
        index < self.below || self.latest.iter().rev().any(|known| *known == index)
    }

    /// An entry was put; says whether anything is known now that was not before. The oldest are forgotten for it.
    fn note(&mut self, dedup: Dedup) -> bool {
        let Dedup::Source { index: Index(index), settled_below: Index(below) } = dedup else { return false };
        let settles = below > self.below;
        if settles {
            self.below = below;
            self.latest.retain(|known| *known >= below);
        }
        if self.contains(index) {
            return settles;
        }
        self.latest.push(index);
        let excess = self.latest.len().saturating_sub(DEDUP_LOG_MAX);
        self.latest.drain(..excess);
        true
    }
}

/// What is known of an entry before it is stored.
enum Known {
    /// Nothing: it is to be stored.
    New,
    /// It is there, or was, with this index (0 when that is not known).
    Stored(Index),
    /// It is the same as the entry at this place of the same put.
    SameAs(usize),
}

impl Stream {
    /// Stores those of the entries that were not put before, all or none, and answers for all of them.
    pub(super) fn put_deduplicated<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        entries: Vec<NewEntry>,
    ) -> Result<(), StoreError> {
        let known = self.known(turn, &entries)?;
        let request_ids: Vec<String> = entries.iter().map(request_id).collect();
        let sources: Vec<Dedup> = entries.iter().filter_map(|entry| entry.dedup).collect();
        let is_new = |place: usize| matches!(known.get(place), Some(Known::New));
        let new: Vec<NewEntry> =
            entries.into_iter().enumerate().filter(|(place, _)| is_new(*place)).map(|(_, entry)| entry).collect();
        let mut stored = Vec::new().into_iter();
        if !new.is_empty() {
            if let Some(refusal) = self.make_room(turn, &new)? {
                turn.refuse(ticket, refusal);
                return Ok(());
            }
            stored = self.append(turn, new)?.into_iter();
        }
        for dedup in sources {
            self.changed.groups |= self.dedup_log.note(dedup);
        }
        let mut receipts: Vec<Receipt> = Vec::with_capacity(known.len());
        for (known, request_id) in known.into_iter().zip(request_ids) {
            let index = match known {
                Known::New => {
                    receipts.extend(stored.next());
                    continue;
                }
                Known::Stored(index) => index,
                Known::SameAs(place) => receipts.get(place).map(|receipt| receipt.index).unwrap_or_default(),
            };
            receipts.push(Receipt { index, request_id, repeated: true });
        }
        turn.reply(ticket, Reply::Put(receipts));
        Ok(())
    }

    /// What is known of each entry.
    fn known<S: Store>(&self, turn: &mut Turn<'_, S>, entries: &[NewEntry]) -> Result<Vec<Known>, StoreError> {
        let mut known: Vec<Known> = Vec::with_capacity(entries.len());
        for entry in entries {
            if entry.dedup.is_none() {
                known.push(Known::New);
                continue;
            }
            // What was put before, or else the same thing earlier in this put.
            let (stored, same): (_, &dyn Fn(&NewEntry) -> bool) = match (entry.dedup, entry.tags.get(TAG_REQUEST_ID)) {
                (Some(Dedup::Source { index, .. }), _) => (
                    self.dedup_log.contains(index.0).then_some(Index(0)),
                    &move |other| matches!(other.dedup, Some(Dedup::Source { index: other, .. }) if other == index),
                ),
                (Some(Dedup::RequestId), Some(id)) => {
                    (find_request(turn.store, id)?.map(|entry| entry.index), &move |other| {
                        other.tags.get(TAG_REQUEST_ID) == Some(id)
                    })
                }
                _ => (None, &|_| false),
            };
            let is_new = |known: &Known| matches!(known, Known::New);
            known.push(match stored {
                Some(index) => Known::Stored(index),
                None => {
                    let mut earlier = entries.iter().zip(&known);
                    let place = earlier.position(|(other, known)| is_new(known) && same(other));
                    place.map_or(Known::New, Known::SameAs)
                }
            });
        }
        Ok(known)
    }
}

/// The request id an entry was given, or none.
fn request_id(entry: &NewEntry) -> String {
    entry.tags.get(TAG_REQUEST_ID).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(index: u64, settled_below: u64) -> Dedup {
        Dedup::Source { index: Index(index), settled_below: Index(settled_below) }
    }

    #[test]
    fn sources_are_remembered_above_what_is_settled_and_only_so_many() {
        let mut log = DedupLog::default();
        for index in [5, 3, 9] {
            assert!(!log.contains(index) && log.note(source(index, 2)) && log.contains(index));
        }
        assert!(log.contains(1) && !log.contains(2) && !log.contains(4));
        assert!(!log.note(source(5, 2)), "nothing new");
        assert_eq!((log.below(), log.steps()), (2, Vec::from([5, -2, 6])));
        let loaded = DedupLog::load(log.below(), &log.steps());
        assert!([5, 3, 9, 1].iter().all(|index| loaded.contains(*index)) && !loaded.contains(4));
        assert!(log.note(source(4, 5)), "what is settled may grow");
        assert_eq!((log.below(), log.steps()), (5, Vec::from([5, 4])));
        for index in 0..DEDUP_LOG_MAX as u64 {
            log.note(source(100 + index, 0));
        }
        assert_eq!(log.steps().len(), DEDUP_LOG_MAX);
        assert!(!log.contains(9) && log.contains(100));
    }
}
