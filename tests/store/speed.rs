//! How fast the store is alone: `cargo test --release --test store speed -- --ignored --nocapture`.

use super::backing::{Backing, append, flush, sqlite};
use edgequeue::queue::effect::Write;
use edgequeue::queue::entry::{Index, Priority};
use edgequeue::queue::store::{Side, Store, Stores};
use edgequeue::store::SegmentStore;
use edgequeue::store::memory::MemoryRows;
use std::time::Instant;

const BATCH: usize = 100;

/// Puts a batch, delivers it from the head, commits it. `backlog` entries lie between put and delivery.
fn put_deliver_commit<R: Backing>(name: &str, rows: R, backlog: usize, count: usize) {
    let mut store = SegmentStore::open(rows).unwrap();
    for _ in 0..backlog / BATCH {
        (0..BATCH).for_each(|_| assert!(append(&mut store, Side::Main, 0, 100) > Index(0)));
        flush(&mut store);
    }
    let (start, mut at) = (Instant::now(), Index(0));
    for _ in 0..count / BATCH {
        (0..BATCH).for_each(|_| assert!(append(&mut store, Side::Main, 0, 100) > Index(0)));
        flush(&mut store);
        let mut side = store.side(Side::Main);
        let mut delivered = Vec::with_capacity(BATCH);
        for _ in 0..BATCH {
            let entry = side.next(Priority(0), at).unwrap().unwrap();
            at = entry.index.next();
            delivered.push(entry.index);
        }
        for index in delivered {
            assert!(side.find(index).unwrap().is_some());
            side.apply(Write::Remove(index)).unwrap();
        }
        flush(&mut store);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{name}, backlog {backlog}: {:.2} M entries/s", count as f64 / seconds / 1e6);
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    put_deliver_commit("memory", MemoryRows::new(), 0, 2_000_000);
    put_deliver_commit("memory", MemoryRows::new(), 1_000_000, 1_000_000);
    put_deliver_commit("sqlite", sqlite(), 0, 500_000);
    put_deliver_commit("sqlite", sqlite(), 500_000, 500_000);
    let start = Instant::now();
    let mut store = SegmentStore::open(MemoryRows::new()).unwrap();
    (0..1_000_000).for_each(|_| assert!(append(&mut store, Side::Main, 0, 100) > Index(0)));
    println!("encode and append without flush: {:.2} M entries/s", 1e-0 / start.elapsed().as_secs_f64());
    let start = Instant::now();
    flush(&mut store);
    println!("flush of a million entries: {:.2} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    store.side(Side::Main).apply(Write::RemoveBelow(Index(900_000))).unwrap();
    flush(&mut store);
    println!("truncation of 900,000 entries: {:.4} s", start.elapsed().as_secs_f64());
}
