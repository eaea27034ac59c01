//! A shell in memory around one real broker.
//!
//! A world tells it what happens ([`request`](Host::request), [`message`](Host::message), [`fetched`](Host::fetched),
//! ...), lets it do one output at a time ([`step`](Host::step)), all there are ([`drain`](Host::drain)), or everything
//! that follows without anybody from outside ([`settle`](Host::settle)), and [takes](Host::seen) what was seen outside.
//! Between any two of these it may let the memory be lost: [`sleep`](Host::sleep), [`crash`](Host::crash).
//!
//! What follows a flush is held back until that is durable, as a shell must. The rest of the contract is asserted.

mod outputs;

use super::disk::Disk;
use super::request::Request;
use bytes::Bytes;
use edgequeue::broker::{
    Body, BodyError, Broker, ConnectionId, FetchId, Fetched, Input, Message, Output, RequestId, Wait,
    observer::Observer,
};
use edgequeue::store::Flushed;
use edgequeue::wire::{Call, Transport};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// An alarm whose work was not done comes again this much later.
pub const ALARM_AGAIN_MS: u64 = 2_000;

/// One clock for all hosts of a world, Unix milliseconds. It may be set back.
#[derive(Clone, Debug, Default)]
pub struct Clock(Rc<Cell<u64>>);

impl Clock {
    /// A clock that shows this time.
    pub fn new(now_ms: u64) -> Self {
        Self(Rc::new(Cell::new(now_ms)))
    }

    /// What it shows.
    pub fn now_ms(&self) -> u64 {
        self.0.get()
    }

    /// Sets it.
    pub fn set(&self, now_ms: u64) {
        self.0.set(now_ms);
    }
}

/// Variables of a deployment.
pub type Variables = BTreeMap<String, String>;

/// What the next operations of the storage do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// This many openings fail.
    pub openings: u32,
    /// This many flushes fail.
    pub flushes: u32,
    /// A socket whose end wakes the broker is still among the open ones.
    pub lingering: bool,
}

/// What was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Flushes that wrote something.
    pub flushes: u64,
    /// Rows written and deleted by them.
    pub rows: Flushed,
    /// How often the alarm was set, each a row.
    pub alarms: u64,
    /// How often it was set although it was set to an earlier time.
    pub alarms_late: u64,
}

/// What was lost with a memory: nobody hears of these any more.
#[derive(Debug, Default)]
pub struct Lost {
    /// Requests that were not seen to be answered.
    pub requests: BTreeSet<RequestId>,
    /// Connections that broke.
    pub connections: Vec<ConnectionId>,
}

/// The order in which sockets are found after a sleep.
pub type Order = Box<dyn FnMut(&mut Vec<(ConnectionId, Bytes)>)>;

/// A request that is not answered.
#[derive(Debug, Default)]
struct Asked {
    /// Its body, while nobody has read it.
    unread: Option<Bytes>,
    /// How much of it the broker asked for.
    read_max: Option<u64>,
    /// Its client is watched for.
    held: bool,
}

#[derive(Debug)]
struct Connection {
    transport: Transport,
    kept: Bytes,
    /// When a `ping` was last answered.
    heard_ms: Option<u64>,
}

/// A call to the outside.
#[derive(Debug, Default)]
struct Calling {
    begun: bool,
    reading: bool,
}

/// The durable alarm.
#[derive(Debug, Default)]
struct Alarm {
    at_ms: Option<u64>,
    /// Set, and not durable yet.
    unsynced_ms: Option<u64>,
    /// It went off and its work is not done.
    rings: bool,
    /// Its work failed, and the platform has set it again.
    again: bool,
    /// The broker asked when it is set.
    asked: bool,
}

