//! A database of format 2 opens, holds what it held, and works on; what is older or newer is refused and left alone.

use super::backing::{Backing, append, flush};
use super::fixture::{self, deliveries, listing};
use super::golden::dump;
use bytes::Bytes;
use edgequeue::queue::effect::{Record, Write};
use edgequeue::queue::entry::Index;
use edgequeue::queue::refusal::StoreError;
use edgequeue::queue::store::{Side, Store, Stores};
use edgequeue::store::memory::MemoryRows;
use edgequeue::store::rows::{Rows, StateId};
use edgequeue::store::sql::SqlRows;
use edgequeue::store::{SegmentStore, format};

const STORED: &str = include_str!("v2.txt");

fn open(rows: SqlRows<super::backing::Sqlite>) -> fixture::Opened {
    let mut rows = rows;
    rows.begin();
    let mut store = SegmentStore::open(rows).unwrap();
    store.rows_mut().commit();
    store
}

#[test]
fn format_2_opens_with_everything_in_it() {
    let mut store = open(SqlRows::open(fixture::copy()).unwrap());
    let mut found = listing(&mut store);
    found += &deliveries(&mut open(SqlRows::open(fixture::copy()).unwrap()));
    assert_eq!(found, STORED);
    assert_eq!(store.take_damage(), []);
}

#[test]
fn format_2_works_on_and_its_segments_are_rewritten_when_they_are_touched() {
    let mut store = open(SqlRows::open(fixture::copy()).unwrap());
    let bodies = |store: fixture::Opened| {
        let sql = store.into_rows().into_sql();
        let text = dump(&sql);
        let versions =
            text.lines().filter_map(|line| line.split_once(" head: ")).map(|(_, head)| head[..2].to_string());
        (SqlRows::open(sql).unwrap(), versions.collect::<Vec<_>>(), text)
    };
    let (rows, versions, text) = bodies(store);
    assert!(versions.iter().all(|version| version == "01"), "opening rewrites no segment: {versions:?}");
    assert!(text.starts_with("state 0 value: 0303"), "it is of format 3 now: {text}");
    store = open(rows);
    let put = append(&mut store, Side::Main, -3, 40);
    flush(&mut store);
    store.side(Side::Main).apply(Write::Remove(Index(20))).unwrap();
    store.side(Side::Main).apply(Write::Save(Record::Settings, Bytes::from_static(b"\x08\x07"))).unwrap();
    flush(&mut store);
    let (rows, versions, _) = bodies(store);
    assert_eq!(versions.iter().filter(|version| *version == "02").count(), 1, "{versions:?}");
    store = open(rows);
    assert!(store.side(Side::Main).find(Index(20)).unwrap().is_none());
    assert_eq!(store.side(Side::Main).find(put).unwrap().unwrap().data().len(), 40);
    assert_eq!(store.side(Side::Main).load(Record::Settings).unwrap().unwrap(), &b"\x08\x07"[..]);
    let before: Vec<&str> =
        STORED.lines().filter(|line| line.starts_with("  ") && !line.starts_with("  20 ")).collect();
    let after = listing(&mut store);
    assert!(before.iter().all(|line| after.contains(line)));
    assert_eq!(store.take_damage(), []);
    // Compaction and truncation of rows of format 2.
    store.side(Side::Main).apply(Write::RemoveBelow(Index(60))).unwrap();
    flush(&mut store);
    let (rows, ..) = bodies(store);
    store = open(rows);
    let left = STORED.lines().skip(1).take_while(|line| !line.starts_with("Groups")).filter_map(|line| {
        line.strip_prefix("  ").and_then(|line| line.split(' ').next()).and_then(|index| index.parse::<u64>().ok())
    });
    let left = left.filter(|index| *index >= 60).count() as u64 + 1;
    assert_eq!(store.side(Side::Main).totals().length, left);
}

/// Why a queue with this schema row does not open, if it does not.
fn refused(schema: &[u8]) -> Option<StoreError> {
    let mut store = SegmentStore::open(MemoryRows::new()).unwrap();
    append(&mut store, Side::Main, 0, 10);
    flush(&mut store);
    let mut rows = store.into_rows();
    rows.put_state(StateId(0), Bytes::copy_from_slice(schema)).unwrap();
    SegmentStore::open(rows).err()
}

fn sealed(version: u8, min_reader: u8) -> Bytes {
    format::seal(&format::StateRow { version, ..format::SCHEMA_ROW }, &[min_reader])
}

#[test]
fn an_older_format_is_refused_with_advice() {
    let error = refused(&[1]);
    assert_eq!(error, Some(StoreError::Older { found: 1, oldest: 2 }));
    assert!(error.unwrap().to_string().contains("nothing was deleted"));
}

#[test]
fn a_newer_format_is_refused_unless_it_says_that_this_program_may_read_it() {
    assert_eq!(refused(&sealed(9, 4)), Some(StoreError::Newer { found: 9, known: 3 }));
    assert_eq!(refused(&sealed(9, 3)), None);
    assert_eq!(refused(&sealed(3, 3)), None);
}

#[test]
fn a_damaged_version_is_told_from_a_newer_one() {
    let mut damaged = sealed(3, 3).to_vec();
    damaged[0] = 9;
    assert!(matches!(refused(&damaged), Some(StoreError::Corrupt { .. })));
    assert!(matches!(refused(&[]), Some(StoreError::Corrupt { .. })));
}
