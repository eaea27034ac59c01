//! The client's watch session against a naive service in virtual time: connections break, answers get lost, and still
//! every entry is given out once and committed.

use bytes::Bytes;
use edgequeue::client::{Decision, End, Endpoint, Response, Session, Subscribe, Todo};
use edgequeue::queue::entry::{Frame, Index, TAG_REQUEST_ID, Tags};
use edgequeue::queue::event::{Rejection, Start};
use edgequeue::wire::{Operation, Purpose, RequestParts, parse};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const OK: Response = Response { status: 200, request_id: None, repeated: false, body: Bytes::new() };

fn endpoint() -> Endpoint {
    Endpoint::parse("http://a/api/predict/x").expect("an address")
}

fn subscribe(window: u32) -> Subscribe {
    Subscribe { start: Start::At(Index(0)), window, auto_commit: false, index_only: false, tags: Tags::new() }
}

fn session(window: u32, seed: u64) -> Session {
    Session::new(endpoint(), subscribe(window), None, seed)
}

fn frame(index: u64, request_id: &str) -> Bytes {
    let tags = [(TAG_REQUEST_ID.to_string(), request_id.to_string())].into();
    Frame { index, tags, data: Bytes::from_static(b"x"), message: String::new() }.encode_to_vec().into()
}

fn operation(sent: &edgequeue::client::Request) -> Operation {
    let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
    let header = |name: &str| {
        let found = sent.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    let parts = RequestParts { method: sent.method, path, query, header: &header };
    match parse(&parts, 0).expect("a good request").purpose {
        Purpose::Operation(operation) => operation,
        other => panic!("{other:?}"),
    }
}

/// Opens the first connection.
fn open(session: &mut Session) -> u64 {
    let Todo::Connect(connection, _) = session.next(0) else { panic!("it begins with a connection") };
    session.opened(0, connection);
    connection
}

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
    wire: VecDeque<Bytes>,
}

impl Service {
    fn fill(&mut self) {
        let free: Vec<u64> = self.entries.iter().filter(|index| !self.out.contains(index)).copied().collect();
        for index in free {
            if self.out.len() >= self.window {
                return;
            }
            self.out.insert(index);
            self.wire.push_back(frame(index, &format!("id-{index}")));
        }
    }

    fn connected(&mut self) {
        self.wire.clear();
        self.out.clear();
        self.fill();
    }

    fn settle(&mut self, operation: Operation) {
        match operation {
            Operation::Commit { indexes } => {
                for Index(index) in indexes {
                    self.entries.remove(&index);
                    self.out.remove(&index);
                }
            }
            Operation::Reject { indexes, .. } => {
                for Index(index) in indexes {
                    self.out.remove(&index);
                }
            }
            other => panic!("a watch does not ask for {other:?}"),
        }
        self.fill();
    }
}

