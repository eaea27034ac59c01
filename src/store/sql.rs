//! Rows in SQLite: the schema and every statement. How a statement is executed is the shell's business.

use super::limits::SEARCH_MARKS_MAX;
use super::rows::{Extent, LaneKey, RowSums, Rows, SegmentRow, StateId};
use crate::queue::entry::{Index, Lane, Mark};
use crate::queue::refusal::StoreError;
use crate::queue::store::Side;
use alloc::{format, string::String, vec, vec::Vec};
use bytes::Bytes;

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
/// `WITHOUT ROWID` and no further index: a write is one row. The lane is a blob that sorts like the number, as the
/// platform's numbers are exact to 2^53 only. Small columns stand before the body, which lies on overflow pages, so
/// that they are read without it.
pub struct SqlRows<S> {
    sql: S,
}

const CREATE_STATE: &str = "CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY, value BLOB)";
const CREATE_SEGMENT: &str = "CREATE TABLE IF NOT EXISTS segment (\
    side INTEGER NOT NULL, lane BLOB NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, \
    count INTEGER NOT NULL, bytes INTEGER NOT NULL, head BLOB NOT NULL, marks BLOB, body BLOB NOT NULL, \
    PRIMARY KEY (side, lane, first)) WITHOUT ROWID";

const STATE: &str = "SELECT value FROM state WHERE id = ?1";
// REPLACE on a table with one index overwrites in place: one row written. An upsert would delete and insert.
const PUT_STATE: &str = "REPLACE INTO state (id, value) VALUES (?1, ?2)";
const LANE_FIRST: &str = "SELECT lane FROM segment WHERE side = ?1 ORDER BY lane LIMIT 1";
const LANE_ABOVE: &str = "SELECT lane FROM segment WHERE side = ?1 AND lane > ?2 ORDER BY lane LIMIT 1";
const TAIL: &str = "SELECT first, last, count, bytes, head FROM segment \
    WHERE side = ?1 AND lane = ?2 ORDER BY first DESC LIMIT 1";
const SEGMENT_FROM: &str = "SELECT first, last, count, bytes, head, marks, body FROM segment \
    WHERE side = ?1 AND lane = ?2 AND last >= ?3 AND first >= coalesce((SELECT first FROM segment \
    WHERE side = ?1 AND lane = ?2 AND first <= ?3 ORDER BY first DESC LIMIT 1), 0) ORDER BY first LIMIT 1";
const SEGMENT_UPTO: &str = "SELECT first, last, count, bytes, head, marks, body FROM segment \
    WHERE side = ?1 AND lane = ?2 AND first <= ?3 ORDER BY first DESC LIMIT 1";
const SEGMENT_MARKED: &str = "SELECT first, last, count, bytes, head, marks, body FROM segment \
    WHERE side = ?1 AND lane = ?2 AND first > ?3 AND instr(marks, ?4) > 0 AND instr(marks, ?5) > 0 \
    AND instr(marks, ?6) > 0 AND instr(marks, ?7) > 0 ORDER BY first LIMIT 1";
const SUMS: &str = "SELECT count(*), coalesce(sum(count), 0), coalesce(sum(bytes), 0) FROM segment \
    WHERE side = ?1 AND lane = ?2 AND first < ?4 AND last < ?4 AND last >= ?3";
const PUT_SEGMENT: &str = "REPLACE INTO segment (side, lane, first, last, count, bytes, head, marks, body) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const DELETE_SEGMENT: &str = "DELETE FROM segment WHERE side = ?1 AND lane = ?2 AND first = ?3";
const COUNT_BELOW: &str = "SELECT count(*) FROM segment WHERE side = ?1 AND lane = ?2 AND first < ?3 AND last < ?3";
const DELETE_BELOW: &str = "DELETE FROM segment WHERE side = ?1 AND lane = ?2 AND first < ?3 AND last < ?3";

