//! Damage is reported and never delivered: whatever byte of whatever row is wrong, no wrong body or tag comes out,
//! nothing panics, and what can still be read is read.

use super::backing::{Sqlite, append, entry, flush};
use super::golden::every_kind;
use bytes::Bytes;
use edgequeue::queue::effect::{Record, Write};
use edgequeue::queue::entry::{Entry, Index, Priority, mark};
use edgequeue::queue::refusal::StoreError;
use edgequeue::queue::store::{Side, Store, Stores};
use edgequeue::store::SegmentStore;
use edgequeue::store::memory::MemoryRows;
use edgequeue::store::rows::{PriorityKey, Rows, SegmentRow, StateId};
use edgequeue::store::sql::{SqlRows, SqlValue};
use proptest::prelude::*;
use std::collections::BTreeMap;

const MAIN: PriorityKey = PriorityKey { side: Side::Main, priority: Priority(0) };
const SIDES: [Side; 2] = [Side::Main, Side::Rear];
const RECORDS: [Record; 3] = [Record::Groups, Record::Consumers, Record::Settings];

/// Three segments of ten entries, some removed.
fn stored() -> MemoryRows {
    let mut store = SegmentStore::open(MemoryRows::new()).unwrap();
    for tag in 0..3 {
        for _ in 0..10 {
            let (entry, hashes) = entry(&mut store, Side::Main, 0, Some(tag), 2000);
            store.side(Side::Main).apply(Write::Append(entry, hashes)).unwrap();
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

fn segment(rows: &MemoryRows, nth: usize) -> SegmentRow {
    rows.segments(MAIN).nth(nth).unwrap().clone()
}

/// All that can be read, by side and index, with the records.
type Contents = (BTreeMap<(Side, Index), Entry>, Vec<Option<Bytes>>);

/// Reads everything in every way; each must tell the same.
fn read<R: Rows>(store: &mut SegmentStore<R>) -> Result<Contents, StoreError> {
    let (mut entries, mut records) = (BTreeMap::new(), Vec::new());
    for side in SIDES {
        for (priority, length) in store.side(side).priorities() {
            let (mut at, mut seen) = (Index(0), Vec::new());
            while let Some(entry) = store.side(side).next(priority, at)? {
                assert!(entry.index >= at && entry.priority == priority);
                let _ = (entry.tags(), entry.data());
                at = entry.index.next();
                assert_eq!(store.side(side).find(entry.index)?.as_ref(), Some(&entry));
                seen.push(entry.index);
                entries.insert((side, entry.index), entry);
            }
            assert!(seen.len() as u64 <= length, "what is delivered is counted");
            let mut at = Index(u64::MAX);
            while let Some(entry) = store.side(side).previous(priority, at)? {
                assert_eq!(seen.pop(), Some(entry.index));
                at = Index(entry.index.0 - 1);
            }
            assert!(seen.is_empty());
            store.side(side).next_marked(priority, Index(0), &[mark("kind", "1")])?;
            for (from, below) in [(3, 8), (3, 25), (0, 21), (0, u64::MAX)] {
                assert!(store.side(side).count(priority, Index(from), Index(below))? <= length);
            }
        }
        for record in RECORDS {
            records.push(store.side(side).load(record)?);
        }
    }
    Ok((entries, records))
}

/// What became of a damaged database.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// Opening or reading says so, and nothing is read.
    Refused,
    /// It is told, and these entries are out of reach.
    Reported(Vec<Index>),
    /// Nothing differs.
    Harmless,
}

/// Reads what is there; it must be part of what was stored.
fn judge<R: Rows>(rows: R, sound: &Contents) -> (Verdict, Option<SegmentStore<R>>) {
    let mut store = match SegmentStore::open(rows) {
        Ok(store) => store,
        Err(error) => {
            assert!(error.is_permanent(), "{error}");
            return (Verdict::Refused, None);
        }
    };
    let (entries, records) = match read(&mut store) {
        Ok(contents) => contents,
        Err(error) => {
            assert!(error.is_permanent(), "{error}");
            return (Verdict::Refused, Some(store));
        }
    };
    for (at, entry) in &entries {
        assert_eq!(sound.0.get(at), Some(entry), "a wrong entry is delivered");
    }
    assert_eq!(records, sound.1, "a wrong record is given out");
    let missing: Vec<Index> = sound.0.keys().filter(|at| !entries.contains_key(at)).map(|(_, index)| *index).collect();
    let damage = store.take_damage();
    assert!(damage.iter().all(StoreError::is_permanent));
    let verdict = match damage.is_empty() {
        true if missing.is_empty() => Verdict::Harmless,
        true => panic!("{missing:?} are dropped in silence"),
        false => Verdict::Reported(missing),
    };
    (verdict, Some(store))
}

/// A queue goes on after damage: new entries are stored and found, indexes are not used again, and what could be read
/// before can be read after.
fn work_on(mut store: SegmentStore<MemoryRows>, readable: usize) {
    let put = append(&mut store, Side::Main, 0, 30);
    assert!(put > Index(30), "an index is used twice");
    flush(&mut store);
    store.side(Side::Main).apply(Write::Remove(Index(15))).unwrap();
    store.side(Side::Main).apply(Write::Remove(Index(28))).unwrap();
    flush(&mut store);
    let mut store = SegmentStore::open(store.into_rows()).unwrap();
    let (entries, _) = read(&mut store).unwrap();
    assert!(entries.contains_key(&(Side::Main, put)));
    assert!(entries.len() + 2 > readable, "{} of {readable} are left", entries.len());
    store.side(Side::Main).apply(Write::RemoveBelow(Index(u64::MAX))).unwrap();
    flush(&mut store);
    let mut store = SegmentStore::open(store.into_rows()).unwrap();
    assert_eq!(store.side(Side::Main).totals().length, 0, "a truncation rids the queue of what is damaged");
    assert_eq!(store.rows().segments(MAIN).count(), 0);
}

fn flipped(bytes: &Bytes, at: usize, with: u8) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= with;
    bytes.into()
}

/// Flips in a segment row in memory, one at a time.
fn flips(row: &SegmentRow) -> Vec<(&'static str, usize, SegmentRow)> {
    let mut all = Vec::new();
    const WITH: [u8; 4] = [0x01, 0x03, 0x80, 0xff];
    let frames = row.body.len() - row.extent.bytes as usize;
    for with in WITH {
        for at in 0..row.checkpoint.len() {
            all.push(("head", at, SegmentRow { checkpoint: flipped(&row.checkpoint, at, with), ..row.clone() }));
        }
        for at in 0..row.tag_hashes.len() {
            all.push(("marks", at, SegmentRow { tag_hashes: flipped(&row.tag_hashes, at, with), ..row.clone() }));
        }
        for at in 0..frames {
            all.push(("body", at, SegmentRow { body: flipped(&row.body, at, with), ..row.clone() }));
        }
    }
    for at in frames..row.body.len() {
        all.push(("body", at, SegmentRow { body: flipped(&row.body, at, WITH[at % 4]), ..row.clone() }));
    }
    for bit in 0..53 {
        for column in 0..3 {
            let mut extent = row.extent;
            let number = [&mut extent.last.0, &mut extent.count, &mut extent.bytes].into_iter().nth(column).unwrap();
            *number ^= 1 << bit;
            all.push(("last, count, bytes", column, SegmentRow { extent, ..row.clone() }));
        }
    }
    all
}

#[test]
fn what_was_stored_can_be_used() {
    let sound = read(&mut SegmentStore::open(stored()).unwrap()).unwrap();
    assert_eq!(sound.0.len(), 26);
    let (verdict, store) = judge(stored(), &sound);
    assert_eq!(verdict, Verdict::Harmless);
    work_on(store.unwrap(), 26);
}

/// Every byte of a segment, one at a time: of one in the middle and of the last one.
#[test]
fn every_flipped_byte_of_a_segment_is_reported_and_costs_no_other_segment() {
    let rows = stored();
    let sound = read(&mut SegmentStore::open(rows.clone()).unwrap()).unwrap();
    for nth in [1, 2] {
        let row = segment(&rows, nth);
        let own = row.extent.first.0..=row.extent.last.0;
        for (column, at, damaged) in flips(&row) {
            let mut rows = rows.clone();
            rows.put_segment(MAIN, damaged).unwrap();
            let (verdict, store) = judge(rows, &sound);
            let Verdict::Reported(missing) = verdict else { panic!("{column} {at} of segment {nth}: {verdict:?}") };
            assert!(missing.iter().all(|index| own.contains(&index.0)), "{column} {at} costs {missing:?}");
            let frames = row.body.len() - row.extent.bytes as usize;
            match column {
                "body" if at >= frames => assert!(missing.len() <= 1, "a frame costs its entry: {missing:?}"),
                "body" => {}
                _ => assert!(missing.is_empty(), "{column} {at} costs {missing:?}"),
            }
            if at % 97 < 3 {
                work_on(store.unwrap(), 26 - missing.len());
            }
        }
    }
}

/// Every byte of every state row, one at a time: nothing is opened with half of what it knew.
#[test]
fn every_flipped_byte_of_a_state_row_is_refused() {
    let sql = every_kind().into_rows().into_sql();
    let mut rows = SqlRows::open(sql).unwrap();
    let sound = {
        let mut store = SegmentStore::open(rows).unwrap();
        let sound = read(&mut store).unwrap();
        rows = store.into_rows();
        sound
    };
    for id in [0, 1, 2, 3, 17, 18, 19].map(StateId) {
        let value = rows.state(id).unwrap().unwrap();
        for (at, with) in (0..value.len()).flat_map(|at| [1, 2, 0x80, 0xff].map(|with| (at, with))) {
            rows.put_state(id, flipped(&value, at, with)).unwrap();
            let (verdict, _) = judge(SqlRows::open(MemorySql(&mut rows)).unwrap(), &sound);
            assert_eq!(verdict, Verdict::Refused, "byte {at} of {id:?}");
        }
        rows.put_state(id, value).unwrap();
    }
}

/// The connection of rows that are used again.
struct MemorySql<'a>(&'a mut SqlRows<Sqlite>);

