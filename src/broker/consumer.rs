//! The consumer beside a queue. The queue pushes to it as to any watcher, and the actions of its [`Runner`] become
//! calls, puts into other queues, commits and rejections.
//!
//! Nothing of it is stored. After the memory was lost, opening the queue attaches the consumer again, and the queue
//! pushes again what it held.

use super::deployment::Deployment;
use super::io::{Fetch, FetchId, Fetched, Output};
use super::siblings;
use crate::inference::{
    Action, Event, Runner, consumer,
    event::{CallId, Destination, PutOutcome, Storing, Work},
    outbox::PutId,
    outcome::CallFailure,
};
use crate::queue::{
    config::Settings,
    effect::Delivery,
    entry::Index,
    event::{self, Rejection, Watch, WatcherId},
};
use crate::wire::Progress;
use alloc::{collections::BTreeMap, collections::VecDeque, string::String, vec, vec::Vec};
use bytes::Bytes;

/// Most bytes read of another queue's answer: 1 MiB.
const QUEUE_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// The purpose of an outbound call.
#[derive(Debug)]
enum Purpose {
    /// A call of the runner.
    Call(CallId),
    /// A put of the runner, and the status of its answer once it has begun.
    Put(PutId, u16),
    /// A question to the sink about a request.
    Status(Inquiry),
}

/// Names a question about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Inquiry(pub u64);

/// What the consumer asks of its queue.
#[derive(Debug)]
pub(super) enum ConsumerRequest {
    /// To commit these entries.
    Commit(Vec<Index>),
    /// To reject this entry.
    Reject(Index, Rejection),
    /// To watch, or to change the window.
    Attach(WatcherId, Watch),
    /// To watch no longer.
    Detach(WatcherId),
}

/// The consumer and its calls.
#[derive(Debug, Default)]
pub(super) struct LocalConsumer {
    runner: Option<Runner>,
    watcher: Option<WatcherId>,
    /// The settings that the runner was configured with.
    settings: Settings,
    fetches: BTreeMap<FetchId, Purpose>,
    numbers: u64,
}

/// What follows from a step.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// For the queue.
    pub requests: Vec<ConsumerRequest>,
    /// The sink's answer to a question about a request, or why there is none.
    pub found: Option<(Inquiry, Result<Progress, String>)>,
}

/// The surroundings of a step.
pub(super) struct Context<'a> {
    pub now_ms: u64,
    pub deployment: &'a Deployment,
    pub outputs: &'a mut VecDeque<Output>,
}

impl LocalConsumer {
    /// Whether this is its connection.
    pub fn is(&self, id: WatcherId) -> bool {
        self.watcher == Some(id)
    }

    /// Whether an alarm must see to it that the work goes on, should this memory be lost.
    pub fn has_work(&self) -> bool {
        self.runner.as_ref().is_some_and(Runner::has_work)
    }

