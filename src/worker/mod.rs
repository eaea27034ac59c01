//! The edge service: a Worker that routes, and one Durable Object per queue.
//!
//! The room from door to desk:
//! - `entry.mjs`: the module the platform loads; keeps one dead wasm instance from taking the service with it;
//! - `service`: the Worker: finds the queue's object and hands the request on untouched;
//! - `object`: the Durable Object: a doorway of handlers;
//! - `storage`, `alarm`, `sockets`, `departure`: what the platform offers an object, as safe Rust with errors as values.
//!
//! Only this room knows the platform. `wasm-bindgen` expands to unsafe code, which is denied everywhere else.
#![allow(unsafe_code, reason = "the expansions of #[wasm_bindgen], #[event] and #[durable_object]")]

#[allow(dead_code, reason = "SKELETON: the queue will use what is still unused")]
mod alarm;
mod departure;
mod object;
mod service;
#[allow(dead_code, reason = "SKELETON: as above")]
mod sockets;
#[allow(dead_code, reason = "SKELETON: as above")]
mod storage;