impl edgequeue::store::sql::Sql for MemorySql<'_> {
    fn exec(&mut self, statement: &'static str, params: &[SqlValue]) -> Result<Vec<Vec<SqlValue>>, StoreError> {
        edgequeue::store::sql::Sql::exec(self.0.sql_mut(), statement, params)
    }
}

/// Every byte of every column of every segment, in a database: there the priority is a column too.
#[test]
fn every_flipped_byte_in_the_database_is_noticed() {
    let mut rows = every_kind().into_rows();
    let sound = read(&mut SegmentStore::open(SqlRows::open(MemorySql(&mut rows)).unwrap()).unwrap()).unwrap();
    let (mut reported, mut refused) = (0, 0);
    let ids = rows.sql_mut().query("SELECT id FROM segment", &[]).unwrap().concat();
    for id in ids {
        for column in ["lane", "last", "count", "bytes", "head", "marks", "body"] {
            let read = format!("SELECT {column} FROM segment WHERE id = ?1");
            let write = format!("UPDATE segment SET {column} = ?2 WHERE id = ?1");
            let value = rows.sql_mut().query(&read, std::slice::from_ref(&id)).unwrap().concat().remove(0);
            let damaged: Vec<SqlValue> = match &value {
                SqlValue::Null => vec![SqlValue::Int(1), SqlValue::Blob(Bytes::from_static(b"x"))],
                SqlValue::Int(number) => {
                    (0..53).map(|bit| SqlValue::Int(number ^ 1 << bit)).chain([SqlValue::Null]).collect()
                }
                SqlValue::Blob(bytes) => {
                    let at = (0..bytes.len()).flat_map(|at| [1, 2, 3, 0x80, 0xff].map(|with| (at, with)));
                    at.map(|(at, with)| SqlValue::Blob(flipped(bytes, at, with))).collect()
                }
            };
            for damaged in damaged {
                // A column that may not be NULL is not.
                if rows.sql_mut().query(&write, &[id.clone(), damaged.clone()]).is_err() {
                    continue;
                }
                match judge(SqlRows::open(MemorySql(&mut rows)).unwrap(), &sound).0 {
                    Verdict::Reported(_) => reported += 1,
                    Verdict::Refused => refused += 1,
                    Verdict::Harmless => assert_eq!((column, &value), ("marks", &SqlValue::Null), "{damaged:?}"),
                }
            }
            rows.sql_mut().query(&write, &[id.clone(), value]).unwrap();
        }
    }
    assert!(refused == 0 && reported > 2500, "{refused} flips leave nothing to be read, {reported} are reported");
}

