//! Rows in SQLite: the schema and every statement. The shell executes them.

use super::limits::{EMPTY_PRIORITIES_MAX, SEARCH_TAG_HASHES_MAX};
use super::rows::{Extent, PriorityKey, RowSums, Rows, SegmentRow, StateId};
use crate::queue::entry::{Index, Mark, Priority};
use crate::queue::limits::PRIORITIES_MAX;
use crate::queue::refusal::StoreError;
use crate::queue::store::Side;
use alloc::{collections::BTreeMap, format, vec, vec::Vec};
use bytes::Bytes;
use core::ops::Bound;

/// A value of a column or parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlValue {
    /// Nothing.
    Null,
    /// A whole number; all that are stored here are below 2^53.
    Int(i64),
    /// Bytes.
    Blob(Bytes),
}

/// A synchronous connection to SQLite.
pub trait Sql {
    /// Executes one statement with numbered parameters (`?1` is the first) and returns its rows.
    fn exec(&mut self, statement: &'static str, params: &[SqlValue]) -> Result<Vec<Vec<SqlValue>>, StoreError>;
}

/// Rows in SQLite.
///
/// One integer key and no further index: a write is one row, and finding a row compares integers. (Keys of several
/// columns need `WITHOUT ROWID`, and there SQLite reads every row it compares with from its first byte to its last: a
/// mebibyte per step.) The key is side, place and first index, packed: see `Key`. A place stands for a priority; the
/// priority itself is in the row, as a blob that sorts like the number, because the platform's numbers are exact to
/// 2^53 only. Small columns stand before the body, which lies on overflow pages, so that they are read without it.
///
/// It remembers which priorities have rows: after a transaction was rolled back it must be opened again.
pub struct SqlRows<S> {
    sql: S,
    places: [Places; 2],
}

/// The place of each priority of a side.
#[derive(Debug, Default)]
struct Places {
    of: BTreeMap<Priority, u64>,
    /// Whether these are exactly the priorities that have rows.
    exact: bool,
}

/// Bits of a key for the first index: 2^43 entries are 28 years of 10,000 each second.
const FIRST_BITS: u32 = 43;
/// Places of one side: twice as many as there can be priorities with entries.
const PLACES: u64 = 512;
const _: () = assert!(PRIORITIES_MAX + EMPTY_PRIORITIES_MAX < PLACES as usize);
/// The largest index that can be stored.
const INDEX_MAX: u64 = (1 << FIRST_BITS) - 1;

/// All rows of one priority: keys `base` to `base + INDEX_MAX`. With 10 bits of side and place a key stays below 2^53.
#[derive(Clone, Copy)]
struct Key {
    base: u64,
}

impl Key {
    fn of(side: Side, place: u64) -> Self {
        let side = match side {
            Side::Main => 0,
            Side::Rear => PLACES,
        };
        Self { base: (side + place) << FIRST_BITS }
    }

    /// The first key.
    fn begin(self) -> SqlValue {
        SqlValue::Int(self.base as i64)
    }

    /// The last key.
    fn end(self) -> SqlValue {
        self.at(Index(INDEX_MAX))
    }

