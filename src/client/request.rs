//! Requests as values, and what the verbs of [`Endpoint`] are asked for.

use super::endpoint::Endpoint;
use crate::queue::entry::{Index, Tags};
use crate::queue::event::Start;
use alloc::{format, string::String, vec::Vec};
use bytes::Bytes;

/// A request ready to be sent to its [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// Headers. Their values come from the user unchecked; the shell refuses those that no header can have.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for none.
    pub body: Bytes,
    /// Whether it may be sent again when no answer came: nothing is then done twice.
    pub repeatable: bool,
}

/// How entries are put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// Tags of the entries.
    pub tags: Tags,
    /// Priority; higher is delivered first.
    pub priority: i64,
    /// Sub-path for the consumer of the entry, beginning with `/` and percent-encoded; or empty.
    pub path: String,
    /// Each entry is stored only if its request id is not there yet, so that the request can be repeated (our own
    /// service only).
    pub once: bool,
    /// URL that is told when the request has ended (our own service only); or empty.
    pub callback: String,
}

/// Which entries are read, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Where reading begins.
    pub start: Start,
    /// Most entries to return.
    pub count: u64,
    /// How long to wait for them, in milliseconds.
    pub wait_ms: u64,
    /// Whether they are removed.
    pub remove: bool,
    /// Tags they must have.
    pub tags: Tags,
}

/// Which entries are watched, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchOptions {
    /// Where a new group begins.
    pub start: Start,
    /// Most uncommitted entries at this consumer.
    pub window: u32,
    /// The service commits what it has sent.
    pub auto_commit: bool,
    /// Frames without bodies.
    pub index_only: bool,
    /// Tags entries must have.
    pub tags: Tags,
}

impl WatchOptions {
    /// Where later connections begin, if not where the first does; `attributes` are those of the queue before the
    /// first. A new group that begins with what is newest takes up, after a break, what came in the meantime; in a
    /// group that exists already only [`Start::Newest`] skips what waits there, so that is asked for again.
    pub fn resume(&self, endpoint: &Endpoint, attributes: &Tags) -> Option<Start> {
        let id = format!("Id: {},", endpoint.consumer.group);
        let exists = attributes.iter().any(|(key, value)| key.starts_with("groups.list.") && value.starts_with(&id));
        if self.start != Start::Newest || exists {
            return None;
        }
        let last: u64 = attributes.get("stream.lastEntry")?.parse().ok()?;
        Some(Start::At(Index(last + 1)))
    }
}
