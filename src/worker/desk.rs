//! The desk of an object: what arrives is collected, worked off in turns, made durable, and only then answered.
//!
//! While one flush is on its way to the disk, what arrives is collected and becomes the next one; with nothing on its
//! way an event is worked off at once. So a busy queue writes few rows, and an idle one answers without delay.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use futures_channel::{mpsc, oneshot};
use futures_util::future::{Either, select};
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, Env, Response, State};

use super::{
    alarm::Alarm,
    attachment::Attachment,
    departure::Departure,
    faults::Faults,
    rows::Database,
    sockets::{Socket, Sockets},
    storage::Storage,
};
use crate::queue::{
    Effect, Event, Queue, Reply,
    config::Settings,
    event::{Ticket, Watch, WatcherId},
    refusal::StoreError,
    step::{CloseReason, Delivery},
    store::Side,
};
use crate::store::{SegmentStore, sql::SqlRows};
use crate::wire::{
    Transport, frame,
    settings::{self, Patch},
};

/// Events of one flush; more wait for the next one.
const BATCH_EVENTS_MAX: usize = 1_000;

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

/// Where frames go.
enum Connection {
    Socket(Socket),
    Stream {
        frames: mpsc::UnboundedSender<worker::Result<Vec<u8>>>,
        /// Dropped with the connection: nobody needs to look out for its client any more.
        _open: oneshot::Sender<()>,
    },
}

/// A watch that is asked for and not yet accepted.
struct Asking {
    id: WatcherId,
    side: Side,
    transport: Transport,
    /// Tells when the client of an endless body is gone; sockets tell it themselves.
    gone: Option<Departure>,
}

/// One object's desk.
pub struct Desk {
    storage: Storage,
    sockets: Sockets,
    alarm: Alarm,
    defaults: Settings,
    faults: Faults,
    papers: RefCell<Papers>,
}

/// What lies on it.
#[derive(Default)]
struct Papers {
    /// The queue and its store; none before the first event and after a failure.
    queue: Option<(Queue, Store)>,
    inbox: Batch,
    /// Someone works the inbox off.
    busy: bool,
    tickets: u64,
    watchers: u64,
    owed: HashMap<Ticket, oneshot::Sender<Outcome>>,
    asking: HashMap<Ticket, Asking>,
    /// Changes of settings whose turn has not come.
    patches: HashMap<Ticket, Patch>,
    connections: BTreeMap<WatcherId, Connection>,
    /// When the next timer and alarm go off, Unix milliseconds.
    timer_ms: Option<u64>,
    alarm_ms: Option<u64>,
    /// Flushes that failed in a row.
    failures: u32,
    /// Whether `alarm_ms` is known: an alarm may have been set before the object slept.
    alarm_known: bool,
}

impl Desk {
    /// The desk of an object. Settings of a deployment that make no sense are told in the log and not used.
    pub fn new(state: &State, env: &Env) -> Rc<Self> {
        let sink = state.id().name().is_some_and(|name| name.ends_with("/sink"));
        let variable = |name: &str| env.var(name).ok().map(|value| value.to_string());
        let defaults = settings::defaults(sink, &variable).unwrap_or_else(|wrong| {
            worker::console_error!("edgequeue: {wrong}; the standard settings are used");
            Settings::standard()
        });
        let faults = Faults::of(env);
        Rc::new(Self {
            storage: Storage::of(state, faults.meter()),
            sockets: Sockets::of(state),
            alarm: Alarm::of(state),
            defaults,
            faults,
            papers: RefCell::default(),
        })
    }

    /// Faults that tests ask for.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Asks the queue something. The ticket lets a waiting request be given up.
    pub fn ask(
        self: &Rc<Self>,
        side: Side,
        event: impl FnOnce(Ticket) -> Event,
    ) -> (Ticket, oneshot::Receiver<Outcome>) {
        let (answer, outcome) = oneshot::channel();
        let ticket = self.ticket(answer);
        self.tell(side, event(ticket));
        (ticket, outcome)
    }

