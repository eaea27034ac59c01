//! The store, held against a naive one: same answers after every change, over memory and over SQLite, before and after
//! reopening; and what it may cost.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

#[path = "support/gated_rows.rs"]
mod gated_rows;

mod store {
    pub mod backing;
    mod conformance;
    mod corruption;
    mod cost;
    pub mod faulty;
    pub mod fixture;
    mod golden;
    pub mod reference;
    mod speed;
    mod upgrade;
}