#[test]
fn every_entry_is_given_out_once_whatever_breaks() {
    for seed in 1..=300 {
        let mut random = Random(seed * 0x9e37_79b9);
        let window = 1 + random.below(8) as usize;
        let mut service = Service { entries: (1..=60).collect(), window, out: BTreeSet::new(), wire: VecDeque::new() };
        let mut session = session(window as u32, seed);
        let mut shown: BTreeMap<u64, u32> = BTreeMap::new();
        let mut rejected: BTreeMap<u64, u32> = BTreeMap::new();
        let mut held: Vec<u64> = Vec::new();
        let (mut now_ms, mut connection, mut open) = (0, 0, false);
        for _ in 0..20_000 {
            match session.next(now_ms) {
                Todo::Connect(number, _) => {
                    connection = number;
                    // The first connection must succeed, or the watch would rightly end.
                    if number > 1 && random.below(3) == 0 {
                        session.lost(now_ms, number, None, "refused");
                    } else {
                        session.opened(now_ms, number);
                        service.connected();
                        open = true;
                    }
                }
                Todo::Settle(request) => {
                    let arrives = random.below(5) != 0;
                    if arrives {
                        service.settle(operation(&request));
                    }
                    // The answer of a request that arrived may still be lost.
                    session.settled(now_ms, (arrives && random.below(5) != 0).then_some(&OK));
                }
                Todo::Ping(number) => session.heard(now_ms, number),
                Todo::Close(_) => open = false,
                Todo::Over(end) => panic!("seed {seed}: over with {end:?}"),
                Todo::Wait(until_ms) => {
                    if service.entries.is_empty() && session.is_settled() {
                        break;
                    }
                    match random.below(10) {
                        0 if open => {
                            session.lost(now_ms, connection, None, "cut");
                            open = false;
                        }
                        1..=6 if open => {
                            if let Some(message) = service.wire.pop_front()
                                && let Some(frame) = session.message(now_ms, connection, message)
                            {
                                *shown.entry(frame.index).or_default() += 1;
                                held.push(frame.index);
                            }
                        }
                        7 | 8 if !held.is_empty() => {
                            let index = held.swap_remove(random.below(held.len() as u64) as usize);
                            if random.below(8) == 0 {
                                *rejected.entry(index).or_default() += 1;
                                session.decide(index, Decision::Reject(Rejection::default()));
                            } else {
                                session.decide(index, Decision::Commit);
                            }
                        }
                        _ => now_ms = (now_ms + 1_000).min(until_ms.max(now_ms + 1)),
                    }
                }
            }
        }
        assert!(service.entries.is_empty(), "seed {seed}: left {:?}", service.entries);
        for index in 1..=60 {
            // Once, and once more for each time it was refused; a refusal may be lost and the entry come twice for it.
            let refusals = rejected.get(&index).copied().unwrap_or(0);
            let times = shown.get(&index).copied().unwrap_or(0);
            assert!(
                times >= 1 && times <= 1 + refusals,
                "seed {seed}: {index} given out {times} times, refused {refusals}"
            );
        }
    }
}

#[test]
fn what_comes_again_is_told_again_but_not_given_out() {
    let mut session = session(5, 1);
    let connection = open(&mut session);
    assert!(session.message(1, connection, frame(7, "a")).is_some());
    assert!(session.message(1, connection, frame(7, "a")).is_none(), "held");
    session.decide(7, Decision::Commit);
    let Todo::Settle(_) = session.next(1) else { panic!() };
    session.settled(1, Some(&OK));
    assert!(session.message(2, connection, frame(7, "a")).is_none(), "committed");
    let Todo::Settle(request) = session.next(2) else { panic!("committed again") };
    assert_eq!(operation(&request), Operation::Commit { indexes: vec![Index(7)] });
    session.settled(2, Some(&OK));
    // The same index with another request id is another entry: the queue has begun anew.
    assert!(session.message(3, connection, frame(7, "b")).is_some());
    assert_eq!(session.totals().repeated, 2);
}

#[test]
fn leaving_confirms_what_was_decided_and_hands_back_the_rest() {
    let mut session = session(5, 1);
    let connection = open(&mut session);
    for index in 1..=3 {
        assert!(session.message(1, connection, frame(index, "a")).is_some());
    }
    session.decide(1, Decision::Commit);
    session.leave(10);
    assert!(session.message(10, connection, frame(4, "a")).is_none(), "nothing more is taken");
    let Todo::Settle(request) = session.next(10) else { panic!() };
    assert_eq!(operation(&request), Operation::Commit { indexes: vec![Index(1)] });
    session.settled(10, Some(&OK));
    let Todo::Settle(request) = session.next(10) else { panic!() };
    assert_eq!(operation(&request), Operation::Reject { indexes: vec![Index(2), Index(3)], delay_ms: None });
    assert_eq!(&request.body[..], b"_code_=Shutdown");
    session.settled(10, Some(&OK));
    assert!(matches!(session.next(10), Todo::Close(closed) if closed == connection));
    assert!(matches!(session.next(10), Todo::Over(End::Left)));
    assert_eq!((session.totals().committed, session.totals().returned, session.unsettled()), (1, 2, 0));
}

