//! The world: clients, sockets, a clock and a disk around one machine, with the oracle looking on.
//!
//! Turns collect effects until a flush; only then does anybody outside see them. A storage error or a crash throws away
//! what was not flushed, in the machine and in the oracle alike.

use super::disk::{Disk, listing};
use super::oracle::{Attachment, Known, Oracle, Turn};
use super::script::{Choice, Item, ItemOnce, Op, Place, Script, Want, Who};
use super::transcript::Transcript;
use edgequeue::queue::effect::{Effect, Reply};
use edgequeue::queue::entry::{Entry, Filter, Index, Lane, TAG_REQUEST_ID, Tags};
use edgequeue::queue::event::{
    ConsumerId, Dedup, Event, Get, NewEntry, Rejection, ResumeState, Start, Ticket, Watch, WatcherId,
};
use edgequeue::queue::refusal::StoreError;
use edgequeue::queue::store::{Side, Store, Stores, Totals};
use edgequeue::queue::{Queue, Wake};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// More ticks than any amount of work in a script needs.
const AGAIN_MAX: u32 = 200;
/// Memory of one client: indexes it saw.
const SEEN_MAX: usize = 2_000;

pub struct World<D: Disk> {
    disk: D,
    stores: RefCell<D::Stores>,
    queue: Queue,
    oracle: Oracle,
    /// The oracle as of the last flush.
    saved: Oracle,
    /// What the shell reads; it may go backward.
    clock: u64,
    /// What counts: inside one life of the machine time does not go backward.
    now: u64,
    batch: Vec<Effect>,
    hold: u32,
    /// The effects of the next flush are lost.
    torn: bool,
    again: bool,
    sockets: BTreeMap<WatcherId, Socket>,
    clients: BTreeMap<Who, Client>,
    waiting: BTreeMap<Ticket, Side>,
    numbers: u64,
    /// Newest entry of the other queue whose outcomes are put here, for each side.
    sources: BTreeMap<Side, u64>,
    pub turns: u64,
    pub transcript: Transcript,
}

struct Socket {
    who: Who,
    state: State,
    endless: bool,
    watch: Watch,
    memory: Option<Attachment>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Its attach is not answered yet.
    Asking,
    Open,
    /// It died and the queue was not told.
    Dead,
}

#[derive(Default)]
struct Client {
    open: Vec<u64>,
    settled: Vec<u64>,
}

impl<D: Disk> World<D> {
    pub fn new(script: &Script) -> Result<Self, String> {
        let mut disk = D::fresh(script.seed);
        let now = 1_700_000_000_000;
        let mut stores = disk.open().map_err(|error| error.to_string())?;
        let queue = Queue::open(script.settings.clone(), &mut stores).map_err(|error| error.to_string())?;
        let oracle = Oracle::new(script.settings.clone());
        Ok(Self {
            disk,
            stores: RefCell::new(stores),
            queue,
            saved: oracle.clone(),
            oracle,
            clock: now,
            now: 0,
            batch: Vec::new(),
            hold: 0,
            torn: false,
            again: false,
            sockets: BTreeMap::new(),
            clients: BTreeMap::new(),
            waiting: BTreeMap::new(),
            numbers: 0,
            sources: BTreeMap::new(),
            turns: 0,
            transcript: Transcript::default(),
        })
    }

    /// Plays a script to its end and looks at what is left.
    pub fn play(&mut self, script: &Script) -> Result<(), String> {
        for (position, op) in script.ops.iter().enumerate() {
            self.transcript.note(|| format!("  {position:3} {op:?}"));
            self.step(op, script).map_err(|why| format!("step {position}: {why}"))?;
        }
        self.flush(script)?;
        self.step(&Op::Crash, script).map_err(|why| format!("at the end: {why}"))
    }

    fn step(&mut self, op: &Op, script: &Script) -> Result<(), String> {
        match op {
            Op::Pass { ms } => self.clock = self.clock.saturating_add_signed(*ms),
            Op::Hold { turns } => self.hold = *turns,
            Op::Tear => self.torn = true,
            Op::Fault { after } => self.disk.faults().arm(*after),
            Op::Evict { backward } => {
                self.flush(script)?;
                self.reopen(script, *backward)?;
            }
            Op::Crash => {
                self.batch.clear();
                self.sockets.retain(|_, socket| socket.watch.local);
                self.reopen(script, false)?;
            }
            Op::Wake { late_ms } => {
                let Wake { timer_ms, alarm_ms, .. } = self.queue.wake();
                if let Some(soonest) = [timer_ms, alarm_ms].into_iter().flatten().min() {
                    self.clock = self.clock.max(soonest.saturating_add(*late_ms));
                }
                self.turn(Side::Main, Event::Tick, script)?;
            }
            op => {
                if let Some((side, event)) = self.event(op) {
                    self.turn(side, event, script)?;
                }
            }
        }
        Ok(())
    }

