//! Commits and negative commits on their way. While one request is under way, further decisions are collected for the
//! next one: a slow consumer's commits leave at once, and a fast one's leave in large requests.

use crate::client::backoff::Backoff;
use crate::queue::event::Rejection;
use alloc::{collections::VecDeque, vec::Vec};

/// Bytes of the indexes in one request: a proxy on the way may take no more than 8 KiB of address and headers.
const TARGET_BYTES_MAX: usize = 3_000;

/// What a consumer says about an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The entry is done.
    Commit,
    /// The entry could not be processed.
    Reject(Rejection),
}

/// Decisions to be sent, in order.
#[derive(Debug)]
pub struct Settlements {
    waiting: VecDeque<(u64, Decision)>,
    /// Those of the request without an answer; all have the same decision.
    under_way: Vec<(u64, Decision)>,
    /// When the next request may leave, in milliseconds.
    next_ms: u64,
    backoff: Backoff,
}

impl Settlements {
    /// Nothing to be sent. `seed` should differ between clients.
    pub fn new(seed: u64) -> Self {
        Self { waiting: VecDeque::new(), under_way: Vec::new(), next_ms: 0, backoff: Backoff::new(seed) }
    }

    /// Adds a decision.
    pub fn push(&mut self, index: u64, decision: Decision) {
        self.waiting.push_back((index, decision));
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// How many are not confirmed.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.under_way.len()
    }

    /// Whether a decision about this entry waits or is under way.
    pub fn has(&self, index: u64) -> bool {
        self.waiting.iter().chain(&self.under_way).any(|(known, _)| *known == index)
    }

    /// When the next request is due; `u64::MAX` while there is none to be sent.
    pub fn due_ms(&self) -> u64 {
        if self.under_way.is_empty() && !self.waiting.is_empty() { self.next_ms } else { u64::MAX }
    }

    /// Does not wait any longer after a failure.
    pub fn hurry(&mut self) {
        self.next_ms = 0;
    }

    /// Starts the next request, if it is due: the longest run of equal decisions at the front.
    pub fn start(&mut self, now_ms: u64) -> Option<(Vec<u64>, &Decision)> {
        if now_ms < self.due_ms() {
            return None;
        }
        let mut bytes = 0;
        while let Some((index, decision)) = self.waiting.front() {
            // The comma is sent as %2C.
            bytes += index.checked_ilog10().unwrap_or(0) as usize + 4;
            let is_other = self.under_way.first().is_some_and(|(_, first)| first != decision);
            if !self.under_way.is_empty() && (is_other || bytes > TARGET_BYTES_MAX) {
                break;
            }
            self.under_way.extend(self.waiting.pop_front());
        }
        let (_, decision) = self.under_way.first()?;
        Some((self.under_way.iter().map(|(index, _)| *index).collect(), decision))
    }

    /// The request was carried out: its indexes, and whether it committed them.
    pub fn confirm(&mut self) -> (Vec<u64>, bool) {
        let settled = core::mem::take(&mut self.under_way);
        let (_, decision) = settled.first().expect("only a request that was started is answered");
        let is_commit = *decision == Decision::Commit;
        self.backoff.reset();
        (settled.into_iter().map(|(index, _)| index).collect(), is_commit)
    }

    /// The request was refused for good: its decisions stay unconfirmed.
    pub fn give_up(&mut self) {
        assert!(!self.under_way.is_empty(), "only a request that was started is answered");
        for settlement in core::mem::take(&mut self.under_way).into_iter().rev() {
            self.waiting.push_front(settlement);
        }
    }

    /// The request got no answer, or a failure that passes: it is sent again after a while. Repeating it does no harm.
    pub fn retry(&mut self, now_ms: u64) {
        self.give_up();
        self.next_ms = now_ms + self.backoff.next_ms();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settlements(decisions: impl IntoIterator<Item = (u64, Decision)>) -> Settlements {
        let mut settlements = Settlements::new(1);
        for (index, decision) in decisions {
            settlements.push(index, decision);
        }
        settlements
    }

    #[test]
    fn equal_decisions_travel_together_one_request_at_a_time() {
        let reject = Decision::Reject(Rejection::default());
        let commits = (1..=3).map(|index| (index, Decision::Commit));
        let mut settlements = settlements(commits.chain([(4, reject.clone())]));
        let first = Some((Vec::from([1, 2, 3]), &Decision::Commit));
        assert_eq!(settlements.start(0), first);
        assert_eq!(settlements.start(0), None, "one is under way");
        settlements.retry(0);
        assert!(settlements.has(2) && settlements.due_ms() > 0);
        assert_eq!(settlements.start(0), None, "not at once");
        assert_eq!(settlements.start(settlements.due_ms()), first);
        assert_eq!(settlements.confirm(), (Vec::from([1, 2, 3]), true));
        assert_eq!(settlements.start(1_000), Some((Vec::from([4]), &reject)));
        assert_eq!(settlements.confirm(), (Vec::from([4]), false));
        assert!(settlements.is_empty());
    }

    #[test]
    fn addresses_stay_short() {
        let mut settlements = settlements((0..10_000).map(|at| (1_000_000_000 + at, Decision::Commit)));
        let (mut requests, mut sent) = (0, 0);
        while let Some((indexes, _)) = settlements.start(0) {
            let bytes: usize = indexes.iter().map(|index| alloc::format!("{index}%2C").len()).sum();
            assert!(bytes < TARGET_BYTES_MAX + 100);
            sent += settlements.confirm().0.len();
            requests += 1;
        }
        assert_eq!(sent, 10_000);
        assert!(requests < 60, "{requests}");
    }
}
