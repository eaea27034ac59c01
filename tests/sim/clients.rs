//! The clients: what they know of the queue, and what they ask of it.

use super::disk::FaultyDisk;
use super::requests::{self, Asking};
use super::script::{Choice, Item, ItemOnce, Op, Place, Saying, Want, Who};
use super::world::World;
use edgequeue::broker::{ConnectionId, FetchId, Message, RequestId};
use edgequeue::queue::entry::{Filter, Index, Priority, TAG_REQUEST_ID, Tags};
use edgequeue::queue::event::{Dedup, Event, NewEntry, Rejection, Start, Ticket, Watch};
use edgequeue::queue::limits::WINDOW_MAX;
use edgequeue::queue::store::Side;
use edgequeue::wire::Transport;
use edgequeue::wire::v1::client::{ClientCommand, ClientRequest};
use std::collections::{BTreeMap, BTreeSet};

/// Memory of one client: indexes it saw.
const SEEN_MAX: usize = 2_000;

/// All of them.
#[derive(Default)]
pub struct Clients {
    pub sockets: BTreeMap<ConnectionId, Socket>,
    /// Watches that are not answered yet.
    pub asking: BTreeMap<RequestId, (Who, Watch)>,
    /// Calls to the outside, and whether their answer has begun.
    pub calls: Vec<(FetchId, bool)>,
    memories: BTreeMap<Who, Memory>,
    numbers: u64,
    /// Newest entry of the other queue whose outcomes are put here, for each side.
    sources: BTreeMap<Side, u64>,
}

/// An open connection.
pub struct Socket {
    pub transport: Transport,
    /// When the service last heard of it.
    pub heard_ms: u64,
    /// Its client is gone, and the queue was not told.
    pub dead: bool,
    who: Who,
    watch: Watch,
}

#[derive(Default)]
struct Memory {
    open: Vec<u64>,
    settled: Vec<u64>,
}

impl Clients {
    pub fn accepted(&mut self, id: ConnectionId, who: Who, watch: Watch, transport: Transport, heard_ms: u64) {
        self.sockets.insert(id, Socket { transport, heard_ms, dead: false, who, watch });
    }

    /// The newest connection of a consumer that is not known to be dead.
    pub fn open(&mut self, who: Who) -> Option<(ConnectionId, &mut Socket)> {
        let mut open = self.sockets.iter_mut().filter(|(_, socket)| socket.who == who && !socket.dead);
        open.next_back().map(|(id, socket)| (*id, socket))
    }

    /// One of those whose client is gone.
    pub fn dead(&self, pick: u64) -> Option<ConnectionId> {
        let dead: Vec<ConnectionId> =
            self.sockets.iter().filter(|(_, socket)| socket.dead).map(|(id, _)| *id).collect();
        dead.get(pick as usize % dead.len().max(1)).copied()
    }

    /// A client is sent an entry.
    pub fn pushed(&mut self, id: ConnectionId, index: u64) {
        let Some(socket) = self.sockets.get(&id).filter(|socket| !socket.dead) else { return };
        let memory = self.memories.entry(socket.who).or_default();
        memory.open.push(index);
        let excess = memory.open.len().saturating_sub(SEEN_MAX);
        memory.open.drain(..excess);
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
        let dedup = item.once.map(|once| match once {
            ItemOnce::Request(id) => {
                tags.insert(TAG_REQUEST_ID.into(), format!("once-{id}"));
                Dedup::RequestId
            }
            ItemOnce::Outcome { behind, settled_behind } => {
                let newest = self.sources.entry(side).or_insert(20);
                *newest += 1;
                let index = |behind| Index(newest.saturating_sub(behind));
                Dedup::Source { index: index(behind), settled_below: index(settled_behind.max(behind)) }
            }
        });
        NewEntry { priority: Priority(item.priority), tags, data: data.into(), random: 0, dedup }
    }

    fn new_entries(&mut self, side: Side, items: &[Item]) -> Vec<NewEntry> {
        items.iter().map(|item| self.new_entry(side, item)).collect()
    }

    /// Indexes to settle, each once. `next` is the next one of the side.
    fn choose(&mut self, who: Who, what: Choice, next: u64, settle: bool) -> Vec<Index> {
        let behind = |steps: u64| vec![Index(next.saturating_sub(steps))];
        let memory = self.memories.entry(who).or_default();
        let (latest, count) = match what {
            Choice::Behind(steps) => return behind(steps),
            Choice::Stale(count) => {
                let stale: BTreeSet<Index> =
                    memory.settled.iter().rev().take(count).map(|index| Index(*index)).collect();
                return if stale.is_empty() { behind(1) } else { stale.into_iter().collect() };
            }
            Choice::Oldest(count) => (false, count),
            Choice::Latest(count) => (true, count),
        };
        let count = count.min(memory.open.len());
        let from = if latest { memory.open.len() - count } else { 0 };
        let chosen: BTreeSet<u64> = memory.open[from..from + count].iter().copied().collect();
        if settle {
            memory.open.drain(from..from + count);
            memory.settled.extend(&chosen);
        }
        chosen.into_iter().map(Index).collect()
    }
}

