//! Turns and their flush: the machine takes the tasks, the shell makes their writes durable, and the effects are
//! carried out.

use super::consumer::Outcome;
use super::inbox::Task;
use super::io::{ConnectionId, Durable, Output, Wait};
use super::observer::{ObservedTurn, Observer};
use super::replies::Pending;
use super::wake::Wanted;
use super::{Broker, Phase};
use crate::queue::{
    Effect, Event, Queue, Reply,
    event::Ticket,
    refusal::{Refusal, StoreError},
    store::Side,
};
use crate::store::Flushed;
use crate::wire::{answer, refused, v1::server::ServerAnswer};
use alloc::{format, string::ToString, vec::Vec};
use bytes::Bytes;

impl<S: Durable, O: Observer<S>> Broker<S, O> {
    /// Takes the next step towards a flush.
    pub(super) fn advance(&mut self, now_ms: u64) {
        if let Some(wait) = self.group_commit.wait() {
            return self.wait(wait);
        }
        if !self.has_work() {
            self.group_commit.idle();
            self.phase = Phase::Idle;
            return;
        }
        let Some((queue, _)) = &self.memory else {
            self.phase = Phase::Opening;
            return self.outputs.push_back(Output::Open);
        };
        let is_due = queue.wake().alarm_ms.is_some_and(|due_ms| due_ms <= now_ms);
        if is_due || self.inbox.has_settings() {
            // These turns may close silent sessions, and one may have sent a heartbeat that the machine does not know.
            let sessions = self.connections.sessions();
            if !sessions.is_empty() {
                self.phase = Phase::Listening;
                return self.outputs.push_back(Output::AskHeartbeats(sessions));
            }
        }
        self.take_turns(now_ms, None);
    }

    /// The shell tells the last heartbeats of sessions.
    pub(super) fn heartbeats(&mut self, now_ms: u64, heartbeats: Vec<(ConnectionId, u64)>) {
        assert_eq!(self.phase, Phase::Listening, "nobody asked for heartbeats");
        self.take_turns(now_ms, Some(Event::Heartbeats(heartbeats)));
    }

    /// The store is open. First come the sockets that outlived the last memory, then the consumer, then the tasks.
    pub(super) fn opened(&mut self, now_ms: u64, store: Result<S, StoreError>, sockets: Vec<(ConnectionId, Bytes)>) {
        assert_eq!(self.phase, Phase::Opening, "nobody asked for the store");
        let opened = store.and_then(|mut store| {
            let queue = Queue::open(self.deployment.defaults.clone(), &mut store)?;
            Ok((queue, store))
        });
        match opened {
            Ok(memory) => self.memory = Some(memory),
            Err(error) => return self.fail_to_open(now_ms, &error),
        }
        if let Err(error) = self.resume(now_ms, sockets) {
            return self.fail_to_open(now_ms, &error);
        }
        for (id, message, random) in core::mem::take(&mut self.early) {
            self.requests(now_ms, id, message, random);
        }
        self.phase = Phase::Ready;
        // At once: no other input may come between.
        self.advance(now_ms);
    }

    fn resume(&mut self, now_ms: u64, sockets: Vec<(ConnectionId, Bytes)>) -> Result<(), StoreError> {
        for state in self.connections.reopen(sockets, &mut self.outputs) {
            self.turn(now_ms, state.side, Event::Resume(state.connection, state.resume))?;
        }
        let local = self.connections.number(now_ms);
        let (queue, _) = self.memory.as_ref().expect("it was just opened");
        if let Some(watch) = self.consumer.open(local, queue.settings(), &self.deployment) {
            let ticket = self.replies.ticket();
            self.replies.add(ticket, Pending::Consumer);
            self.turn(now_ms, Side::Main, Event::Attach(ticket, local, watch))?;
        }
        Ok(())
    }

    /// Takes the turn of `first` and those of the waiting tasks, and asks for their flush.
    fn take_turns(&mut self, now_ms: u64, first: Option<Event>) {
        let again = core::mem::take(&mut self.again).then_some(Event::Tick);
        let first = first.into_iter().chain(again).map(|event| Task::Event(Side::Main, event));
        let tasks: Vec<Task> = first.chain(self.inbox.take()).collect();
        // Even if a turn fails, the shell must hear of the alarm.
        self.alarm = tasks.iter().any(|task| matches!(task, Task::Alarm));
        for task in tasks {
            if let Err(error) = self.task(now_ms, task) {
                return self.fail(now_ms, &error);
            }
        }
        let to_consumer = |effect: &Effect| matches!(effect, Effect::Push(id, _) if self.consumer.is(*id));
        if self.effects.iter().any(to_consumer) {
            // It is durable with the flush. Otherwise a lost memory would leave the entry waiting for the next request.
            self.wakes.guard(now_ms, &mut self.outputs);
        }
        let (queue, store) = self.memory.as_mut().expect("turns are taken in memory");
        if let Err(error) = queue.before_flush(store) {
            return self.fail(now_ms, &error);
        }
        self.phase = Phase::Flushing;
        let rows_max = store.rows_to_write();
        self.outputs.push_back(Output::Flush { rows_max });
    }

