//! The wake-ups of one side: one table with a time for each [`Timer`]. Alarms cost a stored row, so each timer is set
//! once for the earliest of its kind and looked after when it comes, not with every entry.

use super::config::Settings;
use super::group::Group;
use super::limits;
use alloc::{collections::BTreeMap, string::String};

/// A wake-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// When to remove entries that have reached their retention time.
    Retention = 0,
    /// When to take back entries that a consumer has held for too long.
    Idle = 1,
    /// When to disconnect consumers that hold entries and are silent.
    Silence = 2,
    /// When to give entries to others that were reserved for a consumer that did not come back.
    Reservation = 3,
    /// When delayed entries can go out again.
    Delay = 4,
    /// When to forget consumers that are gone. Sets no alarm: it is looked after when something else happens.
    Forget = 5,
}

impl Timer {
    /// Those that must wake a sleeping queue.
    const WITH_ALARM: [Self; 5] = [Self::Retention, Self::Idle, Self::Silence, Self::Reservation, Self::Delay];
}

/// The earliest time at which something may be due for each timer, Unix milliseconds.
#[derive(Debug, Default)]
pub(super) struct Timers([Option<u64>; 6]);

impl Timers {
    fn slot(&mut self, timer: Timer) -> &mut Option<u64> {
        self.0.get_mut(timer as usize).expect("there is a place for each timer")
    }

    /// When a timer is due, if it is set.
    pub fn get(&self, timer: Timer) -> Option<u64> {
        self.0.get(timer as usize).copied().flatten()
    }

    /// Sets or clears a timer.
    pub fn set(&mut self, timer: Timer, at_ms: Option<u64>) {
        *self.slot(timer) = at_ms;
    }

    /// Sets a timer unless it is due earlier anyway.
    pub fn set_earlier(&mut self, timer: Timer, at_ms: u64) {
        let slot = self.slot(timer);
        *slot = Some(slot.map_or(at_ms, |set_ms| set_ms.min(at_ms)));
    }

    /// Whether a timer is due. One that is due is cleared: whoever looks after it sets it anew.
    pub fn take_due(&mut self, timer: Timer, now_ms: u64) -> bool {
        self.slot(timer).take_if(|at_ms| *at_ms <= now_ms).is_some()
    }

    /// The earliest that must wake a sleeping queue.
    pub fn alarm(&self) -> Option<(u64, Timer)> {
        let set = |timer| Some((self.get(timer)?, timer));
        Timer::WITH_ALARM.into_iter().filter_map(set).min_by_key(|(at_ms, _)| *at_ms)
    }

    /// Everything is looked after in the next turn: after opening, and when settings change.
    pub fn reset(&mut self, groups: &BTreeMap<String, Group>, settings: &Settings) {
        let held = groups.values().any(|group| !group.unacked.is_empty());
        self.set(Timer::Retention, (settings.retention_ms > 0).then_some(0));
        self.set(Timer::Idle, (settings.max_idle_ms > 0 && held).then_some(0));
        self.set(Timer::Silence, (settings.max_silence_ms > 0 && held).then_some(0));
        self.set(Timer::Reservation, held.then_some(0));
        self.set(Timer::Delay, groups.values().filter_map(Group::delayed_until_ms).min());
        self.set(Timer::Forget, Some(0));
    }

    pub fn entry_put(&mut self, now_ms: u64, settings: &Settings) {
        if settings.retention_ms > 0 {
            self.set_earlier(Timer::Retention, now_ms.saturating_add(settings.retention_ms));
        }
    }

    pub fn entry_leased(&mut self, now_ms: u64, heartbeat_ms: u64, settings: &Settings) {
        if settings.max_idle_ms > 0 {
            self.set_earlier(Timer::Idle, now_ms.saturating_add(settings.max_idle_ms));
        }
        if settings.max_silence_ms > 0 {
            self.set_earlier(Timer::Silence, heartbeat_ms.max(now_ms).saturating_add(settings.max_silence_ms));
        }
    }

    pub fn entry_reserved(&mut self, now_ms: u64, until_ms: u64) {
        if until_ms > now_ms {
            self.set_earlier(Timer::Reservation, until_ms);
        }
    }

    pub fn entry_delayed(&mut self, until_ms: u64) {
        if until_ms > 0 {
            self.set_earlier(Timer::Delay, until_ms);
        }
    }

    pub fn consumer_gone(&mut self, now_ms: u64) {
        self.set_earlier(Timer::Forget, now_ms.saturating_add(limits::FORGET_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_is_the_earliest_timer_that_sets_one() {
        let mut timers = Timers::default();
        assert_eq!(timers.alarm(), None);
        timers.set_earlier(Timer::Forget, 1);
        timers.set_earlier(Timer::Delay, 7);
        timers.set_earlier(Timer::Delay, 9);
        timers.set_earlier(Timer::Silence, 8);
        assert_eq!(timers.alarm(), Some((7, Timer::Delay)), "who is forgotten wakes nobody");
        assert!(!timers.take_due(Timer::Delay, 6) && timers.take_due(Timer::Delay, 7));
        assert_eq!((timers.get(Timer::Delay), timers.alarm()), (None, Some((8, Timer::Silence))));
    }
}