impl<D: FaultyDisk> World<D> {
    /// The request over HTTP that a step stands for at this moment, if it stands for one.
    pub(super) fn asking(&mut self, op: &Op) -> Option<Asking> {
        let address = self.address.clone();
        Some(match op {
            Op::Put { side, items } => requests::put(*side, self.clients.new_entries(*side, items)),
            Op::Get { side, start, want, count, remove, wait_ms } => {
                let (filter, start) = (self.wanted(*side, *want), self.start(*side, *start));
                requests::get(*side, start, filter, *count, *remove, *wait_ms)
            }
            Op::Attach { who, start, window, modes, color } => {
                let least = if modes.transport == Transport::Session { 0 } else { 1 };
                let watch = Watch {
                    consumer: requests::consumer(*who),
                    start: self.start(who.side, *start),
                    window: (*window).clamp(least, WINDOW_MAX),
                    auto_commit: modes.auto_commit,
                    index_only: modes.index_only,
                    filter: requests::filter(*color),
                    local: false,
                };
                requests::watch(who.side, watch, modes.transport)
            }
            Op::Commit { who, what } => requests::commit(*who, self.chosen(*who, *what, true)?),
            Op::Reject { who, what, code, reason, delay_ms } => {
                let rejection = Rejection { code: (*code).into(), reason: (*reason).into(), delay_ms: *delay_ms };
                requests::reject(*who, self.chosen(*who, *what, false)?, rejection)
            }
            Op::Remove { side, what } => {
                let nobody = Who { side: *side, group: u8::MAX, user: 0 };
                requests::remove(*side, self.chosen(nobody, *what, false)?)
            }
            Op::Truncate { side, at } => requests::truncate(*side, self.place(*side, *at)),
            Op::End { side, force } => requests::end(*side, *force),
            Op::Configure { settings, keys } => requests::configure(settings, keys),
            Op::Stats { side } => requests::stats(*side, address),
            Op::Count { side, priority, want } => requests::count(*side, *priority, self.wanted(*side, *want)),
            Op::Search { who, at } => requests::search(*who, self.place(who.side, *at)),
            Op::Find { side, behind } => requests::find(*side, address, self.request_id(*side, *behind)),
            Op::Cancel { side, behind } => requests::cancel(*side, address, self.request_id(*side, *behind)),
            _ => return None,
        })
    }

    /// A session is sent one message with these requests.
    pub(super) fn say(&mut self, who: Who, requests: &[Saying]) -> Result<(), String> {
        let Some((id, socket)) = self.clients.open(who) else { return Ok(()) };
        if socket.transport != Transport::Session {
            return Ok(());
        }
        let mut message = Vec::new();
        for saying in requests {
            let Some((command, event)) = self.command(id, who, saying) else { continue };
            let number = self.clients.number();
            let request_ids = matches!(command, ClientCommand::Put(_, true));
            ClientRequest { id: number, command }.write(&mut message);
            self.onlooker.judge().outside.say(id, number, who.side, event, request_ids);
        }
        if message.is_empty() {
            return Ok(());
        }
        self.host.message(id, Message::Binary(message.into()));
        self.came()
    }

    fn command(&mut self, id: ConnectionId, who: Who, saying: &Saying) -> Option<(ClientCommand, Event)> {
        let (ticket, consumer) = (Ticket(0), requests::consumer(who));
        Some(match saying {
            Saying::Put(items) => {
                let entries = self.clients.new_entries(who.side, items);
                let put = entries.iter().map(requests::put_entry).collect();
                let request_ids = entries.len().is_multiple_of(2);
                (ClientCommand::Put(put, request_ids), Event::Put(ticket, entries))
            }
            Saying::Commit(what) => {
                let indexes = self.chosen(who, *what, true)?;
                (ClientCommand::Commit(indexes.clone()), Event::Commit(ticket, consumer, indexes))
            }
            Saying::Reject { what, code, delay_ms } => {
                let indexes = self.chosen(who, *what, false)?;
                let rejection = Rejection { code: (*code).into(), reason: String::new(), delay_ms: *delay_ms };
                let command = ClientCommand::Reject(indexes.clone(), rejection.clone());
                (command, Event::Reject(ticket, consumer, indexes, rejection))
            }
            Saying::Window(window) => {
                let watch = Watch { window: *window, ..self.clients.sockets[&id].watch.clone() };
                (ClientCommand::Window(*window), Event::Attach(ticket, id, watch))
            }
        })
    }

    fn chosen(&mut self, who: Who, what: Choice, settle: bool) -> Option<Vec<Index>> {
        let next = self.onlooker.judge().oracle.side(who.side).next;
        Some(self.clients.choose(who, what, next, settle)).filter(|chosen| !chosen.is_empty())
    }

    fn wanted(&self, side: Side, want: Want) -> Filter {
        let behind = match want {
            Want::Anything => return Filter::default(),
            Want::Color(color) => return requests::filter(Some(color)),
            Want::Request(behind) => behind,
        };
        Filter(Tags::from([(TAG_REQUEST_ID.to_string(), self.request_id(side, behind))]))
    }

    /// The request id of the entry so far behind the next one.
    fn request_id(&self, side: Side, behind: u64) -> String {
        let judge = self.onlooker.judge();
        let model = judge.oracle.side(side);
        let held = model.entries.get(&model.next.saturating_sub(behind));
        held.and_then(|held| held.tags.get(TAG_REQUEST_ID)).map_or("nobody", String::as_str).into()
    }

    fn place(&self, side: Side, place: Place) -> u64 {
        let next = self.onlooker.judge().oracle.side(side).next;
        match place {
            Place::Zero => 0,
            Place::Newest => next,
            Place::Behind(steps) => next.saturating_sub(steps),
        }
    }

    fn start(&self, side: Side, place: Place) -> Start {
        if place == Place::Newest { Start::Newest } else { Start::At(Index(self.place(side, place))) }
    }
}
