//! The way of a request from its answer to the commit: result, webhook, commit, each stored before the next.

use super::event::{Action, Destination, Place, PutOutcome};
use super::job::{Conclusion, Phase};
use super::outbox::PutId;
use super::outcome::{CallFailure, Ending, ResultEntry, TOO_LARGE};
use super::runner::Runner;
use super::webhook::{self, TAG_WEBHOOK, Webhook};
use crate::queue::entry::{Index, TAG_REQUEST_ID};
use crate::wire::names::{TAG_CALLBACK, TAG_CONTENT_TYPE};
use alloc::{string::String, string::ToString, vec::Vec};

/// Why a job is there when its outcome is stored, shipped or answered.
const UNDER_WAY: &str = "a request stays under way until everything of it is stored";

impl Runner {
    /// There is something for the sink.
    pub(super) fn store(&mut self, index: Index, entry: ResultEntry, conclusion: Conclusion) {
        let job = self.jobs.get_mut(index).expect(UNDER_WAY);
        self.admission.leave(job.call);
        self.admission.resize(job.bytes, entry.data.len());
        job.bytes = entry.data.len();
        job.phase = Phase::Storing { entry, conclusion, reduced: false };
        self.sink.push(index);
    }

    /// The request ends and there is nothing for the sink.
    pub(super) fn end(&mut self, index: Index, ending: Ending, actions: &mut Vec<Action>) {
        self.notify(index, Conclusion { ending, failure: None, dead: false }, None, actions);
    }

    /// The result is stored, or there is none: the callback is next.
    fn notify(&mut self, index: Index, conclusion: Conclusion, sink_index: Option<Index>, actions: &mut Vec<Action>) {
        let job = self.jobs.get_mut(index).expect(UNDER_WAY);
        self.admission.resize(core::mem::take(&mut job.bytes), 0);
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

    /// Sends what waits for a destination, if no other put is on its way there.
    pub(super) fn ship(&mut self, now_ms: u64, to: Destination, actions: &mut Vec<Action>) {
        let put = PutId(self.number());
        let (outbox, jobs) = match to {
            Destination::Sink => (&mut self.sink, &self.jobs),
            Destination::Callbacks => (&mut self.callbacks, &self.jobs),
        };
        let entry = |index: Index| match &jobs.get(index).expect(UNDER_WAY).phase {
            Phase::Storing { entry, .. } | Phase::Notifying { entry, .. } => entry,
            phase => unreachable!("{phase:?} has nothing to put"),
        };
        let Some(indexes) = outbox.take(now_ms, put, |index| entry(index).data.len()) else { return };
        let entries = indexes.into_iter().map(|index| (index, entry(index).clone())).collect();
        let oldest = self.jobs.0.first().map_or(Index(u64::MAX), |job| job.index);
        actions.push(Action::Put { put, to, entries, settled_below: self.settled_below.min(oldest) });
    }

    /// A put was answered.
    pub(super) fn put(&mut self, now_ms: u64, put: PutId, outcome: PutOutcome, actions: &mut Vec<Action>) {
        let (outbox, indexes) = match (self.sink.answered(put), self.callbacks.answered(put)) {
            (Some(indexes), _) => (&mut self.sink, indexes),
            (None, Some(indexes)) => (&mut self.callbacks, indexes),
            // It was given up, and what it carried is put again.
            (None, None) => return,
        };
        match outcome {
            PutOutcome::Later => outbox.again_later(now_ms, indexes),
            PutOutcome::Refused(..) if indexes.len() > 1 => outbox.again_alone(indexes),
            PutOutcome::Refused(status, reason) => {
                outbox.succeeded();
                for index in indexes {
                    self.refused(index, CallFailure::new(status, &reason), actions);
                }
            }
            PutOutcome::Stored(places) => {
                outbox.succeeded();
                let places = places.into_iter().chain(core::iter::repeat(Place::default()));
                for (index, place) in indexes.into_iter().zip(places) {
                    self.stored(index, place, actions);
                }
            }
        }
    }

    fn stored(&mut self, index: Index, place: Place, actions: &mut Vec<Action>) {
        match self.take_phase(index) {
            Phase::Storing { mut conclusion, .. } => {
                // A request that has a result already is not dead, whatever became of it since.
                conclusion.dead &= !place.repeated;
                self.notify(index, conclusion, Some(place.index), actions);
            }
            Phase::Notifying { conclusion, .. } => self.close(index, conclusion, actions),
            phase => unreachable!("{phase:?} has put nothing"),
        }
    }

    /// The other queue refuses this entry for good. The sink then gets the reason in place of the result; if it refuses
    /// even that, the request ends as a dead letter.
    fn refused(&mut self, index: Index, failure: CallFailure, actions: &mut Vec<Action>) {
        match self.take_phase(index) {
            Phase::Storing { conclusion, reduced: false, .. } => {
                let job = self.jobs.get_mut(index).expect(UNDER_WAY);
                let entry = match failure.status {
                    TOO_LARGE => ResultEntry::failure(&job.tags, &failure, None),
                    _ => ResultEntry::remnant(&job.tags, &failure),
                };
                let conclusion = Conclusion { ending: Ending::Failed, failure: Some(failure), dead: conclusion.dead };
                self.store(index, entry, conclusion);
                let phase = &mut self.jobs.get_mut(index).expect(UNDER_WAY).phase;
                let Phase::Storing { reduced, .. } = phase else { unreachable!("it was just stored") };
                *reduced = true;
            }
            Phase::Storing { .. } => {
                let conclusion = Conclusion { ending: Ending::Failed, failure: Some(failure), dead: true };
                self.notify(index, conclusion, None, actions);
            }
            Phase::Notifying { conclusion, .. } => self.close(index, conclusion, actions),
            phase => unreachable!("{phase:?} has put nothing"),
        }
    }

    fn take_phase(&mut self, index: Index) -> Phase {
        let job = self.jobs.get_mut(index).expect(UNDER_WAY);
        core::mem::replace(&mut job.phase, Phase::Between)
    }
}
