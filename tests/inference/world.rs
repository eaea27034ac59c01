//! Clients, predictors, networks and deaths around the three objects.

use crate::node::{Name, Node};
use crate::random::Random;
use crate::verdict::{Endings, Known, judge};
use edgequeue::inference::event::{CallId, Destination, Place, PutOutcome, Work};
use edgequeue::inference::notice::TAG_NOTICE;
use edgequeue::inference::outbox::PutId;
use edgequeue::inference::outcome::{Answer, Trouble};
use edgequeue::inference::{Action, Event as Happened};
use edgequeue::queue::config::Settings;
use edgequeue::queue::entry::{Filter, Index, Lane, TAG_LAST_CODE, TAG_REQUEST_ID, Tags};
use edgequeue::queue::event::{Dedup, Get, NewEntry, Rejection, Start, Ticket};
use edgequeue::queue::limits::PAYLOAD_BYTES_CEILING;
use edgequeue::queue::store::Side;
use edgequeue::queue::{Effect, Event, Reply};
use edgequeue::wire;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write;

/// Nothing may take longer than this once the faults are over: 3 hours.
const END_MS: u64 = 3 * 3_600_000;

/// What happens at some time.
#[derive(Debug)]
enum Happening {
    /// A client does something.
    Client,
    /// The faults are over.
    Calm,
    Work(Name, u64),
    Alarm(Name, u64),
    Deadline(Name, u64),
    /// News for the runner of one life.
    News(Name, u64, Happened),
    /// A put arrives that a runner of some life sent.
    Arrive(Destination, Asked, Vec<NewEntry>),
    /// The memory of an object is lost.
    Death(Name),
}

/// Who waits for a reply.
#[derive(Clone, Debug)]
enum Asked {
    Put(String),
    Cancel(String),
    Take,
    Outcome(Name, u64, PutId),
}

/// What the predictor makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    Good,
    Empty,
    Huge,
    TooLargeForTheSink,
    Doomed,
    Moody,
}

