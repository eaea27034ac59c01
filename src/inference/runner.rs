//! What becomes of each request between being pushed and being committed.
//!
//! ```text
//!          Pushed        Begun       there is room      Answered       the sink took it    the webhook is stored
//! queue ─────────► Calling ──► Waiting ──────► Reading ─────► Storing ───────────► Notifying ───────────► Commit
//!                     │                          │               (no result: skipped) (no callback: skipped)
//!                     └── Failed, timeout ───────┴──► tried again: Reject with a delay
//!                                                     the last time: the sink gets the error, then Reject
//! ```
//!
//! The shell carries actions out in their order and reports what came of them; it keeps no state of its own. When the
//! queue is lost from memory so are all jobs ([`Runner::reset`]): the queue pushes their entries again.

use super::event::{Action, CallId, Destination, Event, Place, PutOutcome, RunnerConfig, Storing, Work};
use super::job::{Conclusion, Job, Jobs, Phase};
use super::outbox::{Outbox, PutId};
use super::outcome::{self, CallFailure, Ending, PredictorAnswer, ResultEntry, TIMED_OUT, TOO_LARGE};
use super::webhook::{self, TAG_WEBHOOK, Webhook};
use crate::queue::entry::{Index, TAG_REQUEST_ID};
use crate::queue::limits::PAYLOAD_BYTES_CEILING;
use crate::wire::names::{TAG_CALLBACK, TAG_CONTENT_TYPE};
use alloc::{collections::VecDeque, format, string::String, string::ToString, vec, vec::Vec};

/// Bytes of answers in memory at one time, waiting results included: 24 MiB. Further answers are not read until there is
/// room; an object has 128 MB.
const HELD_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Bytes read of an answer that is no success.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// Bytes read of an answer that makes no result: enough for a reason.
const REASON_BYTES_MAX: usize = 1024;
/// Longest delay before a request is tried again: 5 minutes.
const DELAY_MS_MAX: u64 = 300_000;
/// So many failures in a row that speak of the predictor, and it is taken to be down: requests must not be used up on it.
const OUTAGE_FAILURES: u32 = 5;
/// Longest pause between two requests to a predictor that is down.
const OUTAGE_PAUSE_MS_MAX: u64 = 10_000;

/// The consumer beside a queue.
#[derive(Debug)]
pub struct Runner {
    config: RunnerConfig,
    jobs: Jobs,
    sink: Outbox,
    callbacks: Outbox,
    /// Answers that have begun and wait for room, the oldest first.
    waiting: VecDeque<CallId>,
    held_bytes: usize,
    numbers: u64,
    /// What was said last.
    window: u32,
    settled_below: Index,
    /// Failures in a row that speak of the predictor.
    outages: u32,
    /// It is down: nothing is asked of it before then.
    resume_ms: Option<u64>,
}

impl Runner {
    /// One that has nothing to do yet.
    pub fn new(config: RunnerConfig) -> Self {
        Self {
            window: config.window,
            config,
            jobs: Jobs::default(),
            sink: Outbox::default(),
            callbacks: Outbox::default(),
            waiting: VecDeque::new(),
            held_bytes: 0,
            numbers: 0,
            settled_below: Index(0),
            outages: 0,
            resume_ms: None,
        }
    }

    /// How it works.
    pub fn config(&self) -> &RunnerConfig {
        &self.config
    }

    /// Works differently from now on; requests that are out stay so.
    pub fn reconfigure(&mut self, config: RunnerConfig, actions: &mut Vec<Action>) {
        self.config = config;
        self.tell_window(actions);
    }

    /// The window it should have now.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// Everything is forgotten: the queue was lost from memory and will push again what is not committed.
    pub fn reset(&mut self, actions: &mut Vec<Action>) {
        actions.extend(self.jobs.0.iter().filter(|job| job.is_calling()).map(|job| Action::Abort(job.call)));
        *self = Self { numbers: self.numbers, outages: self.outages, ..Self::new(self.config.clone()) };
    }

    /// Of the requests below this none is in the queue any more, and that is durable before anybody is told.
    pub fn settled(&mut self, below: Index) {
        self.settled_below = self.settled_below.max(below);
    }