    /// Carries out a task, which nearly always is one turn.
    fn task(&mut self, now_ms: u64, task: Task) -> Result<(), StoreError> {
        let (queue, store) = self.memory.as_mut().expect("turns are taken in memory");
        match task {
            Task::Alarm => self.turn(now_ms, Side::Main, Event::Tick),
            Task::Watch(side, ticket, watch) => {
                let id = self.connections.number(now_ms);
                self.replies.connect(ticket, id);
                self.turn(now_ms, side, Event::Attach(ticket, id, watch))
            }
            Task::Configure(ticket, patch) => {
                let settings = patch.apply(queue.settings());
                if let Err(wrong) = self.deployment.check(&settings) {
                    self.effects.push(Effect::Reply(ticket, Reply::Refused(Refusal::Bad(wrong))));
                    return Ok(());
                }
                self.turn(now_ms, Side::Main, Event::Configure(ticket, settings))
            }
            Task::Event(side, Event::Cancel(ticket, request_id)) if side == Side::Main && self.consumer.has_work() => {
                // In the turn and not before it, as its result could still be stored in between.
                let index = queue.request(side, &request_id, store)?;
                if index.is_some_and(|index| self.consumer.give_up(index, &mut self.outputs).is_err()) {
                    self.effects.push(Effect::Reply(ticket, Reply::Cancelled(None)));
                    return Ok(());
                }
                self.turn(now_ms, side, Event::Cancel(ticket, request_id))
            }
            Task::Event(side, Event::Attach(ticket, id, watch)) => {
                if !self.consumer.is(id) && !self.is_open(id) {
                    // It was closed after it asked. Entries that it got now would never come back.
                    self.replies.take(ticket);
                    return Ok(());
                }
                self.turn(now_ms, side, Event::Attach(ticket, id, watch))
            }
            Task::Event(side, event) => {
                if let Event::Detach(id) = &event {
                    // It may have been among the sockets that were open after a sleep.
                    self.connections.remove(*id);
                }
                self.turn(now_ms, side, event)
            }
        }
    }

    /// Whether a connection is open, and stays so when the effects of the latest turns are carried out.
    fn is_open(&self, id: ConnectionId) -> bool {
        let closes = |effect: &Effect| matches!(effect, Effect::Close(closed, _) if *closed == id);
        self.connections.is_open(id) && !self.effects.iter().any(closes)
    }

    fn turn(&mut self, now_ms: u64, side: Side, event: Event) -> Result<(), StoreError> {
        let (queue, store) = self.memory.as_mut().expect("turns are taken in memory");
        let seen = O::LOOKS.then(|| event.clone());
        let before = self.effects.len();
        queue.turn(now_ms, side, event, store, &mut self.effects)?;
        if let Some(event) = seen {
            let effects = &self.effects[before..];
            self.observer.turn(ObservedTurn { now_ms, side, event, effects, queue, store });
        }
        Ok(())
    }

    /// The flush is over. Its writes need not be durable yet: see [`Output::Flush`].
    pub(super) fn flushed(&mut self, now_ms: u64, flushed: Result<Flushed, StoreError>) {
        assert_eq!(self.phase, Phase::Flushing, "nothing was flushed");
        let flushed = match flushed {
            Ok(flushed) => flushed,
            Err(error) => return self.fail(now_ms, &error),
        };
        self.observer.flushed();
        self.wakes.succeeded();
        let (_, store) = self.memory.as_mut().expect("a flush that succeeded keeps the memory");
        self.outputs.extend(store.take_damage().into_iter().map(|damage| Output::Log(damage.to_string())));
        self.carry_out(now_ms);
        if self.again {
            // Between the parts of a long delivery the shell needs time to send and to receive.
            self.group_commit.pause();
        }
        self.tend_consumer(now_ms);
        self.set_wakes(now_ms);
        // Last, because an alarm that is done does not come again: the next one is set by now.
        if core::mem::take(&mut self.alarm) {
            self.outputs.push_back(Output::AlarmDone(Ok(())));
        }
        if flushed.is_empty() {
            self.phase = Phase::Ready;
        } else {
            self.wait(Wait::Durable);
        }
    }

