//! `v2.sqlite`, a database of format 2 as the Durable Object stores it: a queue of several priorities with tags,
//! tombstones, groups, dead letters and settings, written by the last program of that format. It must stay readable.

use super::backing::Sqlite;
use bytes::Bytes;
use edgequeue::queue::config::Settings;
use edgequeue::queue::effect::Record;
use edgequeue::queue::entry::{Filter, Index};
use edgequeue::queue::event::{ConsumerId, Start, Ticket, Watch, WatcherId};
use edgequeue::queue::store::{Side, Store, Stores};
use edgequeue::queue::{Effect, Event, Queue};
use edgequeue::store::SegmentStore;
use edgequeue::store::sql::{SqlRows, SqlValue};
use rusqlite::Connection;
use std::fmt::Write as _;

pub type Opened = SegmentStore<SqlRows<Sqlite>>;

/// When the queue of the fixture was last used, Unix milliseconds.
pub const NOW_MS: u64 = 1_790_000_060_000;

/// The fixture, in memory.
pub fn copy() -> Sqlite {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/v2.sqlite");
    let copy = Connection::open_in_memory().unwrap();
    copy.execute("ATTACH ?1 AS file", [path]).unwrap();
    let tables = Sqlite(copy);
    for table in ["state", "segment"] {
        let schema = format!("SELECT CAST(sql AS BLOB) FROM file.sqlite_master WHERE name = '{table}'");
        let Some([SqlValue::Blob(schema)]) = tables.query(&schema, &[]).unwrap().first().map(|row| [row[0].clone()])
        else {
            panic!("the fixture has no table {table}");
        };
        tables.0.execute_batch(std::str::from_utf8(&schema).unwrap()).unwrap();
        tables.0.execute_batch(&format!("INSERT INTO main.{table} SELECT * FROM file.{table}")).unwrap();
    }
    tables.0.execute_batch("DETACH file").unwrap();
    tables
}

/// Everything that is stored, as text.
pub fn listing(store: &mut Opened) -> String {
    let mut out = String::new();
    for side in [Side::Main, Side::Rear] {
        let totals = store.side(side).totals();
        writeln!(out, "{side:?}: next {}, {} entries, {} bytes", totals.next_index.0, totals.length, totals.bytes)
            .unwrap();
        for (priority, length) in store.side(side).priorities() {
            writeln!(out, "priority {}: {length} entries", priority.0).unwrap();
            let mut at = Index(0);
            while let Some(entry) = store.side(side).next(priority, at).unwrap() {
                let data = entry.data();
                let sum: u64 = data.iter().map(|byte| u64::from(*byte)).sum();
                let start = String::from_utf8_lossy(&data[..data.len().min(12)]).into_owned();
                let tags: Vec<String> = entry.tags().iter().map(|(key, value)| format!("{key}={value}")).collect();
                let (index, put_ms) = (entry.index.0, entry.put_ms);
                writeln!(out, "  {index} at {put_ms} [{}] {} bytes, sum {sum}: {start}", tags.join(" "), data.len())
                    .unwrap();
                at = entry.index.next();
            }
        }
        for record in [Record::Groups, Record::Consumers, Record::Settings] {
            let bytes = store.side(side).load(record).unwrap();
            writeln!(out, "{record:?}: {}", bytes.as_ref().map_or_else(|| "none".into(), hex)).unwrap();
        }
    }
    out
}

/// What a consumer of each group is given first, as text.
pub fn deliveries(store: &mut Opened) -> String {
    let mut queue = Queue::open(Settings::standard(), store).unwrap();
    let mut out = format!("max_length {}, retry {}\n", queue.settings().max_length, queue.settings().retry_delay_ms);
    let watchers = [
        (Side::Main, "workers", "w1", None),
        (Side::Main, "audit", "a1", Some("a")),
        (Side::Rear, "morgue", "m1", None),
    ];
    for (nth, (side, group, user, kind)) in watchers.into_iter().enumerate() {
        let filter = Filter(kind.map(|kind| ("kind".to_string(), kind.to_string())).into_iter().collect());
        let consumer = ConsumerId { group: group.into(), user: user.into() };
        let start = Start::At(Index(0));
        let watch = Watch { consumer, start, window: 20, auto_commit: false, index_only: false, filter, local: false };
        let mut effects = Vec::new();
        let id = WatcherId(100 + nth as u64);
        queue.turn(NOW_MS, side, Event::Attach(Ticket(1), id, watch), store, &mut effects).unwrap();
        let pushed = effects.iter().filter_map(|effect| match effect {
            Effect::Push(_, delivery) => Some(format!("{}x{}", delivery.entry.index.0, delivery.attempt)),
            _ => None,
        });
        writeln!(out, "{group}: {}", pushed.collect::<Vec<_>>().join(" ")).unwrap();
    }
    out
}

pub fn hex(bytes: &Bytes) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}
