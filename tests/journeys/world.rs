//! A queue and its sink, each a real broker in the test host, and the predictor of a script. Lines become requests;
//! what is seen outside becomes text.

use super::line::{self, About, Shown};
use super::told::{Told, entry_status, receipts, state};
use super::words::{Words, number};
use crate::support::disk::MemoryDisk;
use crate::support::host::{Clock, Host, Variables};
use crate::support::request::{Request, events};
use bytes::Bytes;
use edgequeue::broker::observer::{ObservedTurn, Observer};
use edgequeue::broker::{ConnectionId, Fetch, FetchId, Fetched, Output, RequestId, Target};
use edgequeue::inference::outcome;
use edgequeue::queue::entry::{Frame, Index, TAG_REQUEST_ID, TAG_TIME_PREFIX};
use edgequeue::queue::store::Side;
use edgequeue::queue::{Effect, Reply, request_id};
use edgequeue::wire::proto::frame;
use edgequeue::wire::v1::server::ServerEvent;
use edgequeue::wire::{Answer, Transport};
use prost::Message;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The time at which every script begins, Unix milliseconds.
const BEGINNING_MS: u64 = 1_700_000_000_000;
/// Times the queue may wake up while one line waits, before that is called endless.
const WAKES_MAX: usize = 1_000;
/// Name of the service, and so of the group of the consumer beside its queue.
const SERVICE: &str = "eas";
/// Name of that consumer.
const CONSUMER: &str = "edge";

/// The first reply to a question in the turns of a line: answers do not tell all of it.
#[derive(Clone, Default)]
struct FirstReply(Rc<RefCell<Option<Reply>>>);

impl<S> Observer<S> for FirstReply {
    fn turn(&mut self, turn: ObservedTurn<'_, S>) {
        let question = |effect: &&Effect| matches!(effect, Effect::Reply(_, Reply::Stats(_) | Reply::Found(_)));
        if let Some(Effect::Reply(_, reply)) = turn.effects.iter().find(question) {
            self.0.borrow_mut().get_or_insert_with(|| reply.clone());
        }
    }
}

struct Named {
    name: String,
    side: Side,
    transport: Transport,
    /// It is sent indexes and tags only.
    heads: bool,
}

pub struct World {
    clock: Clock,
    queue: Host<MemoryDisk, FirstReply>,
    sink: Host<MemoryDisk>,
    reply: FirstReply,
    connections: BTreeMap<ConnectionId, Named>,
    asked: BTreeMap<RequestId, (Side, Shown)>,
    /// Bodies and request ids by side and index, as put by the script.
    bodies: BTreeMap<(Side, Index), (Bytes, String)>,
    /// Calls of the predictor by index.
    calls: BTreeMap<u64, FetchId>,
    /// What calls are answered, once they are read.
    answers: BTreeMap<FetchId, Answer>,
}

