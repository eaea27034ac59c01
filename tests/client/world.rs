//! The watch against a naive service in virtual time: connections break, answers get lost, and still every entry is
//! given out once and committed, whether decisions travel by HTTP or on a socket that speaks `edgequeue.v1`.

use super::support::{OK, PLAIN, SESSION, answer, asked, endpoint, frame, operation, options};
use bytes::Bytes;
use edgequeue::client::{Decision, HttpRequest, Subscription, Todo, WatchTransport};
use edgequeue::queue::entry::Index;
use edgequeue::queue::event::Rejection;
use edgequeue::wire::Operation;
use edgequeue::wire::v1::{client::ClientCommand, server::ServerMessage};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A service with one consumer: pushes up to a window of uncommitted entries, all of them again to a new connection.
struct Service {
    entries: BTreeSet<u64>,
    window: usize,
    out: BTreeSet<u64>,
    /// Messages on their way to the client.
    wire: VecDeque<Bytes>,
    is_session: bool,
}

impl Service {
    fn fill(&mut self) {
        let free: Vec<u64> = self.entries.iter().filter(|index| !self.out.contains(index)).copied().collect();
        for index in free {
            if self.out.len() >= self.window {
                return;
            }
            self.out.insert(index);
            let frame = frame(index, &format!("id-{index}"));
            self.wire.push_back(if self.is_session {
                let mut message = ServerMessage::default();
                message.frame(&frame);
                message.0.into()
            } else {
                frame
            });
        }
    }

    fn connected(&mut self) {
        self.wire.clear();
        self.out.clear();
        self.fill();
    }

    fn settle(&mut self, indexes: &[Index], is_commit: bool) {
        for Index(index) in indexes {
            self.out.remove(index);
            if is_commit {
                self.entries.remove(index);
            }
        }
        self.fill();
    }

    fn http(&mut self, request: &HttpRequest) {
        match operation(request) {
            Operation::Commit { indexes } => self.settle(&indexes, true),
            Operation::Reject { indexes, .. } => self.settle(&indexes, false),
            other => panic!("a watch does not ask for {other:?}"),
        }
    }

    /// Carries a message out; the answers are on their way, behind what is pushed.
    fn message(&mut self, message: Vec<u8>) {
        for (id, operation) in asked(message) {
            match operation {
                ClientCommand::Commit(indexes) => self.settle(&indexes, true),
                ClientCommand::Reject(indexes, _) => self.settle(&indexes, false),
                other => panic!("a watch does not ask for {other:?}"),
            }
            self.wire.push_back(answer(id, 0, ""));
        }
    }
}

/// A watch, its service, and all that can go wrong between them.
struct World {
    random: Random,
    service: Service,
    watch: Subscription,
    connection: u64,
    is_open: bool,
    now_ms: u64,
    shown: BTreeMap<u64, u32>,
    rejected: BTreeMap<u64, u32>,
    held: Vec<u64>,
}

impl World {
    fn new(transport: WatchTransport, seed: u64) -> Self {
        let mut random = Random(seed * 0x9e37_79b9);
        let window = 1 + random.below(8) as usize;
        let entries = (1..=60).collect();
        let is_session = transport == SESSION;
        Self {
            random,
            service: Service { entries, window, out: BTreeSet::new(), wire: VecDeque::new(), is_session },
            watch: Subscription::new(endpoint(), options(window as u32), transport, None, seed),
            connection: 0,
            is_open: false,
            now_ms: 0,
            shown: BTreeMap::new(),
            rejected: BTreeMap::new(),
            held: Vec::new(),
        }
    }

    /// Does what is to be done next; false when everything is settled.
    fn turn(&mut self) -> bool {
        match self.watch.next(self.now_ms) {
            Todo::Connect(attempt) => {
                self.connection = attempt.number;
                // The first connection must succeed, or the watch would rightly end.
                if attempt.number > 1 && self.random.below(3) == 0 {
                    self.watch.lost(self.now_ms, attempt.number, None, "refused");
                } else {
                    let protocol = attempt.protocols.first().map(String::as_str);
                    self.watch.opened(self.now_ms, attempt.number, protocol);
                    self.service.connected();
                    self.is_open = true;
                }
            }
            Todo::Send(message) => self.service.message(message),
            Todo::Settle(request) => {
                let arrives = self.random.below(5) != 0;
                if arrives {
                    self.service.http(&request);
                }
                // The answer of a request that arrived may still be lost.
                self.watch.settled(self.now_ms, (arrives && self.random.below(5) != 0).then_some(&OK));
            }
            Todo::Deliver(frame) => {
                *self.shown.entry(frame.index).or_default() += 1;
                self.held.push(frame.index);
            }
            Todo::Ping(number) => self.watch.heard(self.now_ms, number),
            Todo::Close(_) => self.is_open = false,
            Todo::Wait(until_ms) => return self.happen(until_ms),
            Todo::Confirmed(_) | Todo::Turned(_) => {}
            other => panic!("{other:?}"),
        }
        true
    }

    /// Something happens, or time passes.
    fn happen(&mut self, until_ms: u64) -> bool {
        if self.service.entries.is_empty() && self.watch.unsettled() == 0 {
            return false;
        }
        match self.random.below(10) {
            0 if self.is_open => {
                self.watch.lost(self.now_ms, self.connection, None, "cut");
                self.is_open = false;
            }
            1..=6 if self.is_open => {
                if let Some(message) = self.service.wire.pop_front() {
                    self.watch.message(self.now_ms, self.connection, message);
                }
            }
            7 | 8 if !self.held.is_empty() => {
                let index = self.held.swap_remove(self.random.below(self.held.len() as u64) as usize);
                if self.random.below(8) == 0 {
                    *self.rejected.entry(index).or_default() += 1;
                    self.watch.decide(index, Decision::Reject(Rejection::default()));
                } else {
                    self.watch.decide(index, Decision::Commit);
                }
            }
            _ => self.now_ms = (self.now_ms + 1_000).min(until_ms.max(self.now_ms + 1)),
        }
        true
    }
}

#[test]
fn every_entry_is_given_out_once_whatever_breaks() {
    for (transport, seed) in [PLAIN, SESSION].into_iter().flat_map(|how| (1..=300).map(move |seed| (how, seed))) {
        let mut world = World::new(transport, seed);
        let settled = (0..20_000).any(|_| !world.turn());
        assert!(settled, "{transport:?}, seed {seed}: left {:?}", world.service.entries);
        for index in 1..=60 {
            // Once, and once more for each time it was refused; a refusal may be lost and the entry come twice for it.
            let refusals = world.rejected.get(&index).copied().unwrap_or(0);
            let times = world.shown.get(&index).copied().unwrap_or(0);
            assert!(
                (1..=1 + refusals).contains(&times),
                "{transport:?}, seed {seed}: {index} given out {times} times, refused {refusals}"
            );
        }
    }
}