    /// The key of a segment, or the last one when there can be none.
    fn at(self, first: Index) -> SqlValue {
        SqlValue::Int((self.base + first.0.min(INDEX_MAX)) as i64)
    }
}

const CREATE_STATE: &str = "CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY, value BLOB)";
const CREATE_SEGMENT: &str = "CREATE TABLE IF NOT EXISTS segment (\
    id INTEGER PRIMARY KEY, lane BLOB NOT NULL, last INTEGER NOT NULL, \
    count INTEGER NOT NULL, bytes INTEGER NOT NULL, head BLOB NOT NULL, marks BLOB, body BLOB NOT NULL)";

const STATE: &str = "SELECT value FROM state WHERE id = ?1";
// REPLACE on a table with one index overwrites in place: one row written. An upsert would delete and insert.
const PUT_STATE: &str = "REPLACE INTO state (id, value) VALUES (?1, ?2)";

/// Whether a row's checkpoint repeats its columns: see [`repeats_columns`](super::checkpoint::repeats_columns).
macro_rules! intact {
    () => {
        "(substr(head, 1, 1) IS x'01' OR hex(substr(head, 2, 32)) IS \
         hex(lane) || printf('%016X%016X%016X', last, count, bytes))"
    };
}

// The first place that is taken, and its priority: of an intact row if there is one, as a damaged one cannot be
// trusted.
const PLACE_FROM: &str = concat!(
    "SELECT taken.id, coalesce((SELECT lane FROM segment WHERE id >= taken.id AND id <= (taken.id | ?3) AND ",
    intact!(),
    " ORDER BY id LIMIT 1), taken.lane) \
     FROM (SELECT id, lane FROM segment WHERE id >= ?1 AND id <= ?2 ORDER BY id LIMIT 1) AS taken"
);
const CHECKPOINT_BELOW: &str = "SELECT id, last, count, bytes, head FROM segment \
    WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1";
const SEGMENT_UPTO: &str = "SELECT id, last, count, bytes, head, marks, body FROM segment \
    WHERE id >= ?1 AND id <= ?2 ORDER BY id DESC LIMIT 1";
const SEGMENT_ABOVE: &str = "SELECT id, last, count, bytes, head, marks, body FROM segment \
    WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT 1";
const SEGMENT_TAGGED: &str = "SELECT id, last, count, bytes, head, marks, body FROM segment \
    WHERE id > ?1 AND id <= ?2 AND instr(marks, ?3) > 0 AND instr(marks, ?4) > 0 \
    AND instr(marks, ?5) > 0 AND instr(marks, ?6) > 0 ORDER BY id LIMIT 1";
const SUMS: &str = concat!(
    "SELECT count(*), count(*) - coalesce(sum(intact), 0), coalesce(sum(count * intact), 0), \
     coalesce(sum(bytes * intact), 0) FROM (SELECT count, bytes, ",
    intact!(),
    " AS intact FROM segment WHERE id >= ?1 AND id < ?2)"
);
const PUT_SEGMENT: &str = "REPLACE INTO segment (id, lane, last, count, bytes, head, marks, body) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const DELETE_SEGMENT: &str = "DELETE FROM segment WHERE id = ?1";
const COUNT_BELOW: &str = "SELECT count(*) FROM segment WHERE id >= ?1 AND id < ?2";
const DELETE_BELOW: &str = "DELETE FROM segment WHERE id >= ?1 AND id < ?2";

impl<S: Sql> SqlRows<S> {
    /// Makes the tables if they are missing.
    pub fn open(mut sql: S) -> Result<Self, StoreError> {
        sql.exec(CREATE_STATE, &[])?;
        sql.exec(CREATE_SEGMENT, &[])?;
        Ok(Self { sql, places: Default::default() })
    }

    /// The connection.
    pub fn sql_mut(&mut self) -> &mut S {
        &mut self.sql
    }

    /// Gives the connection back.
    pub fn into_sql(self) -> S {
        self.sql
    }

    fn one(&mut self, statement: &'static str, params: &[SqlValue]) -> Result<Option<Columns>, StoreError> {
        let mut rows = self.sql.exec(statement, params)?.into_iter();
        match (rows.next(), rows.next()) {
            (_, Some(_)) => {
                Err(StoreError::Contradiction("the database returned more rows than were asked for".into()))
            }
            (row, None) => Ok(row.map(|row| Columns(row.into_iter()))),
        }
    }

    fn segment(&mut self, statement: &'static str, params: &[SqlValue]) -> Result<Option<SegmentRow>, StoreError> {
        let Some(mut columns) = self.one(statement, params)? else { return Ok(None) };
        let extent = columns.extent();
        let mut blob = || columns.blob();
        Ok(Some(SegmentRow { extent, checkpoint: blob(), tag_hashes: blob(), body: blob() }))
    }

    /// The priorities of a side that have rows, and maybe some that had.
    fn places(&mut self, side: Side) -> &mut Places {
        &mut self.places[usize::from(side == Side::Rear)]
    }

