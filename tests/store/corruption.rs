//! Rows that were damaged, or written by a newer program, are an error that says so: never a panic, never wrong entries.

use super::backing::{append, flush};
use bytes::Bytes;
use edgequeue::queue::effect::{Record, Write};
use edgequeue::queue::entry::{Index, Lane};
use edgequeue::queue::store::{Side, Store, Stores};
use edgequeue::store::SegmentStore;
use edgequeue::store::memory::MemoryRows;
use edgequeue::store::rows::{LaneKey, Rows, SegmentRow, StateId};
use proptest::prelude::*;

const MAIN: LaneKey = LaneKey { side: Side::Main, lane: Lane(0) };

/// Two segments of ten entries, some removed.
fn stored() -> MemoryRows {
    let mut store = SegmentStore::open(MemoryRows::new()).unwrap();
    for _ in 0..2 {
        for _ in 0..10 {
            append(&mut store, Side::Main, 0, 2000);
        }
        flush(&mut store);
    }
    for index in [2, 3, 7, 11] {
        store.side(Side::Main).apply(Write::Remove(Index(index))).unwrap();
    }
    store.side(Side::Main).apply(Write::Save(Record::Groups, Bytes::from_static(b"groups"))).unwrap();
    flush(&mut store);
    store.into_rows()
}

/// Uses everything; errors are fine.
fn use_all(rows: MemoryRows) -> bool {
    let Ok(mut store) = SegmentStore::open(rows) else { return false };
    let mut works = true;
    let mut at = Index(0);
    loop {
        match store.side(Side::Main).next(Lane(0), at) {
            Ok(Some(entry)) if entry.index >= at => at = entry.index.next(),
            Ok(Some(entry)) => panic!("{entry:?} is before {at:?}"),
            Ok(None) => break,
            Err(_) => return false,
        }
    }
    works &= store.side(Side::Main).previous(Lane(0), Index(u64::MAX)).is_ok();
    works &= store.side(Side::Main).next_marked(Lane(0), Index(0), &[[1, 2, 3, 4]]).is_ok();
    works &= (0..25).all(|index| store.side(Side::Main).find(Index(index)).is_ok());
    works &= store.side(Side::Main).apply(Write::Remove(Index(5))).is_ok();
    works &= store.side(Side::Main).apply(Write::RemoveBelow(Index(9))).is_ok();
    works && store.flush().is_ok()
}

fn segment(rows: &MemoryRows, nth: usize) -> SegmentRow {
    rows.segments(MAIN).nth(nth).unwrap().clone()
}

#[test]
fn what_was_stored_can_be_used() {
    assert!(use_all(stored()));
}

#[test]
fn a_newer_version_is_refused_with_advice() {
    let mut rows = stored();
    rows.put_state(StateId(0), Bytes::from_static(&[3])).unwrap();
    let error = SegmentStore::open(rows).err().unwrap();
    assert!(error.0.contains("newer program"), "{error}");

    let mut rows = stored();
    let mut row = segment(&rows, 0);
    row.body = [&[9], &row.body[1..]].concat().into();
    rows.put_segment(MAIN, row).unwrap();
    let mut store = SegmentStore::open(rows).unwrap();
    let error = store.side(Side::Main).next(Lane(0), Index(1)).unwrap_err();
    assert!(error.0.contains("format 9"), "{error}");
}

#[test]
fn every_cut_of_a_segment_is_an_error() {
    let rows = stored();
    let whole = segment(&rows, 0);
    for length in 0..whole.body.len() {
        let mut rows = rows.clone();
        rows.put_segment(MAIN, SegmentRow { body: whole.body.slice(..length), ..whole.clone() }).unwrap();
        assert!(!use_all(rows), "cut to {length} bytes");
    }
}

#[test]
fn an_emptied_ledger_is_an_error() {
    let mut rows = stored();
    rows.put_state(StateId(1), Bytes::new()).unwrap();
    assert!(SegmentStore::open(rows).is_err());
}

#[test]
fn a_ledger_without_its_segments_is_an_error() {
    let mut rows = stored();
    rows.delete_below(MAIN, Index(1000)).unwrap();
    assert!(SegmentStore::open(rows).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_never_panics(nth in 0..2_usize, column in 0..3, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut rows = stored();
        let mut row = segment(&rows, nth);
        let hit = |bytes: &Bytes, within: usize| {
            let mut bytes = bytes.to_vec();
            if !bytes.is_empty() {
                let at = at.index(bytes.len().min(within));
                bytes[at] = byte;
            }
            Bytes::from(bytes)
        };
        match column {
            0 => row.body = hit(&row.body, 80),
            1 => row.head = hit(&row.head, 80),
            _ => row.marks = Bytes::copy_from_slice(&[byte; 7]),
        }
        rows.put_segment(MAIN, row).unwrap();
        use_all(rows);
    }

    #[test]
    fn a_damaged_ledger_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut rows = stored();
        let mut ledger = rows.state(StateId(1)).unwrap().unwrap().to_vec();
        let at = at.index(ledger.len());
        ledger[at] = byte;
        rows.put_state(StateId(1), ledger.into()).unwrap();
        use_all(rows);
    }

    #[test]
    fn noise_never_panics(body in prop::collection::vec(any::<u8>(), 0..200), count in 0..5_u64) {
        let mut rows = stored();
        let mut row = segment(&rows, 0);
        row.body = body.into();
        row.extent.count = count;
        rows.put_segment(MAIN, row).unwrap();
        prop_assert!(!use_all(rows));
    }
}
