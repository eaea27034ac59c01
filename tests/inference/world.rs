//! Clients, clocks, faults and deaths around the three queues of a service. Every request that was acknowledged must
//! end exactly once.

use crate::network::{Caller, Nature, Network, SILENT_MS};
use crate::random::Random;
use crate::service::{Name, Service};
use crate::support::request::Request;
use crate::verdict::{Endings, Known, judge};
use edgequeue::broker::{Fetched, Output, RequestId, Wait};
use edgequeue::queue::entry::{TAG_LAST_CODE, TAG_REQUEST_ID, Tags};
use edgequeue::queue::store::Side;
use edgequeue::wire::names::HEADER_PRIORITY;
use edgequeue::wire::{Answer, Progress};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write;

/// The time at which a seed begins, Unix milliseconds.
const BEGINNING_MS: u64 = 1_700_000_000_000;
/// Until then things go wrong: 2 minutes.
const CALM_MS: u64 = 120_000;
/// Nothing may take longer than this: 3 hours.
const END_MS: u64 = 3 * 3_600_000;
/// An alarm of which the platform makes no haste: 15 minutes.
const ALARM_LATE_MS: u64 = 15 * 60_000;

/// What happens at some time.
#[derive(Debug)]
pub enum Happening {
    /// A client does something.
    Client,
    /// The faults are over.
    Calm,
    /// What the broker of this life waits for has happened.
    Waited(Name, u64),
    /// It is told when the alarm is set.
    AlarmTold(Name, u64),
    /// The alarm that is set to this time goes off.
    Alarm(Name, u64),
    /// The alarm goes off for nothing.
    Spurious(Name),
    /// The timer of this life that is set to this time goes off.
    Timer(Name, u64, u64),
    /// News of a call.
    News(Caller, Fetched),
    /// The request of another queue arrives.
    Arrive(Name, Caller, Request),
    /// A memory is lost.
    Death(Name),
}

/// Who waits for an answer.
#[derive(Clone, Debug)]
enum Asked {
    Put(String),
    /// Whether the result was in the sink when it was asked for.
    Cancel(String, bool),
    Status(String, bool),
    Take,
    Forward(Caller, &'static str),
}

pub struct World {
    pub random: Random,
    now_ms: u64,
    /// How far the clock that is shown is away from the time.
    skew_ms: i64,
    order: u64,
    agenda: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    service: Service,
    pub network: Network,
    asked: BTreeMap<(Name, RequestId), Asked>,
    pub known: BTreeMap<String, Known>,
    undelivered: Vec<String>,
    endings: Endings,
    /// Chances in a hundred: a memory is lost at one of many points, the storage fails, time jumps.
    deaths: u64,
    faults: u64,
    puts_left: u32,
    calm: bool,
    pub log: String,
    pub talks: bool,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let service = Service::new(&mut random, BEGINNING_MS, seed);
        let network = Network::new(&mut random);
        let (deaths, faults) = (random.pick(&[0, 1, 4]), random.pick(&[0, 0, 5]));
        let puts_left = random.between(20, 80) as u32;
        Self {
            random,
            now_ms: BEGINNING_MS,
            skew_ms: 0,
            order: 0,
            agenda: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            service,
            network,
            asked: BTreeMap::new(),
            known: BTreeMap::new(),
            undelivered: Vec::new(),
            endings: Endings::default(),
            deaths,
            faults,
            puts_left,
            calm: false,
            log: String::new(),
            talks: false,
        }
    }

    /// Plays until nothing is left to happen, and judges.
    pub fn play(&mut self) -> Endings {
        self.after(0, Happening::Client);
        self.after(CALM_MS, Happening::Calm);
        while let Some(Reverse((at_ms, order))) = self.agenda.pop() {
            let happening = self.happenings.remove(&order).expect("what is on the agenda is known");
            self.now_ms = self.now_ms.max(at_ms);
            assert!(self.now_ms < BEGINNING_MS + END_MS, "it never comes to rest: {happening:?}");
            self.say(&shown(&happening));
            self.service.clock.set(self.now_ms.saturating_add_signed(self.skew_ms));
            self.happen(happening);
        }
        self.judge()
    }

