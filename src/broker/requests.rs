//! Inputs become tasks: requests of clients, messages on sockets, alarm and timer, news of outbound calls.

use super::Broker;
use super::connections::WatchTerms;
use super::consumer::{ConsumerRequest, Inquiry, Outcome};
use super::dispatch::{self, Caller};
use super::inbox::Task;
use super::inquiry::{Goal, Next};
use super::io::{Body, BodyError, ConnectionId, Durable, FetchId, Fetched, Message, Output, RequestId};
use super::observer::Observer;
use super::replies::{Asked, Pending, SessionRequest, too_fast};
use crate::queue::{Event, event::Ticket, store::Side};
use crate::wire::{
    Answer, Call, CallPurpose, Operation,
    v1::client::{self, ClientCommand},
    v1::server::ServerAnswer,
};
use bytes::Bytes;

impl<S: Durable, O: Observer<S>> Broker<S, O> {
    /// A request came, with or without its body.
    pub(super) fn request(&mut self, id: RequestId, call: Call, body: Body, random: u128) {
        let body = match (dispatch::body_max(&call.purpose), body) {
            (None, _) => Bytes::new(),
            (Some(max), Body::Whole(body)) if body.len() as u64 > max => {
                return self.answer(id, dispatch::no_body(&call.purpose, BodyError::TooLong));
            }
            (Some(_), Body::Whole(body)) => body,
            (Some(max), Body::Unread) => {
                let before = self.unread.insert(id, call);
                assert!(before.is_none(), "request {} came twice", id.0);
                return self.outputs.push_back(Output::ReadBody(id, max));
            }
        };
        self.ask(id, call, body, random);
    }

    /// The body of a request was read, or could not be.
    pub(super) fn body(&mut self, id: RequestId, body: Result<Bytes, BodyError>, random: u128) {
        // Its client may have gone away meanwhile.
        let Some(call) = self.unread.remove(&id) else { return };
        match body {
            Ok(body) => self.ask(id, call, body, random),
            Err(error) => self.answer(id, dispatch::no_body(&call.purpose, error)),
        }
    }

    /// A request is complete: it becomes a task with a pending reply.
    fn ask(&mut self, id: RequestId, call: Call, body: Bytes, random: u128) {
        let ticket = self.replies.ticket();
        let on_input = call.side == Side::Main && !call.address.sink && !call.address.is_callbacks();
        let goal = match &call.purpose {
            CallPurpose::Operation(Operation::Status { request_id }) => Some((Goal::Status, request_id)),
            CallPurpose::Operation(Operation::Cancel { request_id }) => Some((Goal::Cancel, request_id)),
            _ => None,
        };
        if let (true, Some((goal, request_id))) = (on_input, goal) {
            let (request_id, service) = (request_id.clone(), call.address.service);
            let (inquiry, event) = self.inquiries.begin(id, goal, request_id, service, ticket);
            return self.inquire(inquiry, Side::Main, event);
        }
        let (pending, held) = pending(id, &call);
        let task = dispatch::call(ticket, call, body, random);
        match task.and_then(|task| self.admit(task, Caller::Request)) {
            Ok(task) => {
                self.replies.add(ticket, pending);
                if held {
                    self.replies.hold(id, dispatch::side(&task), ticket);
                    self.outputs.push_back(Output::Hold(id));
                }
                self.group_commit.arrived();
                self.inbox.push(task);
            }
            Err(refused) => self.answer(id, refused),
        }
    }

    /// Refuses a task that may not be taken, or for which there is no room.
    fn admit(&self, task: Task, caller: Caller) -> Result<Task, Answer> {
        dispatch::check(&task, caller, &self.deployment)?;
        if self.inbox.has_room(task.bytes()) { Ok(task) } else { Err(too_fast()) }
    }

    pub(super) fn answer(&mut self, id: RequestId, answer: Answer) {
        self.outputs.push_back(Output::Answer(id, answer));
    }

    /// The client of a request went away. From now on nothing is delivered to it.
    pub(super) fn gone(&mut self, id: RequestId) {
        self.unread.remove(&id);
        if let Some((side, ticket)) = self.replies.abandon(id)
            && !self.inbox.take_back(ticket)
        {
            self.inbox.push(Task::Event(side, Event::Abandon(ticket)));
        }
    }

    /// A message came on a socket.
    pub(super) fn message(&mut self, now_ms: u64, id: ConnectionId, message: Message, random: u128) {
        self.group_commit.arrived();
        if self.memory.is_none() {
            return self.early.push((id, message, random));
        }
        self.requests(now_ms, id, message, random);
        self.connections.send_all(&mut self.outputs);
    }

    /// The requests in a message of a session. Messages on other sockets mean nothing.
    pub(super) fn requests(&mut self, now_ms: u64, id: ConnectionId, message: Message, random: u128) {
        let Some(terms) = self.connections.session(id) else { return };
        let Message::Binary(message) = message else {
            let why = "a text message; this protocol has binary messages and the text ping";
            return self.hang_up(id, terms.side, 1003, why);
        };
        let Ok(requests) = client::requests(message) else {
            let why = "a message that is not a ClientMessage of edgequeue.v1, or has too many requests";
            return self.hang_up(id, terms.side, 1002, why);
        };
        for (number, operation) in requests {
            let asked = operation.and_then(|operation| {
                let request_ids = matches!(operation, ClientCommand::Put(_, true));
                let ticket = self.replies.ticket();
                let task = dispatch::session(ticket, id, &terms, operation, now_ms, random)?;
                let task = self.admit(task, Caller::Session)?;
                let request = SessionRequest { connection: id, id: number, request_ids };
                self.replies.add(ticket, Pending::Session(request));
                self.inbox.push(task);
                Ok(())
            });
            if let Err(refused) = asked {
                self.connections.answer(id, &ServerAnswer::refused(number, &refused));
            }
        }
    }

