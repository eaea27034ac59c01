//! What waits to be put into another queue: one put at a time, the next one takes what came meanwhile.

use crate::queue::entry::Index;
use alloc::{collections::VecDeque, vec::Vec};

/// Names one put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PutId(pub u64);

/// Entries of one put.
const ENTRIES_MAX: usize = 256;
/// Bytes of one put, if there is more than one entry in it: 4 MiB.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// A put without an answer is given up after this long and repeated.
const ANSWER_MS_MAX: u64 = 60_000;
/// After a put that was not taken the next one waits this long, doubled with each failure.
const PAUSE_MS: u64 = 500;
/// Longest pause: who makes room in a full sink waits no longer than this.
const PAUSE_MS_MAX: u64 = 15_000;

/// The way to one other queue.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Index>,
    sent: Option<Sent>,
    /// So many of those at the front go alone: together they were refused, and it is not known for which.
    alone: usize,
    /// Puts in a row that were not taken.
    failures: u32,
    retry_ms: Option<u64>,
}

#[derive(Debug)]
struct Sent {
    put: PutId,
    entries: Vec<Index>,
    until_ms: u64,
}

impl Outbox {
    /// One more waits.
    pub fn push(&mut self, index: Index) {
        self.waiting.push_back(index);
    }

    /// Takes one back; false when it is on its way already.
    pub fn withdraw(&mut self, index: Index) -> bool {
        let Some(at) = self.waiting.iter().position(|waiting| *waiting == index) else { return false };
        self.waiting.remove(at);
        self.alone -= usize::from(at < self.alone);
        true
    }

    /// What goes now, if something may.
    pub fn take(&mut self, now_ms: u64, put: PutId, bytes: impl Fn(Index) -> usize) -> Option<Vec<Index>> {
        if self.sent.is_some() || self.waiting.is_empty() || self.retry_ms.is_some_and(|at_ms| at_ms > now_ms) {
            return None;
        }
        self.retry_ms = None;
        // The first one after a failure tells whether there is room again.
        let most = if self.alone > 0 || self.failures > 0 { 1 } else { ENTRIES_MAX };
        let (mut entries, mut taken) = (Vec::new(), 0);
        while let Some(index) = self.waiting.front().copied().filter(|_| entries.len() < most) {
            taken += bytes(index);
            if !entries.is_empty() && taken > BYTES_MAX {
                break;
            }
            self.waiting.pop_front();
            entries.push(index);
        }
        self.alone = self.alone.saturating_sub(entries.len());
        self.sent = Some(Sent { put, entries: entries.clone(), until_ms: now_ms + ANSWER_MS_MAX });
        Some(entries)
    }

    /// A put was answered: what was in it; nothing for one that was given up.
    pub fn answered(&mut self, put: PutId) -> Option<Vec<Index>> {
        self.sent.take_if(|sent| sent.put == put).map(|sent| sent.entries)
    }

    /// It was taken.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// It was not taken and may be at another time.
    pub fn again_later(&mut self, now_ms: u64, entries: Vec<Index>) {
        let pause_ms = (PAUSE_MS << self.failures.min(16)).min(PAUSE_MS_MAX);
        self.failures += 1;
        self.retry_ms = Some(now_ms + pause_ms);
        self.put_back(entries);
    }

    /// Something in it is refused for good: each goes alone.
    pub fn again_alone(&mut self, entries: Vec<Index>) {
        self.alone += entries.len();
        self.put_back(entries);
    }

    fn put_back(&mut self, entries: Vec<Index>) {
        for index in entries.into_iter().rev() {
            self.waiting.push_front(index);
        }
    }

    /// A put that has no answer for too long counts as not taken.
    pub fn give_up_late(&mut self, now_ms: u64) {
        if let Some(sent) = self.sent.take_if(|sent| sent.until_ms <= now_ms) {
            self.again_later(now_ms, sent.entries);
        }
    }

    /// Whether the other queue does not take what it is given. With nothing to give it nobody would find out that it does
    /// again.
    pub fn is_stuck(&self) -> bool {
        self.failures > 0 && (self.sent.is_some() || !self.waiting.is_empty())
    }