impl<S: Sql> SqlRows<S> {
    /// Makes the tables if they are missing.
    pub fn open(mut sql: S) -> Result<Self, StoreError> {
        sql.exec(CREATE_STATE, &[])?;
        sql.exec(CREATE_SEGMENT, &[])?;
        Ok(Self { sql })
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
            (_, Some(_)) => Err(StoreError(String::from("the database returned more rows than were asked for"))),
            (row, None) => Ok(row.map(|row| Columns(row.into_iter()))),
        }
    }

    fn segment(&mut self, statement: &'static str, params: &[SqlValue]) -> Result<Option<SegmentRow>, StoreError> {
        let Some(mut columns) = self.one(statement, params)? else { return Ok(None) };
        let extent = columns.extent()?;
        Ok(Some(SegmentRow { extent, head: columns.blob()?, marks: columns.blob()?, body: columns.blob()? }))
    }
}

impl<S: Sql> Rows for SqlRows<S> {
    fn state(&mut self, id: StateId) -> Result<Option<Bytes>, StoreError> {
        let columns = self.one(STATE, &[SqlValue::Int(id.0.into())])?;
        columns.map(|mut columns| columns.blob()).transpose()
    }

    fn put_state(&mut self, id: StateId, value: Bytes) -> Result<(), StoreError> {
        self.sql.exec(PUT_STATE, &[SqlValue::Int(id.0.into()), blob_value(value)]).map(drop)
    }

    fn lane_above(&mut self, side: Side, above: Option<Lane>) -> Result<Option<Lane>, StoreError> {
        let columns = match above {
            Some(lane) => self.one(LANE_ABOVE, &[side_value(side), lane_value(lane)]),
            None => self.one(LANE_FIRST, &[side_value(side)]),
        };
        columns?.map(|mut columns| columns.lane()).transpose()
    }

    fn tail(&mut self, key: LaneKey) -> Result<Option<(Extent, Bytes)>, StoreError> {
        let columns = self.one(TAIL, &place(key))?;
        columns.map(|mut columns| Ok((columns.extent()?, columns.blob()?))).transpose()
    }

    fn segment_from(&mut self, key: LaneKey, at: Index) -> Result<Option<SegmentRow>, StoreError> {
        let [side, lane] = place(key);
        self.segment(SEGMENT_FROM, &[side, lane, bound(at)])
    }

    fn segment_upto(&mut self, key: LaneKey, at: Index) -> Result<Option<SegmentRow>, StoreError> {
        let [side, lane] = place(key);
        self.segment(SEGMENT_UPTO, &[side, lane, bound(at)])
    }

    fn segment_marked(&mut self, key: LaneKey, above: Index, marks: &[Mark]) -> Result<Option<SegmentRow>, StoreError> {
        let [side, lane] = place(key);
        let mut params = vec![side, lane, bound(above)];
        // Fewer marks than parameters are asked for again.
        let asked = marks.iter().cycle().take(SEARCH_MARKS_MAX);
        params.extend(asked.map(|mark| SqlValue::Blob(Bytes::copy_from_slice(mark))));
        self.segment(SEGMENT_MARKED, &params)
    }

    fn sums(&mut self, key: LaneKey, from: Index, below: Index) -> Result<RowSums, StoreError> {
        let [side, lane] = place(key);
        let Some(mut columns) = self.one(SUMS, &[side, lane, bound(from), bound(below)])? else {
            return Ok(RowSums::default());
        };
        Ok(RowSums { rows: columns.number()?, count: columns.number()?, bytes: columns.number()? })
    }

    fn put_segment(&mut self, key: LaneKey, row: SegmentRow) -> Result<(), StoreError> {
        let [side, lane] = place(key);
        let Extent { first, last, count, bytes } = row.extent;
        let numbers = [exact(first.0)?, exact(last.0)?, exact(count)?, exact(bytes)?];
        let [first, last, count, bytes] = numbers;
        let [head, marks, body] = [row.head, row.marks, row.body].map(blob_value);
        self.sql.exec(PUT_SEGMENT, &[side, lane, first, last, count, bytes, head, marks, body]).map(drop)
    }

