//! The consumer beside a queue: the queue pushes to it as to any watcher, and what its [`Runner`] decides becomes calls,
//! puts into other queues, commits and rejections.
//!
//! Nothing of it is stored. When the memory is lost, opening the queue attaches the consumer again, and what it held is
//! pushed again.

use super::deployment::Deployment;
use super::io::{Fetch, FetchId, Fetched, Output, Target};
use crate::inference::{
    Action, Event, Runner, consumer,
    event::{CallId, Destination, Place, PutOutcome, Storing, Work},
    outbox::PutId,
    outcome::{CallFailure, ResultEntry},
};
use crate::queue::{
    config::Settings,
    effect::Delivery,
    entry::{Frame, Index},
    event::{self, Dedup, Rejection, Watch, WatcherId},
};
use crate::wire::{
    Progress, PutEntry,
    http::address,
    names::{PROTOBUF, REPEATED},
    proto::frame,
};
use alloc::{collections::BTreeMap, collections::VecDeque, format, string::String, vec, vec::Vec};
use bytes::Bytes;

/// Bytes read of the answer of another queue: 1 MiB.
const QUEUE_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What a call to the outside is for.
#[derive(Debug)]
enum Purpose {
    /// A call of the runner.
    Call(CallId),
    /// A put of the runner, and the status of its answer once that has begun.
    Put(PutId, u16),
    /// A question about a request, asked of the sink.
    Status(Inquiry),
}

/// Names a question about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Inquiry(pub u64);

/// What the queue is to be told.
#[derive(Debug)]
pub(super) enum ConsumerRequest {
    /// These are done.
    Commit(Vec<Index>),
    /// This one failed.
    Reject(Index, Rejection),
    /// The consumer watches like this.
    Attach(WatcherId, Watch),
    /// It does not watch any more.
    Detach(WatcherId),
}

/// The consumer and its calls.
#[derive(Debug, Default)]
pub(super) struct LocalConsumer {
    runner: Option<Runner>,
    watcher: Option<WatcherId>,
    /// What the runner works by.
    settings: Settings,
    fetches: BTreeMap<FetchId, Purpose>,
    numbers: u64,
}

