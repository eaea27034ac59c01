//! Requests: method, path, query and headers in, a [`Call`] out.
use super::address::Address;
use super::status::{Answer, Encoding, Form};
use crate::queue::entry::{Filter, Index, Lane, Tags};
use crate::queue::event::{ConsumerId, Get, Watch};
use crate::queue::store::Side;
use alloc::{string::String, vec::Vec};

/// What is known of a request before its body.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// `GET`, `POST`, ...
    pub method: &'a str,
    /// Path, percent-encoded, beginning with `/`.
    pub path: &'a str,
    /// Query without the `?`; may be empty.
    pub query: &'a str,
    /// Looks a header up; must ignore case.
    pub header: &'a dyn Fn(&str) -> Option<String>,
}

/// A request that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The queue.
    pub address: Address,
    /// Which side of it.
    pub side: Side,
    /// Who asks.
    pub consumer: ConsumerId,
    /// What for.
    pub operation: Operation,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Store the body. `tags` are complete except for a generated `requestId`.
    Put {
        /// Priority.
        lane: Lane,
        /// Tags, time stamp included.
        tags: Tags,
    },
    /// Read.
    Get {
        /// What.
        get: Get,
        /// How the answer is written.
        encoding: Encoding,
    },
    /// Tell the attributes.
    Attributes {
        /// How the answer is written; never raw.
        encoding: Encoding,
    },
    /// Count entries.
    Count {
        /// Of this priority only.
        lane: Option<Lane>,
        /// With these tags.
        filter: Filter,
    },
    /// Tell where an entry stands.
    Search {
        /// Which.
        index: Index,
    },
    /// Subscribe.
    Watch {
        /// To what.
        watch: Watch,
        /// How frames are sent.
        transport: Transport,
    },
    /// Commit.
    Commit {
        /// What, at least one.
        indexes: Vec<Index>,
    },
    /// Commit negatively; code and reason are in the body: see [`rejection::parse`](super::rejection::parse).
    Reject {
        /// What, at least one.
        indexes: Vec<Index>,
    },
    /// Remove entries.
    Remove {
        /// What, at least one.
        indexes: Vec<Index>,
    },
    /// Remove everything below an index.
    Truncate {
        /// The first that stays.
        below: Index,
    },
    /// End the stream.
    End {
        /// Drop what is waiting.
        force: bool,
    },
    /// Change settings; the change is in the body: see [`settings::Patch::parse`](super::settings::Patch::parse).
    Configure,
    /// Tell the settings.
    Settings,
}

/// How a watcher is sent its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One frame per binary WebSocket message.
    Socket,
    /// Length-delimited frames in an endless body: see [`frame::delimited`](super::frame::delimited).
    Stream,
}

/// Reads a request. `now_ms` is stamped on puts. The answer is a 4xx that says what is wrong.
pub fn parse(_head: &Head, _now_ms: u64) -> Result<Call, Answer> {
    todo!()
}

impl Call {
    /// How the reply is to be written.
    pub fn form(&self) -> Form {
        todo!()
    }
}