    fn delete_segment(&mut self, key: LaneKey, first: Index) -> Result<(), StoreError> {
        let [side, lane] = place(key);
        self.sql.exec(DELETE_SEGMENT, &[side, lane, exact(first.0)?]).map(drop)
    }

    fn delete_below(&mut self, key: LaneKey, below: Index) -> Result<u64, StoreError> {
        let [side, lane] = place(key);
        let params = [side, lane, bound(below)];
        let count = match self.one(COUNT_BELOW, &params)? {
            Some(mut columns) => columns.number()?,
            None => 0,
        };
        self.sql.exec(DELETE_BELOW, &params)?;
        Ok(count)
    }
}

/// The largest number the platform keeps exactly.
const EXACT_MAX: u64 = (1 << 53) - 1;

/// A number that is stored.
fn exact(number: u64) -> Result<SqlValue, StoreError> {
    if number > EXACT_MAX {
        return Err(StoreError(format!("{number} is too large to be stored")));
    }
    Ok(SqlValue::Int(number as i64))
}

/// A number that is compared with stored ones: none of them is larger than the largest.
fn bound(index: Index) -> SqlValue {
    SqlValue::Int(index.0.min(EXACT_MAX) as i64)
}

fn place(key: LaneKey) -> [SqlValue; 2] {
    [side_value(key.side), lane_value(key.lane)]
}

fn side_value(side: Side) -> SqlValue {
    SqlValue::Int(match side {
        Side::Main => 0,
        Side::Rear => 1,
    })
}

/// No bytes are stored as NULL: some drivers cannot tell an empty blob from it.
fn blob_value(bytes: Bytes) -> SqlValue {
    if bytes.is_empty() { SqlValue::Null } else { SqlValue::Blob(bytes) }
}

/// Eight bytes that sort like the number: the sign bit is flipped.
fn lane_value(lane: Lane) -> SqlValue {
    SqlValue::Blob(Bytes::copy_from_slice(&(lane.0 as u64 ^ 1 << 63).to_be_bytes()))
}

/// Columns of a row, from left to right.
struct Columns(vec::IntoIter<SqlValue>);

impl Columns {
    fn number(&mut self) -> Result<u64, StoreError> {
        match self.0.next() {
            Some(SqlValue::Int(number)) if number >= 0 => Ok(number as u64),
            other => Err(unexpected("a number", other)),
        }
    }

    fn blob(&mut self) -> Result<Bytes, StoreError> {
        match self.0.next() {
            Some(SqlValue::Blob(bytes)) => Ok(bytes),
            Some(SqlValue::Null) => Ok(Bytes::new()),
            other => Err(unexpected("bytes", other)),
        }
    }

    fn lane(&mut self) -> Result<Lane, StoreError> {
        let bytes = self.blob()?;
        match <[u8; 8]>::try_from(bytes.as_ref()) {
            Ok(bytes) => Ok(Lane((u64::from_be_bytes(bytes) ^ 1 << 63) as i64)),
            Err(_) => Err(unexpected("a lane", Some(SqlValue::Blob(bytes)))),
        }
    }

    fn extent(&mut self) -> Result<Extent, StoreError> {
        let (first, last) = (Index(self.number()?), Index(self.number()?));
        Ok(Extent { first, last, count: self.number()?, bytes: self.number()? })
    }
}

fn unexpected(wanted: &str, got: Option<SqlValue>) -> StoreError {
    let got = match got {
        Some(SqlValue::Int(number)) => format!("{number}"),
        Some(SqlValue::Blob(bytes)) => format!("{} bytes", bytes.len()),
        Some(SqlValue::Null) | None => String::from("nothing"),
    };
    StoreError(format!("the database returned {got} where {wanted} was expected"))
}