/// The shell of one queue.
pub struct Host<D: Disk, O = ()> {
    /// Name of the queue: `service`, `service/sink` or `service/~callbacks`.
    pub name: String,
    /// What the broker finds when it opens its store.
    pub disk: D,
    /// The time.
    pub clock: Clock,
    /// Variables of the deployment; a change counts from the next life on.
    pub variables: Rc<Variables>,
    /// What goes wrong next.
    pub faults: Faults,
    /// What was spent so far.
    pub spent: Spent,
    /// The order in which sockets are found.
    pub order: Order,
    observer: O,
    broker: Option<Broker<D::Store, O>>,
    /// Memories so far. News of calls of an earlier one are of no interest.
    life: u64,
    numbers: u64,
    /// The broker said all it had to say.
    drained: bool,
    waiting: Option<Wait>,
    /// A flush wrote something that is not durable yet.
    unsynced: bool,
    held_back: Vec<Output>,
    seen: Vec<Output>,
    requests: BTreeMap<RequestId, Asked>,
    connections: BTreeMap<ConnectionId, Connection>,
    lingering: Vec<(ConnectionId, Bytes)>,
    calls: BTreeMap<FetchId, Calling>,
    alarm: Alarm,
    timer_ms: Option<u64>,
}

impl<D: Disk> Host<D> {
    /// A queue nobody has used yet.
    pub fn new(name: &str, variables: Variables, disk: D, clock: Clock) -> Self {
        Self::observed(name, variables, disk, clock, ())
    }
}

impl<D: Disk, O: Observer<D::Store> + Clone> Host<D, O> {
    /// The same, with somebody who looks on. Each life has a clone.
    pub fn observed(name: &str, variables: Variables, disk: D, clock: Clock, observer: O) -> Self {
        Self {
            name: name.into(),
            disk,
            clock,
            variables: Rc::new(variables),
            faults: Faults::default(),
            spent: Spent::default(),
            order: Box::new(|_| {}),
            observer,
            broker: None,
            life: 0,
            numbers: 0,
            drained: true,
            waiting: None,
            unsynced: false,
            held_back: Vec::new(),
            seen: Vec::new(),
            requests: BTreeMap::new(),
            connections: BTreeMap::new(),
            lingering: Vec::new(),
            calls: BTreeMap::new(),
            alarm: Alarm::default(),
            timer_ms: None,
        }
    }

    // What happens.

    /// A client sends a request.
    pub fn request(&mut self, request: &Request) -> RequestId {
        match request.parse(&self.name, self.clock.now_ms()) {
            Ok(call) => self.call(call, Body::Whole(request.body.clone())),
            Err(refused) => {
                let id = RequestId(self.number());
                self.say(Output::Answer(id, refused));
                id
            }
        }
    }

    /// The same, with a body that is read when the broker asks for it.
    pub fn request_unread(&mut self, request: &Request) -> RequestId {
        match request.parse(&self.name, self.clock.now_ms()) {
            Ok(call) => {
                let id = self.call(call, Body::Unread);
                self.requests.get_mut(&id).expect("it was just asked").unread = Some(request.body.clone());
                id
            }
            Err(_) => self.request(request),
        }
    }

    /// The same as a call, for worlds that need speed or what no text can say.
    pub fn call(&mut self, call: Call, body: Body) -> RequestId {
        let id = RequestId(self.number());
        let random = self.random();
        self.requests.insert(id, Asked::default());
        self.tell(Input::Request { id, call, body, random });
        id
    }

    /// The client of a request goes away. The broker hears of it where it asked to.
    pub fn gone(&mut self, id: RequestId) {
        self.assert_drained();
        if self.requests.get(&id).is_some_and(|asked| asked.held) {
            self.requests.remove(&id);
            self.tell(Input::Gone(id));
        }
    }

    /// A message comes on a socket.
    pub fn message(&mut self, connection: ConnectionId, message: Message) {
        assert!(self.connections.contains_key(&connection), "there is no connection {}", connection.0);
        let random = self.random();
        self.tell(Input::Message { connection, message, random });
    }

    /// A `ping` on a socket is answered, without waking the broker.
    pub fn ping(&mut self, connection: ConnectionId) {
        self.connections.get_mut(&connection).expect("an open connection").heard_ms = Some(self.clock.now_ms());
    }