pub struct World {
    random: Random,
    now_ms: u64,
    order: u64,
    agenda: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    nodes: BTreeMap<Name, Node>,
    asked: BTreeMap<(Name, Ticket), Asked>,
    /// Answers that have begun, by object, life and call.
    answers: BTreeMap<(Name, u64, CallId), Answer>,
    known: BTreeMap<String, Known>,
    natures: BTreeMap<String, Nature>,
    undelivered: Vec<String>,
    /// Chances in a hundred: a call fails, a message is lost, a memory is lost at one of many points.
    moods: u64,
    losses: u64,
    deaths: u64,
    lives_lost: u64,
    puts_left: u32,
    calm: bool,
    pub log: String,
    pub talks: bool,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let input = Settings {
            predictor: "https://predictor".into(),
            worker_threads: random.pick(&[1, 2, 5, 20]),
            predictor_timeout_ms: 5_000,
            max_idle_ms: random.pick(&[0, 0, 3_000]),
            retry_delay_ms: random.pick(&[100, 1_000]),
            max_delivery: random.pick(&[1, 2, 5]),
            ..Settings::standard()
        };
        let callbacks = Settings { max_delivery: 4, worker_threads: 3, ..input.clone() };
        let sink =
            Settings { max_length: random.pick(&[2, 5, 1_000]), max_payload_bytes: 10_000, ..Settings::standard() };
        let settings = [(Name::Input, input), (Name::Sink, sink), (Name::Callbacks, callbacks)];
        let nodes = settings.into_iter().map(|(name, settings)| (name, Node::new(name, seed, settings))).collect();
        let (moods, losses) = (random.pick(&[0, 5, 30]), random.pick(&[0, 3, 20]));
        let (deaths, puts_left) = (random.pick(&[0, 1, 4]), random.between(20, 80) as u32);
        Self {
            random,
            now_ms: 1_700_000_000_000,
            order: 0,
            agenda: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            nodes,
            asked: BTreeMap::new(),
            answers: BTreeMap::new(),
            known: BTreeMap::new(),
            natures: BTreeMap::new(),
            undelivered: Vec::new(),
            moods,
            losses,
            deaths,
            lives_lost: 0,
            puts_left,
            calm: false,
            log: String::new(),
            talks: false,
        }
    }

    /// Plays until nothing happens any more, and judges.
    pub fn play(&mut self) -> Endings {
        let began_ms = self.now_ms;
        self.after(0, Happening::Client);
        self.after(120_000, Happening::Calm);
        while let Some(Reverse((at_ms, order))) = self.agenda.pop() {
            let Some(happening) = self.happenings.remove(&order) else { continue };
            self.now_ms = self.now_ms.max(at_ms);
            assert!(self.now_ms < began_ms + END_MS, "it never comes to rest: {happening:?}");
            self.say(&shown(&happening));
            self.happen(happening);
        }
        self.judge()
    }

    fn say(&mut self, what: &str) {
        let at_ms = self.now_ms % 10_000_000;
        if self.talks {
            println!("{at_ms:8} {what}");
        }
        let _ = writeln!(self.log, "{at_ms} {what}");
    }

    fn after(&mut self, ms: u64, happening: Happening) {
        self.order += 1;
        self.agenda.push(Reverse((self.now_ms + ms, self.order)));
        self.happenings.insert(self.order, happening);
    }

    fn node(&mut self, name: Name) -> &mut Node {
        self.nodes.get_mut(&name).expect("there are three")
    }

    fn chance(&mut self, percent: u64) -> bool {
        !self.calm && self.random.percent(percent)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Client => self.client(),
            Happening::Calm => {
                self.calm = true;
                self.puts_left = 0;
            }
            Happening::Work(name, life) if self.node(name).life == life => self.work(name),
            Happening::Alarm(name, at_ms) => {
                if self.node(name).alarm_ms == Some(at_ms) {
                    self.node(name).alarm_ms = None;
                    self.node(name).rings = true;
                    self.tell(name, Side::Main, Event::Tick);
                    self.infer(name, Happened::Tick);
                }
            }
            Happening::Deadline(name, life) if self.node(name).life == life => self.infer(name, Happened::Tick),
            Happening::News(name, life, event) if self.node(name).life == life => self.infer(name, event),
            Happening::Arrive(to, asked, entries) => {
                let name = place(to);
                let ticket = self.node(name).ticket();
                self.asked.insert((name, ticket), asked);
                self.tell(name, Side::Main, Event::Put(ticket, entries));
            }
            Happening::Death(name) => self.die(name),
            Happening::Work(..) | Happening::Deadline(..) | Happening::News(..) => {}
        }
    }

    // Clients.

    fn client(&mut self) {
        match self.random.below(10) {
            0..=4 if self.puts_left > 0 => self.put(),
            5 if !self.calm && !self.known.is_empty() => {
                let ids: Vec<String> = self.known.keys().rev().take(8).cloned().collect();
                let id = self.random.pick(&ids);
                self.known.get_mut(&id).expect("it is known").cancels_open += 1;
                self.ask(Name::Input, Asked::Cancel(id.clone()), |ticket| Event::Cancel(ticket, id));
            }
            6 if self.chance(self.deaths * 5) => {
                let name = self.random.pick(&[Name::Input, Name::Input, Name::Sink, Name::Callbacks]);
                self.after(0, Happening::Death(name));
            }
            _ => {
                let (count, filter) = (self.random.between(1, 4), Filter::default());
                let get = Get { start: Start::At(Index(0)), filter, count, remove: true, wait_ms: 0 };
                self.ask(Name::Sink, Asked::Take, |ticket| Event::Get(ticket, get));
            }
        }
        let at_rest = self.calm && self.node(Name::Input).length(Side::Main) == 0;
        if !at_rest {
            let pause_ms = if self.calm { 1_000 } else { self.random.pick(&[0, 1, 10, 300, 3_000]) };
            self.after(pause_ms, Happening::Client);
        }
    }

    fn put(&mut self) {
        self.puts_left -= 1;
        let id = format!("r{}", self.known.len());
        let natures = [
            Nature::Good,
            Nature::Good,
            Nature::Moody,
            Nature::Moody,
            Nature::Moody,
            Nature::Empty,
            Nature::Huge,
            Nature::TooLargeForTheSink,
            Nature::Doomed,
        ];
        let nature = self.random.pick(&natures);
        let callback = self.random.percent(40);
        let mut tags = Tags::from([(TAG_REQUEST_ID.into(), id.clone())]);
        if callback {
            tags.insert("callback".into(), "https://c.example/".into());
        }
        self.natures.insert(id.clone(), nature);
        self.known.insert(id.clone(), Known { callback, ..Known::default() });
        let lane = Lane(self.random.pick(&[0, 0, 0, 1]));
        let entry = NewEntry { lane, tags, data: "request".into(), random: 0, dedup: None };
        self.ask(Name::Input, Asked::Put(id), |ticket| Event::Put(ticket, vec![entry]));
    }

    // Objects.

    fn ask(&mut self, name: Name, asked: Asked, event: impl FnOnce(Ticket) -> Event) {
        let ticket = self.node(name).ticket();
        self.asked.insert((name, ticket), asked);
        self.tell(name, Side::Main, event(ticket));
    }

    fn tell(&mut self, name: Name, side: Side, event: Event) {
        let node = self.node(name);
        node.inbox.push_back((side, event));
        let (idle, life) = (!std::mem::replace(&mut node.busy, true), node.life);
        if idle {
            let ms = self.random.below(3);
            self.after(ms, Happening::Work(name, life));
        }
    }

    /// One flush: turns, durability, effects. The memory may be lost between any two of them.
    fn work(&mut self, name: Name) {
        let now_ms = self.now_ms;
        // What is put into the sink and got from it in one flush would be seen by nobody here.
        let most = if name == Name::Sink { 1 } else { self.random.between(1, 20) as usize };
        let node = self.node(name);
        let batch = (0..most).map_while(|_| node.inbox.pop_front()).collect();
        let effects = node.turns(now_ms, batch);
        if self.chance(self.deaths) {
            return self.die(name);
        }
        let alarm_ms = self.node(name).alarm_ms;
        let new = self.node(name).flush(now_ms, &effects);
        self.alarm(name, alarm_ms);
        for (side, entry) in new {
            self.see(name, side, &entry.tags());
        }
        let life = self.node(name).life;
        for effect in effects {
            if self.chance(self.deaths) {
                return self.die(name);
            }
            self.carry_out(name, effect);
            if self.node(name).life != life {
                return;
            }
        }
        let alarm_ms = self.node(name).alarm_ms;
        self.node(name).tend(now_ms);
        self.node(name).rings = false;
        self.alarm(name, alarm_ms);
        let node = self.node(name);
        node.busy = !node.inbox.is_empty();
        if node.busy {
            self.after(1, Happening::Work(name, life));
        }
    }

    fn alarm(&mut self, name: Name, before_ms: Option<u64>) {
        if let Some(at_ms) = self.node(name).alarm_ms.filter(|at_ms| before_ms != Some(*at_ms)) {
            self.after(at_ms.saturating_sub(self.now_ms), Happening::Alarm(name, at_ms));
        }
    }

    fn die(&mut self, name: Name) {
        self.say(&format!("{name:?} loses its memory"));
        self.lives_lost += 1;
        let (alarm_ms, now_ms) = (self.node(name).alarm_ms, self.now_ms);
        self.node(name).die(now_ms);
        self.alarm(name, alarm_ms);
        // Who asked is told that the connection broke, or nothing.
        let lost: Vec<Asked> = self.asked.extract_if(.., |(of, _), _| *of == name).map(|(_, asked)| asked).collect();
        for asked in lost {
            if let Asked::Outcome(from, life, put) = asked
                && self.random.percent(50)
            {
                self.after(10, Happening::News(from, life, Happened::Put(put, PutOutcome::Later)));
            }
        }
    }

    fn carry_out(&mut self, name: Name, effect: Effect) {
        match effect {
            Effect::Push(id, delivery) if self.node(name).is_local(id) => {
                let entry = &delivery.entry;
                let work =
                    Work { index: entry.index, attempt: delivery.attempt, tags: entry.tags(), data: entry.data() };
                self.infer(name, Happened::Pushed(work));
            }
            Effect::Revoke(id, index) if self.node(name).is_local(id) => self.infer(name, Happened::Revoked(index)),
            Effect::Reply(ticket, reply) => {
                if let Some(asked) = self.asked.remove(&(name, ticket)) {
                    self.replied(asked, reply);
                }
            }
            Effect::Again => self.tell(name, Side::Main, Event::Tick),
            Effect::Remember(_) => {}
            effect => panic!("{name:?} says {effect:?}"),
        }
    }

    fn replied(&mut self, asked: Asked, reply: Reply) {
        match (asked, reply) {
            (Asked::Put(id), Reply::Put(_)) => self.known.get_mut(&id).expect("it was put").acknowledged = true,
            (Asked::Cancel(id), Reply::Cancelled(Some(_))) => self.cancelled(&id),
            // It is not there, or its result is being stored: it ends as if nobody had asked.
            (Asked::Cancel(id), Reply::Cancelled(None)) => {
                self.known.get_mut(&id).expect("it was put").cancels_open -= 1;
            }
            (Asked::Outcome(name, life, put), reply) => {
                let outcome = match reply {
                    Reply::Put(receipts) => {
                        let place = |receipt: edgequeue::queue::effect::Receipt| Place {
                            index: receipt.index,
                            repeated: receipt.repeated,
                        };
                        PutOutcome::Stored(receipts.into_iter().map(place).collect())
                    }
                    Reply::Refused(refusal) => match wire::refused(&refusal).status {
                        status @ (400 | 413) => PutOutcome::Refused(status, refusal.to_string()),
                        _ => PutOutcome::Later,
                    },
                    reply => panic!("a put was answered with {reply:?}"),
                };
                let lost = self.chance(self.losses);
                let outcome = if lost { PutOutcome::Later } else { outcome };
                // A lost answer is an error, or nothing at all.
                if !lost || self.random.percent(50) {
                    let ms = self.random.below(30);
                    self.after(ms, Happening::News(name, life, Happened::Put(put, outcome)));
                }
            }
            _ => {}
        }
    }

    /// As the worker does it: first the entry is gone, then it is looked for in the sink.
    fn cancelled(&mut self, id: &str) {
        let in_sink = self.node(Name::Sink).live().iter().any(|entry| entry.tags()[TAG_REQUEST_ID] == id);
        if in_sink {
            return;
        }
        let underway = |happening: &Happening| match happening {
            Happening::Arrive(Destination::Sink, _, entries) => {
                entries.iter().any(|entry| entry.tags[TAG_REQUEST_ID] == id)
            }
            _ => false,
        };
        let waits = |(_, event): &(Side, Event)| match event {
            Event::Put(_, entries) => entries.iter().any(|entry| entry.tags[TAG_REQUEST_ID] == id),
            _ => false,
        };
        let excused = self.happenings.values().any(underway) || self.node(Name::Sink).inbox.iter().any(waits);
        let known = self.known.get_mut(id).expect("it was put");
        known.cancelled = true;
        known.excused = excused || !known.results.is_empty();
    }

    /// Something new is durable.
    fn see(&mut self, name: Name, side: Side, tags: &Tags) {
        let id = tags.get(TAG_REQUEST_ID).cloned().unwrap_or_default();
        let known = self.known.entry(id.clone()).or_default();
        match (name, side) {
            (Name::Sink, Side::Main) => known.results.push(tags.contains_key(TAG_LAST_CODE)),
            (Name::Input, Side::Rear) => known.dead += 1,
            (Name::Callbacks, Side::Main) => {
                known.notices += 1;
                known.names.insert(tags[TAG_NOTICE].clone());
            }
            (Name::Callbacks, Side::Rear) => self.undelivered.push(id),
            _ => {}
        }
    }

    // Runners.

    fn infer(&mut self, name: Name, event: Happened) {
        let now_ms = self.now_ms;
        let actions = self.node(name).handle(now_ms, event);
        for action in actions {
            self.act(name, action);
        }
        let life = self.node(name).life;
        if let Some(at_ms) = self.node(name).runner.as_ref().and_then(|runner| runner.due_ms()) {
            self.after(at_ms.saturating_sub(now_ms).max(1), Happening::Deadline(name, life));
        }
    }

    fn act(&mut self, name: Name, action: Action) {
        let said = match &action {
            Action::Call(call, work) => format!("calls {call:?} for {} {}", work.request_id(), work.attempt),
            Action::Put { put, to, letters, settled_below } => {
                let indexes: Vec<u64> = letters.iter().map(|(index, _)| index.0).collect();
                format!("puts {put:?} into {to:?}: {indexes:?}, settled below {}", settled_below.0)
            }
            action => format!("{action:?}"),
        };
        self.say(&format!("{name:?} {said}"));
        let life = self.node(name).life;
        let consumer = self.node(name).consumer();
        match action {
            Action::Call(call, work) => self.call(name, life, call, &work),
            Action::Read(call, max) => {
                let Some(mut answer) = self.answers.remove(&(name, life, call)) else { return };
                answer.cut = answer.body.len() > max;
                answer.body.truncate(max);
                let event = match self.chance(self.moods / 3) {
                    true => Happened::Failed(call, Trouble::new(502, "the connection broke")),
                    false => Happened::Answered(call, answer),
                };
                let ms = self.random.below(50);
                self.after(ms, Happening::News(name, life, event));
            }
            // News of it may be on their way.
            Action::Abort(call) => {
                self.answers.remove(&(name, life, call));
            }
            Action::Put { put, to, letters, settled_below } => {
                let entry = |(index, letter): (Index, edgequeue::inference::outcome::Letter)| NewEntry {
                    lane: Lane(0),
                    tags: letter.tags,
                    data: letter.data,
                    random: 0,
                    dedup: Some(Dedup::Source { index, settled_below }),
                };
                let entries = letters.into_iter().map(entry).collect();
                if self.chance(self.losses) {
                    let later = Happened::Put(put, PutOutcome::Later);
                    return self.after(100, Happening::News(name, life, later));
                }
                let ms = if self.chance(self.losses) { 5_000 } else { self.random.below(30) };
                self.after(ms, Happening::Arrive(to, Asked::Outcome(name, life, put), entries));
            }
            Action::Commit(index) => {
                let ticket = self.node(name).ticket();
                self.tell(name, Side::Main, Event::Commit(ticket, consumer, vec![index]));
            }
            Action::Reject { index, code, reason, delay_ms } => {
                let ticket = self.node(name).ticket();
                let rejection = Rejection { code, reason, delay_ms };
                self.tell(name, Side::Main, Event::Reject(ticket, consumer, vec![index], rejection));
            }
            Action::Window(window) => {
                let node = self.node(name);
                let (ticket, id) = (node.ticket(), node.watcher().expect("it watches"));
                let watch = node.watch(window);
                self.tell(name, Side::Main, Event::Attach(ticket, id, watch));
            }
        }
    }

    /// A predictor is called, or the callback of somebody.
    fn call(&mut self, name: Name, life: u64, call: CallId, work: &Work) {
        let id = work.request_id().to_string();
        let moody = self.chance(self.moods);
        let nature = match name {
            Name::Callbacks => Nature::Moody,
            _ => self.natures[&id],
        };
        let answer = |status: u16, bytes: usize| Answer { status, body: vec![b'x'; bytes].into(), ..Answer::default() };
        let answer = match (nature, moody) {
            (Nature::Doomed, _) => answer(422, 20),
            (Nature::Moody, true) => match self.random.below(4) {
                // It hangs.
                0 => return,
                1 => {
                    let failed = Happened::Failed(call, Trouble::new(502, "no connection"));
                    return self.after(5, Happening::News(name, life, failed));
                }
                2 => answer(500, 100_000),
                _ => answer(503, 0),
            },
            (Nature::Empty, _) => answer(204, 0),
            (Nature::Huge, _) => answer(200, PAYLOAD_BYTES_CEILING as usize + 1),
            (Nature::TooLargeForTheSink, _) => answer(200, 10_001),
            _ => answer(200, 20),
        };
        let known = self.known.get_mut(&id).expect("it was put");
        if name == Name::Input {
            known.calls += 1;
            known.empty |= nature == Nature::Empty;
        } else if answer.is_success() {
            known.told += 1;
        }
        let length = (answer.body.len() % 2 == 0).then_some(answer.body.len() as u64);
        let begun = Happened::Begun(call, answer.status, length);
        self.answers.insert((name, life, call), answer);
        let slow = if self.random.percent(10) { 4_000 } else { 200 };
        let ms = self.random.below(slow);
        self.after(ms, Happening::News(name, life, begun));
    }

    // The end.

    fn judge(&mut self) -> Endings {
        for name in [Name::Input, Name::Callbacks] {
            let node = self.node(name);
            assert_eq!(node.length(Side::Main), 0, "{name:?} was not worked off");
            if let Some(runner) = &node.runner {
                assert!(!runner.has_work() && runner.due_ms().is_none(), "{name:?} does not rest");
            }
            assert_eq!(node.alarm_ms, None, "{name:?} will be woken for nothing");
        }
        let mut endings = Endings::default();
        for (id, known) in &self.known {
            judge(id, known, self.undelivered.contains(id), &mut endings);
        }
        for _ in 0..self.lives_lost {
            endings.count("life lost");
        }
        endings
    }
}

/// Without bodies.
fn shown(happening: &Happening) -> String {
    match happening {
        Happening::News(name, life, Happened::Answered(call, answer)) => {
            format!(
                "News({name:?}, {life}, Answered({call:?}, {} {} {}))",
                answer.status,
                answer.body.len(),
                answer.cut
            )
        }
        Happening::Arrive(to, asked, entries) => format!("Arrive({to:?}, {asked:?}, {} entries)", entries.len()),
        happening => format!("{happening:?}"),
    }
}

fn place(to: Destination) -> Name {
    match to {
        Destination::Sink => Name::Sink,
        Destination::Callbacks => Name::Callbacks,
    }
}
