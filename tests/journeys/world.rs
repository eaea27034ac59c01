//! A queue with its storage, its connections and a clock: the shell, in memory.

use bytes::Bytes;
use edgequeue::queue::config::Settings;
use edgequeue::queue::effect::{CloseReason, Delivery, Receipt};
use edgequeue::queue::entry::{Filter, Frame, Index, Lane, TAG_REQUEST_ID, TAG_TIME_PREFIX, Tags};
use edgequeue::queue::event::{ConsumerId, Dedup, Event, Get, NewEntry, ResumeState, Start, Ticket, Watch, WatcherId};
use edgequeue::queue::stats::{ConsumerStats, EntryStatus, GroupStats, GroupStatus, Stats};
use edgequeue::queue::store::Side;
use edgequeue::queue::{Effect, Queue, Reply, request_id};
use edgequeue::store::{Flushed, SegmentStore, memory::MemoryRows};
use edgequeue::wire::{Answer, duration, http::settings, refused, rejection};
use prost::Message;
use std::collections::BTreeMap;

/// The time at which every script begins, Unix milliseconds.
const BEGINNING_MS: u64 = 1_700_000_000_000;
/// Turns one line may take by itself before it is called endless.
const TURNS_MAX: usize = 1_000;

type Store = SegmentStore<MemoryRows>;

pub struct World {
    now_ms: u64,
    rows: MemoryRows,
    /// The queue in memory, if it is awake, and what is not flushed.
    awake: Option<(Queue, Store)>,
    connections: BTreeMap<WatcherId, Connection>,
    /// Gets that wait, by ticket.
    gets: BTreeMap<Ticket, String>,
    /// Bodies and request ids by side and index, as put by the script.
    bodies: BTreeMap<(Side, Index), (Bytes, String)>,
    alarm_ms: Option<u64>,
    numbers: u64,
}

/// A socket, an endless body, or a watcher inside the process.
struct Connection {
    name: String,
    side: Side,
    is_socket: bool,
    /// How a watcher inside the process watches.
    local: Option<Watch>,
    attachment: Option<(Side, ResumeState)>,
}

/// What a line asks for beside its event.
struct Asked {
    ticket: Ticket,
    /// Name of a get, should it wait.
    get: Option<String>,
    /// A watch.
    watch: Option<(WatcherId, String, bool, Option<Watch>)>,
    bodies: Vec<Bytes>,
    /// What to tell of the state.
    about: About,
}

#[derive(Clone, Copy)]
enum About {
    Queue,
    Consumers,
    Groups,
    Numbers,
}

/// What a line says.
enum Line {
    Event(Event, Box<Asked>),
    /// The service refuses it before the queue hears of it.
    Refused(Answer),
}

impl World {
    pub fn new() -> Self {
        Self {
            now_ms: BEGINNING_MS,
            rows: MemoryRows::new(),
            awake: None,
            connections: BTreeMap::new(),
            gets: BTreeMap::new(),
            bodies: BTreeMap::new(),
            alarm_ms: None,
            numbers: 0,
        }
    }

    /// A request that waits keeps the queue in memory, and so does an endless body, or work inside the process.
    pub fn can_sleep(&self) -> bool {
        let works = |id: &WatcherId| {
            let kept = self.awake.as_ref().and_then(|(queue, _)| queue.resume_state(*id));
            kept.is_some_and(|(_, state)| !state.leases.is_empty())
        };
        let idle = |(id, connection): (&WatcherId, &Connection)| match connection.local {
            Some(_) => !works(id),
            None => connection.is_socket,
        };
        self.gets.is_empty() && self.connections.iter().all(idle)
    }

    pub fn sleep(&mut self) {
        self.awake = None;
    }

