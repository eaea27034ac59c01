//! Golden bytes: one row of each kind, as this program writes it and as format 2 had it. A change here is a change of
//! what deployed queues hold: it needs a new version in `src/store/format.rs` and a step that leads there.

use super::backing::{Sqlite, append, entry, flush, sqlite};
use super::fixture::{self, hex};
use bytes::Bytes;
use edgequeue::queue::effect::{Record, Write};
use edgequeue::queue::entry::Index;
use edgequeue::queue::store::{Side, Store, Stores};
use edgequeue::store::SegmentStore;
use edgequeue::store::sql::{SqlRows, SqlValue};

/// Every row of a database, a value a line. Bodies of more than 1,000 bytes are left out.
pub fn dump(sql: &Sqlite) -> String {
    let mut out = String::new();
    for (table, columns) in [("state", "value"), ("segment", "lane, last, count, bytes, head, marks, body")] {
        for row in sql.query(&format!("SELECT id, {columns} FROM {table} ORDER BY id"), &[]).unwrap() {
            let mut row = row.into_iter();
            let Some(SqlValue::Int(id)) = row.next() else { panic!("a key is a number") };
            for (name, value) in columns.split(", ").zip(row) {
                let value = match value {
                    SqlValue::Null => "NULL".into(),
                    SqlValue::Int(number) => number.to_string(),
                    SqlValue::Blob(bytes) if bytes.len() > 1000 => format!("{} bytes", bytes.len()),
                    SqlValue::Blob(bytes) => hex(&bytes),
                };
                out += &format!("{table} {id} {name}: {value}\n");
            }
        }
    }
    out
}

/// A store with every kind of row: two priorities, tags, tombstones, records, dead letters.
pub fn every_kind() -> SegmentStore<SqlRows<Sqlite>> {
    let mut store = SegmentStore::open(sqlite()).unwrap();
    for (side, priority, tag) in
        [(Side::Main, 0, Some(1)), (Side::Main, 0, None), (Side::Main, -7, Some(2)), (Side::Rear, 3, Some(1))]
    {
        for _ in 0..3 {
            let (entry, hashes) = entry(&mut store, side, priority, tag, 5);
            store.side(side).apply(Write::Append(entry, hashes)).unwrap();
        }
    }
    flush(&mut store);
    for (side, index) in [(Side::Main, 2), (Side::Main, 8), (Side::Rear, 1)] {
        store.side(side).apply(Write::Remove(Index(index))).unwrap();
        for record in [Record::Groups, Record::Consumers, Record::Settings] {
            store.side(side).apply(Write::Save(record, Bytes::from(format!("{record:?} of {side:?}")))).unwrap();
        }
    }
    flush(&mut store);
    append(&mut store, Side::Main, -7, 0);
    flush(&mut store);
    store
}

#[test]
fn every_kind_of_row_has_its_golden_bytes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/v3.hex");
    let dumped = dump(&every_kind().into_rows().into_sql());
    if std::env::var("GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::write(path, &dumped).unwrap();
    }
    assert_eq!(dumped, std::fs::read_to_string(path).unwrap());
}

/// The fixture is what the last program of format 2 wrote, byte by byte.
#[test]
fn the_fixture_has_the_golden_bytes_of_format_2() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/v2.hex");
    let dumped = dump(&fixture::copy());
    if std::env::var("GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::write(path, &dumped).unwrap();
    }
    assert_eq!(dumped, std::fs::read_to_string(path).unwrap());
}

/// What was dumped can be read.
#[test]
fn golden_rows_open() {
    let mut store = SegmentStore::open(SqlRows::open(every_kind().into_rows().into_sql()).unwrap()).unwrap();
    assert_eq!(store.side(Side::Main).totals().length, 8);
    assert_eq!(store.side(Side::Rear).totals().length, 2);
    assert_eq!(store.take_damage(), []);
}