    /// Changes settings. The change is made to the settings of the turn, so that no other change is lost.
    pub fn configure(self: &Rc<Self>, patch: Patch) -> oneshot::Receiver<Outcome> {
        let (answer, outcome) = oneshot::channel();
        let ticket = self.ticket(answer);
        self.papers.borrow_mut().patches.insert(ticket, patch);
        self.tell(Side::Main, Event::Configure(ticket, self.defaults.clone()));
        outcome
    }

    /// The client of a waiting request is gone: nothing is removed for it any more.
    pub fn abandon(self: &Rc<Self>, side: Side, ticket: Ticket) {
        self.papers.borrow_mut().owed.remove(&ticket);
        self.tell(side, Event::Abandon(ticket));
    }

    /// Asks for a watch. `gone` tells when the client of an endless body has left.
    pub fn watch(
        self: &Rc<Self>,
        side: Side,
        watch: Watch,
        transport: Transport,
        gone: Option<Departure>,
    ) -> oneshot::Receiver<Outcome> {
        let (answer, outcome) = oneshot::channel();
        let ticket = self.ticket(answer);
        let id = {
            let mut papers = self.papers.borrow_mut();
            // Later connections have higher numbers, also after a restart.
            papers.watchers = (papers.watchers + 1).max(now_ms() << 10);
            let id = WatcherId(papers.watchers);
            papers.asking.insert(ticket, Asking { id, side, transport, gone });
            id
        };
        self.tell(side, Event::Attach(ticket, id, watch));
        outcome
    }