    /// Carries out the effects of the turns.
    fn carry_out(&mut self, now_ms: u64) {
        for effect in core::mem::take(&mut self.effects) {
            match effect {
                Effect::Reply(ticket, reply) => self.reply(now_ms, ticket, reply),
                Effect::Push(id, delivery) if self.consumer.is(id) => {
                    let (consumer, mut context) = self.context(now_ms);
                    let outcome = consumer.pushed(&delivery, &mut context);
                    self.follow(now_ms, outcome);
                }
                Effect::Push(id, delivery) => self.connections.push(id, &delivery, &mut self.outputs),
                Effect::Close(id, _) if self.consumer.is(id) => self.reset_consumer(now_ms),
                Effect::Close(id, reason) => self.connections.end(id, reason, &mut self.outputs),
                Effect::Remember(id) => self.connections.changed(id),
                Effect::Again => self.again = true,
                Effect::Revoke(id, index) if self.consumer.is(id) => {
                    let (consumer, mut context) = self.context(now_ms);
                    let outcome: Outcome = consumer.revoked(index, &mut context);
                    self.follow(now_ms, outcome);
                }
                // Sockets have no message for this.
                Effect::Revoke(..) => {}
            }
        }
        self.connections.send_all(&mut self.outputs);
        let (queue, _) = self.memory.as_ref().expect("a flush that succeeded keeps the memory");
        self.connections.keep(queue, &mut self.outputs);
    }

    /// Passes a reply on to whoever waits for it. Nobody may: clients go away, and some events need no reply.
    fn reply(&mut self, now_ms: u64, ticket: Ticket, reply: Reply) {
        let Some(pending) = self.replies.take(ticket) else { return };
        match (pending, reply) {
            (Pending::Request(id, form), reply) => self.answer(id, answer(&form, reply)),
            (Pending::Watch(asked), Reply::Attached) => {
                let (request, transport) = (asked.request, asked.transport);
                let connection = asked.connection.expect("a connection is numbered before its watch is accepted");
                self.connections.open(connection, transport, asked.terms);
                self.outputs.push_back(Output::Accept { request, connection, transport });
            }
            (Pending::Watch(asked), Reply::Refused(refusal)) => {
                self.answer(asked.request, refused(&refusal));
            }
            (Pending::Watch(_), reply) => unreachable!("a watch is accepted or refused, not {reply:?}"),
            (Pending::Session(request), reply) => {
                let answered = match reply {
                    Reply::Put(receipts) => ServerAnswer::put(request.id, receipts, request.request_ids),
                    Reply::Refused(refusal) => ServerAnswer::refused(request.id, &refused(&refusal)),
                    _ => ServerAnswer { id: request.id, ..ServerAnswer::default() },
                };
                self.connections.answer(request.connection, &answered);
            }
            (Pending::Inquiry(inquiry), reply) => {
                let ticket = self.replies.ticket();
                let next = self.inquiries.replied(inquiry, reply, ticket);
                self.next(now_ms, inquiry, next);
            }
            (Pending::Consumer, Reply::Refused(refusal)) => {
                let service = &self.deployment.service;
                self.outputs.push_back(Output::Log(format!("the requests of {service} wait: {refusal}")));
            }
            (Pending::Consumer, _) => {}
        }
    }

    fn tend_consumer(&mut self, now_ms: u64) {
        let Self { memory, consumer, connections, deployment, outputs, .. } = self;
        let (queue, store) = memory.as_mut().expect("a flush that succeeded keeps the memory");
        let queue = &*queue;
        let below = || queue.settled_below(Side::Main, &deployment.service, store);
        let mut context = super::consumer::Context { now_ms, deployment, outputs };
        let request = consumer.settled(below, queue.settings(), || connections.number(now_ms), &mut context);
        if let Some(request) = request {
            let ticket = self.replies.ticket();
            self.consumer_asks(ticket, request);
        }
    }

    pub(super) fn reset_consumer(&mut self, now_ms: u64) {
        let (consumer, mut context) = self.context(now_ms);
        consumer.reset(&mut context);
    }

    /// Sets alarm and timer to the next time something is due.
    pub(super) fn set_wakes(&mut self, now_ms: u64) {
        let queue = self.memory.as_ref().map(|(queue, _)| queue.wake()).unwrap_or_default();
        let wanted = Wanted { queue, consumer_ms: self.consumer.due_ms(), watchdog: self.consumer.has_work() };
        self.wakes.set(now_ms, &wanted, &mut self.outputs);
    }
}
