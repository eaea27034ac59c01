//! The requests that are under way, and how far each has come.

use super::event::CallId;
use super::outcome::{CallFailure, Ending, ResultEntry};
use crate::queue::entry::{Index, Tags};
use alloc::vec::Vec;

/// The requests under way in the order of their indexes, at most a window of them.
#[derive(Debug, Default)]
pub(super) struct Jobs(pub Vec<Job>);

impl Jobs {
    fn at(&self, index: Index) -> Result<usize, usize> {
        self.0.binary_search_by_key(&index, |job| job.index)
    }

    pub fn get(&self, index: Index) -> Option<&Job> {
        self.0.get(self.at(index).ok()?)
    }

    pub fn get_mut(&mut self, index: Index) -> Option<&mut Job> {
        let at = self.at(index).ok()?;
        self.0.get_mut(at)
    }

    pub fn insert(&mut self, job: Job) {
        let at = self.at(job.index).expect_err("a request is worked on once at a time");
        self.0.insert(at, job);
    }

    pub fn remove(&mut self, index: Index) -> Option<Job> {
        Some(self.0.remove(self.at(index).ok()?))
    }

    /// The request that waits for this call. There is none once the call was answered, failed or given up.
    pub fn calling(&mut self, call: CallId) -> Option<&mut Job> {
        self.0.iter_mut().find(|job| job.call == call && job.is_calling())
    }
}

/// One request that is under way.
#[derive(Debug)]
pub(super) struct Job {
    pub index: Index,
    pub call: CallId,
    pub attempt: u32,
    pub tags: Tags,
    pub phase: Phase,
    /// Bytes of memory reserved for its answer or its result.
    pub bytes: usize,
}

impl Job {
    /// Whether its call is not over.
    pub fn is_calling(&self) -> bool {
        matches!(self.phase, Phase::Calling { .. } | Phase::Waiting { .. } | Phase::Reading { .. })
    }
}

/// How far a request has come, in the order of its way.
#[derive(Debug)]
pub(super) enum Phase {
    /// The predictor was called, and must begin its answer by then, Unix milliseconds.
    Calling { until_ms: u64 },
    /// The answer has begun and waits for memory. After that this much of its time is left.
    Waiting { left_ms: u64 },
    /// The answer is read, until then at the latest, Unix milliseconds.
    Reading { until_ms: u64 },
    /// The result waits for the sink or is on its way there. `reduced`: the sink refused the result itself, and this
    /// entry says why.
    Storing { entry: ResultEntry, conclusion: Conclusion, reduced: bool },
    /// The webhook waits for the queue of callbacks or is on its way there.
    Notifying { entry: ResultEntry, conclusion: Conclusion },
    /// A put was answered. The request gets its next phase, or ends, in the same step.
    Between,
}

/// How a request ends once everything of it is stored.
#[derive(Debug)]
pub(super) struct Conclusion {
    pub ending: Ending,
    pub failure: Option<CallFailure>,
    /// The request ends as a dead letter: it is rejected and not committed.
    pub dead: bool,
}