    /// The event a step stands for at this moment, if it stands for one.
    fn event(&mut self, op: &Op) -> Option<(Side, Event)> {
        let ticket = Ticket(self.number());
        let event = match op {
            Op::Put { side, items } => {
                (*side, Event::Put(ticket, items.iter().map(|item| self.new_entry(*side, item)).collect()))
            }
            Op::Get { side, start, want, count, remove, wait_ms } => {
                self.waiting.insert(ticket, *side);
                let (filter, start) = (self.wanted(*side, *want), self.start(*side, *start));
                (*side, Event::Get(ticket, Get { start, filter, count: *count, remove: *remove, wait_ms: *wait_ms }))
            }
            Op::Abandon { pick } => {
                let nth = *pick as usize % self.waiting.len().max(1);
                let (ticket, side) = self.waiting.iter().nth(nth).map(|(ticket, side)| (*ticket, *side))?;
                self.waiting.remove(&ticket);
                (side, Event::Abandon(ticket))
            }
            Op::Attach { who, start, window, modes, color } => {
                let id = WatcherId(self.number());
                let watch = Watch {
                    consumer: consumer(*who),
                    start: self.start(who.side, *start),
                    window: *window,
                    auto_commit: modes.auto_commit,
                    index_only: modes.index_only,
                    filter: filter(*color),
                    local: modes.local,
                };
                let (state, endless) = (State::Asking, modes.endless);
                self.sockets.insert(id, Socket { who: *who, state, endless, watch: watch.clone(), memory: None });
                (who.side, Event::Attach(ticket, id, watch))
            }
            Op::Resize { who, window } => {
                let (id, socket) = self.open_socket(*who)?;
                socket.watch.window = *window;
                (who.side, Event::Attach(ticket, id, socket.watch.clone()))
            }
            Op::Heartbeat { who, ago_ms } => {
                let at_ms = self.clock.saturating_sub(*ago_ms);
                (who.side, Event::Heartbeats(vec![(self.open_socket(*who)?.0, at_ms)]))
            }
            Op::Die { who, noticed } => {
                let (id, socket) = self.open_socket(*who)?;
                socket.state = State::Dead;
                if !noticed {
                    return None;
                }
                self.sockets.remove(&id);
                (who.side, Event::Detach(id))
            }
            Op::Notice { pick } => {
                let dead: Vec<WatcherId> =
                    self.sockets.iter().filter(|(_, socket)| socket.state == State::Dead).map(|(id, _)| *id).collect();
                let id = *dead.get(*pick as usize % dead.len().max(1))?;
                let who = self.sockets.remove(&id)?.who;
                (who.side, Event::Detach(id))
            }
            Op::Commit { who, what } => {
                (who.side, Event::Commit(ticket, consumer(*who), self.choose(*who, *what, true)))
            }
            Op::Reject { who, what, code, reason, delay_ms } => {
                let rejection = Rejection { code: (*code).into(), reason: (*reason).into(), delay_ms: *delay_ms };
                (who.side, Event::Reject(ticket, consumer(*who), self.choose(*who, *what, false), rejection))
            }
            Op::Remove { side, what } => {
                let nobody = Who { side: *side, group: u8::MAX, user: 0 };
                (*side, Event::Remove(ticket, self.choose(nobody, *what, false)))
            }
            Op::Truncate { side, at } => (*side, Event::Truncate(ticket, Index(self.place(*side, *at)))),
            Op::End { side, force } => (*side, Event::End(ticket, *force)),
            Op::Configure(settings) => (Side::Main, Event::Configure(ticket, settings.clone())),
            Op::Stats { side } => (*side, Event::Stats(ticket)),
            Op::Count { side, lane, want } => (*side, Event::Count(ticket, lane.map(Lane), self.wanted(*side, *want))),
            Op::Search { who, at } => {
                (who.side, Event::Search(ticket, consumer(*who), Index(self.place(who.side, *at))))
            }
            Op::Find { side, behind } => (*side, Event::Find(ticket, self.request_id(*side, *behind))),
            Op::Cancel { side, behind } => (*side, Event::Cancel(ticket, self.request_id(*side, *behind))),
            Op::Tick => (Side::Main, Event::Tick),
            Op::Pass { .. }
            | Op::Hold { .. }
            | Op::Tear
            | Op::Fault { .. }
            | Op::Evict { .. }
            | Op::Crash
            | Op::Wake { .. } => {
                return None;
            }
        };
        Some(event)
    }

