//! The desk of an object: what arrives is collected, worked off in turns, written, and answered; the answers leave when
//! what was written is durable.
//!
//! While one flush is on its way to the disk, what arrives is collected and becomes the next one; with nothing on its
//! way an event is worked off at once. So a busy queue writes few rows, and an idle one answers without delay.
//!
//! The waiting in between is the clerk's, in `entry.mjs`: a future that waits here would cost several crossings each time.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
    time::Duration,
};

use futures_channel::oneshot;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, Env, Response, State};

use super::{
    alarm::Alarm,
    attachment::Attachment,
    connections::{Asking, Connection},
    consumer,
    departure::Departure,
    faults::Faults,
    inbox::Inbox,
    inference::Inference,
    patience::Patience,
    respond::{Caller, failed},
    rows::Database,
    session::{self, Debt, Outbox, Terms},
    sockets::Sockets,
    storage::Storage,
};
use crate::inference::consumer::LIFE_LINE_MS;
use crate::queue::{
    Effect, Event, Queue, Reply,
    event::{Ticket, WatcherId},
    refusal::{Refusal, StoreError},
    store::Side,
};
use crate::store::{SegmentStore, sql::SqlRows};
use crate::wire::{Answer, Form, Transport, answer, http::settings::Patch};

/// After a failed flush the queue is opened again this much later, if no event came before; doubled with each failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
const RETRY_DOUBLINGS_MAX: u32 = 6;

/// How a request ends.
pub enum Outcome {
    /// With a reply of the queue.
    Reply(Reply),
    /// As a connection that watches: the `101`, or an endless body.
    Watching(Response),
    /// The storage failed; nothing of the request was kept.
    Failed(String),
}

type Store = SegmentStore<SqlRows<Database>>;
type Batch = Vec<(Side, Event)>;

#[wasm_bindgen]
extern "C" {
    /// Works a desk off: see `Clerk` in `entry.mjs`.
    pub type Clerk;
    /// Soon, when all that arrived at this moment lies on the desk, calls [`Desk::step`] until that is `Idle`.
    #[wasm_bindgen(method)]
    fn begin(this: &Clerk);
}

/// What must have happened before the next step.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// There is nothing to do.
    Idle,
    /// What had arrived by now was handed over.
    Turn,
    /// The platform had a moment to send and to listen.
    Moment,
    /// What was written is durable.
    Disk,
}

/// Who is owed an answer.
pub(super) enum Owed {
    /// A request that is answered as soon as there is a reply.
    Caller(Caller, Form),
    /// A request that wants to know the outcome.
    Request(oneshot::Sender<Outcome>),
    /// A request on a socket.
    Session(Debt),
    /// The consumer inside the object, which wants to watch.
    Consumer,
}

/// One object's desk.
pub struct Desk {
    storage: Storage,
    pub(super) sockets: Sockets,
    alarm: Alarm,
    faults: Faults,
    clerk: Clerk,
    pub(super) inference: Inference,
    pub(super) papers: RefCell<Papers>,
}

/// What lies on it.
#[derive(Default)]
pub(super) struct Papers {
    /// The queue and its store; none before the first event and after a failure.
    pub(super) queue: Option<(Queue, Store)>,
    pub(super) inbox: Inbox,
    /// The clerk works the inbox off.
    busy: bool,
    /// There is more to do than the last turns did.
    again: bool,
    pub(super) patience: Patience,
    tickets: u64,
    watchers: u64,
    owed: HashMap<Ticket, Owed>,
    asking: HashMap<Ticket, Asking>,
    /// Changes of settings whose turn has not come.
    patches: HashMap<Ticket, Patch>,
    pub(super) connections: BTreeMap<WatcherId, Connection>,
    /// When the next timer and alarm go off, Unix milliseconds.
    timer_ms: Option<u64>,
    alarm_ms: Option<u64>,
    /// Flushes that failed in a row.
    failures: u32,
    /// Whether `alarm_ms` is known: an alarm may have been set before the object slept.
    alarm_known: bool,
}

impl Desk {
    /// The desk of an object.
    pub fn new(state: &State, env: &Env, clerk: Clerk) -> Rc<Self> {
        let faults = Faults::of(env);
        Rc::new(Self {
            storage: Storage::of(state, faults.meter()),
            sockets: Sockets::of(state),
            alarm: Alarm::of(state),
            faults,
            clerk,
            inference: Inference::of(&state.id().name().unwrap_or_default(), env),
            papers: RefCell::default(),
        })
    }

