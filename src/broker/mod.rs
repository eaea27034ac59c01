//! The broker: everything that makes a queue a *server*. Pure, `no_std`; time and randomness are arguments.
//!
//! **The shell tells a [`Broker`] with [`Broker::handle`] what happened, and asks [`Broker::poll`] what to do until
//! there is nothing left. A broker reads no clock and never blocks. What it says after an [`Output::Flush`] must not be
//! seen outside before that flush is durable, and never if the flush fails.**
//!
//! The shell's whole loop:
//!
//! 1. something happened: `broker.handle(now_ms, input)`;
//! 2. `while let Some(output) = broker.poll(now_ms)`: do it. Some outputs are questions, and the next `handle` answers
//!    them: [`Output::Open`] with [`Input::Opened`], [`Output::Flush`] with [`Input::Flushed`],
//!    [`Output::AskHeartbeats`] with [`Input::Heartbeats`];
//! 3. an [`Output::Wait`] is done in the background, and ends in `broker.handle(now_ms, Input::Waited)` and step 2.
//!
//! Inside, data walks forward. A request becomes a task (`dispatch`) with a pending reply (`replies`). Tasks wait
//! (`inbox`) while others are likely to share their flush (`group_commit`). Each task is one turn of the
//! [machine](crate::queue). After the flush its effects become answers, frames (`connections`) and calls (`consumer`).
//! Last, alarm and timer are set (`wake`).
//!
//! - [`io`]: inputs and outputs;
//! - [`deployment`]: settings, secrets and allowed hosts of this queue;
//! - `requests`, `dispatch`, `replies`, `inquiry`: requests, their tasks and their pending replies;
//! - `inbox`, `group_commit`: tasks that wait for their turn, and how long they wait;
//! - `turns`, `failure`: turns, their flush and their effects, or its failure;
//! - `connections`, [`resume`]: watchers, and the state kept with their sockets while the broker sleeps;
//! - `consumer`, `siblings`: the consumer beside the queue, its calls, and the other queues of the service;
//! - `wake`: alarm, timer, and the retry after a failure;
//! - [`observer`]: a view of every turn, for tests.
//!
//! A broker that is dropped forgets everything but what is durable. A new one needs no more than the store and the
//! sockets that are still open.

mod connections;
mod consumer;
pub mod deployment;
mod dispatch;
mod failure;
mod group_commit;
mod inbox;
mod inquiry;
pub mod io;
pub mod observer;
mod replies;
mod requests;
pub mod resume;
mod siblings;
mod turns;
mod wake;

pub use deployment::Deployment;
pub use io::{
    Body, BodyError, ConnectionId, Durable, Fetch, FetchId, Fetched, Input, Message, Output, RequestId, Target, Wait,
};

use crate::queue::{Effect, Queue, refusal::StoreError};
use crate::store::{Flushed, SegmentStore, rows::Rows};
use crate::wire::Call;
use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use connections::Connections;
use consumer::{Context, LocalConsumer};
use group_commit::GroupCommit;
use inbox::Inbox;
use inquiry::Inquiries;
use observer::Observer;
use replies::Replies;
use wake::Wakes;

/// Serves one queue with its rear side, over a store `S`. In tests `O` observes every turn.
#[derive(Debug)]
pub struct Broker<S, O = ()> {
    deployment: Deployment,
    observer: O,
    phase: Phase,
    /// The machine and its store: missing until an input needs them, and again after a failure.
    memory: Option<(Queue, S)>,
    inbox: Inbox,
    /// Messages on sockets that came before the store was open, when it was unknown which sockets are sessions.
    early: Vec<(ConnectionId, Message, u128)>,
    /// The last turns left work for another one.
    again: bool,
    group_commit: GroupCommit,
    replies: Replies,
    /// Requests whose body is not read yet.
    unread: BTreeMap<RequestId, Call>,
    inquiries: Inquiries,
    connections: Connections,
    consumer: LocalConsumer,
    wakes: Wakes,
    /// Effects of the turns that are not flushed yet.
    effects: Vec<Effect>,
    /// Whether one of these turns is that of an alarm.
    alarm: bool,
    outputs: VecDeque<Output>,
}

/// What the broker waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The next task.
    Idle,
    /// [`Input::Waited`].
    Waiting,
    /// Nothing: the next turns can be taken.
    Ready,
    /// [`Input::Opened`].
    Opening,
    /// [`Input::Heartbeats`].
    Listening,
    /// [`Input::Flushed`].
    Flushing,
}