/// Rows of format 2 have no checksums; their decoding is strict.
#[test]
fn a_flipped_byte_of_format_2_never_panics() {
    let mut rows = SqlRows::open(super::fixture::copy()).unwrap();
    let id = rows.sql_mut().query("SELECT id FROM segment ORDER BY length(body) LIMIT 1", &[]).unwrap().concat();
    let body = rows.sql_mut().query("SELECT body FROM segment WHERE id = ?1", &id).unwrap().concat().remove(0);
    let SqlValue::Blob(bytes) = &body else { panic!("a body is bytes") };
    for (at, with) in (0..bytes.len()).flat_map(|at| [1, 3, 0x80, 0xff].map(|with| (at, with))) {
        let damaged = SqlValue::Blob(flipped(bytes, at, with));
        rows.sql_mut().query("UPDATE segment SET body = ?2 WHERE id = ?1", &[id[0].clone(), damaged]).unwrap();
        if let Ok(mut store) = SegmentStore::open(SqlRows::open(MemorySql(&mut rows)).unwrap()) {
            let _ = read(&mut store);
        }
    }
}

#[test]
fn every_cut_of_a_segment_is_reported() {
    let rows = stored();
    let sound = read(&mut SegmentStore::open(rows.clone()).unwrap()).unwrap();
    let whole = segment(&rows, 0);
    for length in 0..whole.body.len() {
        let mut rows = rows.clone();
        rows.put_segment(MAIN, SegmentRow { body: whole.body.slice(..length), ..whole.clone() }).unwrap();
        let (verdict, _) = judge(rows, &sound);
        assert_eq!(verdict, Verdict::Reported([1, 4, 5, 6, 8, 9, 10].map(Index).to_vec()), "cut to {length} bytes");
    }
}

