//! edgequeue: a queue service for asynchronous inference at the edge.
#![cfg_attr(not(feature = "std"), no_std)]
extern crate alloc;

pub mod queue;
pub mod store;
pub mod wire;
