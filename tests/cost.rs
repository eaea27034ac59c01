//! What using a queue costs: for each way of using it the rows per 1,000 entries of 1 KB, from put to gone, and what a
//! million of them costs. `cargo test --features std --test cost -- --nocapture` prints the table of `docs/cost.md`. A
//! deleted row is billed like a written one, and so is setting the alarm.

#![allow(missing_docs, reason = "a test")]

mod support;
#[path = "bench/world.rs"]
mod world;

use bytes::Bytes;
use edgequeue::store::memory::MemoryRows;
use world::World;

/// Entries that go through before counting begins, and while it lasts.
const ENTRIES: usize = 10_000;

/// Dollars for a million, as of November 2026; `docs/cost.md` says where from.
const ROWS: f64 = 1.00;
/// A request over HTTP is one to the Worker and one to the object.
const REQUESTS: f64 = 0.30 + 0.15;
/// Twenty messages on a socket are one request to the object. What the service sends is free.
const MESSAGES: f64 = 0.15 / 20.0;

/// A way of using a queue: `round` puts and finishes `entries` entries with `requests` requests; the bound is in rows
/// per 1,000.
struct Way {
    name: &'static str,
    entries: usize,
    requests: usize,
    rows_max: f64,
    begin: fn(&mut World),
    round: fn(&mut World, &Bytes),
}

fn nothing(_: &mut World) {}

fn watched(world: &mut World) {
    world.watch(1_000, false);
    world.flush();
}

fn watched_by_auto_commit(world: &mut World) {
    world.watch(1_000, true);
    world.flush();
}

/// One request, one flush: as if nothing else went on.
fn put(world: &mut World, count: usize, data: &Bytes) {
    world.put(count, data);
    world.flush();
}

fn commit(world: &mut World, count: usize) {
    world.commit(count);
    world.flush();
}

const WAYS: &[Way] = &[
    Way {
        name: "put in 100s, pushed, committed in 100s",
        entries: 100,
        requests: 2,
        rows_max: 30.0,
        begin: watched,
        round: |world, data| {
            put(world, 100, data);
            commit(world, 100);
        },
    },
    Way {
        name: "put in 10s, pushed, committed in 10s",
        entries: 10,
        requests: 2,
        rows_max: 300.0,
        begin: watched,
        round: |world, data| {
            put(world, 10, data);
            commit(world, 10);
        },
    },
    Way {
        name: "single puts, pushed, committed in 10s",
        entries: 10,
        requests: 11,
        rows_max: 1_200.0,
        begin: watched,
        round: |world, data| {
            (0..10).for_each(|_| put(world, 1, data));
            commit(world, 10);
        },
    },
    Way {
        name: "single puts, pushed, committed one by one",
        entries: 1,
        requests: 2,
        rows_max: 2_100.0,
        begin: watched,
        round: |world, data| {
            put(world, 1, data);
            commit(world, 1);
        },
    },
    Way {
        name: "single puts, pushed, committed by the push",
        entries: 1,
        requests: 1,
        rows_max: 1_100.0,
        begin: watched_by_auto_commit,
        round: |world, data| put(world, 1, data),
    },
    Way {
        name: "single puts, 64 at a time (group commit), committed in 10s, 5 at a time",
        entries: 640,
        requests: 704,
        rows_max: 60.0,
        begin: watched,
        round: |world, data| {
            for _ in 0..10 {
                (0..64).for_each(|_| world.put(1, data));
                world.flush();
            }
            for _ in 0..64 / 5 {
                (0..5).for_each(|_| world.commit(10));
                world.flush();
            }
            commit(world, 40);
        },
    },
    Way {
        name: "single puts, each refused once, committed in 10s",
        entries: 10,
        requests: 21,
        rows_max: 2_200.0,
        begin: watched,
        round: |world, data| {
            (0..10).for_each(|_| put(world, 1, data));
            for _ in 0..10 {
                world.reject(0);
                world.flush();
            }
            commit(world, 10);
        },
    },
    Way {
        name: "single puts, each refused once with a delay, committed in 10s",
        entries: 10,
        requests: 21,
        rows_max: 2_400.0,
        begin: watched,
        round: |world, data| {
            (0..10).for_each(|_| put(world, 1, data));
            for _ in 0..10 {
                world.reject(1_000);
                world.flush();
            }
            world.wait(1_000);
            commit(world, 10);
        },
    },
    Way {
        name: "outcomes put once one by one, got one by one",
        entries: 1,
        requests: 2,
        rows_max: 3_050.0,
        begin: nothing,
        round: |world, data| {
            world.put_outcomes(1, data);
            world.flush();
            world.get(1, 0);
            world.flush();
        },
    },
    Way {
        name: "outcomes put once in 10s, got in 10s",
        entries: 10,
        requests: 2,
        rows_max: 330.0,
        begin: nothing,
        round: |world, data| {
            world.put_outcomes(10, data);
            world.flush();
            world.get(10, 0);
            world.flush();
        },
    },
    Way {
        name: "single puts, got one by one",
        entries: 1,
        requests: 2,
        rows_max: 2_100.0,
        begin: nothing,
        round: |world, data| {
            put(world, 1, data);
            world.get(1, 0);
            world.flush();
        },
    },
    Way {
        name: "single puts, each got by a get that waits",
        entries: 1,
        requests: 2,
        rows_max: 1_100.0,
        begin: nothing,
        round: |world, data| {
            world.get(1, 60_000);
            put(world, 1, data);
        },
    },
    Way {
        name: "put in 100s, got in 100s",
        entries: 100,
        requests: 2,
        rows_max: 30.0,
        begin: nothing,
        round: |world, data| {
            put(world, 100, data);
            world.get(100, 0);
            world.flush();
        },
    },
];