/// A truncation that would have to count what cannot be read is refused; so nothing is deleted by mistake.
#[test]
fn a_truncation_into_a_damaged_segment_leaves_it_whole() {
    let mut rows = stored();
    let row = segment(&rows, 1);
    rows.put_segment(MAIN, SegmentRow { body: flipped(&row.body, 3, 0xff), ..row }).unwrap();
    let mut store = SegmentStore::open(rows).unwrap();
    store.side(Side::Main).apply(Write::RemoveBelow(Index(16))).unwrap();
    flush(&mut store);
    let firsts: Vec<u64> = store.rows().segments(MAIN).map(|row| row.extent.first.0).collect();
    assert_eq!(firsts, [11, 21]);
    assert_eq!(store.side(Side::Main).totals().length, 9 + 10, "what is out of reach is counted still");
    assert_eq!(store.side(Side::Main).next(Priority(0), Index(0)).unwrap().unwrap().index, Index(21));
    store.side(Side::Main).apply(Write::RemoveBelow(Index(21))).unwrap();
    flush(&mut store);
    assert_eq!(store.side(Side::Main).totals().length, 10);
    assert_eq!(store.rows().segments(MAIN).count(), 1);
}

#[test]
fn a_row_in_the_place_of_another_is_damaged() {
    let mut rows = stored();
    let (first, second) = (segment(&rows, 0), segment(&rows, 1));
    rows.put_segment(
        MAIN,
        SegmentRow { extent: edgequeue::store::rows::Extent { first: second.extent.first, ..first.extent }, ..first },
    )
    .unwrap();
    let mut store = SegmentStore::open(rows).unwrap();
    let entry = store.side(Side::Main).next(Priority(0), Index(11)).unwrap().unwrap();
    assert_eq!((entry.index, store.take_damage().len()), (Index(21), 1));
}

#[test]
fn an_emptied_manifest_is_an_error() {
    let mut rows = stored();
    rows.put_state(StateId(1), Bytes::new()).unwrap();
    assert!(matches!(SegmentStore::open(rows).err(), Some(StoreError::Corrupt { .. })));
}

#[test]
fn a_manifest_without_its_segments_is_an_error() {
    let mut rows = stored();
    rows.delete_below(MAIN, Index(1000)).unwrap();
    assert!(matches!(SegmentStore::open(rows).err(), Some(StoreError::Contradiction(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_never_panics(
        nth in 0..3_usize,
        body in prop::collection::vec(any::<u8>(), 0..200),
        head in prop::collection::vec(any::<u8>(), 0..90),
        version in 0..3_u8,
        count in 0..5_u64,
    ) {
        let mut rows = stored();
        let sound = read(&mut SegmentStore::open(rows.clone()).unwrap()).unwrap();
        let mut row = segment(&rows, nth);
        row.body = [&[version], &body[..]].concat().into();
        row.checkpoint = [&[version], &head[..]].concat().into();
        row.extent.count = count;
        rows.put_segment(MAIN, row).unwrap();
        let (verdict, _) = judge(rows, &sound);
        prop_assert!(verdict != Verdict::Harmless);
    }
}
