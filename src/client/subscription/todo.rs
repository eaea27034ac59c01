//! What a watch asks its shell to do, and what it tells about itself.

use crate::client::answer::Failure;
use crate::client::request::HttpRequest;
use crate::queue::entry::Frame;
use alloc::{string::String, vec::Vec};

/// What the shell has to do.
#[derive(Debug)]
pub enum Todo {
    /// Connect; then [`opened`](super::Subscription::opened), [`refused`](super::Subscription::refused) or
    /// [`lost`](super::Subscription::lost).
    Connect(Attempt),
    /// Send this binary message on the connection.
    Send(Vec<u8>),
    /// Send a ping on this connection; an answer is [`heard`](super::Subscription::heard).
    Ping(u64),
    /// Close this connection.
    Close(u64),
    /// Send this request by HTTP; then [`settled`](super::Subscription::settled).
    Settle(HttpRequest),
    /// Give this entry to the user, who answers with [`decide`](super::Subscription::decide) unless the service commits
    /// by itself.
    Deliver(Frame),
    /// The service has confirmed the decisions about these entries.
    Confirmed(Vec<u64>),
    /// The oldest change of the window is done, or refused.
    Resized(Result<(), Failure>),
    /// The watch is in another phase now.
    Turned(WatchPhase),
    /// Nothing before this time, in milliseconds, unless something happens.
    Wait(u64),
    /// The watch is over.
    Over(End),
}

/// A connection to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Number of the connection.
    pub number: u64,
    /// The request that makes it.
    pub request: HttpRequest,
    /// Subprotocols to offer; empty for none.
    pub protocols: Vec<String>,
}

/// How a watch is, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchPhase {
    /// The first connection is being made.
    Connecting,
    /// Entries arrive.
    Open {
        /// Whether the connection speaks `edgequeue.v1`.
        is_session: bool,
    },
    /// The connection is gone, and another one is being made.
    Reconnecting {
        /// Why the last one is gone, or could not be made.
        why: String,
        /// When the next attempt begins, in milliseconds; 0: it has begun.
        next_try_ms: u64,
        /// Attempts that failed since a connection was of use.
        attempt: u32,
    },
    /// What was decided is being confirmed, and the rest handed back.
    Closing,
}

/// How a watch ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The user left it.
    Left,
    /// The stream was ended, and everything in it was delivered.
    Ended,
    /// Another consumer with the same group and user took its place.
    TakenOver,
    /// The first connection could not be made, and why.
    Unreachable(String),
    /// The service refuses it.
    Failed(Failure),
}

/// What a watch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchTotals {
    /// Entries given out.
    pub shown: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Entries whose commit was confirmed.
    pub committed: u64,
    /// Entries whose negative commit was confirmed, without those handed back at the end.
    pub rejected: u64,
    /// Entries handed back at the end.
    pub returned: u64,
    /// Entries that came again and were not given out again.
    pub repeated: u64,
    /// Connections after the first.
    pub reconnects: u64,
}
