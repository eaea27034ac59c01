//! edgequeue: a queue service for asynchronous inference at the edge.
#![cfg_attr(not(feature = "std"), no_std)]
extern crate alloc;

pub mod queue;

#[cfg(all(feature = "worker", not(all(target_arch = "wasm32", target_os = "unknown"))))]
compile_error!("the feature `worker` is for wasm32-unknown-unknown only: build it with `npm run build`");

#[cfg(feature = "worker")]
mod worker;
