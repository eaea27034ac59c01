//! The protocol `edgequeue.v1` on a WebSocket, for clients that offer it: requests with answers, several of either in
//! one message.
//!
//! A client message is a list of [`client::ClientRequest`]s, which are carried out in their order. A server message is
//! a list of [`server::ServerAnswer`]s and of pushed frames. Both are protobuf and can be written by appending;
//! `docs/protocol.md` has the schema. Unknown fields are skipped. A change that old clients would misread gets another
//! name in [`subprotocol`].

pub mod client;
pub mod server;
mod steps;
pub mod subprotocol;

/// Text message that is answered with [`PONG`] without waking the queue.
pub const PING: &str = "ping";
/// Answer to [`PING`].
pub const PONG: &str = "pong";
