//! The client: the other end of the wire. Requests as values, answers to values, and the state that a watch or a long
//! put needs; no socket, no clock, no thread, so that the command line and the browser share it.
//!
//! 1. [`Endpoint`] names a queue and who asks; its methods make a [`HttpRequest`] for every verb.
//! 2. A shell sends the request and hands what came back, a [`HttpResponse`], to the function in [`answer`] that reads
//!    it.
//! 3. A watch is a [`Subscription`]: the shell asks it what to do next and tells it what happened. What it says and
//!    hears on a socket that speaks `edgequeue.v1` goes through a [`ClientConnection`], which others can use on its
//!    own.
//! 4. A put of many lines is cut into [`LineBatch`]es, and [`Receipts`] knows what became of each line.
//!
//! Only the plain protocol is needed from a service. What ours can do beyond it is used after the service has said who
//! it is ([`answer::is_edgequeue`]): another service would take a batch for one entry.

pub mod answer;
mod backoff;
mod connection;
mod endpoint;
mod frames;
mod line_batch;
mod receipts;
mod request;
mod subscription;
mod verbs;

pub use answer::{Failure, FailureKind, HttpResponse};
pub use backoff::Backoff;
pub use connection::{ClientConnection, Incoming};
pub use endpoint::Endpoint;
pub use line_batch::LineBatch;
pub use receipts::{LineOutcome, Receipts};
pub use request::{HttpRequest, Put, Read, WatchOptions};
pub use subscription::{Attempt, Decision, End, Subscription, Todo, WatchPhase, WatchTotals, WatchTransport};
