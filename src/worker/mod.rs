//! The edge service: a Worker that routes, and one Durable Object per queue. It is the shell of the
//! [broker](crate::broker) on this platform, and holds nothing but what the platform needs.
//!
//! - `js/entry.mjs`: what the platform loads; `js/instance.mjs`: how it survives the death of a wasm instance;
//! - `service`: the Worker: checks the token, finds the queue's object and hands the request on untouched;
//! - `shell`: the object: every event becomes an input of the broker, every output a call to the `host`;
//! - `host`, `js/host.mjs`: what the platform does for an object: answers, sockets, alarm, timer, calls;
//! - `storage`: its SQLite database, as the store wants it;
//! - `head`: method, address and headers out of one text;
//! - `clock`: time and randomness; `faults`: panics on request, in builds for tests only.
//!
//! `wasm-bindgen` expands to unsafe code, which is denied everywhere else.
#![allow(unsafe_code, reason = "the expansions of #[wasm_bindgen]")]

mod clock;
#[cfg(feature = "faults")]
mod faults;
mod head;
mod host;
mod service;
mod shell;
mod storage;