    /// The newest connection of a consumer that is not known to be dead.
    fn open_socket(&mut self, who: Who) -> Option<(WatcherId, &mut Socket)> {
        let mut open = self.sockets.iter_mut().filter(|(_, socket)| socket.who == who && socket.state == State::Open);
        open.next_back().map(|(id, socket)| (*id, socket))
    }

    fn wanted(&self, side: Side, want: Want) -> Filter {
        let behind = match want {
            Want::Anything => return Filter::default(),
            Want::Color(color) => return filter(Some(color)),
            Want::Request(behind) => behind,
        };
        Filter(Tags::from([(TAG_REQUEST_ID.to_string(), self.request_id(side, behind))]))
    }

    /// The request id of the entry so far behind the next one.
    fn request_id(&self, side: Side, behind: u64) -> String {
        let model = self.oracle.side(side);
        let held = model.entries.get(&model.next.saturating_sub(behind));
        held.and_then(|held| held.tags.get(TAG_REQUEST_ID)).map_or("nobody's", String::as_str).into()
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn new_entry(&mut self, side: Side, item: &Item) -> NewEntry {
        let serial = self.number();
        // Bodies differ, so that an entry that moves to the rear can be told from others.
        let mut data = format!("body {serial} ").into_bytes();
        data.resize((item.bytes as usize).max(data.len()), b'.');
        let mut tags = Tags::from([("color".into(), item.color.to_string())]);
        if item.named {
            tags.insert("requestId".into(), format!("request-{serial}"));
        }
        let once = item.once.map(|once| match once {
            ItemOnce::Request(id) => {
                tags.insert(TAG_REQUEST_ID.into(), format!("once-{id}"));
                Dedup::RequestId
            }
            ItemOnce::Outcome { behind, settled_behind } => {
                let newest = self.sources.entry(side).or_insert(20);
                *newest += 1;
                let index = |behind| Index(newest.saturating_sub(behind));
                Dedup::Source { index: index(behind), settled_below: index(settled_behind) }
            }
        });
        let random = u128::from(serial).wrapping_mul(0x2545_f491_4f6c_dd1d_2545_f491_4f6c_dd1d);
        NewEntry { lane: Lane(item.lane), tags, data: data.into(), random, dedup: once }
    }

    fn place(&self, side: Side, place: Place) -> u64 {
        let next = self.oracle.side(side).next;
        match place {
            Place::Zero => 0,
            Place::Newest => next,
            Place::Behind(steps) => next.saturating_sub(steps),
        }
    }

    fn start(&self, side: Side, place: Place) -> Start {
        if place == Place::Newest { Start::Newest } else { Start::At(Index(self.place(side, place))) }
    }

    fn choose(&mut self, who: Who, what: Choice, settle: bool) -> Vec<Index> {
        let behind = |steps: u64| vec![Index(self.oracle.side(who.side).next.saturating_sub(steps))];
        let client = self.clients.entry(who).or_default();
        let (open, count) = match what {
            Choice::Behind(steps) => return behind(steps),
            Choice::Stale(count) => {
                let stale: Vec<Index> = client.settled.iter().rev().take(count).map(|index| Index(*index)).collect();
                return if stale.is_empty() { behind(1) } else { stale };
            }
            Choice::Oldest(count) => (false, count),
            Choice::Latest(count) => (true, count),
        };
        let count = count.min(client.open.len());
        let from = if open { client.open.len() - count } else { 0 };
        let chosen: Vec<u64> = client.open[from..from + count].to_vec();
        if settle {
            client.open.drain(from..from + count);
            client.settled.extend(&chosen);
        }
        chosen.into_iter().map(Index).collect()
    }

    /// One turn, and a flush unless several turns share one.
    fn turn(&mut self, side: Side, event: Event, script: &Script) -> Result<(), String> {
        if !self.take_turn(side, event, script)? {
            return Ok(());
        }
        if self.hold > 1 {
            self.hold -= 1;
            return Ok(());
        }
        self.hold = 0;
        self.flush(script)?;
        self.drain(script)
    }

    /// Answers every `Again` with a tick.
    fn drain(&mut self, script: &Script) -> Result<(), String> {
        for _ in 0..AGAIN_MAX {
            if !std::mem::take(&mut self.again) {
                return Ok(());
            }
            if !self.take_turn(Side::Main, Event::Tick, script)? {
                return Ok(());
            }
            self.flush(script)?;
        }
        Err("the machine never stops asking for another turn".into())
    }

    /// Whether the turn went through; after a storage error everything was opened again.
    fn take_turn(&mut self, side: Side, event: Event, script: &Script) -> Result<bool, String> {
        self.now = self.now.max(self.clock);
        // Who may be forgotten depends on when they were last heard of; the machine says so when it is not known exactly.
        if self.fading().iter().any(|id| !self.oracle.is_exact(id)) && !self.take_turns(None, script)? {
            return Ok(false);
        }
        self.take_turns(Some((side, event)), script)
    }

    fn take_turns(&mut self, event: Option<(Side, Event)>, script: &Script) -> Result<bool, String> {
        let Some(mut turns) = self.machine_turns(event)? else {
            self.reopen(script, false)?;
            return Ok(false);
        };
        for turn in &turns {
            self.follow(turn).map_err(|why| format!("{why}\n      in {:?} at {}", turn.side, self.now))?;
        }
        let settled = turns.iter().any(|turn| turn.event == Event::Tick && !turn.effects.contains(&Effect::Again));
        self.oracle.check_wake(self.queue.wake(), self.now, settled)?;
        self.check_attachments(true)?;
        self.batch.extend(turns.iter_mut().flat_map(|turn| turn.effects.drain(..)));
        Ok(true)
    }

    fn fading(&self) -> Vec<(Side, ConsumerId)> {
        self.oracle.fading(&[Side::Main, Side::Rear], self.now)
    }

    /// Whether it does not show what a turn does about consumers or entries whose time is over.
    fn must_ask(&self) -> bool {
        !self.fading().is_empty() || self.oracle.expires_in_disorder(&[Side::Main, Side::Rear], self.now)
    }

    /// A turn of the machine. When it may have forgotten consumers it is asked which ones it knows: a first question on
    /// each side tells what the turn left, a second one what the first question left.
    fn machine_turns(&mut self, event: Option<(Side, Event)>) -> Result<Option<Vec<Taken>>, String> {
        let mut turns = Vec::new();
        if let Some((side, event)) = event {
            let Some(taken) = self.machine_turn(side, event)? else { return Ok(None) };
            turns.push(taken);
        }
        if !self.must_ask() {
            return Ok(Some(turns));
        }
        for side in [Side::Main, Side::Rear, Side::Main, Side::Rear] {
            let Some(taken) = self.machine_turn(side, Event::Stats(Ticket(u64::MAX)))? else { return Ok(None) };
            turns.push(taken);
        }
        let known: Vec<_> = turns.iter().map(Taken::known).collect();
        for (position, turn) in turns.iter_mut().enumerate() {
            let mut after = Known::default();
            for side in [0, 1] {
                let next = known.iter().skip(position + 1).find_map(|known| known[side].as_ref());
                let Some(known) = next.or_else(|| known.iter().rev().find_map(|known| known[side].as_ref())) else {
                    continue;
                };
                after.consumers.extend(known.consumers.iter().cloned());
                after.delivered.extend(known.delivered.clone());
            }
            turn.known = Some(after);
        }
        Ok(Some(turns))
    }

    /// One turn of the machine alone; nothing when the storage failed.
    fn machine_turn(&mut self, side: Side, event: Event) -> Result<Option<Taken>, String> {
        let hits = self.disk.faults().hits();
        let mut effects = Vec::new();
        self.turns += 1;
        self.now = self.now.max(self.clock);
        let result = self.queue.turn(self.clock, side, event.clone(), &mut *self.stores.borrow_mut(), &mut effects);
        self.transcript.turn(self.now, side, &event, &effects);
        if self.expect_fault(hits, &result)? {
            return Ok(None);
        }
        let totals = [Side::Main, Side::Rear].map(|side| self.stores.borrow_mut().side(side).totals());
        let live = if self.must_ask() { Some(self.live()?) } else { None };
        Ok(Some(Taken { side, event, effects, totals, live, known: None }))
    }

    /// Every live entry, as the stores in use see them.
    fn live(&self) -> Result<[BTreeMap<u64, Entry>; 2], String> {
        let list = |side: Side| self.disk.faults().paused(|| listing(&mut *self.stores.borrow_mut(), side));
        let failed = |error: StoreError| error.to_string();
        Ok([list(Side::Main).map_err(failed)?, list(Side::Rear).map_err(failed)?])
    }

    fn follow(&mut self, taken: &Taken) -> Result<(), String> {
        let (stores, faults) = (&self.stores, self.disk.faults());
        let peek = |side: Side, index: u64| match &taken.live {
            Some(live) => live[side as usize].get(&index).cloned(),
            None => faults
                .paused(|| stores.borrow_mut().side(side).find(Index(index)).expect("nothing fails while looking")),
        };
        let Taken { side, event, effects, totals, known, .. } = taken;
        self.oracle.accept(&Turn {
            now: self.now,
            side: *side,
            event,
            effects,
            totals: *totals,
            peek: &peek,
            known: known.as_ref(),
        })
    }

    /// A storage error is expected exactly when one was injected.
    fn expect_fault<T>(&mut self, hits: u64, result: &Result<T, StoreError>) -> Result<bool, String> {
        let injected = self.disk.faults().hits() > hits;
        match result {
            Err(error) if injected => {
                self.transcript.note(|| format!("        !! {error}"));
                Ok(true)
            }
            Err(error) => Err(format!("the storage is sound and the machine says: {error}")),
            Ok(_) if injected => Err("a storage error was swallowed".into()),
            Ok(_) => Ok(false),
        }
    }

    fn check_attachments(&self, fresh: bool) -> Result<(), String> {
        for (id, socket) in &self.sockets {
            if fresh {
                self.oracle.check_attachment(*id, self.queue.resume_state(*id).as_ref(), true)?;
            } else if socket.state != State::Asking {
                self.oracle.check_attachment(*id, socket.memory.as_ref(), false)?;
            }
        }
        Ok(())
    }

    /// Makes the turns so far durable, then lets the world see their effects.
    fn flush(&mut self, script: &Script) -> Result<(), String> {
        let hits = self.disk.faults().hits();
        let stores = self.stores.get_mut();
        let result = self.queue.before_flush(stores).and_then(|()| self.disk.flush(stores));
        if self.expect_fault(hits, &result)? {
            return self.reopen(script, false);
        }
        self.saved = self.oracle.clone();
        let mut durable = self.disk.inspect();
        for side in [Side::Main, Side::Rear] {
            let listing = listing(&mut durable, side).map_err(|error| error.to_string())?;
            self.oracle.check_listing(side, &listing)?;
        }
        if std::mem::take(&mut self.torn) {
            return self.reopen(script, true);
        }
        for effect in std::mem::take(&mut self.batch) {
            self.carry_out(effect);
        }
        self.check_attachments(false)
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Reply(ticket, reply) => {
                self.waiting.remove(&ticket);
                // The ticket of an attach is the number before its socket's.
                let id = WatcherId(ticket.0.wrapping_add(1));
                match reply {
                    Reply::Attached => {
                        if let Some(socket) = self.sockets.get_mut(&id) {
                            socket.state = State::Open;
                        }
                    }
                    Reply::Refused(_) => {
                        self.sockets.retain(|other, socket| *other != id || socket.state != State::Asking);
                    }
                    _ => {}
                }
            }
            Effect::Push(id, delivery) => {
                if let Some(socket) = self.sockets.get(&id).filter(|socket| socket.state != State::Dead) {
                    let client = self.clients.entry(socket.who).or_default();
                    client.open.push(delivery.entry.index.0);
                    let excess = client.open.len().saturating_sub(SEEN_MAX);
                    client.open.drain(..excess);
                }
            }
            // A closed connection lingers: its end may still be told to the queue.
            Effect::Close(id, _) => {
                if let Some(socket) = self.sockets.get_mut(&id) {
                    socket.state = State::Dead;
                    socket.memory = None;
                }
            }
            Effect::Remember(id) => {
                let memory = self.queue.resume_state(id);
                if let Some(socket) = self.sockets.get_mut(&id) {
                    socket.memory = memory;
                }
            }
            Effect::Again => self.again = true,
            Effect::Revoke(..) => {}
        }
    }

