//! The requests that are under way, and how far each has come.

use super::event::CallId;
use super::outcome::{CallFailure, Ending, ResultEntry};
use crate::queue::entry::{Index, Tags};
use alloc::vec::Vec;

/// What is under way, at most a window of it, in the order of indexes.
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
        if let Err(at) = self.at(job.index) {
            self.0.insert(at, job);
        }
    }

    pub fn remove(&mut self, index: Index) -> Option<Job> {
        Some(self.0.remove(self.at(index).ok()?))
    }

    /// The one whose call this is, if the call is not over.
    pub fn calling(&mut self, call: CallId) -> Option<&mut Job> {
        self.0.iter_mut().find(|job| job.call == call && job.is_calling())
    }
}

#[derive(Debug)]
pub(super) struct Job {
    pub index: Index,
    pub call: CallId,
    pub attempt: u32,
    pub tags: Tags,
    pub phase: Phase,
    /// Bytes it holds or may come to hold.
    pub bytes: usize,
}

impl Job {
    pub fn is_calling(&self) -> bool {
        matches!(self.phase, Phase::Calling { .. } | Phase::Waiting { .. } | Phase::Reading { .. })
    }
}

#[derive(Debug)]
pub(super) enum Phase {
    Calling { until_ms: u64 },
    Waiting { wanted: usize, left_ms: u64 },
    Reading { until_ms: u64 },
    Storing { entry: ResultEntry, conclusion: Conclusion, reduced: bool },
    Notifying { entry: ResultEntry, conclusion: Conclusion },
}

/// How a request ends once everybody knows.
#[derive(Debug)]
pub(super) struct Conclusion {
    pub ending: Ending,
    pub failure: Option<CallFailure>,
    /// It ends as a refusal and not as done.
    pub dead: bool,
}
