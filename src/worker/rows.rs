//! The object's database as the store wants it.

use std::rc::Rc;

use bytes::Bytes;

use super::{
    faults::{Faults, Tear},
    storage::{Param, Sql, SqlError, Storage, Value},
};
use crate::queue::refusal::StoreError;
use crate::store::sql::{self, SqlValue};

/// The database of an object.
pub struct Database {
    sql: Rc<Sql>,
    tear: Tear,
}

impl Database {
    pub fn of(storage: &Storage, faults: &Faults) -> Self {
        Self { sql: storage.sql().clone(), tear: faults.tear() }
    }
}

impl sql::Sql for Database {
    fn exec(&mut self, statement: &'static str, params: &[SqlValue]) -> Result<Vec<Vec<SqlValue>>, StoreError> {
        let params: Vec<Param<'_>> = params
            .iter()
            .map(|param| match param {
                SqlValue::Null => Param::Null,
                SqlValue::Int(int) => Param::Int(*int),
                SqlValue::Blob(blob) => Param::Blob(blob),
            })
            .collect();
        let rows = self.sql.exec(statement, &params)?;
        self.tear.after(statement)?;
        rows.into_iter().map(|row| row.into_iter().map(value).collect()).collect()
    }
}

fn value(value: Value) -> Result<SqlValue, StoreError> {
    match value {
        Value::Null => Ok(SqlValue::Null),
        Value::Int(int) => Ok(SqlValue::Int(int)),
        Value::Blob(blob) => Ok(SqlValue::Blob(Bytes::from(blob))),
        Value::Real(_) | Value::Text(_) => Err(StoreError("a column is neither integer nor blob".into())),
    }
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        Self(error.0)
    }
}
