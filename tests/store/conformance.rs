//! Random operations: every answer must be the reference's, and reopening must show what was flushed.

use super::backing::{self, Backing, Sqlite, entry};
use super::faulty::FaultyRows;
use super::reference::Reference;
use bytes::Bytes;
use edgequeue::queue::effect::{Record, Write};
use edgequeue::queue::entry::{Index, Mark, Priority, mark};
use edgequeue::queue::store::{Side, Store, Stores};
use edgequeue::store::SegmentStore;
use edgequeue::store::memory::MemoryRows;
use edgequeue::store::sql::SqlRows;
use proptest::prelude::*;

const PRIORITIES: [i64; 7] = [0, 1, -1, i64::MIN, i64::MAX, 7, 1_000_000];
const SIDES: [Side; 2] = [Side::Main, Side::Rear];
const RECORDS: [Record; 3] = [Record::Groups, Record::Consumers, Record::Settings];

#[derive(Clone, Debug)]
pub enum Op {
    /// How many, in which priority, with which tag, of which size.
    Append(u8, usize, Option<u8>, usize),
    /// Where between the first and the next index, in 1/255, and how many from there on in which stride.
    Remove(u8, u8, u8),
    RemoveBelow(u8),
    Save(usize, u8),
    Flush,
    /// Flush, drop, open.
    Reopen,
    /// Drop without flushing, open.
    Crash,
    /// Flush until the nth row operation fails, roll back, open.
    Fault(u64),
}

fn op(priorities: usize) -> impl Strategy<Value = Op> {
    let size = prop_oneof![6 => 0..200_usize, 3 => 200..3_000_usize, 1 => 15_000..40_000_usize, 1 => Just(600_000)];
    let count = prop_oneof![4 => Just(1), 2 => 2..12_u8, 1 => 60..150_u8];
    prop_oneof![
        8 => (count, 0..priorities, proptest::option::of(0..4_u8), size).prop_map(|(count, priority, tag, size)| {
            Op::Append(if size > 20_000 { count.min(5) } else { count }, priority, tag, size)
        }),
        5 => (any::<u8>(), prop_oneof![1..3_u8, 1..100_u8], 1..4_u8)
            .prop_map(|(at, count, stride)| Op::Remove(at, count, stride)),
        1 => (0..255_u8).prop_map(Op::RemoveBelow),
        1 => Just(Op::RemoveBelow(255)),
        1 => (0..3_usize, any::<u8>()).prop_map(|(record, value)| Op::Save(record, value)),
        5 => Just(Op::Flush),
        2 => Just(Op::Reopen),
        1 => Just(Op::Crash),
        1 => (0..12_u64).prop_map(Op::Fault),
    ]
}

fn ops() -> impl Strategy<Value = Vec<(Side, Op)>> {
    let side = prop_oneof![4 => Just(Side::Main), 1 => Just(Side::Rear)];
    (1..=PRIORITIES.len()).prop_flat_map(move |priorities| prop::collection::vec((side.clone(), op(priorities)), 1..60))
}

/// Single puts and commits of a priority or two, each stored by itself: tails that are emptied, kept and used again.
fn slow_ops() -> impl Strategy<Value = Vec<(Side, Op)>> {
    let size = prop_oneof![4 => Just(100), 2 => Just(9_000), 2 => Just(20_000)];
    let op = prop_oneof![
        4 => (1..3_u8, prop_oneof![9 => Just(0), 1 => Just(1)], size)
            .prop_map(|(count, priority, size)| Op::Append(count, priority, None, size)),
        1 => Just(Op::Remove(0, 1, 1)),
        1 => Just(Op::Remove(255, 1, 1)),
        3 => Just(Op::Remove(0, 100, 1)),
    ];
    let stored = prop_oneof![3 => Just(Op::Flush), 3 => Just(Op::Reopen), 1 => Just(Op::Crash)];
    let turn = (op, stored).prop_map(|(op, stored)| [(Side::Main, op), (Side::Main, stored)]);
    prop::collection::vec(turn, 1..40).prop_map(|turns| turns.concat())
}