    /// Looks which priorities of a side have rows: one row of each is read.
    fn look(&mut self, side: Side) -> Result<(), StoreError> {
        let mut of = BTreeMap::new();
        let mut place = 0;
        while place < PLACES {
            let range = [Key::of(side, place).begin(), Key::of(side, PLACES - 1).end(), exact(INDEX_MAX)?];
            let Some(mut columns) = self.one(PLACE_FROM, &range)? else { break };
            let id = columns.number();
            place = (id >> FIRST_BITS) % PLACES;
            if of.insert(columns.priority()?, place).is_some() {
                return Err(StoreError::corrupt(format!("row {id}"), "its priority is that of other rows"));
            }
            place += 1;
        }
        *self.places(side) = Places { of, exact: true };
        Ok(())
    }

    /// The key of a priority that has rows; `None` for one that has none.
    fn key(&mut self, key: PriorityKey) -> Result<Option<Key>, StoreError> {
        let known =
            |rows: &mut Self| rows.places(key.side).of.get(&key.priority).map(|place| Key::of(key.side, *place));
        if let Some(found) = known(self) {
            return Ok(Some(found));
        }
        if !self.places(key.side).exact {
            self.look(key.side)?;
        }
        Ok(known(self))
    }

    /// The key of a priority that is to get a row.
    fn make_key(&mut self, key: PriorityKey) -> Result<Key, StoreError> {
        if let Some(found) = self.key(key)? {
            return Ok(found);
        }
        if self.places(key.side).of.len() as u64 >= PLACES {
            self.look(key.side)?;
        }
        let places = self.places(key.side);
        let free = (0..PLACES).find(|place| !places.of.values().any(|taken| taken == place));
        let place =
            free.ok_or_else(|| StoreError::Contradiction(format!("there are more than {PLACES} priorities")))?;
        places.of.insert(key.priority, place);
        places.exact = false;
        Ok(Key::of(key.side, place))
    }
}

impl<S: Sql> Rows for SqlRows<S> {
    fn state(&mut self, id: StateId) -> Result<Option<Bytes>, StoreError> {
        let columns = self.one(STATE, &[SqlValue::Int(id.0.into())])?;
        Ok(columns.map(|mut columns| columns.blob()))
    }

    fn put_state(&mut self, id: StateId, value: Bytes) -> Result<(), StoreError> {
        self.sql.exec(PUT_STATE, &[SqlValue::Int(id.0.into()), blob_value(value)]).map(drop)
    }

    fn priority_above(&mut self, side: Side, above: Option<Priority>) -> Result<Option<Priority>, StoreError> {
        if !self.places(side).exact {
            self.look(side)?;
        }
        let from = above.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.places(side).of.range((from, Bound::Unbounded)).next().map(|(priority, _)| *priority))
    }

    fn checkpoint_below(&mut self, key: PriorityKey, below: Index) -> Result<Option<(Extent, Bytes)>, StoreError> {
        let Some(key) = self.key(key)? else { return Ok(None) };
        let columns = self.one(CHECKPOINT_BELOW, &[key.begin(), key.at(below)])?;
        Ok(columns.map(|mut columns| (columns.extent(), columns.blob())))
    }

    fn segment_upto(&mut self, key: PriorityKey, at: Index) -> Result<Option<SegmentRow>, StoreError> {
        let Some(key) = self.key(key)? else { return Ok(None) };
        self.segment(SEGMENT_UPTO, &[key.begin(), key.at(at)])
    }

    fn segment_above(&mut self, key: PriorityKey, above: Index) -> Result<Option<SegmentRow>, StoreError> {
        let Some(key) = self.key(key)? else { return Ok(None) };
        self.segment(SEGMENT_ABOVE, &[key.at(above), key.end()])
    }

    fn segment_tagged(
        &mut self,
        key: PriorityKey,
        above: Index,
        hashes: &[Mark],
    ) -> Result<Option<SegmentRow>, StoreError> {
        let Some(key) = self.key(key)? else { return Ok(None) };
        let mut params = vec![key.at(above), key.end()];
        // Where there are fewer hashes than parameters they are asked for again.
        let asked = hashes.iter().cycle().take(SEARCH_TAG_HASHES_MAX);
        params.extend(asked.map(|hash| SqlValue::Blob(Bytes::copy_from_slice(hash))));
        self.segment(SEGMENT_TAGGED, &params)
    }

