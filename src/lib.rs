//! edgequeue: a queue service for asynchronous inference at the edge, compatible with the PAI-EAS queue protocol.
//!
//! The rooms, in the order in which data walks through them:
//!
//! - [`wire`]: bytes to values: a request becomes a call, a call becomes an [`queue::Event`];
//! - [`queue`]: the machine: a turn takes an event and results in writes and effects; read its `mod.rs` first;
//! - [`store`]: where entries live: the writes of one or several turns become few rows;
//! - [`inference`]: the consumer beside a queue: what is called, what answers mean, where results go;
//! - `worker`: the shell on the platform: writes the rows and carries the effects out, of which nothing leaves before the
//!   rows are durable; [`wire`] makes bytes of the replies.
//!
//! [`client`] is the other end of the wire, for the command line and for browsers.
//!
//! `queue`, `wire`, `store`, `inference` and `client` are pure: no clock, no randomness, no I/O, no operating system.
//! `docs/architecture.md` has the drawing and the invariants.
#![cfg_attr(not(feature = "std"), no_std)]
extern crate alloc;

pub mod client;
pub mod inference;
pub mod queue;
pub mod store;
pub mod wire;

#[cfg(all(feature = "worker", not(all(target_arch = "wasm32", target_os = "unknown"))))]
compile_error!("the feature `worker` is for wasm32-unknown-unknown only: build it with `npm run build`");

#[cfg(all(feature = "browser", not(all(target_arch = "wasm32", target_os = "unknown"))))]
compile_error!("the feature `browser` is for wasm32-unknown-unknown only: build it with `npm run build`");
#[cfg(all(feature = "worker", feature = "browser"))]
compile_error!("`worker` and `browser` are two modules with an entrance each: build them one at a time");

#[cfg(feature = "browser")]
mod browser;
#[cfg(feature = "worker")]
mod worker;
