//! What a [`Runner`](super::Runner) is told, and what it wants done.

use super::outbox::PutId;
use super::outcome::{CallFailure, PredictorAnswer, ResultEntry};
use crate::queue::entry::{Index, TAG_REQUEST_ID, Tags};
use alloc::{string::String, vec::Vec};
use bytes::Bytes;

/// How a queue is worked off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerConfig {
    /// Name of the service, for webhooks.
    pub service: String,
    /// Requests at the predictor at one time; 0: none any more.
    pub window: u32,
    /// Time a predictor has to answer, in milliseconds.
    pub timeout_ms: u64,
    /// Delay before the second attempt, in milliseconds; doubled with each further one.
    pub retry_delay_ms: u64,
    /// Attempts at one request; 0: unlimited.
    pub max_delivery: u32,
    /// Whether answers are results for the sink, and endings are told. Otherwise only the status of an answer counts.
    pub results: bool,
    /// Who is told of the end of requests that name nobody; may be empty.
    pub callback: String,
}

/// A request to be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Its index in the input queue.
    pub index: Index,
    /// The attempt this is, from 1.
    pub attempt: u32,
    /// Its tags.
    pub tags: Tags,
    /// Its body.
    pub data: Bytes,
}

impl Work {
    /// The caller's id of the request.
    pub fn request_id(&self) -> &str {
        self.tags.get(TAG_REQUEST_ID).map_or("", String::as_str)
    }
}

/// Names one call; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// Where something is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The sink of the service.
    Sink,
    /// The queue of its callbacks.
    Callbacks,
}

/// Where a entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its index there; 0 when that is not known.
    pub index: Index,
    /// It was stored before, by a put of which nothing is remembered here. What was stored may be another entry.
    pub repeated: bool,
}

/// What became of a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// Stored, in the order of the entries.
    Stored(Vec<Place>),
    /// Refused whatever is tried: status and sentence. Nothing of the put was stored.
    Refused(u16, String),
    /// Not taken now: full, busy or not to be reached. It is not known whether it was stored.
    Later,
}

/// What happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The queue gave a request out.
    Pushed(Work),
    /// Somebody else took it away: cancelled, deleted, expired.
    Revoked(Index),
    /// An answer begins: its status, and the length of its body where that is known.
    Begun(CallId, u16, Option<u64>),
    /// An answer is there.
    Answered(CallId, PredictorAnswer),
    /// No answer will come.
    Failed(CallId, CallFailure),
    /// A put was answered.
    Put(PutId, PutOutcome),
    /// Time has passed.
    Tick,
}

/// What the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Call the predictor; answered by [`Event::Begun`] or [`Event::Failed`].
    Call(CallId, Work),
    /// Read the body of an answer that has begun, at most so many bytes; answered by [`Event::Answered`] or
    /// [`Event::Failed`].
    Read(CallId, usize),
    /// Give a call up; nothing of it is reported any more.
    Abort(CallId),
    /// Put entries into another queue, each the outcome of the request before it; of requests below `settled_below` none
    /// will be put again. Answered by [`Event::Put`].
    Put {
        /// The put.
        put: PutId,
        /// Where to.
        to: Destination,
        /// What, at least one.
        entries: Vec<(Index, ResultEntry)>,
        /// See there.
        settled_below: Index,
    },
    /// The request is done.
    Commit(Index),
    /// The request failed; it may be given out again after `delay_ms`.
    Reject {
        /// Which.
        index: Index,
        /// Code of the failure.
        code: String,
        /// For people.
        reason: String,
        /// Not before.
        delay_ms: u64,
    },
    /// From now on at most so many requests may be out here.
    Window(u32),
}

/// What stops a request from being cancelled: its result is on its way or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storing;
