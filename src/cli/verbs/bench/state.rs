//! What all threads of a bench share.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use crate::driver::seed;

/// Shortest body: it holds the run's number and the time of the put.
pub const SIZE_MIN: usize = 16;

/// Counters of a bench, and when it is to end.
pub struct BenchState {
    pub run: u64,
    pub began: Instant,
    /// Producers are to end.
    pub stop: AtomicBool,
    pub put: AtomicU64,
    pub delivered: AtomicU64,
    pub committed: AtomicU64,
}

impl BenchState {
    /// A bench that begins now.
    pub fn new() -> Self {
        Self {
            run: seed(),
            began: Instant::now(),
            stop: AtomicBool::new(false),
            put: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            committed: AtomicU64::new(0),
        }
    }

    /// A body that says which run put it, and when.
    pub fn body(&self, size: usize) -> Vec<u8> {
        let mut body = vec![b'x'; size];
        let stamp = [self.run.to_be_bytes(), (self.began.elapsed().as_nanos() as u64).to_be_bytes()].concat();
        body.iter_mut().zip(stamp).for_each(|(byte, stamp)| *byte = stamp);
        body
    }

    /// How long ago a body was made; `None` if it is of another run.
    pub fn age(&self, body: &[u8]) -> Option<Duration> {
        let number = |at: usize| body.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
        let made = Duration::from_nanos(number(8).filter(|_| number(0) == Some(self.run))?);
        Some(self.began.elapsed().saturating_sub(made))
    }
}