impl<S: Durable> Broker<S> {
    /// The broker of the queue with this name, in a deployment with these variables. Nothing is opened yet.
    pub fn new(name: &str, environment: deployment::Environment) -> Self {
        Self::observed(name, environment, ())
    }
}

impl<S: Durable, O: Observer<S>> Broker<S, O> {
    /// The same, with an observer.
    pub fn observed(name: &str, environment: deployment::Environment, observer: O) -> Self {
        let (deployment, sound) = Deployment::new(name, environment);
        Self {
            deployment,
            observer,
            phase: Phase::Idle,
            memory: None,
            inbox: Inbox::default(),
            early: Vec::new(),
            again: false,
            group_commit: GroupCommit::default(),
            replies: Replies::default(),
            unread: BTreeMap::new(),
            inquiries: Inquiries::default(),
            connections: Connections::default(),
            consumer: LocalConsumer::default(),
            wakes: Wakes::default(),
            effects: Vec::new(),
            alarm: false,
            outputs: sound.err().map(Output::Log).into_iter().collect(),
        }
    }

    /// Takes in what happened, at this time in Unix milliseconds.
    pub fn handle(&mut self, now_ms: u64, input: Input<S>) {
        match input {
            Input::Request { id, call, body, random } => self.request(id, call, body, random),
            Input::Body { id, body, random } => self.body(id, body, random),
            Input::Gone(id) => self.gone(id),
            Input::Message { connection, message, random } => self.message(now_ms, connection, message, random),
            Input::Closed(connection) => self.closed(connection),
            Input::Opened { store, sockets } => self.opened(now_ms, store, sockets),
            Input::Flushed(flushed) => self.flushed(now_ms, flushed),
            Input::Waited => {
                assert_eq!(self.phase, Phase::Waiting, "there was no Output::Wait");
                self.phase = Phase::Ready;
            }
            Input::Heartbeats(heartbeats) => self.heartbeats(now_ms, heartbeats),
            Input::Alarm => self.alarm_rang(now_ms),
            Input::AlarmSet(at_ms) => {
                self.wakes.alarm_is(at_ms);
                self.set_wakes(now_ms);
            }
            Input::Timer => self.timer_rang(now_ms),
            Input::Fetched(id, news) => self.fetched(now_ms, id, news),
        }
    }

    /// The next thing to do, if there is one before the next input.
    pub fn poll(&mut self, now_ms: u64) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            match self.phase {
                Phase::Idle if self.has_work() => self.wait(Wait::Soon),
                Phase::Ready => self.advance(now_ms),
                _ => return None,
            }
        }
    }

    /// Writes what the last turns changed, when [`Output::Flush`] asks for it.
    pub fn flush(&mut self) -> Result<Flushed, StoreError> {
        assert_eq!(self.phase, Phase::Flushing, "nothing is to be flushed");
        let (_, store) = self.memory.as_mut().expect("turns are taken in memory");
        store.flush()
    }

    /// The machine and its store, if they are in memory.
    pub fn memory(&mut self) -> Option<(&Queue, &mut S)> {
        self.memory.as_mut().map(|(queue, store)| (&*queue, store))
    }

    /// The observer.
    pub fn observer(&mut self) -> &mut O {
        &mut self.observer
    }

    fn has_work(&self) -> bool {
        self.again || !self.inbox.is_empty() || !self.early.is_empty()
    }

    fn wait(&mut self, wait: Wait) {
        self.phase = Phase::Waiting;
        self.outputs.push_back(Output::Wait(wait));
    }

    fn context(&mut self, now_ms: u64) -> (&mut LocalConsumer, Context<'_>) {
        let context = Context { now_ms, deployment: &self.deployment, outputs: &mut self.outputs };
        (&mut self.consumer, context)
    }
}

/// A store of segments is flushed as it is.
impl<R: Rows> Durable for SegmentStore<R> {
    fn rows_to_write(&self) -> usize {
        Self::rows_to_write(self)
    }

    fn flush(&mut self) -> Result<Flushed, StoreError> {
        Self::flush(self)
    }

    fn take_damage(&mut self) -> Vec<StoreError> {
        Self::take_damage(self)
    }
}