    fn hang_up(&mut self, id: ConnectionId, side: Side, code: u16, reason: &'static str) {
        self.connections.close(id, code, reason, &mut self.outputs);
        self.inbox.push(Task::Event(side, Event::Detach(id)));
    }

    /// The client closed a connection, or it broke.
    pub(super) fn closed(&mut self, id: ConnectionId) {
        match self.connections.remove(id) {
            Some(side) => self.inbox.push(Task::Event(side, Event::Detach(id))),
            // It is unknown on which side it watched, and it may still be among the sockets that are found open.
            None if self.memory.is_none() => {
                for side in [Side::Main, Side::Rear] {
                    self.inbox.push(Task::Event(side, Event::Detach(id)));
                }
            }
            None => {}
        }
    }

    /// The alarm went off.
    pub(super) fn alarm_rang(&mut self, now_ms: u64) {
        self.wakes.alarm_rang();
        self.inbox.push(Task::Alarm);
        self.tick_consumer(now_ms);
    }

    /// The timer went off.
    pub(super) fn timer_rang(&mut self, now_ms: u64) {
        let is_due = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        let waiters_ms = self.memory.as_ref().and_then(|(queue, _)| queue.wake().timer_ms);
        if self.wakes.timer_rang(now_ms) || is_due(waiters_ms) {
            self.inbox.push(Task::Event(Side::Main, Event::Tick));
        }
        if is_due(self.consumer.due_ms()) {
            self.tick_consumer(now_ms);
        }
        self.set_wakes_when_idle(now_ms);
    }

    /// Sets alarm and timer, unless turns are about to be taken, which set them anyway.
    fn set_wakes_when_idle(&mut self, now_ms: u64) {
        if !self.has_work() {
            self.set_wakes(now_ms);
        }
    }

    fn tick_consumer(&mut self, now_ms: u64) {
        let (consumer, mut context) = self.context(now_ms);
        let outcome = consumer.tick(&mut context);
        self.follow(now_ms, outcome);
    }

    /// There is news of an outbound call.
    pub(super) fn fetched(&mut self, now_ms: u64, id: FetchId, news: Fetched) {
        let (consumer, mut context) = self.context(now_ms);
        let outcome = consumer.fetched(id, news, &mut context);
        self.follow(now_ms, outcome);
        self.set_wakes_when_idle(now_ms);
    }

    /// Carries out what the consumer beside the queue wants of others.
    pub(super) fn follow(&mut self, now_ms: u64, outcome: Outcome) {
        for request in outcome.requests {
            let ticket = self.replies.ticket();
            self.consumer_asks(ticket, request);
        }
        if let Some((inquiry, found)) = outcome.found {
            let next = self.inquiries.found(inquiry, found);
            self.next(now_ms, inquiry, next);
        }
    }

    /// The consumer beside the queue asks for something. Nobody waits for the reply to a commit or a rejection: an
    /// entry that is not settled is pushed again.
    pub(super) fn consumer_asks(&mut self, ticket: Ticket, request: ConsumerRequest) {
        let event = request.event(&self.deployment.service, ticket);
        if matches!(event, Event::Attach(..)) {
            self.replies.add(ticket, Pending::Consumer);
        }
        self.inbox.push_of_consumer(Task::Event(Side::Main, event));
    }

    /// Takes the next step of a question about a request.
    pub(super) fn next(&mut self, now_ms: u64, inquiry: Inquiry, next: Next) {
        match next {
            Next::Queue(side, event) => self.inquire(inquiry, side, event),
            Next::Sink(request_id) => {
                let (consumer, mut context) = self.context(now_ms);
                consumer.ask_sink(inquiry, &request_id, &mut context);
            }
            Next::Answer(request, answer) => self.answer(request, answer),
        }
    }

    fn inquire(&mut self, inquiry: Inquiry, side: Side, event: Event) {
        let ticket = event.ticket().expect("an event that asks has a ticket");
        self.replies.add(ticket, Pending::Inquiry(inquiry));
        self.group_commit.arrived();
        self.inbox.push(Task::Event(side, event));
    }
}

/// The pending reply of a call, and whether its client may go away before it.
fn pending(id: RequestId, call: &Call) -> (Pending, bool) {
    match &call.purpose {
        CallPurpose::Watch { watch, transport } => {
            let terms = WatchTerms { side: call.side, sink: call.address.sink, watch: watch.clone() };
            (Pending::Watch(Asked { request: id, connection: None, transport: *transport, terms }), false)
        }
        CallPurpose::Operation(operation) => {
            let waits = matches!(operation, Operation::Get { get, .. } if get.wait_ms > 0);
            (Pending::Request(id, operation.form(&call.address, call.side)), waits)
        }
    }
}