    /// Whether something is under way that must be woken up for, should this memory be lost.
    pub fn has_work(&self) -> bool {
        !self.jobs.0.is_empty() || self.resume_ms.is_some()
    }

    /// When to come with a [`Event::Tick`] at the latest, Unix milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        let deadlines = self.jobs.0.iter().filter_map(|job| match job.phase {
            Phase::Calling { until_ms } | Phase::Reading { until_ms } => Some(until_ms),
            _ => None,
        });
        deadlines.chain(self.sink.due_ms()).chain(self.callbacks.due_ms()).chain(self.resume_ms).min()
    }

    /// Somebody takes a request away: nothing more becomes of it. Except when its result is on its way into the sink or
    /// there: nobody can call it back.
    pub fn give_up(&mut self, index: Index, actions: &mut Vec<Action>) -> Result<(), Storing> {
        match self.jobs.get(index).map(|job| &job.phase) {
            Some(Phase::Storing { .. }) if !self.sink.withdraw(index) => return Err(Storing),
            Some(Phase::Notifying { .. }) => return Err(Storing),
            _ => self.forget(index, actions),
        }
        Ok(())
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now_ms: u64, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Pushed(work) => self.begin(now_ms, work, actions),
            Event::Revoked(index) => {
                let _ = self.give_up(index, actions);
            }
            Event::Begun(call, status, length) => self.begun(now_ms, call, status, length, actions),
            Event::Answered(call, answer) => self.answered(now_ms, call, answer, actions),
            Event::Failed(call, failure) => self.failed(now_ms, call, failure, None, actions),
            Event::Put(put, outcome) => self.put(now_ms, put, outcome, actions),
            Event::Tick => self.tick(now_ms, actions),
        }
        self.read_more(now_ms, actions);
        self.ship(now_ms, Destination::Sink, actions);
        self.ship(now_ms, Destination::Callbacks, actions);
        self.tell_window(actions);
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn begin(&mut self, now_ms: u64, work: Work, actions: &mut Vec<Action>) {
        // A queue that gives out what is out here already has taken it back before.
        let _ = self.give_up(work.index, actions);
        let call = CallId(self.number());
        let phase = Phase::Calling { until_ms: now_ms.saturating_add(self.config.timeout_ms) };
        let (index, attempt, tags) = (work.index, work.attempt, work.tags.clone());
        self.jobs.insert(Job { index, call, attempt, tags, phase, bytes: 0 });
        actions.push(Action::Call(call, work));
    }

    fn forget(&mut self, index: Index, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.remove(index) else { return };
        self.held_bytes -= job.bytes;
        self.waiting.retain(|call| *call != job.call);
        if job.is_calling() {
            actions.push(Action::Abort(job.call));
        }
    }

    fn begun(&mut self, now_ms: u64, call: CallId, status: u16, length: Option<u64>, actions: &mut Vec<Action>) {
        let results = self.config.results;
        let Some(job) = self.jobs.calling(call) else { return };
        let Phase::Calling { until_ms } = job.phase else { return };
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
        // Its time stands still: that there is no room is not the predictor's fault.
        job.phase = Phase::Waiting { wanted, left_ms: until_ms.saturating_sub(now_ms) };
        self.waiting.push_back(call);
    }

    /// Lets answers be read as far as there is room.
    fn read_more(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        while let Some(call) = self.waiting.front().copied() {
            let job = self.jobs.calling(call).map(|job| (&job.phase, job.index));
            let Some((&Phase::Waiting { wanted, left_ms }, index)) = job else {
                self.waiting.pop_front();
                continue;
            };
            if self.held_bytes > 0 && self.held_bytes + wanted > HELD_BYTES_MAX {
                return;
            }
            self.waiting.pop_front();
            self.held_bytes += wanted;
            if let Some(job) = self.jobs.get_mut(index) {
                job.bytes = wanted;
                job.phase = Phase::Reading { until_ms: now_ms.saturating_add(left_ms) };
            }
            actions.push(Action::Read(call, wanted));
        }
    }

    fn answered(&mut self, now_ms: u64, call: CallId, answer: PredictorAnswer, actions: &mut Vec<Action>) {
        if !answer.is_success() {
            let failure = CallFailure::of(&answer);
            return self.failed(now_ms, call, failure, Some(answer), actions);
        }
        self.outages = 0;
        let Some(job) = self.jobs.calling(call) else { return };
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
        if self.jobs.calling(call).is_none() {
            return;
        }
        self.count_outage(now_ms, &failure);
        let Some(job) = self.jobs.calling(call) else { return };
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

    /// A predictor that is down would use up every request there is. So it is asked less and less, one at a time.
    fn count_outage(&mut self, now_ms: u64, failure: &CallFailure) {
        if !failure.is_outage() || !self.config.results {
            self.outages = 0;
            return;
        }
        self.outages += 1;
        if let Some(beyond) = self.outages.checked_sub(OUTAGE_FAILURES) {
            let pause_ms = self.config.retry_delay_ms.saturating_mul(1 << beyond.min(32)).min(OUTAGE_PAUSE_MS_MAX);
            self.resume_ms = Some(now_ms.saturating_add(pause_ms));
        }
    }

    fn store(&mut self, index: Index, entry: ResultEntry, conclusion: Conclusion) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        self.held_bytes = self.held_bytes - job.bytes + entry.data.len();
        job.bytes = entry.data.len();
        job.phase = Phase::Storing { entry, conclusion, reduced: false };
        self.sink.push(index);
    }

    /// Nothing is stored for it.
    fn end(&mut self, index: Index, ending: Ending, actions: &mut Vec<Action>) {
        self.tell(index, Conclusion { ending, failure: None, dead: false }, None, actions);
    }

    /// Everything of a request is stored: who wants to know is told, and then it ends.
    fn tell(&mut self, index: Index, conclusion: Conclusion, sink_index: Option<Index>, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        self.held_bytes -= core::mem::take(&mut job.bytes);
        let named = job.tags.get(TAG_CALLBACK).unwrap_or(&self.config.callback);
        if named.is_empty() || !self.config.results {
            return self.close(index, conclusion, actions);
        }
        let code = conclusion.failure.as_ref().map(|failure| failure.status.to_string());
        let request_id = job.tags.get(TAG_REQUEST_ID).map_or("", String::as_str);
        let webhook = Webhook {
            request_id,
            service: &self.config.service,
            status: conclusion.ending,
            index: index.0,
            sink_index: sink_index.map(|index| index.0).filter(|index| *index != 0),
            code: code.as_deref(),
            reason: conclusion.failure.as_ref().map(|failure| failure.reason.as_str()),
        };
        let tags = [
            (TAG_REQUEST_ID, request_id.to_string()),
            (TAG_CALLBACK, named.clone()),
            (TAG_CONTENT_TYPE, "application/json".into()),
            (TAG_WEBHOOK, webhook::id(&self.config.service, index)),
        ];
        let tags = tags.into_iter().map(|(key, value)| (key.into(), value)).collect();
        job.phase = Phase::Notifying { entry: ResultEntry { tags, data: webhook.body().into() }, conclusion };
        self.callbacks.push(index);
    }

    /// The last step.
    fn close(&mut self, index: Index, conclusion: Conclusion, actions: &mut Vec<Action>) {
        actions.push(match conclusion {
            Conclusion { failure: Some(failure), dead: true, .. } => {
                let (code, reason) = (failure.status.to_string(), failure.reason);
                Action::Reject { index, code, reason, delay_ms: 0 }
            }
            _ => Action::Commit(index),
        });
        self.forget(index, actions);
    }

    /// Sends what waits for a destination.
    fn ship(&mut self, now_ms: u64, to: Destination, actions: &mut Vec<Action>) {
        let put = PutId(self.number());
        let (outbox, jobs) = match to {
            Destination::Sink => (&mut self.sink, &self.jobs),
            Destination::Callbacks => (&mut self.callbacks, &self.jobs),
        };
        let entry = |index: &Index| match &jobs.get(*index)?.phase {
            Phase::Storing { entry, .. } | Phase::Notifying { entry, .. } => Some(entry),
            _ => None,
        };
        let bytes = |index: Index| entry(&index).map_or(0, |entry| entry.data.len());
        let Some(entries) = outbox.take(now_ms, put, bytes) else { return };
        let entries = entries.iter().filter_map(|index| Some((*index, entry(index)?.clone()))).collect();
        let oldest = self.jobs.0.first().map_or(Index(u64::MAX), |job| job.index);
        actions.push(Action::Put { put, to, entries, settled_below: self.settled_below.min(oldest) });
    }

    fn put(&mut self, now_ms: u64, put: PutId, outcome: PutOutcome, actions: &mut Vec<Action>) {
        let (to, entries) = match (self.sink.answered(put), self.callbacks.answered(put)) {
            (Some(entries), _) => (Destination::Sink, entries),
            (None, Some(entries)) => (Destination::Callbacks, entries),
            (None, None) => return,
        };
        let outbox = match to {
            Destination::Sink => &mut self.sink,
            Destination::Callbacks => &mut self.callbacks,
        };
        match outcome {
            PutOutcome::Later => outbox.again_later(now_ms, entries),
            PutOutcome::Refused(..) if entries.len() > 1 => outbox.again_alone(entries),
            PutOutcome::Refused(status, reason) => {
                outbox.succeeded();
                for index in entries {
                    self.refused(index, CallFailure::new(status, &reason), actions);
                }
            }
            PutOutcome::Stored(places) => {
                outbox.succeeded();
                let places = places.into_iter().chain(core::iter::repeat(Place::default()));
                for (index, place) in entries.into_iter().zip(places) {
                    self.stored(index, place, actions);
                }
            }
        }
    }

    fn stored(&mut self, index: Index, place: Place, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        match core::mem::replace(&mut job.phase, Phase::Calling { until_ms: u64::MAX }) {
            Phase::Storing { mut conclusion, .. } => {
                // A request that has a result already is not dead, whatever became of it since.
                conclusion.dead &= !place.repeated;
                self.tell(index, conclusion, Some(place.index), actions);
            }
            Phase::Notifying { conclusion, .. } => self.close(index, conclusion, actions),
            phase => job.phase = phase,
        }
    }

    /// The other queue does not take it for what it is. In place of a result the sink gets the reason; should it not
    /// even take that, the request ends among the dead.
    fn refused(&mut self, index: Index, failure: CallFailure, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        match core::mem::replace(&mut job.phase, Phase::Calling { until_ms: u64::MAX }) {
            Phase::Storing { conclusion, reduced: false, .. } => {
                let entry = match failure.status {
                    TOO_LARGE => ResultEntry::failure(&job.tags, &failure, None),
                    _ => ResultEntry::remnant(&job.tags, &failure),
                };
                let conclusion = Conclusion { ending: Ending::Failed, failure: Some(failure), dead: conclusion.dead };
                self.store(index, entry, conclusion);
                if let Some(Phase::Storing { reduced, .. }) = self.jobs.get_mut(index).map(|job| &mut job.phase) {
                    *reduced = true;
                }
            }
            Phase::Storing { .. } => {
                let conclusion = Conclusion { ending: Ending::Failed, failure: Some(failure), dead: true };
                self.tell(index, conclusion, None, actions);
            }
            Phase::Notifying { conclusion, .. } => self.close(index, conclusion, actions),
            phase => job.phase = phase,
        }
    }

    fn tick(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        self.resume_ms.take_if(|at_ms| *at_ms <= now_ms);
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
    fn tell_window(&mut self, actions: &mut Vec<Action>) {
        let stuck = self.sink.is_stuck() || self.callbacks.is_stuck() || self.resume_ms.is_some();
        let window = match (stuck, self.outages >= OUTAGE_FAILURES) {
            (true, _) => 0,
            (false, true) => self.config.window.min(1),
            (false, false) => self.config.window,
        };
        if core::mem::replace(&mut self.window, window) != window {
            actions.extend(vec![Action::Window(window)]);
        }
    }
}