/// Bytes of decoded segments that may stay in memory.
fn cache() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), Just(20_000), Just(500_000), Just(8 << 20)]
}

/// Index at `at`/255 between the first live entry and the next index.
fn index_at(reference: &mut Reference, side: Side, at: u8) -> Index {
    let store = reference.side(side);
    let next = store.totals().next_index.0;
    let priorities = store.priorities();
    let firsts = priorities.iter().filter_map(|(priority, _)| reference.side(side).next(*priority, Index(0)).unwrap());
    let first = firsts.map(|entry| entry.index.0).min().unwrap_or(next);
    Index(first + (next - first) * u64::from(at) / 255)
}

/// Asks both the same and compares.
fn compare<R: Backing>(store: &mut SegmentStore<R>, reference: &mut Reference) {
    for side in SIDES {
        let next = reference.side(side).totals().next_index;
        assert_eq!(store.side(side).totals(), reference.side(side).totals());
        assert_eq!(store.side(side).priorities(), reference.side(side).priorities());
        let mut probes: Vec<Index> = [0, 80, 128, 200, 255].map(|at| index_at(reference, side, at)).to_vec();
        probes.extend([Index(0), Index(next.0 / 2), Index(u64::MAX)]);
        for priority in PRIORITIES.map(Priority) {
            for from in &probes {
                assert_eq!(
                    store.side(side).next(priority, *from),
                    reference.side(side).next(priority, *from),
                    "next {from:?}"
                );
                let previous = reference.side(side).previous(priority, *from);
                assert_eq!(store.side(side).previous(priority, *from), previous, "previous {from:?}");
            }
            compare_marked(store, reference, side, priority, probes[1]);
            for pair in probes.windows(2) {
                let count = reference.side(side).count(priority, pair[0], pair[1]);
                assert_eq!(store.side(side).count(priority, pair[0], pair[1]), count, "count {pair:?}");
            }
        }
        for index in probes.iter().flat_map(|probe| probe.0..probe.0.saturating_add(3)).map(Index) {
            assert_eq!(store.side(side).find(index), reference.side(side).find(index), "find {index:?}");
        }
        for record in RECORDS {
            assert_eq!(store.side(side).load(record), reference.side(side).load(record));
        }
    }
}

/// A marked search may return too much, but nothing that is not there, and it must not miss anything.
fn compare_marked<R: Backing>(
    store: &mut SegmentStore<R>,
    reference: &mut Reference,
    side: Side,
    priority: Priority,
    from: Index,
) {
    for marks in [vec![], vec![mark("kind", "1")], vec![mark("kind", "1"), mark("kind", "2")]] {
        let marks: &[Mark] = &marks;
        let expected = reference.side(side).next_marked(priority, from, marks).unwrap();
        let mut at = from;
        for step in 0.. {
            let got = store.side(side).next_marked(priority, at, marks).unwrap();
            let Some(got) = got else {
                assert_eq!(expected, None, "marked from {from:?}");
                break;
            };
            assert_eq!(reference.side(side).find(got.index), Ok(Some(got.clone())));
            assert!(got.priority == priority && got.index >= at);
            if expected.as_ref() == Some(&got) || step > 20 {
                break;
            }
            assert!(expected.as_ref().is_none_or(|expected| got.index < expected.index), "{expected:?} was skipped");
            at = got.index.next();
        }
    }
}

/// Reads everything in order, both ways.
fn compare_scan<R: Backing>(store: &mut SegmentStore<R>, reference: &mut Reference) {
    for side in SIDES {
        for (priority, length) in reference.side(side).priorities() {
            let (mut at, mut seen) = (Index(0), Vec::new());
            while let Some(entry) = store.side(side).next(priority, at).unwrap() {
                assert_eq!(reference.side(side).find(entry.index), Ok(Some(entry.clone())));
                at = entry.index.next();
                seen.push(entry.index);
            }
            assert_eq!(seen.len() as u64, length);
            let mut at = Index(u64::MAX);
            while let Some(entry) = store.side(side).previous(priority, at).unwrap() {
                assert_eq!(seen.pop(), Some(entry.index));
                at = Index(entry.index.0 - 1);
            }
            assert!(seen.is_empty());
        }
    }
}

