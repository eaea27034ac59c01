//! The test host: a shell around the real [`Broker`](edgequeue::broker::Broker), in memory and in virtual time.
//!
//! [`host::Host`] does what the contract of the broker asks of a shell, and checks that the broker keeps its side.
//! Worlds decide what happens and when: journeys, the simulators, the cost test and the benches are all built on it.

#![allow(dead_code, reason = "each test needs a part of it")]

pub mod disk;
pub mod gated_rows;
pub mod host;
pub mod request;
