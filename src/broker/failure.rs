//! The storage failed: who hears of it, and when the queue is opened again.

use super::inbox::Task;
use super::io::{Durable, Output};
use super::observer::Observer;
use super::replies::{Pending, storage_failed};
use super::{Broker, Phase};
use crate::queue::{event::Ticket, refusal::StoreError};
use crate::wire::v1::server::ServerAnswer;
use alloc::{collections::BTreeSet, format, string::ToString};

impl<S: Durable, O: Observer<S>> Broker<S, O> {
    /// The storage failed. Nothing since the last flush has happened, and the next task opens the queue again. The
    /// requests of the failed turns hear of it, and so do waiting gets, which the queue has forgotten. If only an
    /// operator can help, nothing is tried until the next request: a broken queue must not keep itself awake.
    pub(super) fn fail(&mut self, now_ms: u64, error: &StoreError) {
        self.outputs.push_back(Output::Log(format!("{error}; the queue is opened again with the next request")));
        self.memory = None;
        self.effects.clear();
        self.again = false;
        self.observer.lost();
        self.wakes.failed(now_ms, error.is_permanent());
        let waiting: BTreeSet<Ticket> = self.inbox.tickets().collect();
        for pending in self.replies.lose(|ticket| waiting.contains(&ticket)) {
            self.lose(now_ms, pending, error);
        }
        self.connections.send_all(&mut self.outputs);
        for (id, ..) in core::mem::take(&mut self.early) {
            // Its requests were not read, so they cannot be answered.
            self.outputs.push_back(Output::Close(id, 1011, "the queue cannot be opened; connect again later"));
        }
        if core::mem::take(&mut self.alarm) {
            // The platform tries a failed alarm again.
            let done = if error.is_permanent() { Ok(()) } else { Err(error.to_string()) };
            self.outputs.push_back(Output::AlarmDone(done));
        }
        self.reset_consumer(now_ms);
        self.set_wakes(now_ms);
        self.phase = Phase::Ready;
    }

    /// The queue could not be opened. The tasks that it was to be opened for fail with it; otherwise they would have it
    /// opened again at once, for as long as that fails.
    pub(super) fn fail_to_open(&mut self, now_ms: u64, error: &StoreError) {
        let tasks = self.inbox.take();
        self.alarm = tasks.iter().any(|task| matches!(task, Task::Alarm));
        drop(tasks);
        self.fail(now_ms, error);
    }

    fn lose(&mut self, now_ms: u64, pending: Pending, error: &StoreError) {
        match pending {
            Pending::Request(id, _) => self.answer(id, storage_failed(error)),
            Pending::Watch(asked) => self.answer(asked.request, storage_failed(error)),
            Pending::Session(request) => {
                let answered = ServerAnswer::refused(request.id, &storage_failed(error));
                self.connections.answer(request.connection, &answered);
            }
            Pending::Inquiry(inquiry) => {
                let next = self.inquiries.lost(inquiry, storage_failed(error));
                self.next(now_ms, inquiry, next);
            }
            Pending::Consumer => {}
        }
    }
}
