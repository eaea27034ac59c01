//! Rows that fail when they are told to.

use super::backing::Backing;
use crate::gated_rows::{Gate, GatedRows};
use edgequeue::queue::refusal::StoreError;

/// Rows that fail when they are told to. Once the operation that was chosen has failed, all later ones fail too, until
/// [`heal`](FaultyRows::heal).
pub type FaultyRows<R> = GatedRows<R, Countdown>;

/// How many further operations succeed; `None` for all.
#[derive(Clone, Debug, Default)]
pub struct Countdown(Option<u64>);

impl Gate for Countdown {
    fn pass(&mut self) -> Result<(), StoreError> {
        match &mut self.0 {
            Some(0) => return Err(StoreError::Io("the rows were told to fail".into())),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }
}

impl<R> FaultyRows<R> {
    /// Rows that do not fail yet.
    pub fn new(rows: R) -> Self {
        Self { rows, gate: Countdown::default() }
    }

    /// Lets this many further operations succeed.
    pub fn fail_after(&mut self, operations: u64) {
        self.gate = Countdown(Some(operations));
    }

    /// Fails no more.
    pub fn heal(&mut self) {
        self.gate = Countdown::default();
    }
}

impl<R: Backing> Backing for FaultyRows<R> {
    fn begin(&mut self) {
        self.rows.begin();
    }
    fn commit(&mut self) {
        self.rows.commit();
    }
    fn rollback(&mut self) {
        self.rows.rollback();
    }
}
