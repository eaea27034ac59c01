//! A queue over rows in memory, used by one consumer: the real broker in the test host. Shared by the benchmark of the
//! broker and the test of what things cost.

#![allow(dead_code, reason = "each of the two needs a part")]

use crate::support::disk::Disk;
use crate::support::host::{Clock, Host, Spent, Variables};
use crate::support::request::Request;
use bytes::Bytes;
use edgequeue::broker::Output;
use edgequeue::queue::Wake;
use edgequeue::queue::entry::{Index, Tags};
use edgequeue::queue::event::Dedup;
use edgequeue::queue::refusal::StoreError;
use edgequeue::queue::store::{Side, Store, Stores, Totals};
use edgequeue::store::SegmentStore;
use edgequeue::store::memory::MemoryRows;
use edgequeue::wire::PutEntry;
use edgequeue::wire::names::PROTOBUF;
use edgequeue::wire::proto::frame;
use prost::Message;

const NOW_MS: u64 = 1_790_000_000_000;

/// Rows that live as long as their store: no process dies here.
pub struct Rows(MemoryRows);

impl Disk for Rows {
    type Store = SegmentStore<MemoryRows>;

    fn open(&mut self) -> Result<Self::Store, StoreError> {
        SegmentStore::open(std::mem::take(&mut self.0))
    }

    fn written(&mut self, _: &mut Self::Store) {}

    fn sync(&mut self) {}

    fn die(&mut self, _: bool) {
        unreachable!("no process dies here");
    }
}

pub struct World {
    host: Host<Rows>,
    clock: Clock,
    /// What was pushed and not committed.
    pub out: Vec<Index>,
    outcomes: u64,
    /// The last body of a put: bodies are the client's to write, and not what is measured.
    body: (usize, Bytes, Bytes),
}

/// A frame, of which only the index matters.
#[derive(Clone, PartialEq, Message)]
struct Pushed {
    #[prost(uint64, tag = "1")]
    index: u64,
}

impl World {
    /// Opens a queue over these rows.
    pub fn open(rows: MemoryRows) -> Self {
        let clock = Clock::new(NOW_MS);
        let host = Host::new("demo", Variables::new(), Rows(rows), clock.clone());
        let mut world = Self { host, clock, out: Vec::new(), outcomes: 1, body: Default::default() };
        world.tick();
        world
    }

    /// The alarm goes off.
    pub fn tick(&mut self) {
        self.host.ring();
        self.flush();
    }

    /// A client asks for something; what is asked for until the next flush shares it.
    fn ask(&mut self, request: &Request) {
        self.clock.set(self.clock.now_ms() + 1);
        self.host.request(request);
        self.host.drain();
    }

    pub fn put(&mut self, count: usize, data: &Bytes) {
        if count == 1 {
            return self.ask(&Request::with_body("POST", "", data.clone()));
        }
        if self.body.0 != count || self.body.1 != *data {
            let entries = (0..count).map(|_| entry(data, None)).collect::<Vec<Bytes>>();
            self.body = (count, data.clone(), frame::list(&entries).into());
        }
        self.ask(&batch(self.body.2.clone()));
    }

    /// Puts what came of the next `count` entries of another queue.
    pub fn put_outcomes(&mut self, count: usize, data: &Bytes) {
        let first = self.outcomes;
        self.outcomes += count as u64;
        let dedup = |index| Some(Dedup::Source { index: Index(index), settled_below: Index(first) });
        let entries = (first..self.outcomes).map(|index| entry(data, dedup(index))).collect::<Vec<Bytes>>();
        self.ask(&batch(frame::list(&entries).into()));
    }

    /// Time passes; the alarm goes off when it is due.
    pub fn wait(&mut self, ms: u64) {
        self.clock.set(self.clock.now_ms() + ms);
        if self.host.alarm_ms().is_some_and(|at_ms| at_ms <= self.clock.now_ms()) {
            self.tick();
        }
    }

    pub fn watch(&mut self, window: u32, auto_commit: bool) {
        let query = format!("_watch_=true&_window_={window}&_auto_commit_={auto_commit}");
        self.ask(&consumer(Request::new("GET", query)).upgrade(""));
    }

    /// Commits the first `count` of what is out.
    pub fn commit(&mut self, count: usize) {
        let indexes: Vec<String> = self.out.drain(..count).map(|index| index.0.to_string()).collect();
        self.ask(&consumer(Request::new("PUT", format!("_indexes_={}", indexes.join(",")))));
    }

    /// Refuses the first one of what is out; it is pushed again.
    pub fn reject(&mut self, delay_ms: u64) {
        let index = self.out.remove(0).0;
        let query = format!("_negative_=true&_indexes_={index}&_delay_={delay_ms}ms");
        self.ask(&consumer(Request::new("PUT", query)));
    }

    /// Gets the oldest entries, which removes them.
    pub fn get(&mut self, count: u64, wait_ms: u64) {
        let query = format!("_length_={count}&_timeout_={wait_ms}ms");
        self.ask(&Request::new("GET", query).header("Accept", PROTOBUF));
    }

    /// One flush for what was asked since the last one, and everything that follows.
    pub fn flush(&mut self) {
        self.host.settle();
        for output in self.host.seen() {
            match output {
                Output::Send(_, frame) => {
                    self.out.push(Index(Pushed::decode(frame).expect("a frame").index));
                }
                Output::Answer(_, answer) => assert!(answer.status < 300, "refused: {answer:?}"),
                _ => {}
            }
        }
    }

    /// Rows and alarms so far.
    pub fn spent(&self) -> Spent {
        self.host.spent
    }

    /// What the queue waits for.
    pub fn wake(&mut self) -> Wake {
        let (queue, _) = self.host.broker().and_then(|broker| broker.memory()).expect("it is in memory");
        queue.wake()
    }

    pub fn totals(&mut self) -> Totals {
        self.store().side(Side::Main).totals()
    }

    /// What is stored.
    pub fn rows(&mut self) -> &MemoryRows {
        self.store().rows()
    }

    fn store(&mut self) -> &mut SegmentStore<MemoryRows> {
        self.host.broker().and_then(|broker| broker.memory()).expect("it is in memory").1
    }
}

fn entry(data: &Bytes, once: Option<Dedup>) -> Bytes {
    PutEntry { tags: Tags::new(), data: data.clone(), priority: None, once }.encode().into()
}

fn batch(body: Bytes) -> Request {
    let request = Request::with_body("POST", "_batch_=true", body);
    request.header("Content-Type", PROTOBUF).header("Accept", PROTOBUF)
}

fn consumer(request: Request) -> Request {
    request.by("group", "user")
}
