//! The consumer beside a queue: which predictor is called, what its answers mean, where results and webhooks go. Pure,
//! `no_std`, time is an argument.
//!
//! A [`Runner`] takes events in and gives actions out. Read [`runner`] first, then [`event`].
//!
//! - [`runner`]: a request from its push to its answer; `ending`: from the answer to the commit; `job`: its phases;
//! - `admission`: which answers fit into memory; `breaker`: what happens while a predictor is down;
//! - [`outcome`]: what an answer means: a result, a failure that is tried again, the last failure;
//! - [`outbox`]: entries on their way to another queue, and when a put is tried again;
//! - [`request`]: the HTTP request to a predictor;
//! - [`consumer`]: the runner as the queue sees it;
//! - [`webhook`]: the callback about a request that ended, and its signature;
//! - [`hosts`]: the hosts that may be called.
//!
//! There is exactly one result: a put into the sink names the request it belongs to, and the sink takes no second one
//! for it. So every step may happen twice. Their order is fixed: result, webhook, commit.

mod admission;
mod breaker;
pub mod consumer;
mod ending;
pub mod event;
pub mod hosts;
mod job;
pub mod outbox;
pub mod outcome;
pub mod request;
pub mod runner;
pub mod webhook;

pub use event::{Action, Event, RunnerConfig};
pub use runner::Runner;
