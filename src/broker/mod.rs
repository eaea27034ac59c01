//! The broker: everything that makes a queue a *server*. Pure, `no_std`; time and randomness are arguments.
//!
//! **A [`Broker`] is told what happened with [`Broker::handle`] and says what is to be done with [`Broker::poll`], which
//! the shell calls until there is nothing. It reads no clock and waits for nobody. What it says after an [`Output::Flush`]
//! must not be seen outside before that flush is durable, and never if it fails.**
//!
//! The shell's whole loop:
//!
//! 1. something happened: `broker.handle(now_ms, input)`;
//! 2. `while let Some(output) = broker.poll(now_ms)`: do it. Some outputs ask a question, which is answered by the next
//!    `handle`: [`Output::Open`] by [`Input::Opened`], [`Output::Flush`] by [`Input::Flushed`],
//!    [`Output::AskHeartbeats`] by [`Input::Heartbeats`];
//! 3. an [`Output::Wait`] is done in the background, and ends in `broker.handle(now_ms, Input::Waited)` and step 2.
//!
//! Inside, data walks forward: a request becomes a task (`dispatch`) and somebody is owed a reply (`replies`); tasks wait
//! (`inbox`) as long as others are likely to share their flush (`group_commit`); each task is one turn of the
//! [machine](crate::queue); after the flush the effects become answers, frames (`connections`) and calls (`consumer`);
//! last, alarm and timer are set (`wake`).
//!
//! - [`io`]: inputs and outputs;
//! - [`deployment`]: what the deployment says about this queue;
//! - `dispatch`, `replies`, `inquiry`: requests, and what they are owed;
//! - `inbox`, `group_commit`: what waits for its turn, and how long;
//! - `connections`, [`resume`]: who watches, and what is kept with a socket while the broker sleeps;
//! - `consumer`: the consumer beside the queue, its calls, and the other queues of the service;
//! - `wake`: alarm, timer, and what follows a failure.
//!
//! A broker that is dropped forgets everything but what is durable: opening the store again, with the sockets that are
//! still open, is all it takes.

mod connections;
mod consumer;
pub mod deployment;
mod dispatch;
mod group_commit;
mod inbox;
mod inquiry;
pub mod io;
pub mod observer;
mod replies;
mod requests;
pub mod resume;
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

/// Serves one queue and its rear twin, over a store `S`. `O` looks on; nobody does in a deployment.
#[derive(Debug)]
pub struct Broker<S, O = ()> {
    deployment: Deployment,
    observer: O,
    phase: Phase,
    /// The machine and its store; none before the first input that needs it, and after a failure.
    memory: Option<(Queue, S)>,
    inbox: Inbox,
    /// Messages on sockets that came before the store was open: only then is it known what the socket is.
    early: Vec<(ConnectionId, Message, u128)>,
    /// There is more to do than the last turns did.
    again: bool,
    group_commit: GroupCommit,
    replies: Replies,
    /// Requests whose body is still to be read.
    unread: BTreeMap<RequestId, Call>,
    inquiries: Inquiries,
    connections: Connections,
    consumer: LocalConsumer,
    wakes: Wakes,
    /// What the turns that are being flushed result in.
    effects: Vec<Effect>,
    /// Among these turns is the one of an alarm.
    alarm: bool,
    outputs: VecDeque<Output>,
}

/// What the broker is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Something to do.
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
    /// The same, with somebody who looks on.
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

    /// Something happened, at this time, Unix milliseconds.
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
                assert_eq!(self.phase, Phase::Waiting, "nobody waits");
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

    /// What is to be done next; nothing until something else has happened.
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

    /// Writes what the last turns changed: what [`Output::Flush`] asks for.
    pub fn flush(&mut self) -> Result<Flushed, StoreError> {
        assert_eq!(self.phase, Phase::Flushing, "nothing is to be flushed");
        let (_, store) = self.memory.as_mut().expect("turns were taken");
        store.flush()
    }

    /// The machine and its store, if they are in memory.
    pub fn memory(&mut self) -> Option<(&Queue, &mut S)> {
        self.memory.as_mut().map(|(queue, store)| (&*queue, store))
    }

    /// Who looks on.
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
