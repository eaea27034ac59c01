//! Puts that must not be stored twice.

use super::effect::{Receipt, Reply};
use super::entry::{Index, TAG_REQUEST_ID};
use super::event::{Dedup, NewEntry, Ticket};
use super::invariants;
use super::lookup::find_request;
use super::refusal::StoreError;
use super::store::Store;
use super::stream::{Stream, Turn};
use alloc::{string::String, vec::Vec};

/// What is known of an entry before it is stored.
enum Known {
    /// Nothing: it is to be stored.
    New,
    /// It is or was stored, with this index (0 when that is not known).
    Stored(Index),
    /// It repeats the entry at this place of the same put.
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
            self.unsaved.groups |= self.dedup_log.note(dedup);
            invariants::deduplicated(&self.dedup_log, dedup);
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
        assert_eq!(stored.len(), 0, "11: what was stored has a receipt");
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

/// The request id an entry was given, or empty.
fn request_id(entry: &NewEntry) -> String {
    entry.tags.get(TAG_REQUEST_ID).cloned().unwrap_or_default()
}
