//! What a [`Broker`](super::Broker) is told and what it wants done: values only.

use crate::queue::{refusal::StoreError, store::Stores};
use crate::store::Flushed;
use crate::wire::{Answer, Call, Transport};
use alloc::{string::String, vec::Vec};
use bytes::Bytes;

/// One request of a client, until it is answered. Chosen by the shell, never used twice while the shell lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One connection that watches. Chosen by the broker; later connections have higher numbers, also after a restart.
pub use crate::queue::event::WatcherId as ConnectionId;

/// One call to the outside, from its request to the end of its answer. Chosen by the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// A store whose writes are made durable by the shell, which alone knows how to run a transaction.
pub trait Durable: Stores {
    /// The most rows the next flush can write. One statement is a transaction by itself.
    fn rows_to_write(&self) -> usize;
    /// Writes what changed since the last flush. It is called by [`Broker::flush`](super::Broker::flush) only.
    fn flush(&mut self) -> Result<Flushed, StoreError>;
    /// Damage that was met and passed over since the last call, for the operator.
    fn take_damage(&mut self) -> Vec<StoreError> {
        Vec::new()
    }
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// It is still to be read; the broker asks for it with [`Output::ReadBody`] if it needs it.
    Unread,
}

/// Why a body was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than was asked for.
    TooLong,
    /// The connection broke, or the like. The text is the platform's.
    Broken(String),
}

/// A message on a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Binary, as every message of `edgequeue.v1` is.
    Binary(Bytes),
    /// Text, which the protocol does not have but for the `ping` that shells answer themselves.
    Text,
}

/// What happened outside.
#[derive(Debug)]
pub enum Input<S> {
    /// A client asks for something. Answered by [`Output::Answer`] or [`Output::Accept`].
    Request {
        /// Names the answer.
        id: RequestId,
        /// What for.
        call: Call,
        /// With what.
        body: Body,
        /// Random bits for request ids, never given twice.
        random: u128,
    },
    /// The body that [`Output::ReadBody`] asked for.
    Body {
        /// The request.
        id: RequestId,
        /// Its body, or why it was not read.
        body: Result<Bytes, BodyError>,
        /// Random bits, never given twice.
        random: u128,
    },
    /// The client of a request that [`Output::Hold`] named went away.
    Gone(RequestId),
    /// A message came on a socket.
    Message {
        /// The socket.
        connection: ConnectionId,
        /// What it says.
        message: Message,
        /// Random bits, never given twice.
        random: u128,
    },
    /// A connection was closed by its client, or broke.
    Closed(ConnectionId),
    /// The store that [`Output::Open`] asked for, and every socket that is open with what [`Output::Keep`] last kept
    /// with it.
    Opened {
        /// The store.
        store: Result<S, StoreError>,
        /// The sockets, in any order. Empty bytes stand for a socket that must not be resumed.
        sockets: Vec<(ConnectionId, Bytes)>,
    },
    /// What became of the flush that [`Output::Flush`] asked for.
    Flushed(Result<Flushed, StoreError>),
    /// What [`Output::Wait`] asked for has happened.
    Waited,
    /// When the shell last answered a `ping` for these connections, Unix milliseconds.
    Heartbeats(Vec<(ConnectionId, u64)>),
    /// The alarm went off. Answered by [`Output::AlarmDone`].
    Alarm,
    /// When the alarm is set, Unix milliseconds: the answer to [`Output::AskAlarm`].
    AlarmSet(Option<u64>),
    /// The timer went off.
    Timer,
    /// News of a call to the outside.
    Fetched(FetchId, Fetched),
}

/// News of a call to the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// An answer begins: its status, and the bytes of its body where that is known.
    Begun(u16, Option<u64>),
    /// The answer was read as far as [`Output::Read`] asked.
    Answered(crate::inference::outcome::PredictorAnswer),
    /// There will be no answer, or no more of it. The text is the platform's.
    Failed(String),
}

/// What a call to the outside goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The host of the URL.
    Url,
    /// Another Worker, by the name of its binding; of the URL only path and query count.
    Service(String),
    /// A model of Workers AI; there is no URL.
    Model(String),
    /// Another queue of this deployment, by its name.
    Queue(String),
}

/// A call to the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Where to.
    pub target: Target,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Absolute URL, or empty.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body; empty for a `GET`.
    pub body: Bytes,
}

/// What must have happened before the broker goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The inputs that have arrived by now were handed over.
    Soon,
    /// One turn of the event loop has passed.
    Turn,
    /// The shell had a moment to send and to listen.
    Moment,
    /// The last flush is durable.
    Durable,
}

/// What the shell must do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Open the store, in one transaction. Answered by [`Input::Opened`] before anything else.
    Open,
    /// Call [`Broker::flush`](super::Broker::flush), in one transaction where more than one row may be written. Answered
    /// by [`Input::Flushed`] before anything else. Outputs that follow must not be seen outside before it is durable.
    Flush {
        /// The most rows it writes.
        rows_max: usize,
    },
    /// Wait; answered by [`Input::Waited`]. There is never more than one wait.
    Wait(Wait),
    /// Read the body of a request, at most this many bytes. Answered by [`Input::Body`].
    ReadBody(RequestId, u64),
    /// A request is not answered yet: look out for its client and tell [`Input::Gone`].
    Hold(RequestId),
    /// Answer a request.
    Answer(RequestId, Answer),
    /// Answer a request with a connection. Where that fails tell [`Input::Closed`].
    Accept {
        /// The request.
        request: RequestId,
        /// The connection.
        connection: ConnectionId,
        /// How it is made.
        transport: Transport,
    },
    /// Send bytes: a message on a socket, a piece of an endless body. Where that fails tell [`Input::Closed`].
    Send(ConnectionId, Bytes),
    /// Close a connection that the broker has forgotten already; it must not be among the sockets of a later
    /// [`Input::Opened`]. Code and reason are those of a WebSocket.
    Close(ConnectionId, u16, &'static str),
    /// Keep bytes with a socket, in place of those kept before; at most [`resume::BYTES_MAX`](super::resume::BYTES_MAX).
    Keep(ConnectionId, Bytes),
    /// Tell when `ping`s of these sockets were last answered. Answered by [`Input::Heartbeats`] before anything else.
    AskHeartbeats(Vec<ConnectionId>),
    /// Tell when the alarm is set. Answered by [`Input::AlarmSet`].
    AskAlarm,
    /// Set the alarm, Unix milliseconds, in place of an earlier one. It is durable with the next flush or by itself, and
    /// goes off whatever becomes of this memory.
    SetAlarm(u64),
    /// What [`Input::Alarm`] was about is done. After an error the alarm must come again.
    AlarmDone(Result<(), String>),
    /// Have the timer go off at this time, Unix milliseconds, in place of what was set before; or not at all. It may be
    /// lost with this memory.
    SetTimer(Option<u64>),
    /// Call the outside. Answered by [`Fetched::Begun`] or [`Fetched::Failed`].
    Fetch(FetchId, Fetch),
    /// Read the body of an answer that has begun, at most this many bytes. Answered by [`Fetched::Answered`] or
    /// [`Fetched::Failed`].
    Read(FetchId, usize),
    /// Give a call up. News of it may still come.
    Abort(FetchId),
    /// A line for the operator.
    Log(String),
}
