//! Questions about one request: what became of it, and its cancellation.
//!
//! A request moves from the input queue to the sink, or to the rear queue. They are asked in this order, so that a
//! request that moves on meanwhile is not missed.

use super::consumer::Inquiry;
use super::io::RequestId;
use super::replies::failed;
use crate::queue::{Event, Reply, entry::Index, event::Ticket, store::Side};
use crate::wire::{Answer, Progress, http::progress, refused};
use alloc::{collections::BTreeMap, string::String};

/// The aim of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// To answer what became of the request.
    Status,
    /// To cancel the request.
    Cancel,
}

/// Where the request is looked for now.
#[derive(Debug)]
enum Stage {
    /// In the input queue, from which a cancellation removes it.
    Input,
    /// In the rear queue.
    Rear,
    /// In the sink. The rear queue has answered this.
    Sink(Progress),
    /// In the sink, after it was removed from the input queue: its result may have been stored before the queue lost
    /// its memory.
    Removed(Index),
}

#[derive(Debug)]
struct Question {
    request: RequestId,
    request_id: String,
    service: String,
    goal: Goal,
    stage: Stage,
}

/// The next step.
pub(super) enum Next {
    /// Ask the queue.
    Queue(Side, Event),
    /// Ask the sink for the request with this id.
    Sink(String),
    /// Answer the client.
    Answer(RequestId, Answer),
}

/// All open questions.
#[derive(Debug, Default)]
pub(super) struct Inquiries {
    open: BTreeMap<Inquiry, Question>,
    last: u64,
}

impl Inquiries {
    /// A client asks. Returns the first event for the queue.
    pub fn begin(
        &mut self,
        request: RequestId,
        goal: Goal,
        request_id: String,
        service: String,
        ticket: Ticket,
    ) -> (Inquiry, Event) {
        self.last += 1;
        let inquiry = Inquiry(self.last);
        let event = match goal {
            Goal::Status => Event::Find(ticket, request_id.clone()),
            Goal::Cancel => Event::Cancel(ticket, request_id.clone()),
        };
        self.open.insert(inquiry, Question { request, request_id, service, goal, stage: Stage::Input });
        (inquiry, event)
    }

    /// The queue replied. `ticket` is for another event.
    pub fn replied(&mut self, inquiry: Inquiry, reply: Reply, ticket: Ticket) -> Next {
        let question = self.open.get_mut(&inquiry).expect("a question stays open until it is answered");
        match (&question.stage, reply) {
            (Stage::Input, Reply::Found(Some(found))) => {
                let progress = Progress::of_input(found, &question.service);
                self.answer(inquiry, progress)
            }
            (Stage::Input, Reply::Cancelled(Some(index))) => {
                question.stage = Stage::Removed(index);
                Next::Sink(question.request_id.clone())
            }
            (Stage::Input, Reply::Cancelled(None)) => {
                // The client must hear why not: what became of the request is looked up from the beginning.
                Next::Queue(Side::Main, Event::Find(ticket, question.request_id.clone()))
            }
            (Stage::Input, Reply::Found(None)) => {
                question.stage = Stage::Rear;
                Next::Queue(Side::Rear, Event::Find(ticket, question.request_id.clone()))
            }
            (Stage::Rear, Reply::Found(found)) => {
                question.stage = Stage::Sink(found.map_or(Progress::Unknown, |found| Progress::of_rear(&found)));
                Next::Sink(question.request_id.clone())
            }
            (_, Reply::Refused(refusal)) => self.end(inquiry, refused(&refusal)),
            (stage, reply) => unreachable!("the queue replied {reply:?} in {stage:?}"),
        }
    }

    /// The sink answered, or could not be asked.
    pub fn found(&mut self, inquiry: Inquiry, found: Result<Progress, String>) -> Next {
        let question = self.open.get_mut(&inquiry).expect("a question stays open until it is answered");
        let sink = match found {
            Ok(sink) => sink,
            Err(error) => return self.end(inquiry, failed(error)),
        };
        match core::mem::replace(&mut question.stage, Stage::Input) {
            Stage::Sink(rear) => self.answer(inquiry, together(sink, rear)),
            Stage::Removed(index) if sink == Progress::Unknown => {
                let answer = progress::cancelled(&question.request_id, index);
                self.end(inquiry, answer)
            }
            Stage::Removed(_) => self.answer(inquiry, sink),
            stage @ (Stage::Input | Stage::Rear) => unreachable!("the sink was not asked in {stage:?}"),
        }
    }

    /// The queue was lost from memory and will not reply.
    pub fn lost(&mut self, inquiry: Inquiry, answer: Answer) -> Next {
        self.end(inquiry, answer)
    }

    fn answer(&mut self, inquiry: Inquiry, progress: Progress) -> Next {
        let question = &self.open[&inquiry];
        let answer = match question.goal {
            Goal::Status => progress.answer(&question.request_id),
            Goal::Cancel => progress.cannot_cancel(&question.request_id),
        };
        self.end(inquiry, answer)
    }

    fn end(&mut self, inquiry: Inquiry, answer: Answer) -> Next {
        let question = self.open.remove(&inquiry).expect("a question is answered once");
        Next::Answer(question.request, answer)
    }
}

/// What the sink and the rear queue know together.
fn together(sink: Progress, rear: Progress) -> Progress {
    match (sink, rear) {
        (Progress::Unknown, rear) => rear,
        (Progress::Failed { code, reason, sink_index, .. }, Progress::Failed { rear_index, .. }) => {
            Progress::Failed { code, reason, sink_index, rear_index }
        }
        (sink, _) => sink,
    }
}