    /// A connection is closed by its client, or broke.
    pub fn closed(&mut self, id: ConnectionId) {
        let connection = self.connections.remove(&id).expect("an open connection");
        let asleep = self.broker.as_mut().is_none_or(|broker| broker.memory().is_none());
        if self.faults.lingering && asleep && connection.transport != Transport::Stream {
            self.lingering.push((id, connection.kept));
        }
        self.tell(Input::Closed(id));
    }

    /// The alarm goes off, whether it is due or not.
    pub fn ring(&mut self) {
        assert!(!self.alarm.rings, "the platform rings once at a time");
        self.alarm.at_ms = None;
        self.alarm.rings = true;
        self.tell(Input::Alarm);
    }

    /// The timer goes off, whether it is due or not.
    pub fn timer(&mut self) {
        assert!(self.broker.is_some(), "a timer does not survive its memory");
        self.timer_ms = None;
        self.tell(Input::Timer);
    }

    /// There is news of a call that was made in some life.
    pub fn fetched(&mut self, life: u64, id: FetchId, news: Fetched) {
        if life != self.life {
            return;
        }
        self.assert_drained();
        if let Some(call) = self.calls.get_mut(&id) {
            match &news {
                Fetched::Begun(..) => {
                    assert!(!std::mem::replace(&mut call.begun, true), "an answer begins once");
                }
                Fetched::Answered(_) => {
                    assert!(call.reading, "nobody reads this answer");
                    self.calls.remove(&id);
                }
                Fetched::Failed(_) => drop(self.calls.remove(&id)),
            }
        }
        self.tell(Input::Fetched(id, news));
    }

    /// What is waited for has happened.
    pub fn waited(&mut self) {
        self.assert_drained();
        let wait = self.waiting.take().expect("the broker waits");
        if wait == Wait::Durable {
            self.sync();
        }
        self.tell(Input::Waited);
    }

    /// The body of a request is read.
    pub fn read_body(&mut self, id: RequestId) {
        let asked = self.requests.get_mut(&id).expect("an open request");
        let (max, body) = (asked.read_max.take().expect("it is to be read"), asked.unread.take());
        let body = body.expect("nobody has read it");
        let body = if body.len() as u64 > max { Err(BodyError::TooLong) } else { Ok(body) };
        let random = self.random();
        self.tell(Input::Body { id, body, random });
    }

    /// The broker is told when the alarm is set.
    pub fn tell_alarm(&mut self) {
        assert!(std::mem::take(&mut self.alarm.asked), "nobody asked");
        self.tell(Input::AlarmSet(self.alarm.unsynced_ms.or(self.alarm.at_ms)));
    }

    /// Whether the memory may be given up: nothing is under way that needs it.
    pub fn can_sleep(&self) -> bool {
        let busy = !self.drained || self.waiting.is_some() || self.unsynced || self.alarm.asked || self.alarm.rings;
        let streams = self.connections.values().any(|connection| connection.transport == Transport::Stream);
        !busy && !streams && self.timer_ms.is_none() && self.requests.is_empty() && self.calls.is_empty()
    }

    /// The memory is given up. Sockets stay.
    pub fn sleep(&mut self) {
        assert!(self.can_sleep(), "{} is awake for a reason", self.name);
        for (id, connection) in &self.connections {
            assert!(!connection.kept.is_empty(), "nothing is kept with connection {}", id.0);
        }
        self.forget();
    }

    /// The process dies, at any moment. Of what was written and is not durable it is open whether it survives.
    pub fn crash(&mut self, survives: bool) -> Lost {
        self.disk.die(survives);
        let unsynced_ms = self.alarm.unsynced_ms.take().filter(|_| survives);
        self.alarm.at_ms = unsynced_ms.or(self.alarm.at_ms);
        if std::mem::take(&mut self.alarm.rings) {
            self.alarm_again();
        }
        let held_back = std::mem::take(&mut self.held_back);
        let unseen = held_back.into_iter().filter_map(|output| match output {
            Output::Answer(request, _) | Output::Accept { request, .. } => Some(request),
            _ => None,
        });
        let requests = std::mem::take(&mut self.requests).into_keys().chain(unseen).collect();
        let connections = std::mem::take(&mut self.connections).into_keys().collect();
        self.lingering.clear();
        self.forget();
        Lost { requests, connections }
    }

