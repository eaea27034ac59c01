//! Requests: method, path, query and headers in, a [`Call`] out.
//!
//! A parameter that an operation does not use is ignored, since clients send some of them everywhere; one that nobody
//! uses is refused by [`Query`], since it is a misspelling.

use super::address::Address;
use super::batch::Batch;
use super::operation;
use super::query::Query;
use super::scalar::{self, shown};
use super::status::{Answer, Encoding, Form};
use crate::queue::entry::{Filter, Index, Lane, Tags};
use crate::queue::event::{ConsumerId, Get, Watch};
use crate::queue::limits;
use crate::queue::store::Side;
use alloc::{format, string::String, vec::Vec};

/// Header with the name of the consumer.
pub const HEADER_USER: &str = "X-EAS-QueueService-Uid";
/// Header with the name of the consumer's group.
pub const HEADER_GROUP: &str = "X-EAS-QueueService-Gid";
/// The same as some clients write it.
pub const HEADER_USER_REDIS: &str = "X-EAS-QueueService-Redis-Uid";
/// The same as some clients write it.
pub const HEADER_GROUP_REDIS: &str = "X-EAS-QueueService-Redis-Gid";
/// Header with the priority of a put.
pub const HEADER_PRIORITY: &str = "X-EAS-QueueService-Priority";
/// Header that selects the rear queue.
pub const HEADER_REAR: &str = "X-EAS-QueueService-Access-Rear";
/// Consumer of a request that names none.
pub const USER_DEFAULT: &str = "default_user";
/// Group of a request that names none.
pub const GROUP_DEFAULT: &str = "default_group";

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
    /// Store the entries in the body.
    Batch {
        /// What is known before the body.
        batch: Batch,
        /// How the answer is written; never raw.
        encoding: Encoding,
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
    /// The same for a client that wants a name for it: see [`handshake::PLAIN`](super::handshake::PLAIN).
    Plain,
    /// Messages of our own protocol on a WebSocket: see [`socket`](super::socket).
    Session,
    /// Length-delimited frames in an endless body: see [`frame::delimited`](super::frame::delimited).
    Stream,
}

/// Reads a request. `now_ms` is stamped on puts. The answer is a 4xx that says what is wrong.
pub fn parse(head: &Head, now_ms: u64) -> Result<Call, Answer> {
    let address = Address::parse(head.path)?;
    if !matches!(head.method, "GET" | "POST" | "PUT" | "DELETE") {
        let text =
            format!("a queue does not know the method {}; it knows GET, POST, PUT and DELETE", shown(head.method));
        return Err(Answer::wrong_method("GET, POST, PUT, DELETE", text));
    }
    let query = Query::parse(head.query)?;
    if head.method != "POST" && !address.suffix.is_empty() && !query.has_reserved() {
        return Err(Answer::text(
            404,
            format!(
                "there is nothing to {} at the sub-path {}; only POST takes one",
                head.method,
                shown(&address.suffix)
            ),
        ));
    }
    let operation = operation::of(head, &query, &address, now_ms)?;
    Ok(Call { side: side(head)?, consumer: consumer(head)?, address, operation })
}

impl Call {
    /// How the reply is to be written.
    pub fn form(&self) -> Form {
        match &self.operation {
            Operation::Batch { encoding, .. } => Form::Batch(*encoding),
            Operation::Get { encoding, .. } => Form::Entries(*encoding),
            Operation::Attributes { encoding } => Form::Attributes(*encoding, self.address.clone(), self.side),
            Operation::Settings => Form::Settings,
            _ => Form::Plain,
        }
    }
}

fn side(head: &Head) -> Result<Side, Answer> {
    let value = (head.header)(HEADER_REAR).filter(|value| !value.is_empty());
    match value.as_deref().map(scalar::boolean).transpose() {
        Ok(Some(true)) => Ok(Side::Rear),
        Ok(_) => Ok(Side::Main),
        Err(wrong) => Err(Answer::bad(format!("the header {HEADER_REAR} {wrong}"))),
    }
}

pub(super) fn consumer(head: &Head) -> Result<ConsumerId, Answer> {
    Ok(ConsumerId {
        group: name(head, HEADER_GROUP, HEADER_GROUP_REDIS, GROUP_DEFAULT)?,
        user: name(head, HEADER_USER, HEADER_USER_REDIS, USER_DEFAULT)?,
    })
}

fn name(head: &Head, header: &str, header_redis: &str, default: &str) -> Result<String, Answer> {
    let sent = |header: &str| (head.header)(header).filter(|value| !value.is_empty());
    let Some((header, name)) =
        sent(header).map(|name| (header, name)).or_else(|| sent(header_redis).map(|name| (header_redis, name)))
    else {
        return Ok(default.into());
    };
    if name.len() > limits::NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Answer::bad(format!(
            "the header {header} must be at most {} bytes without control characters, not {}",
            limits::NAME_BYTES_MAX,
            shown(&name)
        )));
    }
    Ok(name)
}