fn apply(store: &mut impl Stores, reference: &mut Reference, side: Side, write: Write) {
    reference.side(side).apply(write.clone()).unwrap();
    store.side(side).apply(write).unwrap();
}

fn writes(reference: &mut Reference, side: Side, op: &Op) -> Vec<Write> {
    match *op {
        Op::Append(count, priority, tag, size) => {
            let mut twin = reference.clone();
            let mut next = || {
                let (entry, marks) = entry(&mut twin, side, PRIORITIES[priority], tag, size);
                let write = Write::Append(entry, marks);
                twin.side(side).apply(write.clone()).unwrap();
                write
            };
            (0..count).map(|_| next()).collect()
        }
        Op::Remove(at, count, stride) => {
            let first = index_at(reference, side, at).0;
            let indexes = (0..u64::from(count)).map(|nth| Index(first + nth * u64::from(stride)));
            indexes.map(Write::Remove).collect()
        }
        Op::RemoveBelow(at) => vec![Write::RemoveBelow(index_at(reference, side, at))],
        Op::Save(record, value) => vec![Write::Save(RECORDS[record], Bytes::from(vec![value; usize::from(value % 5)]))],
        _ => Vec::new(),
    }
}

/// `reopen` turns rows into the rows that are found after the process died.
fn run<R: Backing>(rows: R, ops: &[(Side, Op)], cache: usize, reopen: impl Fn(R) -> R) {
    let open = |rows| SegmentStore::open_with_cache(FaultyRows::new(rows), cache).unwrap();
    let mut store = open(rows);
    let mut reference = Reference::new();
    let mut flushed = reference.clone();
    for (side, op) in ops {
        for write in writes(&mut reference, *side, op) {
            apply(&mut store, &mut reference, *side, write);
        }
        match op {
            Op::Flush | Op::Reopen => {
                backing::flush(&mut store);
                flushed = reference.clone();
                assert!(backing::flush(&mut store).is_empty());
            }
            Op::Fault(operations) => {
                store.rows_mut().begin();
                store.rows_mut().fail_after(*operations);
                let result = store.flush();
                store.rows_mut().heal();
                if result.is_ok() {
                    store.rows_mut().commit();
                    flushed = reference.clone();
                } else {
                    store.rows_mut().rollback();
                }
            }
            _ => {}
        }
        if matches!(op, Op::Reopen | Op::Crash | Op::Fault(_)) {
            let rows = reopen(store.into_rows().rows);
            store = open(rows);
            reference = flushed.clone();
        }
        compare(&mut store, &mut reference);
    }
    compare_scan(&mut store, &mut reference);
    let mut store = open(reopen(store.into_rows().rows));
    compare_scan(&mut store, &mut flushed);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_rows_conform(ops in ops(), cache in cache()) {
        run(MemoryRows::new(), &ops, cache, |rows| rows);
    }

    #[test]
    fn slow_traffic_conforms(ops in slow_ops(), cache in cache()) {
        run(MemoryRows::new(), &ops, cache, |rows| rows);
    }

    #[test]
    fn sqlite_in_memory_conforms(ops in ops(), cache in cache()) {
        // What was rolled back must not be remembered either.
        run(backing::sqlite(), &ops, cache, |rows| SqlRows::open(rows.into_sql()).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases() / 4 + 1,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn sqlite_in_a_file_conforms(ops in ops(), cache in cache()) {
        let path = std::env::temp_dir().join(format!("edgequeue-store-{}.sqlite", std::process::id()));
        let open = || {
            let connection = rusqlite::Connection::open(&path).unwrap();
            connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
            SqlRows::open(Sqlite(connection)).unwrap()
        };
        let _ = std::fs::remove_file(&path);
        run(open(), &ops, cache, |rows| {
            drop(rows);
            open()
        });
        std::fs::remove_file(&path).unwrap();
    }
}

/// More with STORE_CASES.
fn cases() -> u32 {
    std::env::var("STORE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60)
}
