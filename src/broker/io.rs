//! The inputs and outputs of a [`Broker`](super::Broker). They are values only.

use crate::queue::{refusal::StoreError, store::Stores};
use crate::store::Flushed;
use crate::wire::{Answer, Call, Transport};
use alloc::{string::String, vec::Vec};
use bytes::Bytes;

/// One request of a client, until it is answered. Chosen by the shell, never used twice while the shell lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One connection that watches. Chosen by the broker; later connections have higher numbers, even after a restart.
pub use crate::queue::event::WatcherId as ConnectionId;

/// One outbound call, from its request to the end of its answer. Chosen by the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub u64);

/// A store that is flushed. The shell makes the writes durable, as it alone knows how to run a transaction.
pub trait Durable: Stores {
    /// Most rows that the next flush writes. A single one needs no transaction around it.
    fn rows_to_write(&self) -> usize;
    /// Writes what changed since the last flush. Only [`Broker::flush`](super::Broker::flush) calls it.
    fn flush(&mut self) -> Result<Flushed, StoreError>;
    /// Damage that was found and passed over since the last call, for the operator.
    fn take_damage(&mut self) -> Vec<StoreError> {
        Vec::new()
    }
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// Not read yet. The broker asks for it with [`Output::ReadBody`] if it needs it.
    Unread,
}

/// Why a body was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than allowed.
    TooLong,
    /// The connection broke, or the like. The text is the platform's.
    Broken(String),
}

/// A message on a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Binary, as every message of `edgequeue.v1` is.
    Binary(Bytes),
    /// Text. The protocol has none except `ping`, which shells answer themselves.
    Text,
}

/// What happened outside.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are requests; a box for each would cost an allocation")]
pub enum Input<S> {
    /// A request of a client. Answered by [`Output::Answer`] or [`Output::Accept`].
    Request {
        /// Names the answer.
        id: RequestId,
        /// What the client asks for.
        call: Call,
        /// The body, if the call has one.
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
    /// A message on a socket.
    Message {
        /// The socket.
        connection: ConnectionId,
        /// The message.
        message: Message,
        /// Random bits, never given twice.
        random: u128,
    },
    /// The client closed a connection, or it broke.
    Closed(ConnectionId),
    /// The store that [`Output::Open`] asked for, and every open socket with the bytes that [`Output::Keep`] last kept
    /// with it.
    Opened {
        /// The store.
        store: Result<S, StoreError>,
        /// The sockets, in any order. Empty bytes stand for a socket that must not be resumed.
        sockets: Vec<(ConnectionId, Bytes)>,
    },
    /// The result of the flush that [`Output::Flush`] asked for.
    Flushed(Result<Flushed, StoreError>),
    /// The wait that [`Output::Wait`] asked for is over.
    Waited,
    /// When the shell last answered a `ping` on these connections, in Unix milliseconds.
    Heartbeats(Vec<(ConnectionId, u64)>),
    /// The alarm went off. Answered by [`Output::AlarmDone`].
    Alarm,
    /// The time the alarm is set to, in Unix milliseconds: the answer to [`Output::AskAlarm`].
    AlarmSet(Option<u64>),
    /// The timer went off.
    Timer,
    /// News of an outbound call.
    Fetched(FetchId, Fetched),
}

/// News of an outbound call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// An answer begins: its status, and the length of its body in bytes where that is known.
    Begun(u16, Option<u64>),
    /// The answer was read as far as [`Output::Read`] asked.
    Answered(crate::inference::outcome::PredictorAnswer),
    /// There is no answer, or it broke off. The text is the platform's.
    Failed(String),
}

/// Where an outbound call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The host of the URL.
    Url,
    /// Another Worker, by the name of its binding. Of the URL only path and query count.
    Service(String),
    /// A model of Workers AI. There is no URL.
    Model(String),
    /// Another queue of this deployment, by its name.
    Queue(String),
}

/// An outbound call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Where it goes.
    pub target: Target,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Absolute URL, or empty.
    pub url: String,
    /// Headers, as names and values.
    pub headers: Vec<(String, String)>,
    /// The body; empty for a `GET`.
    pub body: Bytes,
}

/// What must happen before the broker goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The inputs that have arrived by now are handed over.
    Soon,
    /// One turn of the event loop has passed.
    Turn,
    /// The shell had time to send and to receive.
    Moment,
    /// The last flush is durable.
    Durable,
}

/// What the shell must do, in the order of the outputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Open the store, in one transaction. Answered by [`Input::Opened`] before anything else.
    Open,
    /// Call [`Broker::flush`](super::Broker::flush), in one transaction if more than one row may be written. Answered
    /// by [`Input::Flushed`] before anything else. Later outputs must not be seen outside before the flush is durable.
    Flush {
        /// The most rows it writes.
        rows_max: usize,
    },
    /// Wait. Answered by [`Input::Waited`]. There is never more than one wait.
    Wait(Wait),
    /// Read the body of a request, at most this many bytes. Answered by [`Input::Body`].
    ReadBody(RequestId, u64),
    /// A request is not answered at once. If its client goes away, tell [`Input::Gone`].
    Hold(RequestId),
    /// Answer a request.
    Answer(RequestId, Answer),
    /// Answer a request with a connection. If that fails, tell [`Input::Closed`].
    Accept {
        /// The request.
        request: RequestId,
        /// The connection.
        connection: ConnectionId,
        /// The kind of connection.
        transport: Transport,
    },
    /// Send bytes: a message on a socket, or a piece of an endless body. If that fails, tell [`Input::Closed`].
    Send(ConnectionId, Bytes),
    /// Close a connection, with the code and the reason of a WebSocket. The broker has forgotten it already, and no
    /// later [`Input::Opened`] may name it.
    Close(ConnectionId, u16, &'static str),
    /// Keep bytes with a socket instead of the earlier ones: at most [`resume::BYTES_MAX`](super::resume::BYTES_MAX).
    Keep(ConnectionId, Bytes),
    /// Tell when a `ping` on these sockets was last answered. Answered by [`Input::Heartbeats`] before anything else.
    AskHeartbeats(Vec<ConnectionId>),
    /// Tell what time the alarm is set to. Answered by [`Input::AlarmSet`].
    AskAlarm,
    /// Set the alarm to this time in Unix milliseconds, instead of an earlier one. It is durable with the next flush or
    /// by itself, and goes off even if this memory is lost.
    SetAlarm(u64),
    /// The work of [`Input::Alarm`] is done. After an error the alarm must come again.
    AlarmDone(Result<(), String>),
    /// Set the timer to this time in Unix milliseconds, instead of an earlier one, or stop it. It may be lost with this
    /// memory.
    SetTimer(Option<u64>),
    /// Make an outbound call. Answered by [`Fetched::Begun`] or [`Fetched::Failed`].
    Fetch(FetchId, Fetch),
    /// Read the body of an answer that has begun, at most this many bytes. Answered by [`Fetched::Answered`] or
    /// [`Fetched::Failed`].
    Read(FetchId, usize),
    /// Give up a call. News of it may still come.
    Abort(FetchId),
    /// A line for the operator.
    Log(String),
}