    /// One line. What follows, or why the line makes no sense.
    pub fn happen(&mut self, action: &str) -> Result<Vec<String>, String> {
        let (side, action) = match action.strip_prefix("rear ") {
            Some(action) => (Side::Rear, action),
            None => (Side::Main, action),
        };
        let (verb, rest) = action.split_once(' ').unwrap_or((action, ""));
        let mut words = Words(rest.split_whitespace().collect());
        match verb {
            "wait" => {
                let until_ms = self.now_ms + words.time()?;
                words.end()?;
                self.wait(until_ms)
            }
            "sleep" => {
                words.end()?;
                if !self.can_sleep() {
                    return Err(
                        "the queue cannot sleep while a get waits, a body is open or work is done inside".into()
                    );
                }
                self.sleep();
                Ok(Vec::new())
            }
            "crash" => {
                words.end()?;
                self.awake = None;
                self.connections.retain(|_, connection| connection.local.is_some());
                Ok(self.drop_gets())
            }
            "unflushed" => {
                let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                self.wake()?;
                if let Line::Event(event, _) = self.line(side, verb, Words(rest.split_whitespace().collect()))? {
                    self.turn(side, event)?;
                }
                self.awake = None;
                Ok(self.drop_gets())
            }
            _ => {
                let mut effects = self.wake()?;
                match self.line(side, verb, words)? {
                    Line::Refused(answer) => Ok(vec![format!("refused {}", answer.status)]),
                    Line::Event(event, asked) => {
                        effects.extend(self.turn(side, event)?);
                        self.carry_out(side, effects, Some(*asked))
                    }
                }
            }
        }
    }

    fn drop_gets(&mut self) -> Vec<String> {
        std::mem::take(&mut self.gets).into_values().map(|name| format!("{name} failed")).collect()
    }

    /// Time passes.
    fn wait(&mut self, until_ms: u64) -> Result<Vec<String>, String> {
        let mut told = Vec::new();
        for _ in 0..TURNS_MAX {
            let timer_ms = self.awake.as_ref().and_then(|(queue, _)| queue.wake().timer_ms);
            let due_ms = timer_ms.into_iter().chain(self.alarm_ms).min().filter(|due_ms| *due_ms <= until_ms);
            let Some(due_ms) = due_ms else {
                self.now_ms = until_ms;
                return Ok(told);
            };
            self.now_ms = self.now_ms.max(due_ms);
            self.alarm_ms.take_if(|alarm_ms| *alarm_ms <= due_ms);
            let mut effects = self.wake()?;
            effects.extend(self.turn(Side::Main, Event::Tick)?);
            told.extend(self.carry_out(Side::Main, effects, None)?);
        }
        Err("the queue wakes up without end".into())
    }

    /// Opens the queue if it is not in memory; sockets come back from what they remember.
    fn wake(&mut self) -> Result<Vec<Effect>, String> {
        let mut effects = Vec::new();
        if self.awake.is_none() {
            let mut store = SegmentStore::open(self.rows.clone()).map_err(|error| error.to_string())?;
            let mut queue = Queue::open(Settings::standard(), &mut store).map_err(|error| error.to_string())?;
            // Endless bodies end with the memory.
            self.connections.retain(|_, connection| connection.is_socket || connection.local.is_some());
            for (id, connection) in &self.connections {
                let Some((side, state)) = connection.attachment.clone() else { continue };
                queue
                    .turn(self.now_ms, side, Event::Resume(*id, state), &mut store, &mut effects)
                    .map_err(|error| error.to_string())?;
            }
            // Whoever works inside the process attaches again before anything else happens.
            for (id, connection) in &self.connections {
                let Some(watch) = connection.local.clone() else { continue };
                let mut came = Vec::new();
                queue
                    .turn(self.now_ms, connection.side, Event::Attach(Ticket(0), *id, watch), &mut store, &mut came)
                    .map_err(|error| error.to_string())?;
                came.retain(|effect| *effect != Effect::Reply(Ticket(0), Reply::Attached));
                effects.extend(came);
            }
            self.awake = Some((queue, store));
        }
        Ok(effects)
    }

    fn turn(&mut self, side: Side, event: Event) -> Result<Vec<Effect>, String> {
        let mut effects = Vec::new();
        let (queue, store) = self.awake.as_mut().unwrap();
        queue.turn(self.now_ms, side, event, store, &mut effects).map_err(|error| error.to_string())?;
        Ok(effects)
    }

