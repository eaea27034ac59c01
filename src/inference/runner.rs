//! What becomes of each request between being pushed and being committed.
//!
//! ```text
//!          Pushed        Begun       there is room      Answered        the sink took it      the webhook is stored
//! queue ─────────► Calling ──► Waiting ──────► Reading ─────► Storing ───────────► Notifying ───────────► Commit
//!                     │                          │               (no result: skipped) (no callback: skipped)
//!                     └── Failed, timeout ───────┴──► tried again: Reject with a delay
//!                                                     the last time: the sink gets the error, then Reject
//! ```
//!
//! The shell carries actions out in their order and reports what came of them; it keeps no state of its own. When the
//! queue is lost from memory so are all jobs ([`Runner::reset`]): the queue pushes their entries again. The way from an
//! answer to the commit is in `ending`.

use super::admission::Admission;
use super::breaker::Breaker;
use super::event::{Action, CallId, Destination, Event, RunnerConfig, Storing, Work};
use super::job::{Conclusion, Job, Jobs, Phase};
use super::outbox::Outbox;
use super::outcome::{self, CallFailure, Ending, PredictorAnswer, ResultEntry, TIMED_OUT, TOO_LARGE};
use crate::queue::entry::Index;
use crate::queue::limits::PAYLOAD_BYTES_CEILING;
use alloc::{format, string::ToString, vec::Vec};

/// Bytes read of the answer to a request that failed. They become the body of its result.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// Bytes read of an answer that makes no result: enough for a reason.
const REASON_BYTES_MAX: usize = 1024;
/// Longest delay before a request is tried again: 5 minutes.
const DELAY_MS_MAX: u64 = 300_000;

/// The consumer beside a queue.
#[derive(Debug)]
pub struct Runner {
    pub(super) config: RunnerConfig,
    pub(super) jobs: Jobs,
    pub(super) sink: Outbox,
    pub(super) callbacks: Outbox,
    pub(super) admission: Admission,
    breaker: Breaker,
    numbers: u64,
    /// The window that was announced last.
    window: u32,
    pub(super) settled_below: Index,
}

impl Runner {
    /// A runner that has nothing to do yet.
    pub fn new(config: RunnerConfig) -> Self {
        Self {
            window: config.window,
            config,
            jobs: Jobs::default(),
            sink: Outbox::default(),
            callbacks: Outbox::default(),
            admission: Admission::default(),
            breaker: Breaker::default(),
            numbers: 0,
            settled_below: Index(0),
        }
    }

    /// How it works.
    pub fn config(&self) -> &RunnerConfig {
        &self.config
    }

    /// Works differently from now on. Requests that are under way go on.
    pub fn reconfigure(&mut self, config: RunnerConfig, actions: &mut Vec<Action>) {
        self.config = config;
        self.announce_window(actions);
    }

    /// How many requests may be under way now.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// Forgets everything: the queue was lost from memory, and will push again what is not committed.
    pub fn reset(&mut self, actions: &mut Vec<Action>) {
        actions.extend(self.jobs.0.iter().filter(|job| job.is_calling()).map(|job| Action::Abort(job.call)));
        let breaker = self.breaker.without_pause();
        *self = Self { numbers: self.numbers, breaker, ..Self::new(self.config.clone()) };
    }

    /// Every request below this index has left the queue, durably.
    pub fn settled(&mut self, below: Index) {
        self.settled_below = self.settled_below.max(below);
    }

    /// Whether an alarm must see to it that the work goes on, should this memory be lost.
    pub fn has_work(&self) -> bool {
        !self.jobs.0.is_empty() || self.breaker.resume_ms().is_some()
    }

