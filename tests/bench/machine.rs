//! The machine alone, native, without a platform: `cargo bench --bench machine`.
//!
//! A batch of 100 entries is put and pushed in one turn, flushed, committed in another turn, flushed again: what the
//! service does for a batch, minus everything outside. Rows go to memory. Once with an empty queue, where an entry is
//! pushed in the turn that puts it, and once with a million entries waiting, where the oldest ones are pushed.

#![allow(missing_docs, reason = "a program")]

#[path = "../support/mod.rs"]
mod support;
mod world;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use edgequeue::store::memory::MemoryRows;
use std::hint::black_box;
use std::time::Duration;
use world::World;

const BATCH: usize = 100;
const WAITING: usize = 1_000_000;

fn waiting(count: usize, data: &Bytes) -> World {
    let mut world = World::open(MemoryRows::new());
    for _ in 0..count / BATCH {
        world.put(BATCH, data);
        world.flush();
    }
    world
}

fn machine(criterion: &mut Criterion) {
    for (count, label) in [(0, "empty"), (WAITING, "1M waiting")] {
        for bytes in [100, 1024] {
            let data = Bytes::from(vec![b'x'; bytes]);
            let mut world = waiting(count, &data);
            let rows = world.rows().clone();
            world.watch(BATCH as u32, false);
            world.flush();

            let mut group = criterion.benchmark_group(format!("{label}, {bytes} B"));
            group.throughput(Throughput::Elements(BATCH as u64));
            group.bench_function("put+push+commit of 100", |bencher| {
                bencher.iter(|| {
                    world.put(BATCH, &data);
                    world.flush();
                    world.commit(BATCH);
                    world.flush();
                });
            });

            // A put alone: nobody watches.
            let mut unwatched = World::open(rows.clone());
            group.bench_function("put of 100", |bencher| {
                bencher.iter(|| {
                    unwatched.put(BATCH, &data);
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