#[test]
fn leaving_does_not_wait_for_ever() {
    let mut session = session(5, 1);
    let connection = open(&mut session);
    assert!(session.message(1, connection, frame(1, "a")).is_some());
    session.leave(10);
    let mut now_ms = 10;
    let end = loop {
        match session.next(now_ms) {
            Todo::Settle(_) => session.settled(now_ms, None),
            Todo::Wait(until_ms) => now_ms = until_ms,
            Todo::Close(_) => {}
            Todo::Over(end) => break end,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((end, session.unsettled()), (End::Left, 1));
    assert!(now_ms <= 10_000, "{now_ms}");
}

#[test]
fn silence_is_found_out_and_waits_grow() {
    let mut session = session(5, 1);
    open(&mut session);
    let (mut now_ms, mut pings, mut attempts) = (0, 0, Vec::new());
    while attempts.len() < 8 {
        match session.next(now_ms) {
            Todo::Ping(_) => pings += 1,
            Todo::Close(_) => {}
            Todo::Connect(number, _) => {
                attempts.push(now_ms);
                session.lost(now_ms, number, None, "refused");
            }
            Todo::Wait(until_ms) => now_ms = until_ms,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pings, 2, "pinged at 10 and 20 seconds, given up at 30");
    assert!((30_000..31_000).contains(&attempts[0]), "{attempts:?}");
    assert!(attempts[7] - attempts[6] > attempts[1] - attempts[0], "{attempts:?}");
}

#[test]
fn what_cannot_pass_ends_the_watch() {
    let answer = |status| Response { status, request_id: None, repeated: false, body: Bytes::from_static(b"why") };
    let end = |session: &mut Session| loop {
        match session.next(1) {
            Todo::Close(_) => {}
            Todo::Over(end) => return end,
            other => panic!("{other:?}"),
        }
    };
    // Before it has begun, everything is final.
    for status in [401, 400, 404, 503] {
        let mut session = session(5, 1);
        let Todo::Connect(connection, _) = session.next(0) else { panic!() };
        session.refused(0, connection, &answer(status));
        assert!(matches!(end(&mut session), End::Failed(failure) if failure.status == status));
    }
    let mut first = session(5, 1);
    let Todo::Connect(connection, _) = first.next(0) else { panic!() };
    first.lost(0, connection, None, "no route");
    assert_eq!(end(&mut first), End::Unreachable("no route".into()));
    // Later only what will not change is.
    let mut later = session(5, 1);
    let connection = open(&mut later);
    later.lost(1, connection, Some(1006), "cut");
    let Todo::Wait(until_ms) = later.next(1) else { panic!() };
    let Todo::Connect(connection, _) = later.next(until_ms) else { panic!() };
    later.refused(until_ms, connection, &answer(503));
    let Todo::Wait(until_ms) = later.next(until_ms) else { panic!("503 passes") };
    let Todo::Connect(connection, _) = later.next(until_ms) else { panic!() };
    later.refused(until_ms, connection, &answer(410));
    assert_eq!(end(&mut later), End::Ended);
    let mut other = session(5, 1);
    let connection = open(&mut other);
    other.lost(1, connection, Some(4001), "the same group and user connected again");
    assert_eq!(end(&mut other), End::TakenOver);
}

#[test]
fn a_new_group_that_began_with_the_newest_resumes_where_it_began() {
    let subscribe = Subscribe { start: Start::Newest, ..subscribe(5) };
    let mut session = Session::new(endpoint(), subscribe, Some(Start::At(Index(11))), 1);
    let Todo::Connect(connection, request) = session.next(0) else { panic!() };
    assert!(request.target.contains("_index_=-1"));
    session.opened(0, connection);
    session.lost(0, connection, None, "cut");
    let Todo::Wait(until_ms) = session.next(0) else { panic!() };
    let Todo::Connect(_, request) = session.next(until_ms) else { panic!() };
    assert!(request.target.contains("_index_=11"), "{}", request.target);
}

#[test]
fn news_of_old_connections_count_for_nothing() {
    let mut session = session(5, 1);
    let old = open(&mut session);
    session.lost(1, old, None, "cut");
    let Todo::Wait(until_ms) = session.next(1) else { panic!() };
    let Todo::Connect(new, _) = session.next(until_ms) else { panic!() };
    session.opened(until_ms, new);
    session.lost(until_ms, old, Some(4001), "taken over");
    assert!(session.message(until_ms, old, frame(1, "a")).is_none());
    assert!(session.is_open());
    assert!(session.message(until_ms, new, frame(1, "a")).is_some());
}
