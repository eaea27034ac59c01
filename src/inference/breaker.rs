//! A predictor that is down would use up every request there is. So it is asked one request at a time, at growing
//! intervals, until one succeeds.

/// Failures in a row after which the predictor counts as down. Only failures that speak of the predictor and not of the
/// request are counted.
const FAILURES_MAX: u32 = 5;
/// Longest pause between two requests to a predictor that is down.
const PAUSE_MS_MAX: u64 = 10_000;

/// The state of the predictor, as far as its failures tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Breaker {
    /// Failures in a row that speak of the predictor.
    failures: u32,
    /// The predictor is down and is not asked before this time, Unix milliseconds.
    resume_ms: Option<u64>,
}

impl Breaker {
    /// The predictor worked, or failed over one request only.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The predictor itself failed. The pause begins with `retry_delay_ms` and doubles with each further failure.
    pub fn failed(&mut self, now_ms: u64, retry_delay_ms: u64) {
        self.failures += 1;
        if let Some(beyond) = self.failures.checked_sub(FAILURES_MAX) {
            let pause_ms = retry_delay_ms.saturating_mul(1 << beyond.min(32)).min(PAUSE_MS_MAX);
            self.resume_ms = Some(now_ms.saturating_add(pause_ms));
        }
    }

    /// Ends the pause if it is over.
    pub fn tick(&mut self, now_ms: u64) {
        self.resume_ms.take_if(|at_ms| *at_ms <= now_ms);
    }

    /// When the pause ends, Unix milliseconds; nothing while there is none.
    pub fn resume_ms(&self) -> Option<u64> {
        self.resume_ms
    }

    /// How many of `most` requests may be at the predictor.
    pub fn window(&self, most: u32) -> u32 {
        match self.resume_ms {
            Some(_) => 0,
            None if self.failures >= FAILURES_MAX => most.min(1),
            None => most,
        }
    }

    /// The same without its pause: the requests that waited for its end are forgotten.
    pub fn without_pause(self) -> Self {
        Self { resume_ms: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_predictor_that_is_down_is_asked_one_request_at_a_time_after_growing_pauses() {
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES_MAX {
            breaker.failed(0, 1_000);
            assert_eq!(breaker.window(8), 8);
        }
        let (mut now_ms, mut pauses) = (0, Vec::new());
        for _ in 0..6 {
            breaker.failed(now_ms, 1_000);
            assert_eq!(breaker.window(8), 0);
            let resume_ms = breaker.resume_ms().expect("it pauses");
            breaker.tick(resume_ms - 1);
            assert_eq!(breaker.window(8), 0);
            breaker.tick(resume_ms);
            assert_eq!(breaker.window(8), 1);
            pauses.push(resume_ms - now_ms);
            now_ms = resume_ms;
        }
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
        breaker.succeeded();
        assert_eq!(breaker.window(8), 8);
        assert_eq!(breaker.window(0), 0);
    }

    #[test]
    fn after_a_lost_memory_it_is_still_known_that_the_predictor_is_down() {
        let mut breaker = Breaker::default();
        (0..FAILURES_MAX).for_each(|_| breaker.failed(0, 1_000));
        assert_eq!(breaker.without_pause().window(8), 1);
    }
}
