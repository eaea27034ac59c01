//! When the broker must be woken without a request: one durable alarm, and one timer in memory.

use super::io::Output;
use crate::queue;
use alloc::collections::VecDeque;

/// While a request is under way beside the queue, an alarm this far ahead opens the queue again if the memory is lost:
/// 30 seconds.
pub const WATCHDOG_MS: u64 = 30_000;
/// After a failed flush the queue is opened again this much later, unless an event comes before. The pause doubles with
/// each failure.
const RETRY_MS: u64 = 1_000;
const RETRY_DOUBLINGS_MAX: u32 = 6;

/// The times at which something is due, in Unix milliseconds.
pub(super) struct Wanted {
    pub queue: queue::Wake,
    /// The next deadline of the consumer beside the queue.
    pub consumer_ms: Option<u64>,
    /// Whether work is under way that must go on if this memory is lost.
    pub watchdog: bool,
}

/// The alarm and the timer as they are set.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    alarm: Alarm,
    timer_ms: Option<u64>,
    /// When the queue is opened again after a failure.
    retry_ms: Option<u64>,
    failures: u32,
}

/// The alarm, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Alarm {
    /// An earlier memory may have set it.
    #[default]
    Unknown,
    /// The shell was asked.
    Asked,
    Known(Option<u64>),
}

impl Wakes {
    /// Sets the watchdog for entries that a flush hands to the consumer beside the queue. It is durable with the flush.
    pub fn guard(&mut self, now_ms: u64, outputs: &mut VecDeque<Output>) {
        self.move_alarm(now_ms + WATCHDOG_MS, outputs);
    }

    /// Sets alarm and timer to what is wanted.
    pub fn set(&mut self, now_ms: u64, wanted: &Wanted, outputs: &mut VecDeque<Output>) {
        let watchdog_ms = wanted.watchdog.then_some(now_ms + WATCHDOG_MS);
        if let Some(at_ms) = wanted.queue.alarm_ms.into_iter().chain(watchdog_ms).min() {
            match self.alarm {
                Alarm::Known(_) => self.move_alarm(at_ms, outputs),
                Alarm::Unknown => {
                    self.alarm = Alarm::Asked;
                    outputs.push_back(Output::AskAlarm);
                }
                Alarm::Asked => {}
            }
        }
        let timer_ms = [wanted.queue.timer_ms, wanted.consumer_ms, self.retry_ms].into_iter().flatten().min();
        // A timer that rings too early costs less than moving it. One that nobody needs would keep the object awake.
        let keeps = match (timer_ms, self.timer_ms) {
            (Some(wanted_ms), Some(set_ms)) => set_ms <= wanted_ms,
            (wanted, set) => wanted == set,
        };
        if !keeps {
            self.timer_ms = timer_ms;
            outputs.push_back(Output::SetTimer(timer_ms));
        }
    }

    /// Setting the alarm costs a stored row, so it only moves to an earlier time.
    fn move_alarm(&mut self, at_ms: u64, outputs: &mut VecDeque<Output>) {
        let set_ms = match self.alarm {
            Alarm::Known(set_ms) => set_ms,
            Alarm::Unknown | Alarm::Asked => None,
        };
        if set_ms.is_none_or(|set_ms| at_ms < set_ms) {
            self.alarm = Alarm::Known(Some(at_ms));
            outputs.push_back(Output::SetAlarm(at_ms));
        }
    }

    /// The shell tells the time of the alarm. If it was set since the question, the answer is too old.
    pub fn alarm_is(&mut self, at_ms: Option<u64>) {
        if self.alarm == Alarm::Asked {
            self.alarm = Alarm::Known(at_ms);
        }
    }

    /// The alarm went off.
    pub fn alarm_rang(&mut self) {
        self.alarm = Alarm::Known(None);
    }

    /// The timer went off. Returns whether the queue must be opened again after a failure.
    pub fn timer_rang(&mut self, now_ms: u64) -> bool {
        self.timer_ms = None;
        self.retry_ms.take_if(|at_ms| *at_ms <= now_ms).is_some()
    }

    /// A flush or an opening failed. If trying again may help, the timer sees to it: watchers may wait for what the
    /// failed turns were about, and no other request may come.
    pub fn failed(&mut self, now_ms: u64, is_permanent: bool) {
        let pause_ms = RETRY_MS << self.failures.min(RETRY_DOUBLINGS_MAX);
        self.failures += 1;
        self.retry_ms = (!is_permanent).then_some(now_ms + pause_ms);
    }