/// What follows for everybody else.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub requests: Vec<ConsumerRequest>,
    /// What the sink knows of a request, or why that could not be found out.
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

    /// Whether something is under way that must be woken up for, should this memory be lost.
    pub fn has_work(&self) -> bool {
        self.runner.as_ref().is_some_and(Runner::has_work)
    }

    /// When the runner must be told the time at the latest, Unix milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        self.runner.as_ref().and_then(Runner::due_ms)
    }

    /// The queue was opened: how the consumer watches, if it does.
    pub fn open(&mut self, id: WatcherId, settings: &Settings, deployment: &Deployment) -> Option<Watch> {
        deployment.consumes(settings).then(|| self.watch(id, settings, deployment))
    }

    fn watch(&mut self, id: WatcherId, settings: &Settings, deployment: &Deployment) -> Watch {
        let config = deployment.runner_config(settings);
        let runner = self.runner.get_or_insert_with(|| Runner::new(config.clone()));
        if *runner.config() != config {
            // The window is told by what is returned.
            runner.reconfigure(config, &mut Vec::new());
        }
        self.settings = settings.clone();
        self.watcher = Some(id);
        consumer::watch(&deployment.service, runner.window())
    }

    /// Turns were taken and written: below this index every request is settled, durably before anybody is told, and these
    /// are the settings now. `number` gives the number of a new connection.
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
        // This comes after every flush: nothing is copied or asked for where nothing changed.
        if self.watcher.is_some() && self.settings == *settings {
            return None;
        }
        match (context.deployment.consumes(settings), self.watcher) {
            (true, watcher) => {
                let id = watcher.unwrap_or_else(number);
                Some(ConsumerRequest::Attach(id, self.watch(id, settings, context.deployment)))
            }
            (false, Some(id)) => {
                self.reset(context);
                self.runner = None;
                Some(ConsumerRequest::Detach(id))
            }
            (false, None) => None,
        }
    }

    /// The queue was lost from memory, or gave the consumer's place to somebody else: all calls are given up.
    pub fn reset(&mut self, context: &mut Context<'_>) {
        self.watcher = None;
        let mut actions = Vec::new();
        if let Some(runner) = &mut self.runner {
            runner.reset(&mut actions);
        }
        self.abort(actions, context.outputs);
    }

    /// A request is about to be cancelled. One whose result is on its way into the sink must stay until that is stored:
    /// should it be lost on the way, the request is inferred again.
    pub fn give_up(&mut self, index: Index, outputs: &mut VecDeque<Output>) -> Result<(), Storing> {
        let Some(runner) = &mut self.runner else { return Ok(()) };
        let mut actions = Vec::new();
        let outcome = runner.give_up(index, &mut actions);
        self.abort(actions, outputs);
        outcome
    }

    /// Ends the calls among these actions, which have no others: what is given up does nothing new.
    fn abort(&mut self, actions: Vec<Action>, outputs: &mut VecDeque<Output>) {
        for action in actions {
            let Action::Abort(call) = action else { unreachable!("to give up is to abort, not {action:?}") };
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

    /// The queue took a request away.
    pub fn revoked(&mut self, index: Index, context: &mut Context<'_>) -> Outcome {
        self.handle(Event::Revoked(index), context)
    }

    /// Time has passed.
    pub fn tick(&mut self, context: &mut Context<'_>) -> Outcome {
        self.handle(Event::Tick, context)
    }

    /// There is news of a call. Of one that was given up nothing is of interest.
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
                self.handle(Event::Put(put, put_outcome(status, &answer.body)), context)
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
        let fetch = ask(context.deployment, Destination::Sink, "GET", &query, Bytes::new());
        self.begin(Purpose::Status(inquiry), fetch, context.outputs);
    }

    fn begin(&mut self, purpose: Purpose, fetch: Fetch, outputs: &mut VecDeque<Output>) {
        self.numbers += 1;
        let id = FetchId(self.numbers);
        self.fetches.insert(id, purpose);
        outputs.push_back(Output::Fetch(id, fetch));
    }

    /// Tells the runner what happened, and does what it wants done. A call that cannot even be made is news at once.
    fn handle(&mut self, event: Event, context: &mut Context<'_>) -> Outcome {
        let (mut events, mut outcome, mut done) = (VecDeque::from([event]), Outcome::default(), Vec::new());
        while let Some(event) = events.pop_front() {
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
                        let body = batch(entries, settled_below);
                        let fetch = ask(context.deployment, to, "POST", "_batch_=true", body);
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

/// Results or callbacks as the body of a batch.
fn batch(entries: Vec<(Index, ResultEntry)>, settled_below: Index) -> Bytes {
    let entry = |(index, entry): (Index, ResultEntry)| {
        let once = Some(Dedup::Source { index, settled_below });
        PutEntry { tags: entry.tags, data: entry.data, priority: None, once }.encode().into()
    };
    frame::list(&entries.into_iter().map(entry).collect::<Vec<Bytes>>()).into()
}

/// A request to another queue of the service.
fn ask(deployment: &Deployment, to: Destination, method: &'static str, query: &str, body: Bytes) -> Fetch {
    let name = deployment.queue_name(to);
    let url = format!("https://queue{}{name}?{query}", address::PREFIX);
    let headers = vec![("Content-Type".into(), PROTOBUF.into()), ("Accept".into(), PROTOBUF.into())];
    Fetch { target: Target::Queue(name), method, url, headers, body }
}

/// What another queue says of a put.
fn put_outcome(status: u16, body: &Bytes) -> PutOutcome {
    match status {
        200 => match frame::decode_list(body) {
            Ok(receipts) => PutOutcome::Stored(receipts.iter().map(place).collect()),
            Err(_) => PutOutcome::Later,
        },
        400 | 413 => PutOutcome::Refused(status, String::from_utf8_lossy(body).into_owned()),
        _ => PutOutcome::Later,
    }
}

fn place(receipt: &Frame) -> Place {
    Place { index: Index(receipt.index), repeated: receipt.message == REPEATED }
}

/// The event a queue is told with.
impl ConsumerRequest {
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
