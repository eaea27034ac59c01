//! Rows written are money and rows read are time: what each operation may cost.

use super::backing::{Backing, Sqlite, append, entry, flush, sqlite};
use bytes::Bytes;
use edgequeue::queue::effect::{Record, Write};
use edgequeue::queue::entry::{Index, Priority, mark};
use edgequeue::queue::store::{Side, Store, Stores};
use edgequeue::store::memory::MemoryRows;
use edgequeue::store::rows::{PriorityKey, Rows, StateId};
use edgequeue::store::sql::SqlRows;
use edgequeue::store::{Flushed, SegmentStore};

const MAIN: PriorityKey = PriorityKey { side: Side::Main, priority: Priority(0) };

/// A store whose schema row is written already.
fn store() -> SegmentStore<MemoryRows> {
    let mut store = SegmentStore::open(MemoryRows::new()).unwrap();
    store.side(Side::Main).apply(Write::Save(Record::Settings, Bytes::from_static(b"settings"))).unwrap();
    assert_eq!(flush(&mut store), Flushed { rows_written: 2, rows_deleted: 0 });
    store
}

fn reopen<R: Backing>(store: SegmentStore<R>) -> SegmentStore<R> {
    SegmentStore::open(store.into_rows()).unwrap()
}

fn remove(store: &mut impl Stores, indexes: impl IntoIterator<Item = u64>) {
    for index in indexes {
        store.side(Side::Main).apply(Write::Remove(Index(index))).unwrap();
    }
}

fn append_some(store: &mut impl Stores, count: usize, bytes: usize) {
    for _ in 0..count {
        append(store, Side::Main, 0, bytes);
    }
}

fn append_many<R: Backing>(store: &mut SegmentStore<R>, count: usize, bytes: usize, per_flush: usize) {
    for batch in (0..count).step_by(per_flush) {
        append_some(store, count.min(batch + per_flush) - batch, bytes);
        flush(store);
    }
}

const fn rows(rows_written: u64, rows_deleted: u64) -> Flushed {
    Flushed { rows_written, rows_deleted }
}

#[test]
fn nothing_changed_writes_nothing() {
    let mut store = store();
    assert!(flush(&mut store).is_empty());
    remove(&mut store, [1, 2, 3]);
    store.side(Side::Main).apply(Write::RemoveBelow(Index(10))).unwrap();
    assert!(flush(&mut store).is_empty());
}

#[test]
fn a_put_writes_one_row_also_after_hibernation() {
    let mut store = store();
    for nth in 0..200 {
        append(&mut store, Side::Main, 0, 1000);
        assert_eq!(flush(&mut store), rows(1, 0));
        if nth % 3 == 0 {
            store = reopen(store);
        }
    }
    let segments = store.rows().segments(MAIN).count();
    assert!((200 / 17..=200 / 14).contains(&segments), "{segments} segments for 200 slow puts of 1 KB");
}

#[test]
fn a_batch_writes_a_row_per_mebibyte() {
    let mut store = store();
    append_some(&mut store, 100, 1000);
    assert_eq!(flush(&mut store), rows(1, 0));
    append_some(&mut store, 10_000, 90);
    assert_eq!(flush(&mut store), rows(1, 0));
    append_some(&mut store, 10_000, 1000);
    assert_eq!(flush(&mut store), rows(10, 0));
    let largest = store.rows().segments(MAIN).map(|row| row.body.len() + row.tag_hashes.len()).max();
    assert!(largest.unwrap() < 1_600_000);
}

#[test]
#[should_panic(expected = "smaller than a row")]
fn the_largest_entry_fits_and_a_larger_one_is_a_mistake() {
    let mut store = store();
    append(&mut store, Side::Main, 0, 10);
    append(&mut store, Side::Main, 0, 1_900_000);
    append(&mut store, Side::Main, 0, 10);
    assert_eq!(flush(&mut store), rows(3, 0));
    let (entry, marks) = entry(&mut store, Side::Main, 0, None, 2_000_000);
    let _ = store.side(Side::Main).apply(Write::Append(entry, marks));
}