    /// Tells the queue something that needs no answer.
    pub fn tell(self: &Rc<Self>, side: Side, event: Event) {
        let mut papers = self.papers.borrow_mut();
        papers.inbox.push((side, event));
        if !papers.busy {
            papers.busy = true;
            spawn_local(self.clone().work());
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
        match self.ask(Side::Main, Event::Stats).1.await {
            Ok(Outcome::Failed(error)) => Err(StoreError(error)),
            _ => Ok(()),
        }
    }

    /// A socket was closed by its client or broke.
    pub fn socket_gone(self: &Rc<Self>, socket: &Socket) {
        let kept = socket.attachment().ok().flatten();
        if let Some(attachment) = kept.and_then(|bytes| Attachment::decode(&bytes)) {
            self.gone(attachment.side, attachment.watcher);
        }
    }

    fn gone(self: &Rc<Self>, side: Side, id: WatcherId) {
        self.papers.borrow_mut().connections.remove(&id);
        self.tell(side, Event::Detach(id));
    }

    fn ticket(&self, answer: oneshot::Sender<Outcome>) -> Ticket {
        let mut papers = self.papers.borrow_mut();
        papers.tickets += 1;
        let ticket = Ticket(papers.tickets);
        papers.owed.insert(ticket, answer);
        ticket
    }

    /// Works the inbox off until it is empty.
    async fn work(self: Rc<Self>) {
        loop {
            let batch: Batch = {
                let mut papers = self.papers.borrow_mut();
                let count = papers.inbox.len().min(BATCH_EVENTS_MAX);
                papers.busy = count > 0;
                papers.inbox.drain(..count).collect()
            };
            if batch.is_empty() {
                return;
            }
            let outcome = match self.turns(batch) {
                Ok((effects, false)) => Ok(effects),
                Ok((effects, true)) => {
                    self.storage.sync().await.map(|()| effects).map_err(|error| StoreError(error.to_string()))
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(effects) => {
                    self.papers.borrow_mut().failures = 0;
                    if self.carry_out(effects) {
                        // Between two helpings of a long delivery the platform gets to send and to listen.
                        Delay::from(Duration::ZERO).await;
                        self.papers.borrow_mut().inbox.push((Side::Main, Event::Tick));
                    }
                }
                Err(error) => self.fail(&error),
            }
            self.set_timer();
            self.set_alarm().await;
        }
    }

    /// Takes the turns of a batch and writes them in one transaction. Says whether anything was written.
    fn turns(&self, batch: Batch) -> Result<(Vec<Effect>, bool), StoreError> {
        let papers = &mut *self.papers.borrow_mut();
        let now_ms = now_ms();
        let mut effects = Vec::new();
        if papers.queue.is_none() {
            let opened = self.open(now_ms, &mut papers.connections, &mut effects)?;
            papers.queue = Some(opened);
        }
        let Some((queue, store)) = papers.queue.as_mut() else { return Ok((effects, false)) };
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
                }
                _ => {}
            }
            queue.turn(now_ms, side, event, store, &mut effects)?;
        }
        self.faults.strike();
        let flushed = self.storage.transaction(|| store.flush())?;
        Ok((effects, !flushed.is_empty()))
    }

    /// Opens what is stored; connections that outlived the memory come back.
    fn open(
        &self,
        now_ms: u64,
        connections: &mut BTreeMap<WatcherId, Connection>,
        effects: &mut Vec<Effect>,
    ) -> Result<(Queue, Store), StoreError> {
        let mut store = self
            .storage
            .transaction(|| SegmentStore::open(SqlRows::open(Database::of(&self.storage, &self.faults))?))?;
        let mut queue = Queue::open(self.defaults.clone(), &mut store)?;
        // Endless bodies cannot be resumed: dropping them ends them, and their clients come again.
        connections.clear();
        for socket in self.sockets.all().unwrap_or_default() {
            let kept = socket.attachment().ok().flatten();
            let Some(Attachment { watcher, side, watch, leases }) = kept.and_then(|bytes| Attachment::decode(&bytes))
            else {
                continue;
            };
            connections.insert(watcher, Connection::Socket(socket));
            queue.turn(now_ms, side, Event::Resume(watcher, watch, leases), &mut store, effects)?;
        }
        Ok((queue, store))
    }

    /// Carries out what turns resulted in. Says whether another turn is wanted.
    fn carry_out(self: &Rc<Self>, effects: Vec<Effect>) -> bool {
        let mut again = false;
        for effect in effects {
            match effect {
                Effect::Reply(ticket, reply) => self.reply(ticket, reply),
                Effect::Push(id, delivery) => self.push(id, &delivery),
                Effect::Close(id, reason) => self.close(id, reason),
                Effect::Remember(id) => self.remember(id),
                Effect::Again => again = true,
            }
        }
        again
    }

    fn reply(self: &Rc<Self>, ticket: Ticket, reply: Reply) {
        let (asking, answer) = {
            let mut papers = self.papers.borrow_mut();
            (papers.asking.remove(&ticket), papers.owed.remove(&ticket))
        };
        let Some(answer) = answer else { return };
        let outcome = match (reply, asking) {
            (Reply::Attached, Some(Asking { id, side, transport, gone })) => {
                match self.connect(id, side, transport, gone) {
                    Ok((connection, response)) => {
                        self.papers.borrow_mut().connections.insert(id, connection);
                        // The machine mentions only those that hold something; every socket must be known after a sleep.
                        self.remember(id);
                        Outcome::Watching(response)
                    }
                    Err(error) => {
                        self.papers.borrow_mut().inbox.push((side, Event::Detach(id)));
                        Outcome::Failed(error)
                    }
                }
            }
            (reply, _) => Outcome::Reply(reply),
        };
        // Who asked may be gone by now.
        let _ = answer.send(outcome);
    }

    fn connect(
        self: &Rc<Self>,
        id: WatcherId,
        side: Side,
        transport: Transport,
        gone: Option<Departure>,
    ) -> Result<(Connection, Response), String> {
        match transport {
            Transport::Socket => {
                let (socket, response) = self.sockets.accept().map_err(|error| error.to_string())?;
                Ok((Connection::Socket(socket), response))
            }
            Transport::Stream => {
                let (frames, body) = mpsc::unbounded();
                let response = endless(body).map_err(|error| error.to_string())?;
                let (open, closed) = oneshot::channel();
                if let Some(gone) = gone {
                    let desk = self.clone();
                    spawn_local(async move {
                        if let Either::Left(_) = select(gone, closed).await {
                            desk.gone(side, id);
                        }
                    });
                }
                Ok((Connection::Stream { frames, _open: open }, response))
            }
        }
    }

    fn push(&self, id: WatcherId, delivery: &Delivery) {
        let mut papers = self.papers.borrow_mut();
        let frame: Bytes = delivery.frame();
        let sent = match papers.connections.get(&id) {
            Some(Connection::Socket(socket)) => socket.send(&frame).is_ok(),
            Some(Connection::Stream { frames, .. }) => {
                frames.unbounded_send(Ok(frame::delimited(&frame).to_vec())).is_ok()
            }
            None => false,
        };
        if !sent {
            papers.connections.remove(&id);
            papers.inbox.push((Side::Main, Event::Detach(id)));
            papers.inbox.push((Side::Rear, Event::Detach(id)));
        }
    }

    fn close(&self, id: WatcherId, reason: CloseReason) {
        let (code, text) = match reason {
            CloseReason::Ended => (1000, "the queue was ended and everything in it was delivered"),
            CloseReason::TakenOver => (4001, "the same group and user connected again"),
            CloseReason::Silent => (4002, "entries were held for too long without a sign of life"),
        };
        if let Some(Connection::Socket(socket)) = self.papers.borrow_mut().connections.remove(&id) {
            // It must not be resumed, even if the closing handshake takes long.
            let _ = socket.attach(&[]);
            let _ = socket.close(code, text);
        }
    }

    /// Keeps with a socket what it needs to be resumed.
    fn remember(&self, id: WatcherId) {
        let papers = self.papers.borrow();
        let Some(Connection::Socket(socket)) = papers.connections.get(&id) else { return };
        let Some((side, watch, leases)) = papers.queue.as_ref().and_then(|(queue, _)| queue.attachment(id)) else {
            return;
        };
        let _ = socket.attach(&Attachment { watcher: id, side, watch, leases }.encode());
    }

    /// The storage failed: nothing since the last flush happened, and the next event opens the queue again. Requests of
    /// the failed turns are told so; waiting ones too, as nobody remembers them any more.
    fn fail(self: &Rc<Self>, error: &StoreError) {
        worker::console_error!("edgequeue: {error}; the queue is opened again with the next request");
        let mut papers = self.papers.borrow_mut();
        papers.queue = None;
        let waiting: HashSet<Ticket> = papers.inbox.iter().filter_map(|(_, event)| event.ticket()).collect();
        papers.asking.retain(|ticket, _| waiting.contains(ticket));
        papers.patches.retain(|ticket, _| waiting.contains(ticket));
        let (kept, failed) =
            std::mem::take(&mut papers.owed).into_iter().partition(|(ticket, _)| waiting.contains(ticket));
        papers.owed = kept;
        let failed: HashMap<Ticket, oneshot::Sender<Outcome>> = failed;
        for answer in failed.into_values() {
            let _ = answer.send(Outcome::Failed(error.to_string()));
        }
        // Watchers may wait for what the failed turns were about, and nobody else may come.
        let pause = RETRY_PAUSE * 2_u32.pow(papers.failures.min(RETRY_DOUBLINGS_MAX));
        papers.failures += 1;
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

    /// The alarm costs a stored row, so it is only ever moved earlier.
    async fn set_alarm(&self) {
        let wanted = self.papers.borrow().queue.as_ref().and_then(|(queue, _)| queue.wake().alarm_ms);
        let Some(at_ms) = wanted else { return };
        if !self.papers.borrow().alarm_known {
            let set_ms = self.alarm.at_ms().await.ok().flatten();
            let mut papers = self.papers.borrow_mut();
            papers.alarm_ms = set_ms;
            papers.alarm_known = true;
        }
        let mut papers = self.papers.borrow_mut();
        if papers.alarm_ms.is_none_or(|set_ms| at_ms < set_ms) && self.alarm.set(at_ms).is_ok() {
            papers.alarm_ms = Some(at_ms);
        }
    }
}

/// An answer without an end. It has a type because proxies compress, and thereby hold back, what has none.
fn endless(body: mpsc::UnboundedReceiver<worker::Result<Vec<u8>>>) -> worker::Result<Response> {
    let mut response = Response::from_stream(body)?;
    response.headers_mut().set("Content-Type", "application/octet-stream")?;
    Ok(response)
}

/// Unix milliseconds.
pub fn now_ms() -> u64 {
    js_sys::Date::now() as u64
}