    /// When the next [`Event::Tick`] is due, Unix milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        let deadlines = self.jobs.0.iter().filter_map(|job| match job.phase {
            Phase::Calling { until_ms } | Phase::Reading { until_ms } => Some(until_ms),
            _ => None,
        });
        let pause_ms = self.breaker.resume_ms();
        deadlines.chain(self.sink.due_ms()).chain(self.callbacks.due_ms()).chain(pause_ms).min()
    }

    /// Takes a request out of work and aborts its call. Fails where its result is in the sink or on its way there, as
    /// nobody can call it back.
    pub fn give_up(&mut self, index: Index, actions: &mut Vec<Action>) -> Result<(), Storing> {
        match self.jobs.get(index).map(|job| &job.phase) {
            None => return Ok(()),
            Some(Phase::Storing { .. }) if !self.sink.withdraw(index) => return Err(Storing),
            Some(Phase::Notifying { .. }) => return Err(Storing),
            Some(_) => {}
        }
        self.forget(index, actions);
        Ok(())
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now_ms: u64, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Pushed(work) => self.begin(now_ms, work, actions),
            // A result that is on its way is stored all the same.
            Event::Revoked(index) => drop(self.give_up(index, actions)),
            Event::Begun(call, status, length) => self.begun(now_ms, call, status, length, actions),
            Event::Answered(call, answer) => self.answered(now_ms, call, answer, actions),
            Event::Failed(call, failure) => self.failed(now_ms, call, failure, None, actions),
            Event::Put(put, outcome) => self.put(now_ms, put, outcome, actions),
            Event::Tick => self.tick(now_ms, actions),
        }
        self.read_more(now_ms, actions);
        self.ship(now_ms, Destination::Sink, actions);
        self.ship(now_ms, Destination::Callbacks, actions);
        self.announce_window(actions);
        let held: usize = self.jobs.0.iter().map(|job| job.bytes).sum();
        debug_assert_eq!(held, self.admission.held_bytes(), "the memory of all jobs is counted");
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn begin(&mut self, now_ms: u64, work: Work, actions: &mut Vec<Action>) {
        if self.give_up(work.index, actions).is_err() {
            // Somebody else rejected the request. The result that is on its way ends this attempt as well.
            return;
        }
        let call = CallId(self.number());
        let phase = Phase::Calling { until_ms: now_ms.saturating_add(self.config.timeout_ms) };
        let (index, attempt, tags) = (work.index, work.attempt, work.tags.clone());
        self.jobs.insert(Job { index, call, attempt, tags, phase, bytes: 0 });
        actions.push(Action::Call(call, work));
    }

    /// Drops a request that is under way, and aborts its call.
    pub(super) fn forget(&mut self, index: Index, actions: &mut Vec<Action>) {
        let job = self.jobs.remove(index).expect("a request that ends is under way");
        self.admission.resize(job.bytes, 0);
        self.admission.leave(job.call);
        if job.is_calling() {
            actions.push(Action::Abort(job.call));
        }
    }

    fn begun(&mut self, now_ms: u64, call: CallId, status: u16, length: Option<u64>, actions: &mut Vec<Action>) {
        let results = self.config.results;
        // The call may have been given up.
        let Some(job) = self.jobs.calling(call) else { return };
        let Phase::Calling { until_ms } = job.phase else {
            unreachable!("an answer begins once, not in {:?}", job.phase)
        };
        let success = outcome::is_success(status);
        if success && !results {
            let index = job.index;
            actions.push(Action::Abort(call));
            return self.end(index, Ending::Done, actions);
        }
        let most = match (success, results) {
            (true, _) => PAYLOAD_BYTES_CEILING as usize,
            (false, true) => ERROR_BYTES_MAX,
            (false, false) => REASON_BYTES_MAX,
        };
        let wanted = length.map_or(most, |length| most.min(usize::try_from(length).unwrap_or(most)));
        // Its time stands still: the predictor is not to blame that there is no room.
        job.phase = Phase::Waiting { left_ms: until_ms.saturating_sub(now_ms) };
        self.admission.wait(call, wanted);
    }

    /// Lets answers be read as far as there is room.
    fn read_more(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        while let Some((call, bytes)) = self.admission.next() {
            let job = self.jobs.calling(call).expect("an answer that waits for memory belongs to a request");
            let Phase::Waiting { left_ms } = job.phase else { unreachable!("{:?} waits for memory", job.phase) };
            job.bytes = bytes;
            job.phase = Phase::Reading { until_ms: now_ms.saturating_add(left_ms) };
            actions.push(Action::Read(call, bytes));
        }
    }

    fn answered(&mut self, now_ms: u64, call: CallId, answer: PredictorAnswer, actions: &mut Vec<Action>) {
        // The call may have been given up.
        let Some(job) = self.jobs.calling(call) else { return };
        assert!(matches!(job.phase, Phase::Reading { .. }), "an answer is read in {:?}", job.phase);
        if !answer.is_success() {
            let failure = CallFailure::of(&answer);
            return self.failed(now_ms, call, failure, Some(answer), actions);
        }
        self.breaker.succeeded();
        let index = job.index;
        if answer.body.is_empty() && !answer.cut {
            return self.end(index, Ending::Empty, actions);
        }
        let (entry, failure) = if answer.cut {
            let failure = CallFailure::new(TOO_LARGE, "the result is larger than the sink takes");
            (ResultEntry::failure(&job.tags, &failure, None), Some(failure))
        } else {
            (ResultEntry::result(&job.tags, answer), None)
        };
        let ending = if failure.is_some() { Ending::Failed } else { Ending::Done };
        self.store(index, entry, Conclusion { ending, failure, dead: false });
    }

    /// An attempt failed. All but the last are tried again.
    fn failed(
        &mut self,
        now_ms: u64,
        call: CallId,
        failure: CallFailure,
        answer: Option<PredictorAnswer>,
        actions: &mut Vec<Action>,
    ) {
        // The call may have been given up.
        let Some(job) = self.jobs.calling(call) else { return };
        if failure.is_outage() && self.config.results {
            self.breaker.failed(now_ms, self.config.retry_delay_ms);
        } else {
            self.breaker.succeeded();
        }
        let index = job.index;
        let doublings = job.attempt.saturating_sub(1).min(32);
        let delay_ms = self.config.retry_delay_ms.saturating_mul(1 << doublings).min(DELAY_MS_MAX);
        let last = self.config.max_delivery != 0 && job.attempt >= self.config.max_delivery;
        if last && self.config.results {
            let entry = ResultEntry::failure(&job.tags, &failure, answer);
            let conclusion = Conclusion { ending: Ending::Failed, failure: Some(failure), dead: true };
            return self.store(index, entry, conclusion);
        }
        let (code, reason) = (failure.status.to_string(), failure.reason);
        actions.push(Action::Reject { index, code, reason, delay_ms: if last { 0 } else { delay_ms } });
        self.forget(index, actions);
    }

    fn tick(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        self.breaker.tick(now_ms);
        self.sink.give_up_late(now_ms);
        self.callbacks.give_up_late(now_ms);
        let late = self.jobs.0.iter().filter_map(|job| match job.phase {
            Phase::Calling { until_ms } | Phase::Reading { until_ms } if until_ms <= now_ms => Some(job.call),
            _ => None,
        });
        for call in late.collect::<Vec<_>>() {
            let reason = format!("no answer within {} ms", self.config.timeout_ms);
            actions.push(Action::Abort(call));
            self.failed(now_ms, call, CallFailure::new(TIMED_OUT, reason), None, actions);
        }
    }

    /// While results cannot be stored no more requests are taken in.
    fn announce_window(&mut self, actions: &mut Vec<Action>) {
        let is_stuck = self.sink.is_stuck() || self.callbacks.is_stuck();
        let window = if is_stuck { 0 } else { self.breaker.window(self.config.window) };
        if core::mem::replace(&mut self.window, window) != window {
            actions.push(Action::Window(window));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Place, PutOutcome};
    use super::*;
    use alloc::vec;

    fn handle(runner: &mut Runner, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        runner.handle(0, event, &mut actions);
        actions
    }

    #[test]
    fn a_request_whose_result_is_on_its_way_is_not_worked_on_again() {
        let config = RunnerConfig {
            service: "demo".into(),
            window: 8,
            timeout_ms: 1_000,
            retry_delay_ms: 1_000,
            max_delivery: 3,
            results: true,
            callback: Default::default(),
        };
        let mut runner = Runner::new(config);
        let work = Work { index: Index(7), attempt: 1, tags: Default::default(), data: "question".into() };
        let called = handle(&mut runner, Event::Pushed(work.clone()));
        let [Action::Call(call, _)] = called[..] else { panic!("{called:?}") };
        assert_eq!(handle(&mut runner, Event::Begun(call, 200, Some(6))), [Action::Read(call, 6)]);
        let answer = PredictorAnswer { status: 200, body: "answer".into(), ..PredictorAnswer::default() };
        let stored = handle(&mut runner, Event::Answered(call, answer));
        let [Action::Put { put, .. }] = stored[..] else { panic!("{stored:?}") };
        assert_eq!(handle(&mut runner, Event::Pushed(Work { attempt: 2, ..work })), []);
        let outcome = PutOutcome::Stored(vec![Place::default()]);
        assert_eq!(handle(&mut runner, Event::Put(put, outcome)), [Action::Commit(Index(7))]);
        assert!(!runner.has_work());
    }
}
