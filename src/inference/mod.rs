//! Working a queue off: who is called, what an answer means, where results and webhooks go. Pure, `no_std`, time is an
//! argument.
//!
//! A [`Runner`] is the consumer of an input queue that lives beside it. Read [`runner`] first, then [`event`]: events in,
//! actions out.
//!
//! - [`runner`]: what becomes of each request between being pushed and being committed; `job`: how far each has come;
//! - [`outcome`]: what an answer of a predictor means: a result, a failure to be tried again, the last one;
//! - [`outbox`]: what waits to be put into another queue, and when that is tried again;
//! - [`request`]: what a predictor is sent;
//! - [`consumer`]: who works the queue off, as the queue knows it;
//! - [`webhook`]: what a callback is told, and its signature;
//! - [`hosts`]: which hosts may be called at all.
//!
//! Exactly one result: a put into the sink names the request it is the outcome of, and the sink takes no second one for
//! it. Everything here may therefore happen twice. The order is fixed: result, webhook, commit.

pub mod consumer;
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