    /// When to look again, Unix milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        let retry_ms = self.retry_ms.filter(|_| !self.waiting.is_empty());
        retry_ms.into_iter().chain(self.sent.as_ref().map(|sent| sent.until_ms)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn take(outbox: &mut Outbox, now_ms: u64, put: u64) -> Option<Vec<u64>> {
        let taken = outbox.take(now_ms, PutId(put), |_| 10);
        taken.map(|entries| entries.into_iter().map(|index| index.0).collect())
    }

    #[test]
    fn what_comes_while_a_put_is_on_its_way_goes_together_in_the_next() {
        let mut outbox = Outbox::default();
        outbox.push(Index(1));
        assert_eq!(take(&mut outbox, 0, 1), Some(vec![1]));
        outbox.push(Index(2));
        outbox.push(Index(3));
        assert_eq!(take(&mut outbox, 0, 2), None);
        assert!(!outbox.withdraw(Index(1)) && outbox.withdraw(Index(3)));
        outbox.push(Index(4));
        assert_eq!(outbox.answered(PutId(9)), None);
        assert_eq!(outbox.answered(PutId(1)), Some(vec![Index(1)]));
        assert_eq!(take(&mut outbox, 0, 3), Some(vec![2, 4]));
    }

    #[test]
    fn a_queue_that_takes_nothing_is_asked_with_growing_pauses_and_with_one_entry() {
        let mut outbox = Outbox::default();
        (1..=3).for_each(|index| outbox.push(Index(index)));
        let (mut now_ms, mut pauses) = (0, vec![]);
        for put in 1..=8 {
            let entries = take(&mut outbox, now_ms, put).expect("due");
            assert_eq!(entries.len(), if put == 1 { 3 } else { 1 });
            let entries = outbox.answered(PutId(put)).expect("sent");
            outbox.again_later(now_ms, entries);
            assert!(outbox.is_stuck());
            let due_ms = outbox.due_ms().expect("it tries again");
            assert_eq!(take(&mut outbox, due_ms - 1, 99), None);
            pauses.push(due_ms - now_ms);
            now_ms = due_ms;
        }
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
        assert_eq!(take(&mut outbox, now_ms, 9), Some(vec![1]));
        outbox.answered(PutId(9));
        outbox.succeeded();
        assert_eq!(take(&mut outbox, now_ms, 10), Some(vec![2, 3]));
    }

    #[test]
    fn an_answer_that_never_comes_is_not_waited_for() {
        let mut outbox = Outbox::default();
        outbox.push(Index(1));
        take(&mut outbox, 1_000, 1);
        assert_eq!(outbox.due_ms(), Some(61_000));
        outbox.give_up_late(60_999);
        assert!(!outbox.is_stuck());
        outbox.give_up_late(61_000);
        assert_eq!(outbox.answered(PutId(1)), None, "it comes too late");
        assert_eq!(take(&mut outbox, 61_500, 2), Some(vec![1]));
    }

    #[test]
    fn nothing_is_stuck_when_all_of_it_was_taken_back() {
        let mut outbox = Outbox::default();
        outbox.push(Index(1));
        take(&mut outbox, 0, 1);
        let entries = outbox.answered(PutId(1)).expect("sent");
        outbox.again_later(0, entries);
        assert!(outbox.is_stuck() && outbox.withdraw(Index(1)) && !outbox.is_stuck());
        assert_eq!(outbox.due_ms(), None);
    }

    #[test]
    fn what_is_refused_together_is_tried_alone() {
        let mut outbox = Outbox::default();
        (1..=3).for_each(|index| outbox.push(Index(index)));
        take(&mut outbox, 0, 1);
        let entries = outbox.answered(PutId(1)).expect("sent");
        outbox.push(Index(4));
        outbox.again_alone(entries);
        let mut alone = |put| {
            let entries = take(&mut outbox, 0, put);
            outbox.answered(PutId(put));
            entries
        };
        assert_eq!([alone(2), alone(3), alone(4), alone(5)], [1, 2, 3, 4].map(|index| Some(vec![index])));
    }
}
