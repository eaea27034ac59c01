//! The world: clients, a clock and a disk around the real broker, with the judge looking on.
//!
//! A step of the script is told to the broker, by way of the test host, and everything that follows is done; unless
//! several steps come together, or the process dies on the way. All that is seen outside is checked against what was
//! written.

use super::clients::Clients;
use super::disk::{FaultyDisk, listing};
use super::judge::Onlooker;
use super::oracle::Oracle;
use super::outside::Piece;
use super::random::Random;
use super::requests::{self, Asking};
use super::script::{Op, Script, Who};
use crate::support::host::{Clock, Host, Variables};
use crate::support::request::events;
use bytes::Bytes;
use edgequeue::broker::{ConnectionId, Fetched, Output, RequestId, Wait};
use edgequeue::inference::outcome;
use edgequeue::queue::event::Event;
use edgequeue::queue::store::Side;
use edgequeue::wire::http::settings;
use edgequeue::wire::v1::server::ServerEvent;
use edgequeue::wire::{Address, Answer, Progress, Transport};
use prost::Message;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

/// More outputs and waits than any amount of work in a script needs.
const STEPS_MAX: usize = 100_000;
/// However many requests arrive, a flush waits no longer than this many turns of the event loop.
const TURNS_MAX: u32 = 64;

pub struct World<D: FaultyDisk> {
    pub(super) host: Host<D, Onlooker>,
    pub(super) onlooker: Onlooker,
    pub(super) clock: Clock,
    pub(super) address: Address,
    pub(super) clients: Clients,
    /// The order in which sockets are found.
    order: Rc<Cell<u64>>,
    doom: Option<Doom>,
    hold: Hold,
    /// Flushes after which what is stored was looked at.
    looked: u64,
}

/// The process will die.
struct Doom {
    outputs: u32,
    /// The machine dies too; of what is not durable it is open whether it survives.
    crash: Option<bool>,
}

/// Requests that come together.
#[derive(Default)]
struct Hold {
    left: u32,
    came: u32,
    flushes: u64,
}

/// What the broker keeps with a socket, as far as a shell may guess.
#[derive(Clone, PartialEq, Message)]
struct Kept {
    #[prost(uint64, tag = "1")]
    watcher: u64,
    #[prost(bool, tag = "16")]
    idle: bool,
}

impl<D: FaultyDisk> World<D> {
    pub fn new(script: &Script) -> Self {
        let disk = D::fresh(script.seed);
        let onlooker = Onlooker::new(Oracle::new(script.settings.clone()), disk.faults().clone());
        let clock = Clock::new(1_700_000_000_000);
        let sink = script.seed.is_multiple_of(2);
        let address = Address { service: "q".into(), sink, suffix: String::new() };
        let named = |(key, value): (&str, String)| (format!("EDGEQUEUE_{}", key.to_uppercase()), value);
        let variables: Variables = settings::shown(&script.settings).map(named).collect();
        let mut host = Host::observed(&address.queue_name(), variables, disk, clock.clone(), onlooker.clone());
        let order = Rc::new(Cell::new(0));
        host.order = Box::new(opening(onlooker.clone(), clock.clone(), order.clone()));
        let clients = Clients::default();
        Self { host, onlooker, clock, address, clients, order, doom: None, hold: Hold::default(), looked: 0 }
    }

    /// Who looks on.
    pub fn onlooker(&self) -> Onlooker {
        self.onlooker.clone()
    }

    /// Plays a script to its end and looks at what is left.
    pub fn play(&mut self, script: &Script) -> Result<(), String> {
        for (position, op) in script.ops.iter().enumerate() {
            self.note(|| format!("  {position:3} {op:?}"));
            self.step(op).map_err(|why| format!("step {position}: {why}"))?;
        }
        self.finish().map_err(|why| format!("at the end: {why}"))
    }

    fn finish(&mut self) -> Result<(), String> {
        self.settle()?;
        self.die(Some(true))?;
        for side in [Side::Main, Side::Rear] {
            self.ask(requests::stats(side, self.address.clone()))?;
        }
        self.settle()
    }

    pub(super) fn note(&self, line: impl FnOnce() -> String) {
        self.onlooker.judge().transcript.note(line);
    }

