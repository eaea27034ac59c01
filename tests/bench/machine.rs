//! The machine alone, native, without a platform: `cargo bench --bench machine`.
//!
//! A batch of 100 entries is put and pushed in one turn, flushed, committed in another turn, flushed again: what the
//! service does for a batch, minus everything outside. Rows go to memory. Once with an empty queue, where an entry is
//! pushed in the turn that puts it, and once with a million entries waiting, where the oldest ones are pushed.

#![allow(missing_docs, reason = "a program")]

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use edgequeue::queue::config::Settings;
use edgequeue::queue::entry::{Filter, Index, Lane, Tags};
use edgequeue::queue::event::{ConsumerId, NewEntry, Start, Ticket, Watch, WatcherId};
use edgequeue::queue::store::Side;
use edgequeue::queue::{Effect, Event, Queue, Reply};
use edgequeue::store::SegmentStore;
use edgequeue::store::memory::MemoryRows;
use std::hint::black_box;
use std::time::Duration;

const BATCH: usize = 100;
const WAITING: u64 = 1_000_000;
const NOW_MS: u64 = 1_790_000_000_000;

/// A queue over rows in memory, and what was pushed but not committed.
struct World {
    queue: Queue,
    store: SegmentStore<MemoryRows>,
    effects: Vec<Effect>,
    now_ms: u64,
    out: Vec<Index>,
}

impl World {
    fn open(rows: MemoryRows) -> Self {
        let mut store = SegmentStore::open(rows).expect("rows can be read");
        let queue = Queue::open(Settings::standard(), &mut store).expect("records can be read");
        Self { queue, store, effects: Vec::new(), now_ms: NOW_MS, out: Vec::new() }
    }

    fn with_waiting(count: u64, bytes: usize) -> Self {
        let mut world = Self::open(MemoryRows::new());
        let data = Bytes::from(vec![b'x'; bytes]);
        for _ in 0..count / BATCH as u64 {
            world.put(&data);
            world.flush();
        }
        world
    }

    fn turn(&mut self, event: Event) {
        self.now_ms += 1;
        self.queue.turn(self.now_ms, Side::Main, event, &mut self.store, &mut self.effects).expect("a turn succeeds");
    }

    fn put(&mut self, data: &Bytes) {
        let entry = || NewEntry { lane: Lane(0), tags: Tags::new(), data: data.clone(), random: self.now_ms.into() };
        let entries = (0..BATCH).map(|_| entry()).collect();
        self.turn(Event::Put(Ticket(1), entries));
    }

    fn watch(&mut self, window: u32) {
        let watch = Watch {
            consumer: consumer(),
            start: Start::At(Index(0)),
            window,
            auto_commit: false,
            index_only: false,
            filter: Filter::default(),
        };
        self.turn(Event::Attach(Ticket(1), WatcherId(1), watch));
    }

    /// What the shell does once a flush is durable: takes every frame as it would be sent.
    fn flush(&mut self) {
        self.store.flush().expect("a flush succeeds");
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Push(_, delivery) => {
                    black_box(delivery.frame());
                    self.out.push(delivery.entry.index);
                }
                Effect::Reply(_, Reply::Refused(refusal)) => panic!("refused: {refusal:?}"),
                effect => drop(black_box(effect)),
            }
        }
    }

    fn commit(&mut self) {
        let indexes: Vec<Index> = self.out.drain(..BATCH).collect();
        self.turn(Event::Commit(Ticket(1), consumer(), indexes));
    }

    /// One batch all the way.
    fn batch(&mut self, data: &Bytes) {
        self.put(data);
        self.flush();
        self.commit();
        self.flush();
    }
}

fn consumer() -> ConsumerId {
    ConsumerId { group: "group".into(), user: "user".into() }
}

fn machine(criterion: &mut Criterion) {
    for (waiting, label) in [(0, "empty"), (WAITING, "1M waiting")] {
        for bytes in [100, 1024] {
            let data = Bytes::from(vec![b'x'; bytes]);
            let mut world = World::with_waiting(waiting, bytes);
            let rows = world.store.rows().clone();
            world.watch(BATCH as u32);
            world.flush();

            let mut group = criterion.benchmark_group(format!("{label}, {bytes} B"));
            group.throughput(Throughput::Elements(BATCH as u64));
            group.bench_function("put+push+commit of 100", |bencher| bencher.iter(|| world.batch(&data)));

            // A put alone: nobody watches.
            let mut unwatched = World::open(rows.clone());
            group.bench_function("put of 100", |bencher| {
                bencher.iter(|| {
                    unwatched.put(&data);
                    unwatched.flush();
                });
            });
            drop(unwatched);

            group.throughput(Throughput::Elements(1));
            group.bench_function("open", |bencher| {
                bencher.iter_batched(|| rows.clone(), |rows| black_box(World::open(rows)), BatchSize::PerIteration);
            });
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = machine
}
criterion_main!(benches);
