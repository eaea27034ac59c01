//! Puts that must not be stored twice.

use super::entry::{Index, TAG_REQUEST_ID};
use super::event::{NewEntry, Once, Ticket};
use super::limits::ONCE_MAX;
use super::lookup::find_request;
use super::refusal::StoreError;
use super::step::{Receipt, Reply};
use super::store::Store;
use super::stream::{Stream, Turn};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    string::String,
    vec::Vec,
};

/// Of which entries of another queue the outcome was put here: all below an index, and the latest ones above it. What may
/// be put again is what its consumer had put and not committed when it failed, which is far less than is remembered.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    below: u64,
    /// In the order of putting, the latest last.
    order: VecDeque<u64>,
    known: BTreeSet<u64>,
}

impl Outcomes {
    /// From what is stored.
    pub fn load(below: u64, steps: &[i64]) -> Self {
        let mut outcomes = Self { below, ..Self::default() };
        let mut before = 0_u64;
        for step in steps {
            before = before.wrapping_add_signed(*step);
            outcomes.add(before);
        }
        outcomes
    }

    /// The index below which all count as put.
    pub fn below(&self) -> u64 {
        self.below
    }

    /// Those above it, each as the difference to the one before.
    pub fn steps(&self) -> Vec<i64> {
        let mut before = 0_u64;
        let step = |index: &u64| {
            let step = index.wrapping_sub(before) as i64;
            before = *index;
            step
        };
        self.order.iter().map(step).collect()
    }

    /// Whether the outcome of an entry was put.
    fn contains(&self, index: u64) -> bool {
        index < self.below || self.known.contains(&index)
    }

    /// An entry was put; says whether anything is known now that was not before.
    fn note(&mut self, once: Once) -> bool {
        let Once::Source { index, settled_below } = once else { return false };
        let settled = self.settle_below(settled_below.0);
        self.add(index.0) || settled
    }

    /// The outcome of an entry is put; the oldest are forgotten for it.
    fn add(&mut self, index: u64) -> bool {
        if index < self.below || !self.known.insert(index) {
            return false;
        }
        self.order.push_back(index);
        while self.order.len() > ONCE_MAX {
            self.order.pop_front().map(|oldest| self.known.remove(&oldest));
        }
        true
    }

    /// Below an index nothing will be put again.
    fn settle_below(&mut self, index: u64) -> bool {
        if index <= self.below {
            return false;
        }
        self.below = index;
        self.known = self.known.split_off(&index);
        self.order.retain(|known| *known >= index);
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
    pub(super) fn put_once<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        entries: Vec<NewEntry>,
    ) -> Result<(), StoreError> {
        let known = self.known(turn, &entries)?;
        let request_ids: Vec<String> = entries.iter().map(request_id).collect();
        let sources: Vec<Once> = entries.iter().filter_map(|entry| entry.once).collect();
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
        for once in sources {
            self.changed.groups |= self.outcomes.note(once);
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
        // Request ids and sources that stand earlier in the same put.
        let (mut request_ids, mut sources) = (BTreeMap::new(), BTreeMap::new());
        let mut known = Vec::with_capacity(entries.len());
        for (place, entry) in entries.iter().enumerate() {
            let request_id = entry.tags.get(TAG_REQUEST_ID);
            let earlier = match entry.once {
                None => None,
                Some(Once::RequestId) => request_id.and_then(|id| request_ids.get(id.as_str())).copied(),
                Some(Once::Source { index, .. }) => sources.get(&index).copied(),
            };
            let stored = match (entry.once, request_id) {
                (Some(Once::RequestId), Some(id)) if earlier.is_none() => {
                    find_request(turn.store, id)?.map(|entry| entry.index)
                }
                (Some(Once::Source { index, .. }), _) if self.outcomes.contains(index.0) => Some(Index(0)),
                _ => None,
            };
            known.push(match (stored, earlier) {
                (Some(index), _) => Known::Stored(index),
                (None, Some(earlier)) => Known::SameAs(earlier),
                (None, None) => {
                    if let Some(id) = request_id {
                        request_ids.entry(id.as_str()).or_insert(place);
                    }
                    if let Some(Once::Source { index, .. }) = entry.once {
                        sources.insert(index, place);
                    }
                    Known::New
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

    fn source(index: u64, settled_below: u64) -> Once {
        Once::Source { index: Index(index), settled_below: Index(settled_below) }
    }

    #[test]
    fn outcomes_are_remembered_above_what_is_settled_and_only_so_many() {
        let mut outcomes = Outcomes::default();
        for index in [5, 3, 9] {
            assert!(!outcomes.contains(index) && outcomes.note(source(index, 2)) && outcomes.contains(index));
        }
        assert!(outcomes.contains(1) && !outcomes.contains(2) && !outcomes.contains(4));
        assert!(!outcomes.note(source(5, 2)), "nothing new");
        assert_eq!((outcomes.below(), outcomes.steps()), (2, Vec::from([5, -2, 6])));
        let loaded = Outcomes::load(outcomes.below(), &outcomes.steps());
        assert!([5, 3, 9, 1].iter().all(|index| loaded.contains(*index)) && !loaded.contains(4));
        assert!(outcomes.note(source(4, 5)), "what is settled may grow");
        assert_eq!((outcomes.below(), outcomes.steps()), (5, Vec::from([5, 4])));
        for index in 0..ONCE_MAX as u64 {
            outcomes.note(source(100 + index, 0));
        }
        assert_eq!(outcomes.steps().len(), ONCE_MAX);
        assert!(!outcomes.contains(9) && outcomes.contains(100));
    }
}
