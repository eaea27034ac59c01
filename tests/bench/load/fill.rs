//! Fills the database of a queue whose service is not running, through the machine and the store themselves.

use crate::Wish;
use crate::measure::Figures;
use crate::wire::bad;
use bytes::Bytes;
use edgequeue::queue::config::Settings;
use edgequeue::queue::entry::{Priority, Tags};
use edgequeue::queue::event::{NewEntry, Ticket};
use edgequeue::queue::refusal::StoreError;
use edgequeue::queue::store::Side;
use edgequeue::queue::{Event, Queue};
use edgequeue::store::SegmentStore;
use edgequeue::store::sql::{Sql, SqlRows, SqlValue};
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use std::io::Result;
use std::time::{SystemTime, UNIX_EPOCH};

/// Entries of one put and one transaction: the batches that everything else here puts, too.
const BATCH: u64 = 100;

struct Database(Connection);

fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Io(error.to_string())
}

impl Sql for Database {
    fn exec(
        &mut self,
        statement: &'static str,
        params: &[SqlValue],
    ) -> std::result::Result<Vec<Vec<SqlValue>>, StoreError> {
        let mut statement = self.0.prepare_cached(statement).map_err(failed)?;
        let params = params.iter().map(|param| match param {
            SqlValue::Null => ToSqlOutput::Owned(Value::Null),
            SqlValue::Int(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            SqlValue::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        });
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(failed)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let values = (0..columns).map(|column| match row.get_ref(column).map_err(failed)? {
                ValueRef::Null => Ok(SqlValue::Null),
                ValueRef::Integer(number) => Ok(SqlValue::Int(number)),
                ValueRef::Blob(bytes) => Ok(SqlValue::Blob(Bytes::copy_from_slice(bytes))),
                other => Err(StoreError::corrupt("a row", format!("a column of type {:?}", other.data_type()))),
            });
            all.push(values.collect::<std::result::Result<_, _>>()?);
        }
        Ok(all)
    }
}

fn fill(wish: &Wish) -> std::result::Result<u64, StoreError> {
    let database = Connection::open(wish.text("file")).map_err(failed)?;
    database.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF").map_err(failed)?;
    let mut store = SegmentStore::open(SqlRows::open(Database(database))?)?;
    let mut queue = Queue::open(Settings::standard(), &mut store)?;
    let data = Bytes::from(wish.body());
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    let (count, mut effects) = (wish.number("count", 0), Vec::new());
    let mut put = 0;
    while put < count {
        let some = BATCH.min(count - put);
        let entry = |at| NewEntry {
            priority: Priority(0),
            tags: Tags::new(),
            data: data.clone(),
            random: u128::from(put + at),
            dedup: None,
        };
        queue.turn(
            now_ms,
            Side::Main,
            Event::Put(Ticket(1), (0..some).map(entry).collect()),
            &mut store,
            &mut effects,
        )?;
        effects.clear();
        store.rows_mut().sql_mut().0.execute_batch("BEGIN").map_err(failed)?;
        queue.before_flush(&mut store)?;
        store.flush()?;
        store.rows_mut().sql_mut().0.execute_batch("COMMIT").map_err(failed)?;
        put += some;
    }
    let database = store.into_rows().into_sql().0;
    // What is measured next must not wait for what is written here.
    database.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)").map_err(failed)?;
    std::fs::File::open(wish.text("file"))
        .and_then(|file| file.sync_all())
        .map_err(|error| StoreError::Io(error.to_string()))?;
    Ok(put)
}

/// Puts `count` entries into the queue in `file`.
pub fn run(wish: &Wish) -> Result<Figures> {
    let began = std::time::Instant::now();
    let put = fill(wish).map_err(|error| bad(error.to_string()))?;
    Ok(Figures::of(put, began.elapsed().as_secs_f64()))
}