    pub fn say(&mut self, what: &str) {
        let at_ms = self.now_ms % 10_000_000;
        if self.talks {
            println!("{at_ms:8} {what}");
        }
        let _ = writeln!(self.log, "{at_ms} {what}");
    }

    pub fn after(&mut self, ms: u64, happening: Happening) {
        self.order += 1;
        self.agenda.push(Reverse((self.now_ms + ms, self.order)));
        self.happenings.insert(self.order, happening);
    }

    /// Whether something goes wrong.
    pub fn chance(&mut self, percent: u64) -> bool {
        !self.calm && self.random.percent(percent)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Client => self.client(),
            Happening::Calm => {
                self.calm = true;
                self.puts_left = 0;
            }
            Happening::Waited(name, life) if self.service.is_alive(name, life) => {
                self.service.waited(name);
                self.follow(name);
            }
            Happening::AlarmTold(name, life) if self.service.is_alive(name, life) => {
                self.service.told_alarm(name);
                self.follow(name);
            }
            Happening::Timer(name, life, at_ms) => {
                let host = self.service.host(name);
                if host.life() == life && host.timer_ms() == Some(at_ms) {
                    host.timer();
                    self.follow(name);
                }
            }
            Happening::Alarm(name, at_ms) => {
                let host = self.service.host(name);
                if host.alarm_ms() == Some(at_ms) && !host.rings() {
                    self.ring(name);
                }
            }
            Happening::Spurious(name) => {
                if !self.service.host(name).rings() {
                    self.ring(name);
                }
            }
            Happening::News(caller, news) => {
                self.service.host(caller.name).fetched(caller.life, caller.fetch, news);
                self.follow(caller.name);
            }
            Happening::Arrive(to, caller, request) => {
                let method = request.method;
                self.ask(to, Asked::Forward(caller, method), &request);
            }
            Happening::Death(name) => self.die(name),
            Happening::Waited(..) | Happening::AlarmTold(..) => {}
        }
    }

    fn ring(&mut self, name: Name) {
        self.service.host(name).ring();
        if self.chance(5) {
            self.after(10, Happening::Spurious(name));
        }
        self.follow(name);
    }

    // Clients.

    fn client(&mut self) {
        let most = self.deaths * 5;
        match self.random.below(12) {
            0..=4 if self.puts_left > 0 => self.put(),
            5 if !self.calm && !self.known.is_empty() => self.cancel(),
            6 if !self.known.is_empty() => self.status(),
            7 if self.chance(most) => {
                let name = self.random.pick(&[Name::Input, Name::Input, Name::Sink, Name::Callbacks]);
                self.after(0, Happening::Death(name));
            }
            8 if self.chance(self.faults * 10) => self.break_something(),
            9 => self.sleep(),
            _ => {
                let count = self.random.between(1, 4);
                let get = Request::new("GET", format!("_length_={count}&_raw_=false"));
                self.ask(Name::Sink, Asked::Take, &get);
            }
        }
        let at_rest = self.calm && self.service.length(Name::Input) == 0;
        if !at_rest {
            let pause_ms = if self.calm { 1_000 } else { self.random.pick(&[0, 1, 10, 300, 3_000]) };
            self.after(pause_ms, Happening::Client);
        }
    }

    fn put(&mut self) {
        self.puts_left -= 1;
        let id = format!("r{}", self.known.len());
        let nature = self.random.pick(&Nature::DRAWN);
        let callback = self.random.percent(40);
        self.network.natures.insert(id.clone(), nature);
        self.known.insert(id.clone(), Known { callback, ..Known::default() });
        let url = if callback { "&_callback_=https://c.example/" } else { "" };
        let priority = self.random.pick(&["0", "0", "0", "1"]);
        let put = Request::with_body("POST", format!("requestId={id}{url}"), "request");
        self.ask(Name::Input, Asked::Put(id), &put.header(HEADER_PRIORITY, priority));
    }

    fn recent(&mut self) -> String {
        let ids: Vec<String> = self.known.keys().rev().take(8).cloned().collect();
        self.random.pick(&ids)
    }

    fn cancel(&mut self) {
        let id = self.recent();
        self.known.get_mut(&id).expect("it is known").cancels_open += 1;
        let asked = Asked::Cancel(id.clone(), self.service.is_in_sink(&id));
        self.ask(Name::Input, asked, &Request::new("DELETE", format!("_cancel_=true&requestId={id}")));
    }

    fn status(&mut self) {
        let id = self.recent();
        let asked = Asked::Status(id.clone(), self.service.is_in_sink(&id));
        self.ask(Name::Input, asked, &Request::new("GET", format!("_status_=true&requestId={id}")));
    }

    fn break_something(&mut self) {
        let name = self.random.pick(&[Name::Input, Name::Input, Name::Sink, Name::Callbacks]);
        match self.random.below(4) {
            0 => self.service.host(name).faults.openings += 1,
            1 | 2 => self.service.host(name).faults.flushes += self.random.between(1, 2) as u32,
            _ => self.skew_ms += self.random.pick(&[-5_000, -100, 500, 60_000]),
        }
    }

    fn sleep(&mut self) {
        let name = self.random.pick(&[Name::Input, Name::Sink, Name::Callbacks]);
        if self.service.sleep(name) {
            self.say(&format!("{name:?} sleeps"));
            self.endings.count("slept");
        }
    }

    // Queues.

    fn ask(&mut self, name: Name, asked: Asked, request: &Request) {
        let id = self.service.host(name).request(request);
        self.say(&format!("{id:?} at {name:?}: {asked:?}"));
        self.asked.insert((name, id), asked);
        self.follow(name);
    }

    /// Everything that follows in a broker at once. Its memory may be lost after each output.
    fn follow(&mut self, name: Name) {
        self.look(name);
        loop {
            let more = self.service.host(name).step();
            for output in self.service.host(name).seen() {
                self.output(name, output);
            }
            if !more {
                break;
            }
            if self.chance(self.deaths) {
                return self.die(name);
            }
        }
        self.schedule(name);
    }

    /// Takes in what came to be durable.
    fn look(&mut self, name: Name) {
        for (side, tags) in self.service.new_entries(name) {
            self.see(name, side, &tags);
        }
    }

    /// Puts on the agenda what the platform does for a broker.
    fn schedule(&mut self, name: Name) {
        let (plan, life) = (self.service.plan(name), self.service.host(name).life());
        let now_ms = self.service.clock.now_ms();
        if let Some(wait) = plan.wait {
            let most_ms = if wait == Wait::Durable { 10 } else { 2 };
            let ms = self.random.below(most_ms);
            self.after(ms, Happening::Waited(name, life));
        }
        if plan.asks_alarm {
            let ms = self.random.below(5);
            self.after(ms, Happening::AlarmTold(name, life));
        }
        if let Some(at_ms) = plan.timer_ms {
            self.after(at_ms.saturating_sub(now_ms).max(1), Happening::Timer(name, life, at_ms));
        }
        if let Some(at_ms) = plan.alarm_ms {
            let late_ms = if self.chance(3) { self.random.pick(&[50, 40_000, ALARM_LATE_MS]) } else { 0 };
            self.after(at_ms.saturating_sub(now_ms) + late_ms, Happening::Alarm(name, at_ms));
            if self.chance(2) {
                let ms = self.random.below(30_000);
                self.after(ms, Happening::Spurious(name));
            }
        }
    }

    fn die(&mut self, name: Name) {
        self.say(&format!("{name:?} loses its memory"));
        self.endings.count("life lost");
        let survives = self.random.percent(50);
        let lost = self.service.die(name, survives);
        self.look(name);
        for id in lost {
            // Who asked is told that the connection broke, at once or after a long time.
            if let Some(Asked::Forward(caller, _)) = self.asked.remove(&(name, id)) {
                let ms = if self.random.percent(50) { 10 } else { SILENT_MS };
                self.lose(caller, ms);
            }
        }
        self.schedule(name);
    }

    fn output(&mut self, name: Name, output: Output) {
        let life = self.service.host(name).life();
        let caller = |fetch| Caller { name, life, fetch };
        match output {
            Output::Answer(id, answer) => {
                let asked = self.asked.remove(&(name, id)).expect("somebody asked");
                self.answered(asked, answer);
            }
            Output::Fetch(id, fetch) => {
                let memory = self.service.memory(name);
                self.fetch(caller(id), fetch, memory);
            }
            Output::Read(id, max) => self.read(caller(id), max),
            Output::Abort(id) => self.network.abort(caller(id)),
            Output::Log(line) => {
                self.say(&format!("{name:?} logs: {line}"));
                self.endings.count("storage failed");
            }
            output => panic!("{name:?} says {output:?}"),
        }
    }

    fn answered(&mut self, asked: Asked, answer: Answer) {
        self.say(&format!("answered {}: {asked:?}", answer.status));
        match (asked, answer.status) {
            (Asked::Forward(caller, method), _) => self.forwarded(caller, method, answer),
            (Asked::Put(id), 200) => self.known_mut(&id).acknowledged = true,
            (Asked::Cancel(id, was_in_sink), 200) => {
                let is_in_sink = was_in_sink && self.service.is_in_sink(&id);
                assert!(!is_in_sink, "{id} was cancelled and its result was in the sink all the time");
                let memory = self.service.memory(Name::Input);
                let known = self.known_mut(&id);
                known.cancelled = true;
                known.excused |= known.unheard || known.shipped.iter().any(|earlier| *earlier < memory);
            }
            // It is not there, or its result is being stored: it ends as if nobody had asked. Unless its result had
            // been sent by a memory that was lost or without an answer: then the entry is gone before the sink says
            // that it has it.
            (Asked::Cancel(id, _), 404 | 409) => {
                let memory = self.service.memory(Name::Input);
                let known = self.known_mut(&id);
                let lost = known.unheard || known.shipped.iter().any(|earlier| *earlier < memory);
                if answer.status == 404 || !lost {
                    known.cancels_open -= 1;
                }
            }
            (Asked::Status(id, was_in_sink), 200 | 404) => self.check_status(&id, was_in_sink, &answer),
            (_, 503) | (Asked::Take, 200 | 204) => {}
            (asked, status) => panic!("{asked:?} is answered with {status}: {:?}", answer.body),
        }
    }

    fn known_mut(&mut self, id: &str) -> &mut Known {
        self.known.get_mut(id).expect("it was put")
    }

    fn check_status(&mut self, id: &str, was_in_sink: bool, answer: &Answer) {
        let progress = Progress::parse(&answer.body).expect("a status");
        let is_in_sink = was_in_sink && self.service.is_in_sink(id);
        let known = self.known_mut(id);
        if progress == Progress::Unknown {
            assert!(!is_in_sink, "nobody knows {id} and its result is in the sink: {known:?}");
        }
        if progress == Progress::Unknown && known.acknowledged {
            let gone = known.cancels_open > 0 || known.empty || known.dead > 0 || !known.results.is_empty();
            assert!(gone, "nobody knows {id}: {known:?}");
        }
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
                let notice = tags[edgequeue::inference::webhook::TAG_WEBHOOK].clone();
                self.network.notices.insert(notice.clone(), id);
                known.names.insert(notice);
            }
            (Name::Callbacks, Side::Rear) => self.undelivered.push(id),
            _ => {}
        }
    }

    // The end.

    fn judge(&mut self) -> Endings {
        for name in [Name::Input, Name::Callbacks] {
            assert_eq!(self.service.length(name), 0, "{name:?} has entries nobody works on");
            let host = self.service.host(name);
            assert!(host.can_sleep(), "{name:?} does not rest");
            assert_eq!(host.alarm_ms(), None, "{name:?} will be woken for nothing");
        }
        let mut endings = self.endings.clone();
        for (id, known) in &self.known {
            judge(id, known, self.undelivered.contains(id), &mut endings);
        }
        endings
    }
}

/// Without bodies.
fn shown(happening: &Happening) -> String {
    match happening {
        Happening::News(caller, Fetched::Answered(answer)) => {
            let (status, bytes, cut) = (answer.status, answer.body.len(), answer.cut);
            format!("News({caller:?}, Answered({status}, {bytes} bytes, cut: {cut}))")
        }
        Happening::Arrive(to, caller, request) => {
            format!("Arrive({to:?}, {caller:?}, {} {} bytes)", request.method, request.body.len())
        }
        happening => format!("{happening:?}"),
    }
}
