//! An object's SQLite storage: synchronous statements and synchronous transactions.
//!
//! The bindings are our own. Those of the `worker` crate lack `transactionSync`, cross the border once for each
//! parameter, and import the cursor's methods without `catch`, so that an error there would hang the request for ever.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use bytes::Bytes;
use js_sys::{Array, ArrayBuffer, JsString, Uint8Array};
use wasm_bindgen::{JsCast, prelude::*};
use worker::State;

use crate::queue::refusal::StoreError;
use crate::store::sql::{self, SqlValue};

#[wasm_bindgen]
extern "C" {
    /// `ctx.storage`.
    type RawStorage;
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(this: &RawStorage, body: &mut dyn FnMut()) -> Result<(), JsValue>;
    #[wasm_bindgen(method, getter)]
    fn sql(this: &RawStorage) -> RawSql;

    /// `ctx.storage.sql`.
    type RawSql;

    type RawCursor;
    #[wasm_bindgen(method, catch)]
    fn raw(this: &RawCursor) -> Result<RawRows, JsValue>;

    /// The iterator over rows as arrays.
    type RawRows;
    #[wasm_bindgen(method, catch, js_name = toArray)]
    fn to_array(this: &RawRows) -> Result<Array, JsValue>;
}

#[wasm_bindgen(raw_module = "./statement.mjs")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn execute(
        sql: &RawSql,
        query: &JsString,
        shape: &[i32],
        numbers: &[f64],
        bytes: &[u8],
    ) -> Result<RawCursor, JsValue>;
}

/// The largest integer that survives the way to SQLite and back: the platform carries numbers as 64-bit floats.
const INT_MAX: u64 = (1 << 53) - 1;

/// Parameters in the shape of a statement that are not a number of bytes. `statement.mjs` has the same numbers.
const NUMBER: i32 = -1;
const NOTHING: i32 = -2;

/// The storage of one object.
pub struct Storage {
    raw: RawStorage,
    sql: ObjectSql,
}

impl Storage {
    pub fn of(state: &State) -> Self {
        let raw: RawStorage = JsValue::from(state.storage().as_raw()).unchecked_into();
        let sql = ObjectSql { raw: Rc::new(raw.sql()), queries: Rc::default() };
        Self { raw, sql }
    }

    pub fn sql(&self) -> ObjectSql {
        self.sql.clone()
    }

    /// Runs `body` as one transaction: an `Err` undoes all its statements and comes back to the caller.
    pub fn transaction<T>(&self, body: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut body = Some(body);
        let mut outcome = None;
        let committed = self.raw.transaction_sync(&mut || {
            let body = body.take().expect("a transaction runs once");
            let result = body();
            let failed = result.is_err();
            outcome = Some(result);
            if failed {
                // The only way to roll back. Nothing on this stack needs a destructor.
                wasm_bindgen::throw_str("rolled back");
            }
        });
        match (committed, outcome) {
            (Ok(()), Some(done)) => done,
            (Err(_), Some(Err(refused))) => Err(refused),
            (Err(thrown), _) => Err(failed(&thrown)),
            (Ok(()), None) => Err(StoreError::Io("the transaction did not run".into())),
        }
    }
}

/// Statements on an object's database.
#[derive(Clone)]
pub struct ObjectSql {
    raw: Rc<RawSql>,
    /// Statement texts that have crossed already. A text crosses once, and the same string finds its prepared
    /// statement.
    queries: Rc<RefCell<HashMap<&'static str, JsString>>>,
}

impl sql::Sql for ObjectSql {
    fn exec(&mut self, statement: &'static str, params: &[SqlValue]) -> Result<Vec<Vec<SqlValue>>, StoreError> {
        let (mut shape, mut numbers, mut bytes) = (Vec::with_capacity(params.len()), Vec::new(), Vec::new());
        for param in params {
            shape.push(match param {
                SqlValue::Null => NOTHING,
                SqlValue::Int(int) => {
                    assert!(int.unsigned_abs() <= INT_MAX, "the integer {int} is too wide for this storage");
                    numbers.push(*int as f64);
                    NUMBER
                }
                SqlValue::Blob(blob) => {
                    bytes.extend_from_slice(blob);
                    blob.len() as i32
                }
            });
        }
        let query = self.query(statement);
        let rows = execute(&self.raw, &query, &shape, &numbers, &bytes).and_then(|cursor| {
            // Only a query has rows.
            if statement.starts_with("SELECT") { cursor.raw()?.to_array() } else { Ok(Array::new()) }
        });
        let rows = rows.map_err(|thrown| failed(&thrown))?;
        rows.iter().map(|row| Array::from(&row).iter().map(|column| value(&column)).collect()).collect()
    }
}

impl ObjectSql {
    fn query(&self, text: &'static str) -> JsString {
        self.queries.borrow_mut().entry(text).or_insert_with(|| JsString::from(text)).clone()
    }
}

fn value(column: &JsValue) -> Result<SqlValue, StoreError> {
    if let Some(number) = column.as_f64().filter(|number| number.trunc() == *number && number.abs() <= INT_MAX as f64) {
        return Ok(SqlValue::Int(number as i64));
    }
    if column.is_null() {
        return Ok(SqlValue::Null);
    }
    match column.dyn_ref::<ArrayBuffer>() {
        Some(buffer) => Ok(SqlValue::Blob(Bytes::from(Uint8Array::new(buffer).to_vec()))),
        None => Err(StoreError::corrupt("a row", "a column is neither an integer nor a blob")),
    }
}

/// The error that the storage threw.
fn failed(thrown: &JsValue) -> StoreError {
    let message = thrown.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    StoreError::Io(message.or_else(|| thrown.as_string()).unwrap_or_else(|| format!("{thrown:?}")))
}
