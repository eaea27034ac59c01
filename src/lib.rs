//! edgequeue: a queue service for asynchronous inference at the edge, compatible with the PAI-EAS queue protocol.
//!
//! **A [`Broker`](broker::Broker) takes in what happened and says what to do. It reads no clock and never blocks. What
//! it says after a flush must not be seen outside before that flush is durable.** The shell around it has one loop:
//!
//! 1. the bytes of a request become a [`Call`](wire::Call), which the broker [takes in](broker::Broker::handle);
//! 2. until there is nothing left, the shell [asks](broker::Broker::poll) what to do and does it: open the store, flush
//!    it, wait, answer, send, set an alarm, call a predictor;
//! 3. the results of these are the next inputs.
//!
//! Here is that loop in memory, with a put, a push and a commit:
//!
//! ```
//! use edgequeue::broker::{Body, Broker, Input, Output, RequestId};
//! use edgequeue::store::{SegmentStore, memory::MemoryRows};
//! use edgequeue::wire::{self, RequestParts};
//!
//! type Store = SegmentStore<MemoryRows>;
//!
//! /// Makes a request, and returns everything that the broker says because of it.
//! fn ask(broker: &mut Broker<Store>, id: u64, method: &str, query: &str, body: &'static str) -> Vec<Output> {
//!     let now_ms = 1_790_000_000_000;
//!     let parts = RequestParts { method, path: "/api/predict/demo", query, header: &|_| None };
//!     let call = wire::parse(&parts, now_ms).expect("a good request");
//!     let (id, body) = (RequestId(id), Body::Whole(body.into()));
//!     broker.handle(now_ms, Input::Request { id, call, body, random: 7 });
//!     let mut said = Vec::new();
//!     while let Some(output) = broker.poll(now_ms) {
//!         let answer = match &output {
//!             Output::Open => Input::Opened { store: Store::open(MemoryRows::new()), sockets: Vec::new() },
//!             Output::Flush { .. } => Input::Flushed(broker.flush()),
//!             Output::Wait(_) => Input::Waited,
//!             _ => {
//!                 said.push(output);
//!                 continue;
//!             }
//!         };
//!         broker.handle(now_ms, answer);
//!     }
//!     said
//! }
//!
//! let mut broker = Broker::new("demo", Box::new(|_| None));
//! let said = ask(&mut broker, 1, "POST", "", "hello");
//! assert!(matches!(&said[..], [Output::Answer(RequestId(1), answer)] if answer.body == "1"));
//!
//! let said = ask(&mut broker, 2, "GET", "_watch_=true&_window_=5", "");
//! let [Output::Accept { connection, .. }, Output::Send(to, frame), ..] = &said[..] else { panic!("{said:?}") };
//! assert_eq!(connection, to);
//! assert!(frame.ends_with(b"hello"));
//!
//! let said = ask(&mut broker, 3, "PUT", "_indexes_=1", "");
//! assert!(matches!(&said[..], [Output::Answer(RequestId(3), answer), ..] if answer.body == "OK"));
//! ```
//!
//! The rooms, in the order in which data passes through them:
//!
//! - [`wire`]: bytes to values and back. A request becomes a call, a reply becomes an answer;
//! - [`broker`]: everything that makes a queue a server: pending replies, group commit, connections, alarms, calls;
//! - [`queue`]: the machine. A turn takes an event and results in writes and effects;
//! - [`store`]: the entries. The writes of several turns become few rows;
//! - [`inference`]: the consumer beside a queue: calls to predictors, the meaning of answers, the way of results;
//! - `worker`: the shell on the platform.
//!
//! [`client`] is the other end of the wire, for the command line and for browsers.
//!
//! All rooms but the shells are pure: no clock, no randomness, no I/O, no operating system. `docs/architecture.md` has
//! the drawing and the invariants.
#![cfg_attr(not(feature = "std"), no_std)]
extern crate alloc;

pub mod broker;
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
