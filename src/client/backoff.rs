//! How long to wait before the next attempt.

/// First wait, in milliseconds.
const FIRST_MS: u64 = 250;
/// Longest wait, in milliseconds.
const LONGEST_MS: u64 = 15_000;

/// Doubling waits, each shortened by up to a half at random so that clients which lost the same service do not come
/// back at the same moment.
#[derive(Clone, Debug)]
pub struct Backoff {
    failures: u32,
    random: u64,
}

impl Backoff {
    /// `seed` should differ between clients.
    pub fn new(seed: u64) -> Self {
        Self { failures: 0, random: seed | 1 }
    }

    /// The wait before the next attempt, in milliseconds.
    pub fn next_ms(&mut self) -> u64 {
        let whole = (FIRST_MS << self.failures.min(16)).min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        // xorshift: good enough to spread clients.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        whole - self.random % (whole / 2 + 1)
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Something worked: the next wait is short again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::new(7);
        let waits: [u64; 12] = core::array::from_fn(|_| backoff.next_ms());
        assert!((FIRST_MS / 2..=FIRST_MS).contains(&waits[0]), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= LONGEST_MS));
        assert!(waits[11] >= LONGEST_MS / 2);
        backoff.reset();
        assert!(backoff.next_ms() <= FIRST_MS);
    }
}