    /// Faults that tests ask for.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Asks the queue something.
    pub(super) fn ask(self: &Rc<Self>, side: Side, owed: Owed, event: impl FnOnce(Ticket) -> Event) -> Ticket {
        let ticket = self.ticket(owed);
        self.papers.borrow_mut().patience.arrived();
        self.tell(side, event(ticket));
        ticket
    }

    /// Asks for what a session is to be told about; the ticket is used up by `event` or not.
    pub(super) fn owe(&self, debt: Debt) -> Ticket {
        self.ticket(Owed::Session(debt))
    }

    /// Nothing is owed after all.
    pub(super) fn forgive(&self, ticket: Ticket) {
        self.papers.borrow_mut().owed.remove(&ticket);
    }

    /// Whether a put of that many bytes can be taken in now.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.papers.borrow().inbox.has_room(bytes)
    }

    /// Changes settings. The change is made to the settings of the turn, so that no other change is lost.
    pub(super) fn configure(self: &Rc<Self>, owed: Owed, patch: Patch) {
        let ticket = self.ticket(owed);
        self.papers.borrow_mut().patches.insert(ticket, patch);
        self.tell(Side::Main, Event::Configure(ticket, self.inference.defaults().clone()));
    }

    /// The client of a waiting request is gone: nothing is removed for it any more.
    pub fn abandon(self: &Rc<Self>, side: Side, ticket: Ticket) {
        self.papers.borrow_mut().owed.remove(&ticket);
        self.tell(side, Event::Abandon(ticket));
    }

    /// Asks for a watch. `gone` tells when the client of an endless body has left.
    pub fn watch(
        self: &Rc<Self>,
        terms: Terms,
        transport: Transport,
        gone: Option<Departure>,
    ) -> oneshot::Receiver<Outcome> {
        let (answer, outcome) = oneshot::channel();
        let ticket = self.ticket(Owed::Request(answer));
        let (side, watch) = (terms.side, terms.watch.clone());
        let id = {
            let mut papers = self.papers.borrow_mut();
            let id = papers.new_watcher();
            papers.asking.insert(ticket, Asking { id, transport, terms, gone });
            id
        };
        self.tell(side, Event::Attach(ticket, id, watch));
        outcome
    }

    /// Tells the queue something that needs no answer.
    pub fn tell(self: &Rc<Self>, side: Side, event: Event) {
        let mut papers = self.papers.borrow_mut();
        papers.inbox.push(side, event);
        if !papers.busy {
            papers.busy = true;
            self.clerk.begin();
        }
    }

    /// The alarm went off. Ends when what was due is done; an alarm whose work failed must come again.
    pub async fn alarm_rang(self: &Rc<Self>) -> Result<(), StoreError> {
        {
            let mut papers = self.papers.borrow_mut();
            papers.alarm_ms = None;
            papers.alarm_known = true;
        }
        self.tell(Side::Main, Event::Tick);
        self.infer(consumer::Event::Tick);
        let (answer, outcome) = oneshot::channel();
        self.ask(Side::Main, Owed::Request(answer), Event::Stats);
        match outcome.await {
            Ok(Outcome::Failed(error)) => Err(StoreError(error)),
            _ => Ok(()),
        }
    }

    pub(super) fn ticket(&self, owed: Owed) -> Ticket {
        let mut papers = self.papers.borrow_mut();
        let ticket = papers.new_ticket();
        papers.owed.insert(ticket, owed);
        ticket
    }

    /// Works the inbox off, as far as that goes without waiting.
    pub fn step(self: &Rc<Self>) -> Wait {
        loop {
            let batch: Batch = {
                let papers = &mut *self.papers.borrow_mut();
                if let Some(wait) = papers.patience.waits() {
                    return wait;
                }
                if std::mem::take(&mut papers.again) {
                    papers.inbox.push(Side::Main, Event::Tick);
                }
                papers.inbox.take()
            };
            if batch.is_empty() {
                let papers = &mut *self.papers.borrow_mut();
                papers.patience.idle();
                papers.busy = false;
                return Wait::Idle;
            }
            let (outcome, wrote) = match self.turns(batch) {
                Ok((effects, wrote)) => (Ok(effects), wrote),
                Err(error) => (Err(error), false),
            };
            self.conclude(outcome);
            if wrote {
                return Wait::Disk;
            }
        }
    }

    /// What turns resulted in is carried out, or taken back. What they wrote need not be durable yet: until it is, the
    /// platform's output gate holds back all that leaves the object (answers, socket messages, bodies, calls), and lets
    /// nothing out if it never is.
    fn conclude(self: &Rc<Self>, outcome: Result<Vec<Effect>, StoreError>) {
        match outcome {
            Ok(effects) => {
                self.papers.borrow_mut().failures = 0;
                if self.carry_out(effects) {
                    let papers = &mut *self.papers.borrow_mut();
                    papers.again = true;
                    // Between two helpings of a long delivery the platform gets to send and to listen.
                    papers.patience.rest();
                }
                self.tend_inference();
            }
            Err(error) => self.fail(&error),
        }
        self.set_timer();
        self.set_alarm();
    }

    /// Takes the turns of a batch and writes them in one transaction. Says whether anything was written.
    fn turns(&self, batch: Batch) -> Result<(Vec<Effect>, bool), StoreError> {
        let papers = &mut *self.papers.borrow_mut();
        let now_ms = now_ms();
        let mut effects = Vec::new();
        if papers.queue.is_none() {
            let local = (papers.new_ticket(), papers.new_watcher());
            papers.owed.insert(local.0, Owed::Consumer);
            let opened = self.open(now_ms, &mut papers.connections, local, &mut effects)?;
            papers.queue = Some(opened);
        }
        let Some((queue, store)) = papers.queue.as_mut() else { return Ok((effects, false)) };
        if queue.wake().alarm_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            // Before somebody is taken for dead.
            let signs = self.signs_of_life(&papers.connections);
            queue.turn(now_ms, Side::Main, Event::Alive(signs), store, &mut effects)?;
        }
        for (side, mut event) in batch {
            match &mut event {
                // After a sleep it was found among the open ones again.
                Event::Detach(id) => {
                    papers.connections.remove(id);
                }
                Event::Configure(ticket, settings) => {
                    if let Some(patch) = papers.patches.remove(ticket) {
                        *settings = patch.apply(queue.settings());
                    }
                    if let Err(wrong) = self.inference.check(settings) {
                        effects.push(Effect::Reply(*ticket, Reply::Refused(Refusal::Bad(wrong))));
                        continue;
                    }
                }
                // In the turn and not after it: until then it could come to be stored.
                Event::Cancel(ticket, request_id) if side == Side::Main && self.inference.has_work() => {
                    let index = queue.request(side, request_id, store)?;
                    if index.is_some_and(|index| self.inference.give_up(index).is_err()) {
                        effects.push(Effect::Reply(*ticket, Reply::Cancelled(None)));
                        continue;
                    }
                }
                _ => {}
            }
            queue.turn(now_ms, side, event, store, &mut effects)?;
        }
        self.faults.strike();
        let pushed = |effect: &Effect| matches!(effect, Effect::Push(id, _) if self.inference.is_local(*id));
        if effects.iter().any(pushed) {
            // Before the flush, and durable with it: nothing that was put may wait for somebody to come by.
            self.set_life_line(now_ms, &mut papers.alarm_ms, &mut papers.alarm_known);
        }
        let flushed = match store.rows_to_write() {
            // One statement needs no transaction around it.
            0 | 1 if !self.faults.tears() => store.flush()?,
            _ => self.storage.transaction(|| store.flush())?,
        };
        Ok((effects, !flushed.is_empty()))
    }

    /// Opens what is stored; connections that outlived the memory come back.
    fn open(
        &self,
        now_ms: u64,
        connections: &mut BTreeMap<WatcherId, Connection>,
        (ticket, local): (Ticket, WatcherId),
        effects: &mut Vec<Effect>,
    ) -> Result<(Queue, Store), StoreError> {
        let mut store = self
            .storage
            .transaction(|| SegmentStore::open(SqlRows::open(Database::of(&self.storage, &self.faults))?))?;
        let mut queue = Queue::open(self.inference.defaults().clone(), &mut store)?;
        // Endless bodies cannot be resumed: dropping them ends them, and their clients come again.
        connections.clear();
        for socket in self.sockets.all().unwrap_or_default() {
            let kept = socket.attachment().ok().flatten();
            let Some(kept) = kept.and_then(|bytes| Attachment::decode(&bytes)) else { continue };
            let Attachment { watcher, side, remembered, session, idle } = kept;
            let connection = match session {
                Some(sink) => {
                    Connection::Session(socket, Rc::new(Terms { side, sink, watch: remembered.watch.clone() }))
                }
                None => Connection::Socket(socket),
            };
            connections.insert(watcher, connection);
            if !idle {
                queue.turn(now_ms, side, Event::Resume(watcher, remembered), &mut store, effects)?;
            }
        }
        if self.inference.wants(queue.settings()) {
            let watch = self.inference.watch(local, queue.settings());
            queue.turn(now_ms, Side::Main, Event::Attach(ticket, local, watch), &mut store, effects)?;
        }
        Ok((queue, store))
    }

    /// Carries out what turns resulted in. Says whether another turn is wanted.
    fn carry_out(self: &Rc<Self>, effects: Vec<Effect>) -> bool {
        let (mut outbox, mut changed, mut again) = (Outbox::default(), BTreeSet::new(), false);
        for effect in effects {
            match effect {
                Effect::Reply(ticket, reply) => changed.extend(self.reply(ticket, reply, &mut outbox)),
                Effect::Push(id, delivery) if self.inference.is_local(id) => self.infer(consumer::work(&delivery)),
                Effect::Push(id, delivery) => self.push(id, &delivery, &mut outbox),
                Effect::Close(id, _) if self.inference.is_local(id) => self.infer_nothing(),
                Effect::Close(id, reason) => {
                    self.send(id, outbox.take(id));
                    self.close(id, reason);
                }
                Effect::Remember(id) => {
                    changed.insert(id);
                }
                Effect::Again => again = true,
                Effect::Revoke(id, index) if self.inference.is_local(id) => {
                    self.infer(consumer::Event::Revoked(index));
                }
                Effect::Revoke(..) => {}
            }
        }
        self.send_all(outbox);
        // Several turns may have changed the same connection: what counts is how it is now.
        for id in changed {
            self.remember(id);
        }
        again
    }

    /// Answers a request. Says which connection began with it.
    fn reply(self: &Rc<Self>, ticket: Ticket, reply: Reply, outbox: &mut Outbox) -> Option<WatcherId> {
        let (asking, owed) = {
            let mut papers = self.papers.borrow_mut();
            (papers.asking.remove(&ticket), papers.owed.remove(&ticket))
        };
        let asked = match owed? {
            Owed::Request(asked) => asked,
            Owed::Session(debt) => {
                outbox.answer(debt.watcher, &session::answered(&debt, reply));
                return None;
            }
            Owed::Consumer => {
                if let Reply::Refused(refusal) = reply {
                    worker::console_error!("edgequeue: the requests of {} wait: {refusal}", self.inference.service);
                }
                return None;
            }
            Owed::Caller(caller, form) => {
                caller.answer(&answer(&form, reply));
                return None;
            }
        };
        let (outcome, began) = match (reply, asking) {
            (Reply::Attached, Some(asking)) => {
                let id = asking.id;
                match self.connect(asking) {
                    Ok((connection, response)) => {
                        self.papers.borrow_mut().connections.insert(id, connection);
                        // The machine mentions only those that hold something; every socket must be known after a sleep.
                        (Outcome::Watching(response), Some(id))
                    }
                    Err(error) => {
                        self.papers.borrow_mut().lose(id);
                        (Outcome::Failed(error), None)
                    }
                }
            }
            (reply, _) => (Outcome::Reply(reply), None),
        };
        // Who asked may be gone by now.
        let _ = asked.send(outcome);
        began
    }

    /// The storage failed: nothing since the last flush happened, and the next event opens the queue again. Requests of
    /// the failed turns are told so; waiting ones too, as nobody remembers them any more.
    fn fail(self: &Rc<Self>, error: &StoreError) {
        worker::console_error!("edgequeue: {error}; the queue is opened again with the next request");
        let mut papers = self.papers.borrow_mut();
        papers.queue = None;
        let waiting: BTreeSet<Ticket> = papers.inbox.tickets().collect();
        papers.asking.retain(|ticket, _| waiting.contains(ticket));
        papers.patches.retain(|ticket, _| waiting.contains(ticket));
        let lost: Vec<Owed> =
            papers.owed.extract_if(|ticket, _| !waiting.contains(ticket)).map(|(_, owed)| owed).collect();
        let pause = RETRY_PAUSE * 2_u32.pow(papers.failures.min(RETRY_DOUBLINGS_MAX));
        papers.failures += 1;
        drop(papers);
        let mut outbox = Outbox::default();
        for owed in lost {
            match owed {
                Owed::Caller(caller, _) => caller.answer(&failed(error)),
                Owed::Request(answer) => {
                    let _ = answer.send(Outcome::Failed(error.to_string()));
                }
                Owed::Session(debt) => outbox.answer(debt.watcher, &session::failed(&debt, error)),
                Owed::Consumer => {}
            }
        }
        self.send_all(outbox);
        self.infer_nothing();
        // Watchers may wait for what the failed turns were about, and nobody else may come.
        let desk = self.clone();
        spawn_local(async move {
            Delay::from(pause).await;
            desk.tell(Side::Main, Event::Tick);
        });
    }

    /// A timer for requests that wait; it lives as long as they do.
    fn set_timer(self: &Rc<Self>) {
        let mut papers = self.papers.borrow_mut();
        let wanted = papers.queue.as_ref().and_then(|(queue, _)| queue.wake().timer_ms);
        let Some(at_ms) = wanted.filter(|at_ms| papers.timer_ms.is_none_or(|set_ms| *at_ms < set_ms)) else { return };
        papers.timer_ms = Some(at_ms);
        let desk = self.clone();
        spawn_local(async move {
            Delay::from(Duration::from_millis(at_ms.saturating_sub(now_ms()))).await;
            // An earlier timer may have taken its place.
            if desk.papers.borrow_mut().timer_ms.take_if(|set_ms| *set_ms == at_ms).is_some() {
                desk.tell(Side::Main, Event::Tick);
            }
        });
    }

    /// Sets an alarm for what is under way, unless one comes soon enough.
    fn set_life_line(&self, now_ms: u64, alarm_ms: &mut Option<u64>, alarm_known: &mut bool) {
        *alarm_known |= self.move_alarm(now_ms + LIFE_LINE_MS, alarm_ms);
    }

    /// The alarm costs a stored row, so it is only ever moved earlier. Says whether it was.
    fn move_alarm(&self, at_ms: u64, alarm_ms: &mut Option<u64>) -> bool {
        let moved = alarm_ms.is_none_or(|set_ms| at_ms < set_ms) && self.alarm.set(at_ms).is_ok();
        if moved {
            *alarm_ms = Some(at_ms);
            if let Some(meter) = self.faults.meter() {
                meter.alarms_set.set(meter.alarms_set.get() + 1);
            }
        }
        moved
    }

    /// Sets the alarm for what the queue and the consumer beside it wait for.
    fn set_alarm(self: &Rc<Self>) {
        let papers = &mut *self.papers.borrow_mut();
        let wanted = papers.queue.as_ref().and_then(|(queue, _)| queue.wake().alarm_ms);
        let life_line = self.inference.has_work().then(|| now_ms() + LIFE_LINE_MS);
        let Some(at_ms) = wanted.into_iter().chain(life_line).min() else { return };
        if !papers.alarm_known {
            let desk = self.clone();
            spawn_local(async move {
                let set_ms = desk.alarm.at_ms().await.ok().flatten();
                {
                    let papers = &mut *desk.papers.borrow_mut();
                    if papers.alarm_known {
                        return;
                    }
                    papers.alarm_ms = set_ms;
                    papers.alarm_known = true;
                }
                desk.set_alarm();
            });
            return;
        }
        self.move_alarm(at_ms, &mut papers.alarm_ms);
    }
}

impl Papers {
    /// A number for a request that may be answered.
    pub(super) fn new_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// A number for a connection. Later ones have higher numbers, also after a restart.
    pub(super) fn new_watcher(&mut self) -> WatcherId {
        self.watchers = (self.watchers + 1).max(now_ms() << 10);
        WatcherId(self.watchers)
    }
}

/// Random bits are fetched for so many puts at once: each fetch is a call out of the instance.
const RANDOM_STOCK: usize = 64;

/// Random bits, never given out twice.
pub fn random() -> Result<u128, Answer> {
    thread_local!(static STOCK: RefCell<Vec<u128>> = const { RefCell::new(Vec::new()) });
    STOCK.with_borrow_mut(|stock| {
        if stock.is_empty() {
            let mut bytes = [[0; 16]; RANDOM_STOCK];
            getrandom::fill(bytes.as_flattened_mut())
                .map_err(|error| Answer::text(503, format!("no random bits: {error}; try again")))?;
            stock.extend(bytes.map(u128::from_ne_bytes));
        }
        Ok(stock.pop().unwrap_or_default())
    })
}

/// Unix milliseconds.
pub fn now_ms() -> u64 {
    js_sys::Date::now() as u64
}