#[test]
fn a_removal_writes_one_row_and_deletes_spent_segments() {
    let mut store = store();
    append_many(&mut store, 300, 1000, 100);
    remove(&mut store, 1..=50);
    assert_eq!(flush(&mut store), rows(1, 0));
    store = reopen(store);
    remove(&mut store, 51..=100);
    assert_eq!(flush(&mut store), rows(1, 1));
    store.side(Side::Main).apply(Write::Save(Record::Groups, Bytes::from_static(b"progress"))).unwrap();
    remove(&mut store, 101..=301);
    assert_eq!(flush(&mut store), rows(1, 2));
    assert_eq!(store.rows().segments(MAIN).count(), 0);
    assert_eq!(store.side(Side::Main).totals().length, 0);
}

#[test]
fn what_is_put_and_removed_at_once_leaves_the_manifest() {
    let mut store = store();
    for _ in 0..10 {
        let index = append(&mut store, Side::Main, 0, 1000);
        remove(&mut store, [index.0]);
        assert_eq!(flush(&mut store), rows(1, 0));
    }
    assert_eq!(store.rows().len(), 3);
    store = reopen(store);
    assert_eq!(store.side(Side::Main).totals().next_index, Index(11));
}

#[test]
fn slow_puts_and_commits_cost_two_rows_and_seldom_a_delete() {
    let mut store = store();
    let mut all = Flushed::default();
    let mut add = |flushed: Flushed| {
        all.rows_written += flushed.rows_written;
        all.rows_deleted += flushed.rows_deleted;
    };
    for _ in 0..640 {
        let index = append(&mut store, Side::Main, 0, 100);
        add(flush(&mut store));
        store = reopen(store);
        remove(&mut store, [index.0]);
        add(flush(&mut store));
        store = reopen(store);
    }
    assert_eq!(all.rows_written, 1280);
    assert!(all.rows_deleted <= 10, "{all:?}");
    assert!(store.rows().len() <= 4);
}

#[test]
fn empty_priorities_do_not_pile_up() {
    let mut store = store();
    for priority in 0..200 {
        let index = append(&mut store, Side::Main, priority, 10);
        flush(&mut store);
        remove(&mut store, [index.0]);
        flush(&mut store);
        assert_eq!(store.side(Side::Main).priorities(), []);
    }
    assert!(store.rows().len() <= 3 + 4, "{} rows", store.rows().len());
}

#[test]
fn a_long_queue_opens_like_a_short_one() {
    let mut reads = Vec::new();
    for length in [20, 200_000] {
        let mut store = store();
        append_many(&mut store, length, 64, 500);
        remove(&mut store, [1, 3, 5]);
        flush(&mut store);
        let before = store.rows().counts().read;
        store = reopen(store);
        let head = store.side(Side::Main).next(Priority(0), Index(0)).unwrap().unwrap();
        assert_eq!((head.index, store.side(Side::Main).totals().length), (Index(2), length as u64 - 3));
        reads.push(store.rows().counts().read - before);
    }
    assert_eq!(reads[0], reads[1]);
    assert!(reads[0] <= 6, "{reads:?}");
}

#[test]
fn a_scan_reads_each_segment_once() {
    let mut store = store();
    append_many(&mut store, 50_000, 200, 500);
    store = reopen(store);
    let segments = store.rows().segments(MAIN).count() as u64;
    let before = store.rows().counts().read;
    let (mut at, mut seen) = (Index(0), 0);
    while let Some(entry) = store.side(Side::Main).next(Priority(0), at).unwrap() {
        at = entry.index.next();
        seen += 1;
        assert!(store.side(Side::Main).find(entry.index).unwrap().is_some());
    }
    assert_eq!((seen, store.rows().counts().read - before), (50_000, segments));
}

#[test]
fn truncating_reads_at_most_one_body_and_deletes_by_range() {
    let mut store = store();
    append_many(&mut store, 100_000, 64, 1000);
    store = reopen(store);
    let segments = store.rows().segments(MAIN).count() as u64;
    let reads = store.rows().counts().read;
    store.side(Side::Main).apply(Write::RemoveBelow(Index(60_501))).unwrap();
    // The boundary segment, and the sums of the ones before it (in SQL one statement without bodies).
    assert!(store.rows().counts().read - reads <= 1 + 61);
    assert_eq!(store.side(Side::Main).totals().length, 39_500);
    assert_eq!(flush(&mut store), rows(1, 60));
    store = reopen(store);
    assert_eq!(store.side(Side::Main).next(Priority(0), Index(0)).unwrap().unwrap().index, Index(60_501));
    store.side(Side::Main).apply(Write::RemoveBelow(Index(u64::MAX))).unwrap();
    assert_eq!(flush(&mut store), rows(1, segments - 60));
}

