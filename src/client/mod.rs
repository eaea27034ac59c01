//! The client: the other end of the wire. Requests as values, answers to values, and the state a watch or a long put
//! needs; no socket, no clock, no thread, so that the command line and the browser share it.
//!
//! 1. [`Endpoint`] names a queue and who asks; its methods make a [`Request`] for every verb.
//! 2. A shell sends the request and hands what came back, a [`Response`], to the function in [`answer`] that reads it.
//! 3. A watch is a [`Session`]: the shell asks it what to do next and tells it what happened.
//! 4. A put of many lines is cut into [`Batch`]es, and [`Receipts`] knows what became of each line.
//!
//! Only the plain protocol is needed from a service. What ours can do beyond it is asked for after the service has said
//! who it is ([`answer::takes_batches`]), because a strange service would take a batch for one entry.

pub mod answer;
mod backoff;
mod batch;
mod endpoint;
mod receipts;
mod recent;
mod request;
mod session;
mod settlements;

pub use answer::{Failure, Kind, Response};
pub use backoff::Backoff;
pub use batch::Batch;
pub use endpoint::Endpoint;
pub use receipts::{Outcome, Receipts};
pub use request::{Put, Read, Request, Subscribe};
pub use session::{End, Session, Todo, Totals};
pub use settlements::Decision;
