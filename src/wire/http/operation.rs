//! What a request asks for, and how its reply is written.

use super::address::Address;
use super::batch::BatchPut;
use crate::queue::entry::{Filter, Index, Priority, Tags};
use crate::queue::event::{ConsumerId, Get, Watch};
use crate::queue::store::Side;
use alloc::{string::String, vec::Vec};

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
    pub purpose: CallPurpose,
}

/// What a call is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallPurpose {
    /// One operation, which has one reply.
    Operation(Operation),
    /// A subscription, which begins a connection.
    Watch {
        /// To what.
        watch: Watch,
        /// How frames are sent.
        transport: Transport,
    },
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Store the body. `tags` are complete except for a generated `requestId`.
    Put {
        /// Priority.
        priority: Priority,
        /// Tags, time stamp included.
        tags: Tags,
        /// Whether it is stored only if its request id is not there yet.
        once: bool,
    },
    /// Store the entries in the body.
    Batch {
        /// What is known before the body.
        batch: BatchPut,
        /// How the answer is written.
        encoding: Encoding,
    },
    /// Read.
    Get {
        /// What.
        get: Get,
        /// How the answer is written.
        encoding: EntryEncoding,
    },
    /// Tell the attributes.
    Attributes {
        /// How the answer is written.
        encoding: Encoding,
    },
    /// Count entries.
    Count {
        /// Of this priority only.
        priority: Option<Priority>,
        /// With these tags.
        filter: Filter,
    },
    /// Tell where an entry stands.
    Search {
        /// Which.
        index: Index,
    },
    /// Commit.
    Commit {
        /// What, at least one.
        indexes: Vec<Index>,
    },
    /// Commit negatively; code and reason are in the body: see [`rejection::parse`](crate::wire::rejection::parse).
    Reject {
        /// What, at least one.
        indexes: Vec<Index>,
        /// The delay that the query asks for, in milliseconds.
        delay_ms: Option<u64>,
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
    /// Tell what became of a request.
    Status {
        /// Which.
        request_id: String,
    },
    /// Cancel a request.
    Cancel {
        /// Which.
        request_id: String,
    },
}

/// How a watcher is sent its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One frame per binary WebSocket message.
    Socket,
    /// The same for a client that wants a name for it: see [`PLAIN`](crate::wire::v1::subprotocol::PLAIN).
    Plain,
    /// Messages of our own protocol on a WebSocket: see [`v1`](crate::wire::v1).
    Session,
    /// Length-delimited frames in an endless body: see [`frame::delimited`](crate::wire::proto::frame::delimited).
    Stream,
}

/// How lists and attributes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON.
    Json,
    /// Protobuf.
    Protobuf,
}

/// How entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryEncoding {
    /// The bare body of a single entry. Bare bodies of several could not be told apart, so those are a JSON list.
    Raw,
    /// A list of frames.
    List(Encoding),
}

/// How the reply to an operation is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Index of the entry put.
    Put,
    /// Receipts of a batch.
    Batch(Encoding),
    /// Entries.
    Entries(EntryEncoding),
    /// Attributes of this side of a queue.
    Attributes(Encoding, Address, Side),
    /// Settings of a queue.
    Settings,
    /// A number of entries.
    Count,
    /// Where an entry stands.
    Position,
    /// What became of the request with this id, as this side of a queue knows it.
    Progress(String, Address, Side),
    /// A cancellation of the request with this id.
    Cancelled(String),
    /// That it was done.
    Done,
}

impl Operation {
    /// How the reply is to be written, for the queue that was asked.
    pub fn form(&self, address: &Address, side: Side) -> Form {
        match self {
            Self::Put { .. } => Form::Put,
            Self::Batch { encoding, .. } => Form::Batch(*encoding),
            Self::Get { encoding, .. } => Form::Entries(*encoding),
            Self::Attributes { encoding } => Form::Attributes(*encoding, address.clone(), side),
            Self::Settings => Form::Settings,
            Self::Count { .. } => Form::Count,
            Self::Search { .. } => Form::Position,
            Self::Status { request_id } => Form::Progress(request_id.clone(), address.clone(), side),
            Self::Cancel { request_id } => Form::Cancelled(request_id.clone()),
            Self::Commit { .. }
            | Self::Reject { .. }
            | Self::Remove { .. }
            | Self::Truncate { .. }
            | Self::End { .. }
            | Self::Configure => Form::Done,
        }
    }
}