    fn sums(&mut self, key: PriorityKey, from: Index, below: Index) -> Result<RowSums, StoreError> {
        let Some(key) = self.key(key)? else { return Ok(RowSums::default()) };
        let Some(mut columns) = self.one(SUMS, &[key.at(from), key.at(below)])? else {
            return Ok(RowSums::default());
        };
        let mut number = || columns.number();
        Ok(RowSums { rows: number(), damaged: number(), count: number(), bytes: number() })
    }

    fn put_segment(&mut self, key: PriorityKey, row: SegmentRow) -> Result<(), StoreError> {
        let Extent { first, last, count, bytes } = row.extent;
        if last.0 >= INDEX_MAX {
            return Err(StoreError::Contradiction(format!("index {} is too large to be stored", last.0)));
        }
        let (priority, key) = (priority_value(key.priority), self.make_key(key)?);
        let [last, count, bytes] = [exact(last.0)?, exact(count)?, exact(bytes)?];
        let [head, marks, body] = [row.checkpoint, row.tag_hashes, row.body].map(blob_value);
        self.sql.exec(PUT_SEGMENT, &[key.at(first), priority, last, count, bytes, head, marks, body]).map(drop)
    }

    fn delete_segment(&mut self, key: PriorityKey, first: Index) -> Result<(), StoreError> {
        let side = key.side;
        let Some(key) = self.key(key)? else { return Ok(()) };
        self.places(side).exact = false;
        self.sql.exec(DELETE_SEGMENT, &[key.at(first)]).map(drop)
    }

    fn delete_below(&mut self, key: PriorityKey, below: Index) -> Result<u64, StoreError> {
        let side = key.side;
        let Some(key) = self.key(key)? else { return Ok(0) };
        self.places(side).exact = false;
        let params = [key.begin(), key.at(below)];
        let count = self.one(COUNT_BELOW, &params)?.map_or(0, |mut columns| columns.number());
        self.sql.exec(DELETE_BELOW, &params)?;
        Ok(count)
    }
}

/// The largest number the platform keeps exactly.
const EXACT_MAX: u64 = (1 << 53) - 1;

/// A number that is stored.
fn exact(number: u64) -> Result<SqlValue, StoreError> {
    if number > EXACT_MAX {
        return Err(StoreError::Contradiction(format!("{number} is too large to be stored")));
    }
    Ok(SqlValue::Int(number as i64))
}

/// No bytes are stored as NULL: some drivers cannot tell an empty blob from it.
fn blob_value(bytes: Bytes) -> SqlValue {
    if bytes.is_empty() { SqlValue::Null } else { SqlValue::Blob(bytes) }
}

/// Eight bytes that sort like the number: the sign bit is flipped.
fn priority_value(priority: Priority) -> SqlValue {
    SqlValue::Blob(Bytes::copy_from_slice(&(priority.0 as u64 ^ 1 << 63).to_be_bytes()))
}

/// Columns of a row, from left to right. A value of another type than was written is a damaged one: it becomes a value
/// that was never written, which the checks of the row report.
struct Columns(vec::IntoIter<SqlValue>);

impl Columns {
    fn number(&mut self) -> u64 {
        match self.0.next() {
            Some(SqlValue::Int(number)) => u64::try_from(number).unwrap_or(u64::MAX),
            _ => u64::MAX,
        }
    }

    fn blob(&mut self) -> Bytes {
        match self.0.next() {
            Some(SqlValue::Blob(bytes)) => bytes,
            _ => Bytes::new(),
        }
    }

    fn priority(&mut self) -> Result<Priority, StoreError> {
        match <[u8; 8]>::try_from(self.blob().as_ref()) {
            Ok(bytes) => Ok(Priority((u64::from_be_bytes(bytes) ^ 1 << 63) as i64)),
            Err(_) => Err(StoreError::corrupt("a segment", "its priority is not eight bytes")),
        }
    }

    fn extent(&mut self) -> Extent {
        let (first, last) = (Index(self.number() & INDEX_MAX), Index(self.number()));
        Extent { first, last, count: self.number(), bytes: self.number() }
    }
}