/// A caller may truncate beyond the next index.
#[test]
fn what_is_put_after_a_truncation_of_everything_is_found() {
    let mut store = store();
    append_some(&mut store, 3, 10);
    flush(&mut store);
    store.side(Side::Main).apply(Write::RemoveBelow(Index(u64::MAX))).unwrap();
    append_some(&mut store, 1, 10);
    for _ in 0..2 {
        let first = store.side(Side::Main).next(Priority(0), Index(0)).unwrap();
        assert_eq!(first.map(|entry| entry.index), Some(Index(4)));
        flush(&mut store);
    }
    assert_eq!(store.rows().segments(MAIN).count(), 1);
}

#[test]
fn tombstones_stay_bounded_under_random_removal() {
    for (per_flush, bytes) in [(1000, 64), (16, 1000)] {
        let mut store = store();
        append_many(&mut store, 100_000, bytes, per_flush);
        let (mut live, mut random) = ((1..=100_000_u64).collect::<Vec<_>>(), 1_u64);
        let (mut written, mut manifest_max) = (0, 0);
        let removals = 20_000;
        for nth in 0..removals {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let index = live.swap_remove((random >> 33) as usize % live.len());
            remove(&mut store, [index]);
            if nth % 10 == 9 {
                let flushed = flush(&mut store);
                written += flushed.rows_written + flushed.rows_deleted;
                let manifest = store.rows_mut().state(StateId(1)).unwrap().unwrap().len();
                manifest_max = manifest_max.max(manifest);
            }
        }
        println!(
            "{per_flush} entries per segment: {written} rows for {removals} removals, manifest <= {manifest_max} bytes"
        );
        assert!(manifest_max < 2 * 32 * 1024 + 1024);
        assert!(written < removals);
        store = reopen(store);
        assert_eq!(store.side(Side::Main).totals().length, 100_000 - removals);
        for index in live.iter().step_by(97) {
            assert!(store.side(Side::Main).find(Index(*index)).unwrap().is_some());
        }
    }
}

#[test]
fn a_search_by_tag_reads_only_segments_that_may_match() {
    let mut store = store();
    for nth in 0..2000_usize {
        let (entry, marks) = entry(&mut store, Side::Main, 0, Some((nth / 100) as u8), 1000);
        store.side(Side::Main).apply(Write::Append(entry, marks)).unwrap();
        if nth % 100 == 99 {
            flush(&mut store);
        }
    }
    store = reopen(store);
    let found = store.side(Side::Main).next_marked(Priority(0), Index(0), &[mark("kind", "17")]).unwrap().unwrap();
    assert_eq!(found.index, Index(1701));
    assert_eq!(store.side(Side::Main).next_marked(Priority(0), Index(1801), &[mark("kind", "17")]), Ok(None));
}

/// In SQLite's own program a replaced segment is one insert into one b-tree, without a delete.
#[test]
fn replacing_a_segment_writes_one_row() {
    let mut store = SegmentStore::open(sqlite()).unwrap();
    let rows: &mut SqlRows<Sqlite> = store.rows_mut();
    let explain = |sql: &mut Sqlite, statement: &str| {
        let mut statement = sql.0.prepare(&format!("EXPLAIN {statement}")).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(1)).unwrap();
        rows.map(|opcode| opcode.unwrap()).collect::<Vec<_>>()
    };
    let replace = explain(rows.sql_mut(), "REPLACE INTO segment VALUES (1, x'00', 1, 1, 1, x'', x'', x'')");
    let writes =
        replace.iter().filter(|opcode| ["IdxInsert", "Insert", "Delete", "IdxDelete"].contains(&opcode.as_str()));
    assert_eq!(writes.count(), 1, "{replace:?}");
}