    /// Flushes, then does what turns resulted in, further turns included.
    fn carry_out(&mut self, side: Side, effects: Vec<Effect>, asked: Option<Asked>) -> Result<Vec<String>, String> {
        let mut told = Told::default();
        let mut flushed = Flushed::default();
        let mut effects = effects;
        let mut turns = 0;
        loop {
            let (queue, store) = self.awake.as_mut().unwrap();
            queue.before_flush(store).map_err(|error| error.to_string())?;
            let flush = store.flush().map_err(|error| error.to_string())?;
            self.rows = store.rows().clone();
            flushed.rows_written += flush.rows_written;
            flushed.rows_deleted += flush.rows_deleted;
            let alarm_ms = queue.wake().alarm_ms;
            self.alarm_ms = self.alarm_ms.into_iter().chain(alarm_ms).min();
            let mut again = false;
            for effect in effects {
                again |= effect == Effect::Again;
                self.effect(side, effect, &asked, &mut told);
            }
            if !again {
                break;
            }
            turns += 1;
            if turns > TURNS_MAX {
                return Err("the queue asks for turns without end".into());
            }
            effects = self.turn(Side::Main, Event::Tick)?;
        }
        if let Some(Asked { ticket, get: Some(name), .. }) = &asked
            && !told.answered
        {
            self.gets.insert(*ticket, name.clone());
            told.say("waits".into());
        }
        told.say(match flushed.rows_deleted {
            0 => format!("rows {}", flushed.rows_written),
            deleted => format!("rows {} deleted {deleted}", flushed.rows_written),
        });
        Ok(told.lines)
    }

    fn effect(&mut self, side: Side, effect: Effect, asked: &Option<Asked>, told: &mut Told) {
        match effect {
            Effect::Reply(ticket, reply) => {
                let asked = asked.as_ref().filter(|asked| asked.ticket == ticket);
                told.answered |= asked.is_some();
                if let (Reply::Attached, Some((id, name, is_socket, local))) =
                    (&reply, asked.and_then(|a| a.watch.clone()))
                {
                    self.connections.insert(id, Connection { name, side, is_socket, local, attachment: None });
                }
                if let (Reply::Put(receipts), Some(asked)) = (&reply, asked) {
                    for (receipt, body) in receipts.iter().zip(&asked.bodies).filter(|(receipt, _)| !receipt.repeated) {
                        self.bodies.insert((side, receipt.index), (body.clone(), receipt.request_id.clone()));
                    }
                }
                let about = asked.map_or(About::Queue, |asked| asked.about);
                let name = self.gets.remove(&ticket).map(|name| name + " ").unwrap_or_default();
                for text in self.reply(side, reply, about) {
                    told.say(format!("{name}{text}"));
                }
            }
            Effect::Push(id, delivery) => {
                let (name, at) = match self.connections.get(&id) {
                    Some(connection) => (connection.name.clone(), connection.side),
                    None => (format!("unknown connection {}", id.0), side),
                };
                told.push(name, self.entry(at, &delivery));
            }
            Effect::Close(id, reason) => {
                let reason = match reason {
                    CloseReason::TakenOver => "taken over",
                    CloseReason::Ended => "ended",
                    CloseReason::Silent => "silent",
                };
                let name = self.connections.remove(&id).map_or("unknown".into(), |connection| connection.name);
                told.say(format!("close {name} {reason}"));
            }
            Effect::Remember(id) => {
                let kept = self.awake.as_ref().and_then(|(queue, _)| queue.resume_state(id));
                if let (Some(connection), Some(kept)) = (self.connections.get_mut(&id), kept) {
                    connection.attachment = Some(kept).filter(|_| connection.local.is_none());
                }
            }
            Effect::Revoke(id, index) => {
                // Only who works inside the process can stop.
                if let Some(connection) = self.connections.get(&id).filter(|connection| connection.local.is_some()) {
                    told.say(format!("revoke {} {}", connection.name, index.0));
                }
            }
            Effect::Again => {}
        }
    }

    fn reply(&self, side: Side, reply: Reply, about: About) -> Vec<String> {
        let text = match reply {
            Reply::Put(receipts) => {
                let shown = |Receipt { index, repeated, .. }: &Receipt| match (repeated, index.0) {
                    (false, index) => index.to_string(),
                    (true, 0) => "again".into(),
                    (true, index) => format!("again:{index}"),
                };
                format!("put {}", spaced(receipts.iter().map(shown)))
            }
            Reply::Entries(entries) if entries.is_empty() => "got none".into(),
            Reply::Entries(entries) => format!("got {}", spaced(entries.iter().map(|entry| self.entry(side, entry)))),
            Reply::Attached => "attached".into(),
            Reply::Done => "ok".into(),
            Reply::Count(count) => count.to_string(),
            Reply::Position(position) => {
                let ConsumerId { group, user } = position.consumer;
                match position.pending {
                    true => format!("at {group}.{user}"),
                    false => format!("{group}.{user}, {} before it", position.ahead),
                }
            }
            Reply::Found(found) => return found.map_or(vec!["unknown".into()], |found| self.entry_status(&found)),
            Reply::Cancelled(index) => index.map_or("unknown".into(), |index| format!("cancelled {}", index.0)),
            Reply::Refused(refusal) => format!("refused {}", refused(&refusal).status),
            Reply::Stats(stats) => return state(&stats, about),
        };
        vec![text]
    }

