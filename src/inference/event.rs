//! The events that a [`Runner`](super::Runner) takes in, and the actions it wants done.

use super::outbox::PutId;
use super::outcome::{CallFailure, PredictorAnswer, ResultEntry};
use crate::queue::entry::{Index, TAG_REQUEST_ID, Tags};
use alloc::{string::String, vec::Vec};
use bytes::Bytes;

/// How a runner serves its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerConfig {
    /// Name of the service, for webhooks.
    pub service: String,
    /// Requests at the predictor at one time; 0 stops new ones.
    pub window: u32,
    /// Time a predictor has to answer, in milliseconds.
    pub timeout_ms: u64,
    /// Delay before the second attempt, in milliseconds. It doubles with each further attempt.
    pub retry_delay_ms: u64,
    /// Attempts at one request; 0 for no limit.
    pub max_delivery: u32,
    /// Whether answers are results for the sink and callbacks are made. Otherwise only the status of an answer counts.
    pub results: bool,
    /// Callback of requests that name none themselves; may be empty.
    pub callback: String,
}

/// One attempt at a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Its index in the input queue.
    pub index: Index,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Its tags.
    pub tags: Tags,
    /// Its body.
    pub data: Bytes,
}

impl Work {
    /// The request id, which the caller chose or was given.
    pub fn request_id(&self) -> &str {
        self.tags.get(TAG_REQUEST_ID).map_or("", String::as_str)
    }
}

/// Names one call; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// The queue that an entry is put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The sink of the service.
    Sink,
    /// The queue of its callbacks, which delivers webhooks.
    Callbacks,
}

/// Where an entry was stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its index there; 0 if unknown.
    pub index: Index,
    /// An earlier put, forgotten here, stored an entry for the same request. Its content may be another one.
    pub repeated: bool,
}

/// What became of a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// Everything was stored; the places are in the order of the entries.
    Stored(Vec<Place>),
    /// Refused for good, with status and sentence. Nothing of the put was stored.
    Refused(u16, String),
    /// The queue is full, busy or unreachable. It is unknown whether the put was stored.
    Later,
}

/// What happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The queue pushed a request.
    Pushed(Work),
    /// The queue took a request back: it was cancelled, deleted, expired or rejected.
    Revoked(Index),
    /// An answer begins: its status, and the length of its body where that is known.
    Begun(CallId, u16, Option<u64>),
    /// An answer was read.
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
    /// Call the predictor. Answered by [`Event::Begun`] or [`Event::Failed`].
    Call(CallId, Work),
    /// Read the body of an answer that has begun, at most this many bytes. Answered by [`Event::Answered`] or
    /// [`Event::Failed`].
    Read(CallId, usize),
    /// Give up a call. Nothing of it must be reported from now on; if it is over already, this means nothing.
    Abort(CallId),
    /// Put entries into another queue. Answered by [`Event::Put`].
    Put {
        /// Names the answer.
        put: PutId,
        /// The other queue.
        to: Destination,
        /// At least one entry, each with the index of the request it is the outcome of.
        entries: Vec<(Index, ResultEntry)>,
        /// No outcome of a request below this index will be put again: the other queue may forget them.
        settled_below: Index,
    },
    /// Commit the request.
    Commit(Index),
    /// Reject the request.
    Reject {
        /// The request.
        index: Index,
        /// Code of the failure.
        code: String,
        /// Reason of the failure, for people.
        reason: String,
        /// The request is pushed again no earlier than this, in milliseconds.
        delay_ms: u64,
    },
    /// From now on the queue may have at most this many requests under way here.
    Window(u32),
}

/// Why a request cannot be cancelled: its result is stored or on its way to the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storing;
