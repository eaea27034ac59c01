//! Entries on their way to another queue. One put is sent at a time; the next one takes what came meanwhile.

use crate::queue::entry::Index;
use alloc::{collections::VecDeque, vec::Vec};

/// Names one put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PutId(pub u64);

/// Most entries of one put.
const ENTRIES_MAX: usize = 256;
/// Most bytes of a put with more than one entry: 4 MiB.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// A put that is not answered within this time is given up and repeated.
const ANSWER_MS_MAX: u64 = 60_000;
/// Pause after a put that the other queue did not take. It doubles with each failure.
const PAUSE_MS: u64 = 500;
/// Longest pause: once there is room in a full sink, results arrive no later than this.
const PAUSE_MS_MAX: u64 = 15_000;

/// The entries for one other queue, by the index of their requests.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Index>,
    sent: Option<Sent>,
    /// This many at the front go alone: they were refused together, and it is unknown which of them is at fault.
    alone: usize,
    /// Puts in a row that the other queue did not take.
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
    /// One more entry waits.
    pub fn push(&mut self, index: Index) {
        self.waiting.push_back(index);
    }

    /// Takes an entry back. False if it is on its way already.
    pub fn withdraw(&mut self, index: Index) -> bool {
        let Some(at) = self.waiting.iter().position(|waiting| *waiting == index) else { return false };
        self.waiting.remove(at);
        self.alone -= usize::from(at < self.alone);
        true
    }

    /// The entries of the next put, if one may be sent now.
    pub fn take(&mut self, now_ms: u64, put: PutId, bytes: impl Fn(Index) -> usize) -> Option<Vec<Index>> {
        if self.sent.is_some() || self.waiting.is_empty() || self.retry_ms.is_some_and(|at_ms| at_ms > now_ms) {
            return None;
        }
        self.retry_ms = None;
        // A single entry finds out whether there is room again.
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

    /// A put was answered. Returns its entries, or nothing if the put was given up.
    pub fn answered(&mut self, put: PutId) -> Option<Vec<Index>> {
        self.sent.take_if(|sent| sent.put == put).map(|sent| sent.entries)
    }

    /// The put was taken.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The put was not taken, but a later one may be.
    pub fn again_later(&mut self, now_ms: u64, entries: Vec<Index>) {
        let pause_ms = (PAUSE_MS << self.failures.min(16)).min(PAUSE_MS_MAX);
        self.failures += 1;
        self.retry_ms = Some(now_ms + pause_ms);
        self.put_back(entries);
    }

    /// One of the entries is refused for good: each goes alone.
    pub fn again_alone(&mut self, entries: Vec<Index>) {
        self.alone += entries.len();
        self.put_back(entries);
    }

    fn put_back(&mut self, entries: Vec<Index>) {
        for index in entries.into_iter().rev() {
            self.waiting.push_front(index);
        }
    }

    /// A put that was not answered in time counts as not taken.
    pub fn give_up_late(&mut self, now_ms: u64) {
        if let Some(sent) = self.sent.take_if(|sent| sent.until_ms <= now_ms) {
            self.again_later(now_ms, sent.entries);
        }
    }

    /// Whether the other queue refuses what it is given. An empty outbox is never stuck: nothing it could send would
    /// ever show that the queue has recovered.
    pub fn is_stuck(&self) -> bool {
        self.failures > 0 && (self.sent.is_some() || !self.waiting.is_empty())
    }

    /// When the next put or the end of this one is due, Unix milliseconds.
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