    /// Where an entry stands: for a group that begins now, then for each one that needs it.
    fn entry_status(&self, found: &EntryStatus) -> Vec<String> {
        let group = |(name, group_status): &(String, GroupStatus)| match group_status {
            GroupStatus::Running { consumer, attempt, since_ms } => {
                let since = duration::print(self.now_ms - since_ms);
                format!("{name}: attempt {attempt} at {}.{} for {since}", consumer.group, consumer.user)
            }
            GroupStatus::Queued { ahead, attempts, not_before_ms, code, reason } => {
                let mut text = format!("{name}: {ahead} before it, {attempts} failed");
                for (what, told) in [("code", code), ("reason", reason)].iter().filter(|(_, told)| !told.is_empty()) {
                    text += &format!(", {what} {told}");
                }
                if *not_before_ms > 0 {
                    text += &format!(", not before {}", duration::print(not_before_ms - self.now_ms));
                }
                text
            }
        };
        let first = format!("found {}, {} before it", found.index.0, found.ahead);
        std::iter::once(first).chain(found.groups.iter().map(group)).collect()
    }

    /// An entry as it arrives.
    fn entry(&self, side: Side, delivery: &Delivery) -> String {
        let frame = Frame::decode(delivery.frame()).unwrap();
        let mut text = frame.index.to_string();
        if delivery.index_only {
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

    /// A request id as a line names it: as it was given, or as that of an entry: `#3`. At the rear, `#3` may be the entry
    /// of the queue itself that died.
    fn request_id(&self, side: Side, word: &str) -> Result<String, String> {
        let Some(index) = word.strip_prefix('#') else { return Ok(word.into()) };
        let index = number(index)?;
        let index_of = |side| (side, Index(index));
        let known = self.bodies.get(&index_of(side)).or_else(|| self.bodies.get(&index_of(Side::Main)));
        known.map(|(_, request_id)| request_id.clone()).ok_or(format!("there was no entry {index}"))
    }

    /// A line as an event.
    fn line(&mut self, side: Side, verb: &str, mut words: Words<'_>) -> Result<Line, String> {
        self.numbers += 1;
        let ticket = Ticket(self.numbers);
        let mut asked = Asked { ticket, get: None, watch: None, bodies: Vec::new(), about: About::Queue };
        let event = match verb {
            "put" => {
                let (mut lane, mut tags) = (Lane(0), Tags::new());
                let (mut once, mut sources, mut settled_below) = (None, Vec::new(), Index(0));
                while let Some(word) = words.next() {
                    match (word, word.split_once('=')) {
                        ("priority", _) => lane = Lane(words.number()? as i64),
                        ("once", _) => once = Some(Dedup::RequestId),
                        ("of", _) => sources = words.word()?.split(',').map(number).collect::<Result<_, _>>()?,
                        ("settled", _) => settled_below = words.index()?,
                        (_, Some((key, value))) => drop(tags.insert(key.into(), value.into())),
                        _ => asked.bodies.push(body(word)?),
                    }
                }
                let random = u128::from(self.numbers) << 80;
                let entry = |(at, data): (usize, Bytes)| {
                    let source = sources.get(at).map(|index| Dedup::Source { index: Index(*index), settled_below });
                    NewEntry { lane, tags: tags.clone(), data, random, dedup: source.or(once) }
                };
                Event::Put(ticket, asked.bodies.iter().cloned().enumerate().map(entry).collect())
            }
            "get" => {
                let mut get =
                    Get { start: Start::At(Index(0)), filter: Filter::default(), count: 1, remove: true, wait_ms: 0 };
                asked.get = Some("it".into());
                while let Some(word) = words.next() {
                    match word {
                        "from" => get.start = Start::At(words.index()?),
                        "newest" => get.start = Start::Newest,
                        "count" => get.count = words.number()?,
                        "keep" => get.remove = false,
                        "wait" => get.wait_ms = words.time()?,
                        "as" => asked.get = Some(words.word()?.into()),
                        word => tag(word, &mut get.filter)?,
                    }
                }
                Event::Get(ticket, get)
            }
            "abandon" => {
                let name = words.word()?;
                let waiting = self.gets.iter().find(|(_, get)| *get == name).map(|(ticket, _)| *ticket);
                let ticket = waiting.ok_or(format!("no get {name} waits"))?;
                self.gets.remove(&ticket);
                Event::Abandon(ticket)
            }
            "watch" => {
                let consumer = words.consumer()?;
                let (mut name, mut is_socket) = (consumer.user.clone(), true);
                let mut watch = Watch {
                    consumer,
                    start: Start::At(Index(0)),
                    window: 10,
                    auto_commit: false,
                    index_only: false,
                    filter: Filter::default(),
                    local: false,
                };
                while let Some(word) = words.next() {
                    match word {
                        "window" => watch.window = words.number()? as u32,
                        "from" => watch.start = Start::At(words.index()?),
                        "newest" => watch.start = Start::Newest,
                        "auto" => watch.auto_commit = true,
                        "heads" => watch.index_only = true,
                        "local" => (watch.local, is_socket) = (true, false),
                        "over" if words.next() == Some("http") => is_socket = false,
                        "as" => name = words.word()?.into(),
                        word => tag(word, &mut watch.filter)?,
                    }
                }
                let id = WatcherId(self.numbers);
                asked.watch = Some((id, name, is_socket, Some(watch.clone()).filter(|watch| watch.local)));
                Event::Attach(ticket, id, watch)
            }
            "lose" => {
                let name = words.word()?;
                let mut named = self.connections.iter().filter(|(_, connection)| connection.name == name);
                let id = *named.next().ok_or(format!("there is no connection {name}"))?.0;
                if named.next().is_some() {
                    return Err(format!("there are several connections {name}; name them with `as`"));
                }
                self.connections.remove(&id);
                Event::Detach(id)
            }
            "commit" => Event::Commit(ticket, words.consumer()?, words.indexes()?),
            "reject" => {
                let consumer = words.consumer()?;
                let mut indexes = Vec::new();
                let mut form = String::new();
                while let Some(word) = words.next() {
                    match word {
                        "delay" => form += &format!("_delay_={}&", words.word()?),
                        "code" => form += &format!("_code_={}&", words.word()?),
                        "reason" => form += &format!("_reason_={}&", std::mem::take(&mut words.0).join("+")),
                        word => indexes.push(Index(number(word)?)),
                    }
                }
                match rejection::parse(form.trim_end_matches('&').as_bytes(), None) {
                    Ok(rejection) => Event::Reject(ticket, consumer, indexes, rejection),
                    Err(answer) => return Ok(Line::Refused(answer)),
                }
            }
            "remove" => Event::Remove(ticket, words.indexes()?),
            "truncate" => Event::Truncate(ticket, words.index()?),
            "end" => Event::End(ticket, words.next().map(|word| word == "force").unwrap_or(false)),
            "set" => match settings::Patch::parse(std::mem::take(&mut words.0).join("&").as_bytes()) {
                Ok(patch) => {
                    let (queue, _) = self.awake.as_ref().unwrap();
                    Event::Configure(ticket, patch.apply(queue.settings()))
                }
                Err(answer) => return Ok(Line::Refused(answer)),
            },
            "queue" | "consumers" | "groups" | "numbers" => {
                asked.about = match verb {
                    "consumers" => About::Consumers,
                    "groups" => About::Groups,
                    "numbers" => About::Numbers,
                    _ => About::Queue,
                };
                Event::Stats(ticket)
            }
            "count" => {
                let (mut lane, mut filter) = (None, Filter::default());
                while let Some(word) = words.next() {
                    match word {
                        "priority" => lane = Some(Lane(words.number()? as i64)),
                        word => tag(word, &mut filter)?,
                    }
                }
                Event::Count(ticket, lane, filter)
            }
            "find" => Event::Find(ticket, self.request_id(side, words.word()?)?),
            "cancel" => Event::Cancel(ticket, self.request_id(side, words.word()?)?),
            "search" => Event::Search(ticket, words.consumer()?, words.index()?),
            _ => return Err(format!("`{verb}` is nothing that happens")),
        };
        words.end()?;
        Ok(Line::Event(event, Box::new(asked)))
    }
}

/// The state of a queue, of its consumers or of its groups.
fn state(stats: &Stats, about: About) -> Vec<String> {
    let consumer = |consumer: &ConsumerStats| {
        let ConsumerId { group, user } = &consumer.id;
        let window = match (consumer.window, consumer.auto_commit) {
            (_, true) => " auto".into(),
            (0, false) => String::new(),
            (window, false) => format!(" {} of {window}", consumer.pending),
        };
        format!("{group}.{user} {:?}{window} idle {}", consumer.status, duration::print(consumer.idle_ms))
    };
    let group = |group: &GroupStats| {
        let GroupStats { id, pending, delivered, consumers, .. } = group;
        format!("{id}: {pending} out, {delivered} done, {consumers} known")
    };
    let numbers = || {
        let Stats { waiting, in_flight, done, failed, .. } = stats;
        let oldest = duration::print(stats.oldest_ms);
        vec![format!("{waiting} waiting, {in_flight} out, {done} done, {failed} failed, oldest {oldest}")]
    };
    let lines: Vec<String> = match about {
        About::Numbers => numbers(),
        About::Consumers => stats.consumers.iter().map(consumer).collect(),
        About::Groups => stats.groups.iter().map(group).collect(),
        About::Queue => {
            let held = match stats.length {
                0 => "holds 0".into(),
                length => format!("holds {length} from {} to {}", stats.first.0, stats.last.0),
            };
            vec![held + if stats.ended { ", ended" } else { "" }]
        }
    };
    if lines.is_empty() { vec!["none".into()] } else { lines }
}

/// What followed so far.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    /// Entries pushed since the last line, by connection: their order between connections is not promised.
    pushes: BTreeMap<String, String>,
    answered: bool,
}

impl Told {
    fn say(&mut self, line: String) {
        self.lines.extend(std::mem::take(&mut self.pushes).into_values());
        self.lines.push(line);
    }