    /// The program fails and is begun again, at any moment: what was written stays, and sockets stay as what was kept.
    pub fn panic(&mut self) -> Lost {
        let accepted = |id: ConnectionId| {
            let held_back = |output: &Output| matches!(output, Output::Accept { connection, .. } if *connection == id);
            !self.held_back.iter().any(held_back)
        };
        let is_kept = |id: ConnectionId, connection: &Connection| {
            accepted(id) && connection.transport != Transport::Stream && !connection.kept.is_empty()
        };
        let all = std::mem::take(&mut self.connections);
        let (sockets, others) = all.into_iter().partition(|(id, connection)| is_kept(*id, connection));
        self.connections = others;
        let lost = self.crash(true);
        self.connections = sockets;
        lost
    }

    fn forget(&mut self) {
        self.broker = None;
        self.life += 1;
        self.drained = true;
        (self.waiting, self.timer_ms, self.unsynced, self.alarm.asked) = (None, None, false, false);
        self.calls.clear();
    }

    // What can be seen.

    /// What was seen outside since the last time, in order: `Answer`, `Accept`, `Send`, `Close`, `Fetch`, `Read`,
    /// `Abort` and `Log`.
    pub fn seen(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.seen)
    }

    /// When the durable alarm goes off.
    pub fn alarm_ms(&self) -> Option<u64> {
        self.alarm.at_ms
    }

    /// When the timer goes off.
    pub fn timer_ms(&self) -> Option<u64> {
        self.timer_ms
    }

    /// Whether the alarm went off and its work is not done.
    pub fn rings(&self) -> bool {
        self.alarm.rings
    }

    /// What the broker waits for.
    pub fn waiting(&self) -> Option<Wait> {
        self.waiting
    }

    /// Whether the broker wants to know when the alarm is set.
    pub fn asks_alarm(&self) -> bool {
        self.alarm.asked
    }

    /// Requests whose body is to be read.
    pub fn unread(&self) -> Vec<RequestId> {
        self.requests.iter().filter(|(_, asked)| asked.read_max.is_some()).map(|(id, _)| *id).collect()
    }

    /// Requests whose client is watched for.
    pub fn held(&self) -> Vec<RequestId> {
        self.requests.iter().filter(|(_, asked)| asked.held).map(|(id, _)| *id).collect()
    }

    /// How a connection is made, while it is open.
    pub fn transport(&self, id: ConnectionId) -> Option<Transport> {
        self.connections.get(&id).map(|connection| connection.transport)
    }

    /// Counts the memories so far.
    pub fn life(&self) -> u64 {
        self.life
    }

    /// The broker, if it is in memory.
    pub fn broker(&mut self) -> Option<&mut Broker<D::Store, O>> {
        self.broker.as_mut()
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn random(&mut self) -> u128 {
        u128::from(self.number()) << 80
    }

    fn assert_drained(&self) {
        assert!(self.drained, "the broker is told something before all it said was done");
    }

    fn tell(&mut self, input: Input<D::Store>) {
        self.assert_drained();
        let (variables, observer) = (self.variables.clone(), self.observer.clone());
        let broker = self.broker.get_or_insert_with(|| {
            Broker::observed(&self.name, Box::new(move |name| variables.get(name).cloned()), observer)
        });
        broker.handle(self.clock.now_ms(), input);
        self.drained = false;
    }

    /// The answer to a question that must be answered before anything else.
    fn answer(&mut self, input: Input<D::Store>) {
        let broker = self.broker.as_mut().expect("it has just asked");
        broker.handle(self.clock.now_ms(), input);
    }
}
