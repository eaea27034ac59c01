//! Gets that wait for entries. A put looks only at those whose filter shares a mark with its entries.

use super::entry::Mark;
use super::event::{Get, Ticket};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

/// A get that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub ticket: Ticket,
    pub get: Get,
    /// When it is answered in any case, Unix milliseconds.
    pub deadline_ms: u64,
    /// A mark that every entry it wants carries; none when there is no such mark.
    mark: Option<Mark>,
}

/// All gets that wait, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    arrivals: u64,
    waiting: BTreeMap<u64, Waiter>,
    by_ticket: BTreeMap<Ticket, u64>,
    by_mark: BTreeMap<Option<Mark>, BTreeSet<u64>>,
    by_deadline: BTreeSet<(u64, u64)>,
    /// The gets that a put may have satisfied since they were last looked at.
    ready: BTreeSet<u64>,
}

impl Waiters {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Lets a get wait until `deadline_ms`. A request id made here is found by its index and has no mark.
    pub fn park(&mut self, ticket: Ticket, get: Get, deadline_ms: u64, mark: Option<Mark>) {
        self.arrivals += 1;
        let place = self.arrivals;
        self.by_ticket.insert(ticket, place);
        self.by_mark.entry(mark).or_default().insert(place);
        self.by_deadline.insert((deadline_ms, place));
        self.waiting.insert(place, Waiter { ticket, get, deadline_ms, mark });
    }

    /// An entry with these marks was put.
    pub fn wake(&mut self, marks: &[Mark]) {
        if self.waiting.is_empty() {
            return;
        }
        for mark in marks.iter().copied().map(Some).chain([None]) {
            self.ready.extend(self.by_mark.get(&mark).into_iter().flatten());
        }
    }

    /// The gets that a put may have satisfied, oldest first.
    pub fn take_ready(&mut self) -> BTreeSet<u64> {
        core::mem::take(&mut self.ready)
    }

    pub fn at(&self, place: u64) -> Option<&Waiter> {
        self.waiting.get(&place)
    }

    /// Ends the wait of a get that waits.
    pub fn remove(&mut self, place: u64) -> Waiter {
        let waiter = self.waiting.remove(&place).expect("it waits until it is answered");
        self.by_ticket.remove(&waiter.ticket);
        self.by_deadline.remove(&(waiter.deadline_ms, place));
        let places = self.by_mark.get_mut(&waiter.mark).expect("each waiter is listed by its mark");
        places.remove(&place);
        if places.is_empty() {
            self.by_mark.remove(&waiter.mark);
        }
        waiter
    }

    /// The client of a get is gone, which may have been answered.
    pub fn abandon(&mut self, ticket: Ticket) {
        if let Some(place) = self.by_ticket.get(&ticket).copied() {
            self.remove(place);
        }
    }

    /// The earliest deadline.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.by_deadline.first().map(|&(deadline_ms, _)| deadline_ms)
    }

    /// The gets whose deadline has come, oldest deadline first.
    pub fn due(&self, now_ms: u64) -> Vec<u64> {
        self.by_deadline.range(..=(now_ms, u64::MAX)).map(|&(_, place)| place).collect()
    }

    /// All gets that wait, oldest first.
    pub fn all(&self) -> Vec<u64> {
        self.waiting.keys().copied().collect()
    }
}