    fn step(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Pass { ms } => {
                self.clock.set(self.clock.now_ms().saturating_add_signed(*ms));
                return Ok(());
            }
            Op::Fault { after } => {
                self.host.disk.faults().arm(*after);
                return Ok(());
            }
            Op::Hold { requests } => {
                self.settle()?;
                let flushes = self.onlooker.judge().flushes;
                self.hold = Hold { left: *requests, came: 0, flushes };
                return Ok(());
            }
            Op::Panic { outputs, order } => {
                self.order.set(*order);
                self.doom = Some(Doom { outputs: *outputs, crash: None });
                return self.meet_doom().map(|_| ());
            }
            Op::Crash { outputs, survives } => {
                self.doom = Some(Doom { outputs: *outputs, crash: Some(*survives) });
                return self.meet_doom().map(|_| ());
            }
            _ => {}
        }
        if let Some(asking) = self.asking(op) {
            return self.ask(asking);
        }
        if let Op::Say { who, requests } = op {
            return self.say(*who, requests);
        }
        self.go_away(op);
        if self.hold.left > 0 && self.drain()? {
            // These do not keep others waiting.
            if matches!(op, Op::Abandon { .. } | Op::Die { .. } | Op::Notice { .. } | Op::Ping) {
                return Ok(());
            }
        }
        self.settle()?;
        match op {
            Op::Sleep { order } => self.sleep(*order),
            Op::Ring => self.host.ring(),
            Op::Timer if self.host.broker().is_some() => self.host.timer(),
            Op::Wake { late_ms } => self.wake(*late_ms),
            _ => {}
        }
        self.settle()
    }

    /// A client goes away, or its connection does; or it says that it has not.
    fn go_away(&mut self, op: &Op) {
        match op {
            Op::Abandon { pick } => self.abandon(*pick),
            Op::Die { who, noticed } => self.lose(*who, *noticed),
            Op::Notice { pick } => {
                if let Some(id) = self.clients.dead(*pick) {
                    self.close(id);
                }
            }
            Op::Ping => self.ping(),
            _ => {}
        }
    }

    /// Time passes until something goes off.
    fn wake(&mut self, late_ms: u64) {
        let (alarm_ms, timer_ms) = (self.host.alarm_ms(), self.host.timer_ms());
        let Some(soonest) = [alarm_ms, timer_ms].into_iter().flatten().min() else { return };
        self.clock.set(self.clock.now_ms().max(soonest.saturating_add(late_ms)));
        if alarm_ms == Some(soonest) { self.host.ring() } else { self.host.timer() }
    }

    fn abandon(&mut self, pick: u64) {
        let held = self.host.held();
        if let Some(id) = held.get(pick as usize % held.len().max(1)) {
            self.onlooker.judge().outside.gone(*id);
            self.host.gone(*id);
        }
    }

    fn lose(&mut self, who: Who, noticed: bool) {
        let Some((id, socket)) = self.clients.open(who) else { return };
        socket.dead = true;
        if noticed {
            self.close(id);
        }
    }

    /// The queue hears of the end of a connection.
    fn close(&mut self, id: ConnectionId) {
        // While nobody is in memory the platform may go on listing it.
        self.host.faults.lingering = self.host.broker().is_none();
        self.clients.sockets.remove(&id);
        self.onlooker.judge().outside.closed(id);
        self.host.closed(id);
    }

    /// Every client that lives says so.
    fn ping(&mut self) {
        for (id, socket) in self.clients.sockets.iter_mut().filter(|(_, socket)| !socket.dead) {
            socket.heard_ms = self.clock.now_ms();
            self.host.ping(*id);
        }
    }

    /// The memory is given up, if nothing keeps it.
    fn sleep(&mut self, order: u64) {
        if self.host.broker().is_some() && self.host.can_sleep() {
            self.order.set(order);
            self.note(|| "    asleep".into());
            self.host.sleep();
            self.onlooker.judge().forgotten(true, true);
        }
    }

    /// A client sends a request.
    fn ask(&mut self, asking: Asking) -> Result<(), String> {
        let Asking { request, side, event, kind } = asking;
        let (name, now_ms) = (self.host.name.clone(), self.clock.now_ms());
        request.parse(&name, now_ms).map_err(|refused| format!("{request:?} makes no sense: {refused:?}"))?;
        let unread = request.body.len() % 3 == 1;
        let id = if unread { self.host.request_unread(&request) } else { self.host.request(&request) };
        if let Event::Attach(_, _, watch) = &event {
            let user = watch.consumer.clone();
            self.clients.asking.insert(id, (requests::who(side, &user), watch.clone()));
        }
        self.onlooker.judge().outside.ask(id, side, event, kind);
        if !self.drain()? {
            return Ok(());
        }
        if let Some(id) = self.host.unread().first().copied() {
            self.host.read_body(id);
            if !self.drain()? {
                return Ok(());
            }
        }
        let refused = !self.onlooker.judge().outside.is_asked(id);
        if refused { Ok(()) } else { self.came() }
    }

    /// Something came: what follows is done, unless others come with it.
    pub(super) fn came(&mut self) -> Result<(), String> {
        if !self.drain()? {
            return Ok(());
        }
        self.hold.came += 1;
        self.hold.left = self.hold.left.saturating_sub(1);
        if self.hold.left == 0 {
            return self.settle();
        }
        if self.hold.came > 1 {
            // There is company, and more comes with each turn of the event loop: that is waited for.
            self.pass_turn()?;
            let flushes = self.onlooker.judge().flushes;
            let waits = flushes == self.hold.flushes && self.host.waiting().is_some();
            if self.hold.came > 2 && !waits {
                return Err("a flush did not wait for requests that came together".into());
            }
        }
        Ok(())
    }

    fn pass_turn(&mut self) -> Result<(), String> {
        if self.host.waiting().is_some_and(|wait| wait != Wait::Durable) {
            self.host.waited();
            self.drain()?;
        }
        Ok(())
    }

    /// Does all outputs. False when the process died of it.
    fn drain(&mut self) -> Result<bool, String> {
        for _ in 0..STEPS_MAX {
            if self.meet_doom()? {
                return Ok(false);
            }
            let more = self.host.step();
            self.see()?;
            if !more {
                return Ok(true);
            }
            if let Some(doom) = &mut self.doom {
                doom.outputs = doom.outputs.saturating_sub(1);
            }
        }
        Err("the broker says things without end".into())
    }

    /// Does everything that follows without time passing and without anybody from outside.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.hold = Hold::default();
        let mut turns = 0;
        for _ in 0..STEPS_MAX {
            if !self.drain()? {
                return Ok(());
            }
            turns = if self.host.waiting() == Some(Wait::Turn) { turns + 1 } else { 0 };
            if turns > TURNS_MAX {
                return Err("a flush waits for ever".into());
            }
            if let Some(wait) = self.host.waiting() {
                if wait == Wait::Durable {
                    self.onlooker.judge().synced();
                }
                self.host.waited();
            } else if self.host.asks_alarm() {
                self.host.tell_alarm();
            } else if !self.answer_call() {
                return self.rest();
            }
        }
        Err("the broker never comes to rest".into())
    }

    /// The sink knows nothing of any request.
    fn answer_call(&mut self) -> bool {
        let life = self.host.life();
        let Some((id, begun)) = self.clients.calls.pop() else { return false };
        if !begun {
            self.host.fetched(life, id, Fetched::Begun(200, None));
            return true;
        }
        let body = Bytes::from(Progress::Unknown.to_json("nobody's"));
        self.host.fetched(
            life,
            id,
            Fetched::Answered(outcome::PredictorAnswer { status: 200, body, ..Default::default() }),
        );
        true
    }

    /// Nothing happens any more until time passes or somebody comes.
    fn rest(&mut self) -> Result<(), String> {
        self.host.check_rest();
        if self.host.spent.alarms_late > 0 {
            return Err("an alarm was set to a later time".into());
        }
        let is_open = self.host.broker().is_some_and(|broker| broker.memory().is_some());
        if self.onlooker.judge().is_lost && self.host.timer_ms().is_none() {
            return Err("nobody opens the queue again after a failure".into());
        }
        let mut judge = self.onlooker.judge();
        judge.outside.check_rest(is_open)?;
        if is_open && judge.oracle.again {
            return Err("there is more to do and nobody does it".into());
        }
        if judge.flushes != self.looked {
            self.looked = judge.flushes;
            let mut written = self.host.disk.inspect();
            for side in [Side::Main, Side::Rear] {
                let listing = listing(&mut written, side).map_err(|error| error.to_string())?;
                judge.check_listing(side, &listing)?;
            }
        }
        Ok(())
    }

    fn meet_doom(&mut self) -> Result<bool, String> {
        let Some(doom) = self.doom.take_if(|doom| doom.outputs == 0) else { return Ok(false) };
        self.die(doom.crash)?;
        Ok(true)
    }

    /// The process dies, and with it perhaps the machine.
    fn die(&mut self, crash: Option<bool>) -> Result<(), String> {
        self.see()?;
        self.note(|| format!("    dies {crash:?}"));
        match crash {
            Some(survives) => drop(self.host.crash(survives)),
            None => drop(self.host.panic()),
        }
        self.hold = Hold::default();
        self.clients.calls.clear();
        self.clients.asking.clear();
        self.clients.sockets.retain(|id, _| self.host.transport(*id).is_some());
        let mut judge = self.onlooker.judge();
        judge.forgotten(crash.unwrap_or(true), false);
        judge.outside.retain(|id| self.host.transport(id).is_some());
        Ok(())
    }

    /// Looks at what was seen outside.
    fn see(&mut self) -> Result<(), String> {
        self.onlooker.judge().failure.take().map_or(Ok(()), Err)?;
        for output in self.host.seen() {
            write!(self.onlooker.judge().transcript.digest, "{output:?}").expect("a digest takes everything");
            match output {
                Output::Answer(id, answer) => self.answered(id, &answer)?,
                Output::Accept { request, connection, transport } => self.accepted(request, connection, transport)?,
                Output::Send(id, bytes) => self.sent(id, bytes)?,
                Output::Close(id, code, _) => self.closed(id, code)?,
                Output::Fetch(id, _) => self.clients.calls.push((id, false)),
                Output::Read(id, _) => self.clients.calls.push((id, true)),
                Output::Abort(id) => self.clients.calls.retain(|(other, _)| *other != id),
                _ => {}
            }
        }
        Ok(())
    }

    fn answered(&mut self, id: RequestId, answer: &Answer) -> Result<(), String> {
        self.note(|| format!("        <- request {} {}", id.0, answer.status));
        self.clients.asking.remove(&id);
        self.onlooker.judge().outside.answered(id, answer)
    }

    fn accepted(&mut self, request: RequestId, id: ConnectionId, transport: Transport) -> Result<(), String> {
        self.note(|| format!("        <- request {} connection {}", request.0, id.0));
        let (who, watch) = self.clients.asking.remove(&request).expect("somebody asked to watch");
        let heard_ms = self.clock.now_ms();
        self.clients.accepted(id, who, watch, transport, heard_ms);
        self.onlooker.judge().outside.accepted(request, id, transport)
    }

    fn sent(&mut self, id: ConnectionId, bytes: Bytes) -> Result<(), String> {
        let transport = self.clients.sockets[&id].transport;
        for event in events(transport, bytes) {
            let piece = match event {
                ServerEvent::Answered(answered) => Piece::Answer(answered),
                ServerEvent::Pushed(frame) => Piece::Frame(frame, 0),
            };
            if let Some(Piece::Frame(_, index)) = self.onlooker.judge().outside.seen(id, &piece)? {
                self.clients.pushed(id, index);
            }
        }
        Ok(())
    }

    fn closed(&mut self, id: ConnectionId, code: u16) -> Result<(), String> {
        self.note(|| format!("        <- connection {} closed {code}", id.0));
        let socket = self.clients.sockets.remove(&id);
        let mut judge = self.onlooker.judge();
        if let Some(socket) = socket.filter(|socket| code == 4002 && socket.transport == Transport::Session) {
            let most = judge.least_silence_ms;
            if socket.heard_ms.saturating_add(most) > judge.now() {
                return Err(format!("connection {} is closed as silent and was heard of {}", id.0, socket.heard_ms));
            }
        }
        judge.outside.seen(id, &Piece::Close(code)).map(|_| ())
    }
}

/// What the host does when the queue is opened: sockets are found in some order, and the judge is told.
fn opening(
    onlooker: Onlooker,
    clock: Clock,
    order: Rc<Cell<u64>>,
) -> impl FnMut(&mut Vec<(ConnectionId, Bytes)>) + 'static {
    move |sockets| {
        let mut random = Random::new(order.get());
        let keys: BTreeMap<ConnectionId, u64> = sockets.iter().map(|(id, _)| (*id, random.next())).collect();
        sockets.sort_by_key(|(id, _)| keys[id]);
        let kept = sockets.iter().map(|(_, kept)| Kept::decode(kept.clone()).expect("a record"));
        let watching = kept.filter(|kept| kept.watcher != 0 && !kept.idle);
        let watching = watching.map(|kept| ConnectionId(kept.watcher)).collect();
        onlooker.judge().opening(watching, clock.now_ms());
    }
}