    fn push(&mut self, name: String, entry: String) {
        let line = self.pushes.entry(name.clone()).or_insert_with(|| format!("{name}:"));
        *line += " ";
        *line += &entry;
    }
}

/// The words of a line that are not read yet.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    fn word(&mut self) -> Result<&'a str, String> {
        self.next().ok_or("a word is missing at the end".into())
    }

    fn number(&mut self) -> Result<u64, String> {
        number(self.word()?)
    }

    fn index(&mut self) -> Result<Index, String> {
        self.number().map(Index)
    }

    fn indexes(&mut self) -> Result<Vec<Index>, String> {
        std::mem::take(&mut self.0).into_iter().map(|word| number(word).map(Index)).collect()
    }

    fn time(&mut self) -> Result<u64, String> {
        let word = self.word()?;
        match duration::parse(word) {
            Ok(ms) if word.ends_with(char::is_alphabetic) => Ok(ms),
            _ => Err(format!("`{word}` is no time: write 5s, 1m or 500ms")),
        }
    }

    fn consumer(&mut self) -> Result<ConsumerId, String> {
        let word = self.word()?;
        let (group, user) = word.split_once('.').ok_or(format!("`{word}` is no consumer: write group.user"))?;
        Ok(ConsumerId { group: group.into(), user: user.into() })
    }

    fn end(&self) -> Result<(), String> {
        self.0.first().map_or(Ok(()), |word| Err(format!("`{word}` makes no sense here")))
    }
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

fn tag(word: &str, filter: &mut Filter) -> Result<(), String> {
    let (key, value) = word.split_once('=').ok_or(format!("`{word}` makes no sense here"))?;
    filter.0.insert(key.into(), value.into());
    Ok(())
}

fn body(word: &str) -> Result<Bytes, String> {
    match word.split_once('*') {
        Some((text, times)) => Ok(text.repeat(number(times)? as usize).into()),
        None => Ok(word.to_string().into()),
    }
}

fn spaced(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" ")
}
