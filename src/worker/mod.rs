//! The edge service: a Worker that routes, and one Durable Object per queue. It is the shell of the
//! [broker](crate::broker) on this platform, and has nothing that another platform could use.
//!
//! - `js/entry.mjs`: the module that the platform loads; `js/instance.mjs`: how it survives the death of a wasm
//!   instance;
//! - `service`: the Worker. It checks the token, finds the queue's object and passes the request on unread;
//! - `shell`: the object. Every event becomes an input of the broker, every output a call to the `host`;
//! - `host`, `js/host.mjs`: the platform of an object: answers, sockets, alarm, timer, calls;
//! - `storage`: the SQLite database of an object, for the store;
//! - `head`: method, address and headers out of one text;
//! - `clock`: time and randomness; `faults`: panics and traps on request, in builds for tests only.
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
