//! The rows a store is tested over: memory, SQLite in memory, SQLite in a file; and makers of entries.

use bytes::Bytes;
use edgequeue::queue::effect::Write;
use edgequeue::queue::entry::{self, Entry, Index, Mark, Priority};
use edgequeue::queue::refusal::StoreError;
use edgequeue::queue::store::{Side, Store, Stores};
use edgequeue::store::memory::MemoryRows;
use edgequeue::store::rows::Rows;
use edgequeue::store::sql::{Sql, SqlRows, SqlValue};
use edgequeue::store::{Flushed, SegmentStore};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql};

pub struct Sqlite(pub Connection);

struct Param<'a>(&'a SqlValue);

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            SqlValue::Null => ToSqlOutput::Owned(Value::Null),
            SqlValue::Int(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            SqlValue::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

impl Sqlite {
    pub fn query(&self, statement: &str, params: &[SqlValue]) -> rusqlite::Result<Vec<Vec<SqlValue>>> {
        let mut statement = self.0.prepare_cached(statement)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(params.iter().map(Param)))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let value = |column| {
                Ok(match row.get_ref(column)? {
                    ValueRef::Null => SqlValue::Null,
                    ValueRef::Integer(number) => SqlValue::Int(number),
                    ValueRef::Blob(bytes) => SqlValue::Blob(Bytes::copy_from_slice(bytes)),
                    other => panic!("a column of another type: {other:?}"),
                })
            };
            all.push((0..columns).map(value).collect::<rusqlite::Result<Vec<_>>>()?);
        }
        Ok(all)
    }
}

impl Sql for Sqlite {
    fn exec(&mut self, statement: &'static str, params: &[SqlValue]) -> Result<Vec<Vec<SqlValue>>, StoreError> {
        self.query(statement, params).map_err(|error| StoreError::Io(error.to_string()))
    }
}

pub fn sqlite() -> SqlRows<Sqlite> {
    SqlRows::open(Sqlite(Connection::open_in_memory().unwrap())).unwrap()
}

/// Rows with transactions.
pub trait Backing: Rows + Sized {
    fn begin(&mut self);
    fn commit(&mut self);
    fn rollback(&mut self);
}

impl Backing for MemoryRows {
    fn begin(&mut self) {
        Self::begin(self);
    }
    fn commit(&mut self) {
        Self::commit(self);
    }
    fn rollback(&mut self) {
        Self::rollback(self);
    }
}

impl Backing for SqlRows<Sqlite> {
    fn begin(&mut self) {
        self.sql_mut().0.execute_batch("BEGIN").unwrap();
    }
    fn commit(&mut self) {
        self.sql_mut().0.execute_batch("COMMIT").unwrap();
    }
    fn rollback(&mut self) {
        self.sql_mut().0.execute_batch("ROLLBACK").unwrap();
    }
}

pub fn flush<R: Backing>(store: &mut SegmentStore<R>) -> Flushed {
    store.rows_mut().begin();
    let flushed = store.flush().unwrap();
    store.rows_mut().commit();
    flushed
}

/// An entry with one tag, or none, and the next index.
pub fn entry(store: &mut impl Stores, side: Side, priority: i64, tag: Option<u8>, bytes: usize) -> (Entry, Vec<Mark>) {
    let index = store.side(side).totals().next_index;
    let tags = tag.map(|tag| (String::from("kind"), tag.to_string())).into_iter().collect();
    let marks = entry::marks(&tags);
    let data = Bytes::from(vec![index.0 as u8; bytes]);
    (Entry::encode(index, Priority(priority), 1_700_000_000_000 + index.0 * 7, tags, data), marks)
}

pub fn append(store: &mut impl Stores, side: Side, priority: i64, bytes: usize) -> Index {
    let (entry, marks) = entry(store, side, priority, None, bytes);
    let index = entry.index;
    store.side(side).apply(Write::Append(entry, marks)).unwrap();
    index
}