impl World {
    pub fn new() -> Self {
        let (clock, reply) = (Clock::new(BEGINNING_MS), FirstReply::default());
        let variables = Variables::from([("EDGEQUEUE_ALLOWED_HOSTS".into(), "*".into())]);
        let disk = MemoryDisk::default;
        let mut queue = Host::observed(SERVICE, variables, disk(), clock.clone(), reply.clone());
        // A socket whose end wakes the queue is still among its sockets.
        queue.faults.lingering = true;
        Self {
            queue,
            sink: Host::new(&format!("{SERVICE}/sink"), Variables::new(), disk(), clock.clone()),
            clock,
            reply,
            connections: BTreeMap::new(),
            asked: BTreeMap::new(),
            bodies: BTreeMap::new(),
            calls: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }

    /// A request that waits keeps the queue in memory, and so does an endless body, or work of the consumer beside it.
    pub fn can_sleep(&self) -> bool {
        self.queue.can_sleep()
    }

    pub fn sleep(&mut self) {
        self.queue.sleep();
    }

    /// One line. What follows, or why the line makes no sense.
    pub fn happen(&mut self, action: &str) -> Result<Vec<String>, String> {
        let (side, action) = match action.strip_prefix("rear ") {
            Some(action) => (Side::Rear, action),
            None => (Side::Main, action),
        };
        let (verb, rest) = action.split_once(' ').unwrap_or((action, ""));
        let mut words = Words::of(rest);
        let mut told = Told::default();
        match verb {
            "wait" => {
                let until_ms = self.clock.now_ms() + words.time()?;
                words.end()?;
                self.wait(until_ms, &mut told)?;
            }
            "sleep" => {
                words.end()?;
                if !self.can_sleep() {
                    let why = "the queue cannot sleep while a get waits, a body is open or the predictor works";
                    return Err(why.into());
                }
                self.sleep();
            }
            "crash" => {
                words.end()?;
                self.crash(&mut told);
            }
            "unflushed" => {
                self.queue.faults.flushes = 1;
                let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                self.request(side, verb, Words::of(rest), &mut told)?;
            }
            "lose" => {
                let id = self.named(words.word()?)?;
                self.connections.remove(&id);
                self.queue.closed(id);
                self.follow(&mut told);
            }
            "abandon" => {
                let id = self.waiting(words.word()?)?;
                self.asked.remove(&id);
                self.queue.gone(id);
                self.follow(&mut told);
            }
            "answer" => {
                let (index, status) = (words.number()?, words.next().map_or(Ok(200), number)?);
                let call =
                    self.calls.remove(&index).ok_or_else(|| format!("the predictor does not work on {index}"))?;
                self.begin(call, Answer::text(status as u16, "answer"));
                self.follow(&mut told);
            }
            _ => self.request(side, verb, words, &mut told)?,
        }
        Ok(told.lines())
    }

    fn named(&self, name: &str) -> Result<ConnectionId, String> {
        let mut named = self.connections.iter().filter(|(_, connection)| connection.name == name);
        let id = *named.next().ok_or_else(|| format!("there is no connection {name}"))?.0;
        match named.next() {
            Some(_) => Err(format!("there are several connections {name}; name them with `as`")),
            None => Ok(id),
        }
    }

    fn waiting(&self, name: &str) -> Result<RequestId, String> {
        let is_named = |shown: &Shown| matches!(shown, Shown::Entries(Some(get)) if get == name);
        let found = self.asked.iter().find(|(_, (_, shown))| is_named(shown));
        found.map(|(id, _)| *id).ok_or_else(|| format!("no get {name} waits"))
    }

    /// A client asks for something.
    fn request(&mut self, side: Side, verb: &str, words: Words<'_>, told: &mut Told) -> Result<(), String> {
        let line = line::read(verb, words, |word| self.request_id(side, word))?;
        let request = if side == Side::Rear { line.request.rear() } else { line.request };
        *self.reply.0.borrow_mut() = None;
        let before = self.queue.spent.rows;
        let id = self.queue.request(&request);
        // A get is called by its name only while it waits.
        let name = match line.shown {
            Shown::Entries(name) => {
                self.asked.insert(id, (side, Shown::Entries(None)));
                name
            }
            shown => {
                self.asked.insert(id, (side, shown));
                None
            }
        };
        self.follow(told);
        if let Some((_, Shown::Entries(waits))) = self.asked.get_mut(&id) {
            *waits = name;
            told.say("waits".into());
        }
        let after = self.queue.spent.rows;
        let written = after.rows_written - before.rows_written;
        told.say(match after.rows_deleted - before.rows_deleted {
            0 => format!("rows {written}"),
            deleted => format!("rows {written} deleted {deleted}"),
        });
        Ok(())
    }

    fn crash(&mut self, told: &mut Told) {
        self.queue.crash(true);
        self.connections.clear();
        self.calls.clear();
        self.answers.clear();
        for (_, shown) in std::mem::take(&mut self.asked).into_values() {
            if let Shown::Entries(Some(name)) = shown {
                told.say(format!("{name} failed"));
            }
        }
    }

    /// Time passes.
    fn wait(&mut self, until_ms: u64, told: &mut Told) -> Result<(), String> {
        for _ in 0..WAKES_MAX {
            let (timer_ms, alarm_ms) = (self.queue.timer_ms(), self.queue.alarm_ms());
            let due_ms = timer_ms.into_iter().chain(alarm_ms).min().filter(|due_ms| *due_ms <= until_ms);
            let Some(due_ms) = due_ms else {
                self.clock.set(until_ms);
                return Ok(());
            };
            self.clock.set(self.clock.now_ms().max(due_ms));
            match alarm_ms == Some(due_ms) {
                true => self.queue.ring(),
                false => self.queue.timer(),
            }
            self.follow(told);
            told.pause();
        }
        Err("the queue wakes up without end".into())
    }

    /// Everything that follows without time passing.
    fn follow(&mut self, told: &mut Told) {
        loop {
            self.queue.settle();
            let seen = self.queue.seen();
            if seen.is_empty() {
                return;
            }
            for output in seen {
                self.output(output, told);
            }
        }
    }

    fn output(&mut self, output: Output, told: &mut Told) {
        match output {
            Output::Answer(id, answer) => {
                let (side, shown) = self.asked.remove(&id).unwrap();
                self.answered(side, shown, &answer).into_iter().for_each(|line| told.say(line));
            }
            Output::Accept { request, connection, transport } => {
                let Some((side, Shown::Watch(name, heads))) = self.asked.remove(&request) else {
                    panic!("no watch is accepted");
                };
                self.connections.insert(connection, Named { name, side, transport, heads });
                told.say("attached".into());
            }
            Output::Send(id, bytes) => {
                let Named { name, side, transport, heads } = &self.connections[&id];
                for event in events(*transport, bytes) {
                    let ServerEvent::Pushed(frame) = event else { panic!("no session is open") };
                    told.push(name.clone(), &self.entry(*side, &Frame::decode(frame).unwrap(), *heads));
                }
            }
            Output::Close(id, code, _) => {
                let reason = match code {
                    1000 => "ended",
                    1012 => "opened again",
                    4001 => "taken over",
                    4002 => "silent",
                    code => panic!("no script knows the close code {code}"),
                };
                let name = self.connections.remove(&id).unwrap().name;
                told.say(format!("close {name} {reason}"));
            }
            Output::Fetch(id, fetch) => self.fetch(id, &fetch, told),
            Output::Read(id, max) => self.read(id, max),
            Output::Abort(id) => {
                let found = self.calls.iter().find(|(_, call)| **call == id).map(|(index, _)| *index);
                let index = found.expect("only what the script knows is given up");
                self.calls.remove(&index);
                told.say(format!("revoke {CONSUMER} {index}"));
            }
            Output::Log(_) => {}
            output => panic!("nobody sees {output:?}"),
        }
    }

    /// The predictor is called, or the sink.
    fn fetch(&mut self, id: FetchId, fetch: &Fetch, told: &mut Told) {
        if matches!(fetch.target, Target::Queue(_)) {
            self.sink.request(&Request::of_fetch(fetch));
            self.sink.settle();
            let Some(Output::Answer(_, answer)) = self.sink.seen().pop() else { panic!("the sink does not answer") };
            if fetch.method == "POST" {
                let stored = receipts(&answer).into_iter().map(|(index, ..)| index.0.to_string());
                told.say(format!("stored {}", stored.collect::<Vec<_>>().join(" ")));
            }
            return self.begin(id, answer);
        }
        let header = |name: &str| fetch.headers.iter().find(|(key, _)| key == name).unwrap().1.clone();
        let index = header("X-Edgequeue-Index");
        told.push(CONSUMER.into(), &index);
        self.calls.insert(index.parse().unwrap(), id);
    }

    fn begin(&mut self, id: FetchId, answer: Answer) {
        let (life, length) = (self.queue.life(), answer.body.len() as u64);
        self.queue.fetched(life, id, Fetched::Begun(answer.status, Some(length)));
        self.queue.drain();
        self.answers.insert(id, answer);
    }

    fn read(&mut self, id: FetchId, max: usize) {
        let Answer { status, mut body, .. } = self.answers.remove(&id).expect("it has begun");
        let cut = body.len() > max;
        body.truncate(max);
        let answer = outcome::PredictorAnswer { status, body, cut, ..outcome::PredictorAnswer::default() };
        self.queue.fetched(self.queue.life(), id, Fetched::Answered(answer));
        self.queue.drain();
    }

    fn answered(&mut self, side: Side, shown: Shown, answer: &Answer) -> Vec<String> {
        let text = || std::str::from_utf8(&answer.body).unwrap();
        let line = match (shown, answer.status) {
            (Shown::Reply(about), 200 | 404) => return self.replied(about),
            (Shown::Done, 200) => "ok".into(),
            (Shown::Put(bodies), 200) => self.put(side, &bodies, answer),
            (Shown::Entries(name), 200 | 204) => {
                let frames = frame::decode_list(&answer.body).unwrap();
                let entries: Vec<String> = frames.iter().map(|frame| self.entry(side, frame, false)).collect();
                let name = name.map(|name| name + " ").unwrap_or_default();
                let entries = if entries.is_empty() { "none".into() } else { entries.join(" ") };
                format!("{name}got {entries}")
            }
            (Shown::Entries(Some(name)), _) => format!("{name} failed"),
            (Shown::Count, 200) => text().into(),
            (Shown::Position, 200) => {
                let position: serde_json::Value = serde_json::from_str(text()).unwrap();
                let consumer = position["ConsumerId"].as_str().unwrap();
                match position["IsPending"].as_bool().unwrap() {
                    true => format!("at {consumer}"),
                    false => format!("{consumer}, {} before it", position["WaitCount"]),
                }
            }
            (Shown::Cancelled, 200) => {
                let cancelled: serde_json::Value = serde_json::from_str(text()).unwrap();
                format!("cancelled {}", cancelled["index"])
            }
            (Shown::Cancelled, 404) => "unknown".into(),
            (_, status) => format!("refused {status}"),
        };
        vec![line]
    }

    fn replied(&self, about: About) -> Vec<String> {
        match self.reply.0.borrow_mut().take() {
            Some(Reply::Stats(stats)) => state(&stats, about),
            Some(Reply::Found(Some(found))) => entry_status(&found, self.clock.now_ms()),
            Some(Reply::Found(None)) => vec!["unknown".into()],
            reply => panic!("no question was answered: {reply:?}"),
        }
    }

    fn put(&mut self, side: Side, bodies: &[Bytes], answer: &Answer) -> String {
        let mut text = String::from("put");
        for ((index, id, repeated), body) in receipts(answer).into_iter().zip(bodies) {
            text += &match (repeated, index.0) {
                (false, index) => format!(" {index}"),
                (true, 0) => " again".into(),
                (true, index) => format!(" again:{index}"),
            };
            if !repeated {
                self.bodies.insert((side, index), (body.clone(), id));
            }
        }
        text
    }

    /// An entry as it arrives.
    fn entry(&self, side: Side, frame: &Frame, heads: bool) -> String {
        let mut text = frame.index.to_string();
        if heads {
            text += if frame.data.is_empty() { " head" } else { " not only a head" };
        } else if self.bodies.get(&(side, Index(frame.index))).map(|(body, _)| body) != Some(&frame.data) {
            text += &format!("={}", String::from_utf8_lossy(&frame.data));
        }
        let made_here = |key: &str, value: &str| key == TAG_REQUEST_ID && request_id::index(value).is_some();
        let tags: Vec<String> = frame
            .tags
            .iter()
            .filter(|(key, value)| !key.starts_with(TAG_TIME_PREFIX) && !made_here(key, value))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        if !tags.is_empty() {
            text += &format!("[{}]", tags.join(" "));
        }
        text
    }

    /// A request id as a line names it: as it was given, or as that of an entry: `#3`. At the rear, `#3` may be the
    /// entry of the queue itself that died.
    fn request_id(&self, side: Side, word: &str) -> Result<String, String> {
        let Some(index) = word.strip_prefix('#') else { return Ok(word.into()) };
        let index = number(index)?;
        let index_of = |side| (side, Index(index));
        let known = self.bodies.get(&index_of(side)).or_else(|| self.bodies.get(&index_of(Side::Main)));
        known.map(|(_, request_id)| request_id.clone()).ok_or_else(|| format!("there was no entry {index}"))
    }
}