    /// A flush succeeded.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.retry_ms = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    const NOTHING: Wanted = Wanted {
        queue: queue::Wake { timer_ms: None, alarm_ms: None, alarm: None },
        consumer_ms: None,
        watchdog: false,
    };

    fn alarm(at_ms: u64) -> Wanted {
        Wanted { queue: queue::Wake { alarm_ms: Some(at_ms), ..NOTHING.queue }, ..NOTHING }
    }

    fn timer(at_ms: u64) -> Wanted {
        Wanted { consumer_ms: Some(at_ms), ..NOTHING }
    }

    fn set(wakes: &mut Wakes, now_ms: u64, wanted: &Wanted) -> Vec<Output> {
        let mut outputs = VecDeque::new();
        wakes.set(now_ms, wanted, &mut outputs);
        outputs.into()
    }

    fn known() -> Wakes {
        let mut wakes = Wakes::default();
        wakes.alarm_rang();
        wakes
    }

    #[test]
    fn an_alarm_of_an_earlier_life_is_asked_for_once() {
        let mut wakes = Wakes::default();
        assert_eq!(set(&mut wakes, 0, &NOTHING), vec![]);
        assert_eq!(set(&mut wakes, 0, &alarm(50)), vec![Output::AskAlarm]);
        assert_eq!(set(&mut wakes, 0, &alarm(50)), vec![]);
        wakes.alarm_is(Some(40));
        assert_eq!(set(&mut wakes, 0, &alarm(50)), vec![], "the earlier one will do");
        assert_eq!(set(&mut wakes, 0, &alarm(30)), vec![Output::SetAlarm(30)]);
    }

    #[test]
    fn an_answer_about_the_alarm_that_comes_late_is_not_believed() {
        let mut wakes = Wakes::default();
        set(&mut wakes, 0, &alarm(50));
        let mut outputs = VecDeque::new();
        wakes.guard(0, &mut outputs);
        assert_eq!(outputs, [Output::SetAlarm(WATCHDOG_MS)]);
        wakes.alarm_is(Some(10));
        assert_eq!(set(&mut wakes, 0, &alarm(50)), vec![Output::SetAlarm(50)]);
    }

    #[test]
    fn an_alarm_is_moved_to_an_earlier_time_only_and_none_is_left_after_it_rang() {
        let mut wakes = known();
        assert_eq!(set(&mut wakes, 0, &alarm(50)), vec![Output::SetAlarm(50)]);
        assert_eq!(set(&mut wakes, 0, &alarm(60)), vec![]);
        assert_eq!(set(&mut wakes, 0, &NOTHING), vec![]);
        assert_eq!(set(&mut wakes, 0, &alarm(40)), vec![Output::SetAlarm(40)]);
        wakes.alarm_rang();
        assert_eq!(set(&mut wakes, 40, &alarm(60)), vec![Output::SetAlarm(60)]);
    }

    #[test]
    fn work_is_guarded_by_an_alarm() {
        let mut wakes = known();
        let busy = Wanted { watchdog: true, ..NOTHING };
        assert_eq!(set(&mut wakes, 7, &busy), vec![Output::SetAlarm(7 + WATCHDOG_MS)]);
        assert_eq!(set(&mut wakes, 99, &busy), vec![], "the one that is set is early enough");
    }

    #[test]
    fn a_timer_is_not_moved_to_a_later_time_and_is_taken_away() {
        let mut wakes = known();
        assert_eq!(set(&mut wakes, 0, &timer(50)), vec![Output::SetTimer(Some(50))]);
        assert_eq!(set(&mut wakes, 0, &timer(60)), vec![]);
        assert_eq!(set(&mut wakes, 0, &timer(40)), vec![Output::SetTimer(Some(40))]);
        assert_eq!(set(&mut wakes, 0, &NOTHING), vec![Output::SetTimer(None)]);
        set(&mut wakes, 0, &timer(50));
        assert!(!wakes.timer_rang(50));
        assert_eq!(set(&mut wakes, 50, &timer(50)), vec![Output::SetTimer(Some(50))], "one that rang is set again");
    }

    #[test]
    fn after_a_failure_somebody_tries_again_later_and_later() {
        let mut wakes = known();
        let mut now_ms = 0;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            wakes.failed(now_ms, false);
            let [Output::SetTimer(Some(at_ms))] = set(&mut wakes, now_ms, &NOTHING)[..] else { panic!("no timer") };
            pauses.push(at_ms - now_ms);
            assert!(!wakes.timer_rang(at_ms - 1) && wakes.timer_rang(at_ms));
            now_ms = at_ms;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64].map(|seconds| seconds * 1_000));
        wakes.failed(now_ms, false);
        wakes.succeeded();
        assert_eq!(set(&mut wakes, now_ms, &NOTHING), vec![]);
        wakes.failed(now_ms, true);
        assert_eq!(set(&mut wakes, now_ms, &NOTHING), vec![], "what stays as it is is not tried again");
    }
}
