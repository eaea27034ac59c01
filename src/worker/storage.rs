//! An object's SQLite storage: synchronous statements and synchronous transactions.
//!
//! The bindings are our own because the `worker` crate has no `transactionSync`, calls out once for each parameter, and
//! imports the cursor's methods without `catch`: an error there would hang the request for ever.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use js_sys::{Array, ArrayBuffer, JsString, Uint8Array};
use wasm_bindgen::{JsCast, prelude::*};
use worker::State;

#[wasm_bindgen]
extern "C" {
    /// `ctx.storage`.
    #[derive(Clone)]
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
    #[wasm_bindgen(method, getter, js_name = rowsWritten)]
    fn rows_written(this: &RawCursor) -> f64;
    #[wasm_bindgen(method, getter, js_name = rowsRead)]
    fn rows_read(this: &RawCursor) -> f64;

    /// The iterator over rows as arrays.
    type RawRows;
    #[wasm_bindgen(method, catch, js_name = toArray)]
    fn to_array(this: &RawRows) -> Result<Array, JsValue>;
}

#[wasm_bindgen(raw_module = "../../src/worker/statement.mjs")]
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
pub const INT_MAX: i64 = (1 << 53) - 1;

/// What a parameter is in the shape of a statement, where it is not a number of bytes.
const NUMBER: i32 = -1;
const NOTHING: i32 = -2;

/// A parameter of a statement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Param<'a> {
    Null,
    /// At most [`INT_MAX`] away from zero, else the statement is refused.
    Int(i64),
    Blob(&'a [u8]),
}

/// A column of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    /// Exact up to [`INT_MAX`] away from zero.
    Int(i64),
    /// A REAL column, or an integer too wide to be exact.
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// What the storage said when it refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("storage: {0}")]
pub struct SqlError(pub String);

impl From<JsValue> for SqlError {
    fn from(thrown: JsValue) -> Self {
        let message = thrown.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
        Self(message.or_else(|| thrown.as_string()).unwrap_or_else(|| format!("{thrown:?}")))
    }
}

/// The storage of this object.
pub struct Storage {
    raw: RawStorage,
    sql: Rc<Sql>,
}

impl Storage {
    /// With a meter, the rows that statements read and write are counted.
    pub fn of(state: &State, meter: Option<Rc<Meter>>) -> Self {
        let raw: RawStorage = JsValue::from(state.storage().as_raw()).unchecked_into();
        let sql = Rc::new(Sql { raw: raw.sql(), queries: RefCell::default(), meter });
        Self { raw, sql }
    }

    pub fn sql(&self) -> &Rc<Sql> {
        &self.sql
    }

    /// Runs `body` as one transaction: an `Err` undoes all its statements and comes back to the caller.
    pub fn transaction<T, E: From<SqlError>>(&self, body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut body = Some(body);
        let mut outcome = None;
        let committed = self.raw.transaction_sync(&mut || {
            let result = body.take().map(|body| body());
            let failed = !matches!(result, Some(Ok(_)));
            outcome = result;
            if failed {
                // The only way to roll back; nothing is left on this stack that would need a destructor.
                wasm_bindgen::throw_str("rolled back");
            }
        });
        match (committed, outcome) {
            (Ok(()), Some(done)) => done,
            (Err(_), Some(Err(refused))) => Err(refused),
            (Err(thrown), _) => Err(E::from(thrown.into())),
            (Ok(()), None) => Err(E::from(SqlError("the transaction did not run".into()))),
        }
    }
}

/// What statements did, as the platform counts it for the bill.
#[derive(Debug, Default)]
pub struct Meter {
    pub rows_written: Cell<u64>,
    pub rows_read: Cell<u64>,
    /// Each is billed like a written row.
    pub alarms_set: Cell<u64>,
}

/// Statements on this object's database.
pub struct Sql {
    raw: RawSql,
    meter: Option<Rc<Meter>>,
    /// Statement texts as they are known on the other side: a text crosses once, and the same string finds its
    /// prepared statement.
    queries: RefCell<HashMap<String, JsString>>,
}

/// Statements are few and constant; one that is put together at run time must not fill the memory.
const QUERIES_KEPT_MAX: usize = 128;

impl Sql {
    /// Runs a statement and returns its rows; only a `SELECT` has any.
    pub fn exec(&self, query: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Value>>, SqlError> {
        let (mut shape, mut numbers, mut bytes) = (Vec::with_capacity(params.len()), Vec::new(), Vec::new());
        for param in params {
            shape.push(match *param {
                Param::Null => NOTHING,
                Param::Int(int) => {
                    numbers.push(exact(int)?);
                    NUMBER
                }
                Param::Blob(blob) => {
                    bytes.extend_from_slice(blob);
                    blob.len() as i32
                }
            });
        }
        let cursor = execute(&self.raw, &self.query(query), &shape, &numbers, &bytes)?;
        let rows = if query.starts_with("SELECT") { cursor.raw()?.to_array()? } else { Array::new() };
        if let Some(meter) = &self.meter {
            meter.rows_written.set(meter.rows_written.get() + cursor.rows_written() as u64);
            meter.rows_read.set(meter.rows_read.get() + cursor.rows_read() as u64);
        }
        rows.iter().map(|row| Array::from(&row).iter().map(value).collect()).collect()
    }

    fn query(&self, text: &str) -> JsString {
        let mut known = self.queries.borrow_mut();
        if let Some(query) = known.get(text) {
            return query.clone();
        }
        if known.len() >= QUERIES_KEPT_MAX {
            known.clear();
        }
        let query = JsString::from(text);
        known.insert(text.to_owned(), query.clone());
        query
    }
}

/// An integer as the platform carries it.
fn exact(int: i64) -> Result<f64, SqlError> {
    if int.unsigned_abs() > INT_MAX.unsigned_abs() {
        return Err(SqlError(format!("the integer {int} is too wide for this storage")));
    }
    Ok(int as f64)
}

fn value(column: JsValue) -> Result<Value, SqlError> {
    if let Some(number) = column.as_f64() {
        let exact = number.trunc() == number && number.abs() <= INT_MAX as f64;
        return Ok(if exact { Value::Int(number as i64) } else { Value::Real(number) });
    }
    if column.is_null() {
        return Ok(Value::Null);
    }
    if let Some(buffer) = column.dyn_ref::<ArrayBuffer>() {
        return Ok(Value::Blob(Uint8Array::new(buffer).to_vec()));
    }
    column.as_string().map(Value::Text).ok_or_else(|| SqlError("a column of an unknown type".into()))
}
