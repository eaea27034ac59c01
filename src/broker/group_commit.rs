//! Group commit: how long a flush waits for the requests that will share it.
//!
//! Where several requests came together, or shared the last flush, more are likely to follow. Whether a single request
//! has company shows by waiting. If none comes, as with a client that sends one request at a time, more and more
//! flushes begin at once before the broker waits again.
//!
//! The wait is a number of turns of the event loop, and lasts as long as they bring more requests. A timer would wait
//! for a whole millisecond, and a request takes a quarter of that.

use super::io::Wait;

/// After waits that brought nothing, at most `2^MISSES_MAX - 1` flushes begin at once.
const MISSES_MAX: u32 = 5;
/// A request takes about this many turns from its connection to the object.
const QUIET_TURNS: u32 = 5;
/// The first request waits no longer than this, however many arrive.
const TURNS_MAX: u32 = 64;

/// When a flush begins.
#[derive(Debug, Default)]
pub(super) struct GroupCommit {
    /// Requests and messages since the last flush.
    arrived: u32,
    /// Requests that shared the last flush; 0 after an idle time.
    last_batch: u32,
    /// The wait for the flush that is to begin.
    waiting: Option<Waiting>,
    /// The shell needs time before the next flush in any case.
    pause: bool,
    /// Waits in a row that brought nothing.
    misses: u32,
    /// Flushes that begin at once before the next wait.
    skip: u32,
}

#[derive(Debug)]
struct Waiting {
    /// Turns that passed, and the latest of them that brought nothing.
    turns: u32,
    quiet: u32,
    /// Requests and messages before the last turn.
    arrived: u32,
}

impl GroupCommit {
    /// A request or a message arrived.
    pub fn arrived(&mut self) {
        self.arrived += 1;
    }

    /// The next flush begins a moment later.
    pub fn pause(&mut self) {
        self.pause = true;
    }

    /// Nothing is left to do.
    pub fn idle(&mut self) {
        self.last_batch = 0;
    }

    /// The next wait before the flush, if any. After the wait it is asked for again.
    pub fn wait(&mut self) -> Option<Wait> {
        if core::mem::take(&mut self.pause) {
            return Some(Wait::Moment);
        }
        let arrived = self.arrived;
        if arrived == 0 {
            return None;
        }
        match &mut self.waiting {
            Some(waiting) => {
                waiting.quiet = if arrived > waiting.arrived { 0 } else { waiting.quiet + 1 };
                (waiting.turns, waiting.arrived) = (waiting.turns + 1, arrived);
                if waiting.quiet < QUIET_TURNS && waiting.turns < TURNS_MAX {
                    return Some(Wait::Turn);
                }
                self.misses = if arrived > 1 { 0 } else { (self.misses + 1).min(MISSES_MAX) };
                self.skip = (1 << self.misses) - 1;
            }
            None if arrived > 1 || self.last_batch > 1 || self.skip == 0 => {
                self.waiting = Some(Waiting { turns: 0, quiet: 0, arrived });
                return Some(Wait::Turn);
            }
            None => self.skip -= 1,
        }
        (self.last_batch, self.arrived, self.waiting) = (arrived, 0, None);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests come, the first before the wait and the others after these turns of it. Returns the turns that the
    /// flush waited.
    fn flush(policy: &mut GroupCommit, later: &[u32]) -> u32 {
        policy.arrived();
        let mut turns = 0;
        while let Some(wait) = policy.wait() {
            assert_eq!(wait, Wait::Turn);
            turns += 1;
            later.iter().filter(|turn| **turn == turns).for_each(|_| policy.arrived());
        }
        turns
    }

    #[test]
    fn a_flush_waits_while_others_join_it() {
        let mut policy = GroupCommit::default();
        assert_eq!(flush(&mut policy, &[1, 3, 3, 7]), 7 + QUIET_TURNS);
        let crowd: Vec<u32> = (1..1_000).collect();
        assert_eq!(flush(&mut policy, &crowd), TURNS_MAX, "the first one does not wait for ever");
    }

    #[test]
    fn one_request_at_a_time_is_waited_for_less_and_less() {
        let mut policy = GroupCommit::default();
        let mut between = Vec::new();
        let mut at_once = 0;
        for _ in 0..200 {
            match flush(&mut policy, &[]) {
                0 => at_once += 1,
                turns => {
                    assert_eq!(turns, QUIET_TURNS);
                    between.push(std::mem::take(&mut at_once));
                }
            }
        }
        assert_eq!(between, [0, 1, 3, 7, 15, 31, 31, 31, 31, 31]);
    }

    #[test]
    fn company_is_noticed_and_remembered() {
        let mut policy = GroupCommit::default();
        for _ in 0..10 {
            flush(&mut policy, &[]);
        }
        // Two that come together are waited for, whatever was missed before. So is the one that comes after them.
        policy.arrived();
        assert_eq!(flush(&mut policy, &[]), QUIET_TURNS);
        assert_eq!(flush(&mut policy, &[]), QUIET_TURNS);
        policy.arrived();
        assert_eq!(flush(&mut policy, &[]), QUIET_TURNS);
        policy.idle();
        assert_eq!(flush(&mut policy, &[]), QUIET_TURNS, "company clears the misses");
        assert_eq!(flush(&mut policy, &[]), 0);
    }

    #[test]
    fn what_nobody_asked_for_is_flushed_at_once_and_a_pause_comes_first() {
        let mut policy = GroupCommit::default();
        assert_eq!(policy.wait(), None);
        policy.pause();
        policy.arrived();
        assert_eq!(policy.wait(), Some(Wait::Moment));
        assert_eq!(policy.wait(), Some(Wait::Turn));
    }
}