    /// When the next [`tick`](Self::tick) is due, Unix milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        self.runner.as_ref().and_then(Runner::due_ms)
    }

    /// The queue was opened. Returns the watch of the consumer, if the queue has one.
    pub fn open(&mut self, id: WatcherId, settings: &Settings, deployment: &Deployment) -> Option<Watch> {
        deployment.consumes(settings).then(|| self.watch(id, settings, deployment))
    }

    fn watch(&mut self, id: WatcherId, settings: &Settings, deployment: &Deployment) -> Watch {
        let config = deployment.runner_config(settings);
        let runner = self.runner.get_or_insert_with(|| Runner::new(config.clone()));
        if *runner.config() != config {
            // The watch that is returned has the new window.
            runner.reconfigure(config, &mut Vec::new());
        }
        self.settings = settings.clone();
        self.watcher = Some(id);
        consumer::watch(&deployment.service, runner.window())
    }

    /// Turns were flushed. `below` is the index below which every request is settled, and `settings` are those of the
    /// queue now. `number` numbers a new connection.
    pub fn settled(
        &mut self,
        below: impl FnOnce() -> Index,
        settings: &Settings,
        number: impl FnOnce() -> WatcherId,
        context: &mut Context<'_>,
    ) -> Option<ConsumerRequest> {
        if let Some(runner) = self.runner.as_mut().filter(|runner| runner.has_work()) {
            runner.settled(below());
        }
        // This comes after every flush, so nothing is copied where nothing changed.
        if self.watcher.is_some() && self.settings == *settings {
            return None;
        }
        match (context.deployment.consumes(settings), self.watcher) {
            (true, watcher) => {
                let id = watcher.unwrap_or_else(number);
                Some(ConsumerRequest::Attach(id, self.watch(id, settings, context.deployment)))
            }
            (false, Some(id)) => {
                // The runner stays, so that the answer to one of its puts is not taken for that to a later one.
                self.reset(context);
                Some(ConsumerRequest::Detach(id))
            }
            (false, None) => None,
        }
    }

    /// The queue was lost from memory, or another connection took the consumer's place. All calls are given up.
    pub fn reset(&mut self, context: &mut Context<'_>) {
        self.watcher = None;
        let mut actions = Vec::new();
        if let Some(runner) = &mut self.runner {
            runner.reset(&mut actions);
        }
        self.abort(actions, context.outputs);
    }

    /// A request is about to be cancelled. If its result is on its way to the sink, it must stay until that is stored:
    /// a result that is lost on the way is inferred again.
    pub fn give_up(&mut self, index: Index, outputs: &mut VecDeque<Output>) -> Result<(), Storing> {
        let Some(runner) = &mut self.runner else { return Ok(()) };
        let mut actions = Vec::new();
        let outcome = runner.give_up(index, &mut actions);
        self.abort(actions, outputs);
        outcome
    }

    /// Carries out the actions of giving up, which only abort calls.
    fn abort(&mut self, actions: Vec<Action>, outputs: &mut VecDeque<Output>) {
        for action in actions {
            let Action::Abort(call) = action else {
                unreachable!("giving up only aborts calls, it does not {action:?}")
            };
            self.abort_call(call, outputs);
        }
    }

    fn abort_call(&mut self, call: CallId, outputs: &mut VecDeque<Output>) {
        let of_call = |purpose: &Purpose| matches!(purpose, Purpose::Call(id) if *id == call);
        let found = self.fetches.iter().find(|(_, purpose)| of_call(purpose)).map(|(id, _)| *id);
        if let Some(id) = found {
            self.fetches.remove(&id);
            outputs.push_back(Output::Abort(id));
        }
    }

    /// The queue pushed a request.
    pub fn pushed(&mut self, delivery: &Delivery, context: &mut Context<'_>) -> Outcome {
        let entry = &delivery.entry;
        let work = Work { index: entry.index, attempt: delivery.attempt, tags: entry.tags(), data: entry.data() };
        self.handle(Event::Pushed(work), context)
    }

    /// The queue took a request back.
    pub fn revoked(&mut self, index: Index, context: &mut Context<'_>) -> Outcome {
        self.handle(Event::Revoked(index), context)
    }

    /// Time has passed.
    pub fn tick(&mut self, context: &mut Context<'_>) -> Outcome {
        self.handle(Event::Tick, context)
    }

    /// There is news of a call. It means nothing if the call was given up.
    pub fn fetched(&mut self, id: FetchId, news: Fetched, context: &mut Context<'_>) -> Outcome {
        match (self.fetches.get_mut(&id), news) {
            (None, _) => Outcome::default(),
            (Some(Purpose::Call(call)), Fetched::Begun(status, length)) => {
                let event = Event::Begun(*call, status, length);
                self.handle(event, context)
            }
            (Some(Purpose::Put(_, begun)), Fetched::Begun(status, _)) => {
                *begun = status;
                self.read(id, context)
            }
            (Some(Purpose::Status(_)), Fetched::Begun(..)) => self.read(id, context),
            (Some(_), news) => {
                let purpose = self.fetches.remove(&id).expect("it was just found");
                self.ended(purpose, news, context)
            }
        }
    }

    fn read(&self, id: FetchId, context: &mut Context<'_>) -> Outcome {
        context.outputs.push_back(Output::Read(id, QUEUE_ANSWER_BYTES_MAX));
        Outcome::default()
    }

    /// A call has ended, with an answer or without.
    fn ended(&mut self, purpose: Purpose, news: Fetched, context: &mut Context<'_>) -> Outcome {
        match (purpose, news) {
            (Purpose::Call(call), Fetched::Answered(answer)) => self.handle(Event::Answered(call, answer), context),
            (Purpose::Call(call), Fetched::Failed(error)) => {
                self.handle(Event::Failed(call, CallFailure::unreachable(error)), context)
            }
            (Purpose::Put(put, status), Fetched::Answered(answer)) => {
                self.handle(Event::Put(put, siblings::put_outcome(status, &answer.body)), context)
            }
            (Purpose::Put(put, _), Fetched::Failed(_)) => self.handle(Event::Put(put, PutOutcome::Later), context),
            (Purpose::Status(inquiry), news) => {
                let found = match news {
                    Fetched::Answered(answer) => {
                        Progress::parse(&answer.body).ok_or_else(|| "the sink gave no answer".into())
                    }
                    Fetched::Failed(error) => Err(error),
                    Fetched::Begun(..) => unreachable!("an answer that begins has not ended"),
                };
                Outcome { requests: Vec::new(), found: Some((inquiry, found)) }
            }
            (_, Fetched::Begun(..)) => unreachable!("an answer that begins has not ended"),
        }
    }

    /// Asks the sink what it knows of a request.
    pub fn ask_sink(&mut self, inquiry: Inquiry, request_id: &str, context: &mut Context<'_>) {
        let mut query = form_urlencoded::Serializer::new(String::from("_status_=true&"));
        let query = query.append_pair("requestId", request_id).finish();
        let fetch = siblings::call(context.deployment, Destination::Sink, "GET", &query, Bytes::new());
        self.begin(Purpose::Status(inquiry), fetch, context.outputs);
    }

    fn begin(&mut self, purpose: Purpose, fetch: Fetch, outputs: &mut VecDeque<Output>) {
        self.numbers += 1;
        let id = FetchId(self.numbers);
        self.fetches.insert(id, purpose);
        outputs.push_back(Output::Fetch(id, fetch));
    }

    /// Passes an event to the runner and carries out its actions. A call that cannot be made fails at once, which is
    /// another event.
    fn handle(&mut self, event: Event, context: &mut Context<'_>) -> Outcome {
        let (mut events, mut outcome, mut done) = (VecDeque::from([event]), Outcome::default(), Vec::new());
        while let Some(event) = events.pop_front() {
            // A queue without a consumer has an alarm as well.
            let Some(runner) = &mut self.runner else { break };
            let mut actions = Vec::new();
            runner.handle(context.now_ms, event, &mut actions);
            for action in actions {
                match action {
                    Action::Call(call, work) => match context.deployment.call(context.now_ms, &self.settings, work) {
                        Ok(fetch) => self.begin(Purpose::Call(call), fetch, context.outputs),
                        Err(failure) => events.push_back(Event::Failed(call, failure)),
                    },
                    Action::Read(call, max) => self.read_call(call, max, context.outputs),
                    Action::Abort(call) => self.abort_call(call, context.outputs),
                    Action::Put { put, to, entries, settled_below } => {
                        let body = siblings::batch(entries, settled_below);
                        let fetch = siblings::call(context.deployment, to, "POST", "_batch_=true", body);
                        self.begin(Purpose::Put(put, 0), fetch, context.outputs);
                    }
                    Action::Commit(index) => done.push(index),
                    Action::Reject { index, code, reason, delay_ms } => {
                        outcome.requests.push(ConsumerRequest::Reject(index, Rejection { code, reason, delay_ms }));
                    }
                    Action::Window(window) => {
                        if let Some(id) = self.watcher {
                            let watch = consumer::watch(&context.deployment.service, window);
                            outcome.requests.push(ConsumerRequest::Attach(id, watch));
                        }
                    }
                }
            }
        }
        if !done.is_empty() {
            outcome.requests.push(ConsumerRequest::Commit(done));
        }
        outcome
    }

    fn read_call(&self, call: CallId, max: usize, outputs: &mut VecDeque<Output>) {
        let of_call = |purpose: &Purpose| matches!(purpose, Purpose::Call(id) if *id == call);
        let found = self.fetches.iter().find(|(_, purpose)| of_call(purpose));
        let (id, _) = found.expect("the runner reads only answers that have begun");
        outputs.push_back(Output::Read(*id, max));
    }
}

impl ConsumerRequest {
    /// The event with which it reaches the queue.
    pub fn event(self, service: &str, ticket: event::Ticket) -> event::Event {
        let consumer = || consumer::consumer(service);
        match self {
            Self::Commit(indexes) => event::Event::Commit(ticket, consumer(), indexes),
            Self::Reject(index, rejection) => event::Event::Reject(ticket, consumer(), vec![index], rejection),
            Self::Attach(id, watch) => event::Event::Attach(ticket, id, watch),
            Self::Detach(id) => event::Event::Detach(id),
        }
    }
}