#[test]
fn every_way_of_using_a_queue_stays_below_its_bound() {
    let data = Bytes::from(vec![b'x'; 1024]);
    let mut over = Vec::new();
    println!(
        "{:<75} {:>9} {:>9} {:>9} {:>9}",
        "rows per 1,000 entries of 1 KB", "written", "deleted", "total", "bound"
    );
    for way in WAYS {
        let mut world = World::open(MemoryRows::new());
        (way.begin)(&mut world);
        let rounds = ENTRIES / way.entries;
        (0..rounds).for_each(|_| (way.round)(&mut world, &data));
        let before = world.spent();
        (0..rounds).for_each(|_| (way.round)(&mut world, &data));
        assert_eq!(world.totals().length, 0, "{}: everything is gone", way.name);

        let per_thousand = 1_000.0 / (rounds * way.entries) as f64;
        let (rows, spent) = (before.rows, world.spent());
        let written = spent.rows.rows_written - rows.rows_written + spent.alarms - before.alarms;
        let deleted = spent.rows.rows_deleted - rows.rows_deleted;
        let [written, deleted] = [written, deleted].map(|rows| rows as f64 * per_thousand);
        let total = written + deleted;
        let requests = (rounds * way.requests) as f64 * per_thousand;
        let [http, socket] = [REQUESTS, MESSAGES].map(|price| (total * ROWS + requests * price) / 1_000.0);
        println!(
            "{:<72} {written:>7.1} {deleted:>8.1} {total:>7.1} {:>9.0} {requests:>9.0} {http:>10.3} {socket:>8.3}",
            way.name, way.rows_max
        );
        if total > way.rows_max {
            over.push(format!("{}: {total:.1} rows per 1,000 entries, at most {} are allowed", way.name, way.rows_max));
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}

#[test]
fn an_idle_queue_writes_nothing() {
    let mut world = World::open(MemoryRows::new());
    watched(&mut world);
    let spent = world.spent();
    (0..1_000).for_each(|_| world.tick());
    assert_eq!((world.spent(), world.wake().alarm_ms), (spent, None));
}
