//! Commits and negative commits on their way: while one request is under way, what comes up is collected for the next,
//! so that a slow consumer's commits leave at once and a fast one's leave in large requests.

use super::endpoint::Endpoint;
use super::request::Request;
use crate::queue::event::Rejection;
use alloc::{collections::VecDeque, vec::Vec};

/// Bytes of the indexes in one request: a proxy on the way may take no more than 8 KiB of address and headers.
const TARGET_BYTES_MAX: usize = 3_000;

/// What a consumer says about an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is done.
    Commit,
    /// It is refused.
    Reject(Rejection),
}

/// Decisions to be sent, in order.
#[derive(Debug, Default)]
pub struct Settlements {
    waiting: VecDeque<(u64, Decision)>,
    under_way: Vec<(u64, Decision)>,
}

impl Settlements {
    /// Adds a decision.
    pub fn push(&mut self, index: u64, decision: Decision) {
        self.waiting.push_back((index, decision));
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// Whether a request can be made.
    pub fn is_ready(&self) -> bool {
        self.under_way.is_empty() && !self.waiting.is_empty()
    }

    /// Whether a decision about this entry waits or is under way.
    pub fn has(&self, index: u64) -> bool {
        self.waiting.iter().chain(&self.under_way).any(|(known, _)| *known == index)
    }

    /// The next request: the longest run of equal decisions at the front.
    pub fn request(&mut self, endpoint: &Endpoint) -> Option<Request> {
        if !self.is_ready() {
            return None;
        }
        let mut bytes = 0;
        while let Some((index, decision)) = self.waiting.front() {
            // The comma is sent as %2C.
            bytes += index.checked_ilog10().unwrap_or(0) as usize + 4;
            let other = self.under_way.first().is_some_and(|(_, first)| first != decision);
            if !self.under_way.is_empty() && (other || bytes > TARGET_BYTES_MAX) {
                break;
            }
            self.under_way.extend(self.waiting.pop_front());
        }
        let indexes: Vec<u64> = self.under_way.iter().map(|(index, _)| *index).collect();
        let (_, decision) = self.under_way.first()?;
        Some(match decision {
            Decision::Commit => endpoint.commit(&indexes),
            Decision::Reject(rejection) => endpoint.reject(&indexes, rejection),
        })
    }

    /// The decisions of the request that is under way; all are equal.
    pub fn under_way(&self) -> &[(u64, Decision)] {
        &self.under_way
    }

    /// The request was carried out: how many were committed and how many refused by it.
    pub fn confirmed(&mut self) -> (u64, u64) {
        let settled = core::mem::take(&mut self.under_way);
        let count = settled.len() as u64;
        match settled.first() {
            Some((_, Decision::Commit)) => (count, 0),
            _ => (0, count),
        }
    }

    /// The request got no answer or a failure that passes: it is sent again, which does no harm.
    pub fn again(&mut self) {
        for settlement in core::mem::take(&mut self.under_way).into_iter().rev() {
            self.waiting.push_front(settlement);
        }
    }

    /// How many are not confirmed.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.under_way.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn endpoint() -> Endpoint {
        Endpoint::parse("http://a").unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    fn targets(settlements: &mut Settlements) -> Option<String> {
        settlements.request(&endpoint()).map(|request| request.target)
    }

    #[test]
    fn equal_decisions_travel_together_one_request_at_a_time() {
        let mut settlements = Settlements::default();
        for index in 1..=3 {
            settlements.push(index, Decision::Commit);
        }
        settlements.push(4, Decision::Reject(Rejection::default()));
        assert_eq!(targets(&mut settlements).as_deref(), Some("/?_indexes_=1%2C2%2C3"));
        assert_eq!(targets(&mut settlements), None);
        settlements.again();
        assert!(settlements.has(2));
        assert_eq!(targets(&mut settlements).as_deref(), Some("/?_indexes_=1%2C2%2C3"));
        assert_eq!(settlements.confirmed(), (3, 0));
        assert_eq!(targets(&mut settlements).as_deref(), Some("/?_indexes_=4&_negative_=true"));
        assert_eq!(settlements.confirmed(), (0, 1));
        assert!(settlements.is_empty());
    }

    #[test]
    fn addresses_stay_short() {
        let mut settlements = Settlements::default();
        for index in 0..10_000 {
            settlements.push(1_000_000_000 + index, Decision::Commit);
        }
        let mut requests = 0;
        while let Some(target) = targets(&mut settlements) {
            assert!(target.len() < TARGET_BYTES_MAX + 100);
            settlements.confirmed();
            requests += 1;
        }
        assert!(requests < 60, "{requests}");
    }
}