    /// Drops the machine and the store, opens both again and resumes the connections that are left.
    fn reopen(&mut self, script: &Script, backward: bool) -> Result<(), String> {
        let local = |socket: &Socket| socket.watch.local && socket.state == State::Open;
        let locals: Vec<(Who, Watch)> = self
            .sockets
            .values()
            .filter(|socket| local(socket))
            .map(|socket| (socket.who, socket.watch.clone()))
            .collect();
        self.open_again(script, backward)?;
        for (who, watch) in locals {
            // What works inside the process attaches before anything else happens.
            let (ticket, id) = (Ticket(self.number()), WatcherId(self.number()));
            let (state, endless) = (State::Asking, false);
            self.sockets.insert(id, Socket { who, state, endless, watch: watch.clone(), memory: None });
            if !self.take_turn(who.side, Event::Attach(ticket, id, watch), script)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn open_again(&mut self, script: &Script, backward: bool) -> Result<(), String> {
        for attempt in 0.. {
            match self.try_reopen(script, backward)? {
                true => return Ok(()),
                false if attempt > 3 => return Err("the queue cannot be opened".into()),
                false => {}
            }
        }
        Ok(())
    }

    fn try_reopen(&mut self, script: &Script, backward: bool) -> Result<bool, String> {
        self.batch.clear();
        self.hold = 0;
        self.again = false;
        self.now = 0;
        self.waiting.clear();
        self.sockets.retain(|_, socket| socket.state != State::Asking && !socket.endless && !socket.watch.local);
        self.transcript.note(|| format!("    {} opened again", self.clock));
        let hits = self.disk.faults().hits();
        let opened = self.disk.open().and_then(|mut stores| {
            let queue = Queue::open(script.settings.clone(), &mut stores)?;
            Ok((stores, queue))
        });
        if self.expect_fault(hits, &opened)? {
            return Ok(false);
        }
        let (stores, queue) = opened.map_err(|error| error.to_string())?;
        (self.stores, self.queue) = (RefCell::new(stores), queue);
        self.oracle = self.saved.clone();
        let alive: Vec<(WatcherId, Attachment)> =
            self.sockets.iter().filter_map(|(id, socket)| Some((*id, socket.memory.clone()?))).collect();
        let survivors: BTreeSet<WatcherId> = alive.iter().map(|(id, _)| *id).collect();
        self.oracle.lose_memory(&survivors, self.clock);
        let ordered: Vec<_> = if backward { alive.into_iter().rev().collect() } else { alive };
        for (id, (side, state)) in ordered {
            if !self.resume(side, id, state)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn resume(&mut self, side: Side, id: WatcherId, state: ResumeState) -> Result<bool, String> {
        let Some(mut taken) = self.machine_turn(side, Event::Resume(id, state))? else { return Ok(false) };
        self.follow(&taken).map_err(|why| format!("{why}\n      in {side:?} while resuming {id:?}"))?;
        self.batch.append(&mut taken.effects);
        Ok(true)
    }
}

/// A turn the machine took.
struct Taken {
    side: Side,
    event: Event,
    effects: Vec<Effect>,
    totals: [Totals; 2],
    /// The live entries after it, where other turns followed at once.
    live: Option<[BTreeMap<u64, Entry>; 2]>,
    /// Who is known after it, where that was asked.
    known: Option<Known>,
}

impl Taken {
    /// Who is known on main and rear, as far as this turn tells.
    fn known(&self) -> [Option<Known>; 2] {
        let stats = self.effects.iter().find_map(|effect| match effect {
            Effect::Reply(_, Reply::Stats(stats)) => Some(stats),
            _ => None,
        });
        let known = stats.map(|stats| Known {
            consumers: stats.consumers.iter().map(|consumer| (self.side, consumer.id.clone())).collect(),
            delivered: stats.groups.iter().map(|group| ((self.side, group.id.clone()), group.delivered)).collect(),
        });
        if self.side == Side::Main { [known, None] } else { [None, known] }
    }
}

fn consumer(who: Who) -> ConsumerId {
    ConsumerId { group: format!("g{}", who.group), user: format!("u{}", who.user) }
}

fn filter(color: Option<u8>) -> Filter {
    Filter(color.map(|color| ("color".to_string(), color.to_string())).into_iter().collect())
}
