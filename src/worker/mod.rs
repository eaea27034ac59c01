//! The edge service: a Worker that routes, and one Durable Object per queue.
//!
//! The room from door to desk:
//! - `entry.mjs`: the module the platform loads; keeps one dead wasm instance from taking the service with it;
//! - `service`: the Worker: checks the token, finds the queue's object and hands the request on untouched (`head` reads
//!   what both need to know of it);
//! - `object`: the Durable Object: a doorway; requests become events (`body` reads what they carry), replies become
//!   responses (`respond`);
//! - `desk`: collects events, takes the machine's turns, writes what came of them, carries the effects out;
//! - `consumer`: works the queue off inside the object; `inference`: who is called for it; `outside`: the calls;
//! - `inbox`: what waits on the desk, and `patience`: how long; `connections`: who watches; `session`: sockets that speak
//!   our own protocol;
//! - `attachment`: what a socket remembers while the object sleeps;
//! - `faults`: faults and measurements for tests, in deployments that allow them;
//! - `rows`, `storage`, `alarm`, `sockets`, `departure`: what the platform offers an object, as safe Rust with errors as
//!   values.
//!
//! Only this room knows the platform. `wasm-bindgen` expands to unsafe code, which is denied everywhere else.
#![allow(unsafe_code, reason = "the expansions of #[wasm_bindgen], #[event] and #[durable_object]")]

mod alarm;
mod attachment;
mod body;
mod connections;
mod consumer;
mod departure;
mod desk;
mod faults;
mod head;
mod inbox;
mod inference;
mod object;
mod outside;
mod patience;
mod respond;
mod rows;
mod service;
mod session;
mod sockets;
mod storage;
