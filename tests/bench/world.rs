//! A queue over rows in memory, as the shell would drive it: turns, flushes, effects. Shared by the benchmark of the
//! machine and the test of what things cost.

#![allow(dead_code, reason = "each of the two needs a part")]

use bytes::Bytes;
use edgequeue::queue::config::Settings;
use edgequeue::queue::entry::{Filter, Index, Lane, Tags};
use edgequeue::queue::event::{ConsumerId, Dedup, Get, NewEntry, Rejection, Start, Ticket, Watch, WatcherId};
use edgequeue::queue::store::Side;
use edgequeue::queue::{Effect, Event, Queue, Reply};
use edgequeue::store::memory::MemoryRows;
use edgequeue::store::{Flushed, SegmentStore};
use std::hint::black_box;

const NOW_MS: u64 = 1_790_000_000_000;

pub struct World {
    pub queue: Queue,
    pub store: SegmentStore<MemoryRows>,
    pub now_ms: u64,
    /// What was pushed and not committed.
    pub out: Vec<Index>,
    /// Entries that gets returned.
    pub got: u64,
    /// Rows written and deleted by the store.
    pub rows: Flushed,
    /// How often the alarm was set, each a row.
    pub alarms: u64,
    alarm_ms: Option<u64>,
    outcomes: u64,
    effects: Vec<Effect>,
}

fn consumer() -> ConsumerId {
    ConsumerId { group: "group".into(), user: "user".into() }
}

impl World {
    pub fn open(rows: MemoryRows) -> Self {
        let mut store = SegmentStore::open(rows).expect("rows can be read");
        let queue = Queue::open(Settings::standard(), &mut store).expect("records can be read");
        Self {
            queue,
            store,
            now_ms: NOW_MS,
            out: Vec::new(),
            got: 0,
            rows: Flushed::default(),
            alarms: 0,
            alarm_ms: None,
            outcomes: 1,
            effects: Vec::new(),
        }
    }

    pub fn turn(&mut self, event: Event) {
        self.now_ms += 1;
        self.queue.turn(self.now_ms, Side::Main, event, &mut self.store, &mut self.effects).expect("a turn succeeds");
    }

    pub fn put(&mut self, count: usize, data: &Bytes) {
        let entry = || NewEntry {
            lane: Lane(0),
            tags: Tags::new(),
            data: data.clone(),
            random: self.now_ms.into(),
            dedup: None,
        };
        let entries = (0..count).map(|_| entry()).collect();
        self.turn(Event::Put(Ticket(1), entries));
    }

    /// Puts what came of the next `count` entries of another queue.
    pub fn put_outcomes(&mut self, count: usize, data: &Bytes) {
        let first = self.outcomes;
        self.outcomes += count as u64;
        let once = |index| Some(Dedup::Source { index: Index(index), settled_below: Index(first) });
        let entry = |index| NewEntry {
            data: data.clone(),
            random: self.now_ms.into(),
            dedup: once(index),
            ..Default::default()
        };
        let entries = (first..self.outcomes).map(entry).collect();
        self.turn(Event::Put(Ticket(1), entries));
    }

    /// Time passes; the alarm goes off when it is due.
    pub fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        if self.alarm_ms.take_if(|at_ms| *at_ms <= self.now_ms).is_some() {
            self.turn(Event::Tick);
            self.flush();
        }
    }

    pub fn watch(&mut self, window: u32, auto_commit: bool) {
        let watch = Watch {
            consumer: consumer(),
            start: Start::At(Index(0)),
            window,
            auto_commit,
            index_only: false,
            filter: Filter::default(),
            local: false,
        };
        self.turn(Event::Attach(Ticket(1), WatcherId(1), watch));
    }

    /// Commits the first `count` of what is out.
    pub fn commit(&mut self, count: usize) {
        let indexes = self.out.drain(..count).collect();
        self.turn(Event::Commit(Ticket(1), consumer(), indexes));
    }

    /// Refuses the first one of what is out; it is pushed again.
    pub fn reject(&mut self, delay_ms: u64) {
        let indexes = self.out.drain(..1).collect();
        let rejection = Rejection { delay_ms, ..Rejection::default() };
        self.turn(Event::Reject(Ticket(1), consumer(), indexes, rejection));
    }

    /// Gets the oldest entries, which removes them.
    pub fn get(&mut self, count: u64, wait_ms: u64) {
        let filter = Filter::default();
        self.turn(Event::Get(Ticket(2), Get { start: Start::At(Index(0)), filter, count, remove: true, wait_ms }));
    }

    /// What the shell does: one flush for the turns since the last one; once it is durable every frame is taken as it
    /// would be sent, and the alarm is moved if it must come earlier.
    pub fn flush(&mut self) {
        self.queue.before_flush(&mut self.store).expect("memory does not fail");
        let flushed = self.store.flush().expect("a flush succeeds");
        self.rows.rows_written += flushed.rows_written;
        self.rows.rows_deleted += flushed.rows_deleted;
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Push(_, delivery) => {
                    black_box(delivery.frame());
                    self.out.push(delivery.entry.index);
                }
                Effect::Reply(_, Reply::Refused(refusal)) => panic!("refused: {refusal:?}"),
                Effect::Reply(_, Reply::Entries(entries)) => self.got += entries.len() as u64,
                effect => drop(black_box(effect)),
            }
        }
        if let Some(at_ms) = self.queue.wake().alarm_ms
            && self.alarm_ms.is_none_or(|set_ms| at_ms < set_ms)
        {
            self.alarm_ms = Some(at_ms);
            self.alarms += 1;
        }
    }
}
