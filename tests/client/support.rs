//! A watch of the client, and what travels between it and a service.

use bytes::Bytes;
use edgequeue::client::{Endpoint, HttpRequest, HttpResponse, Subscription, Todo, WatchOptions, WatchTransport};
use edgequeue::queue::entry::{Frame, Index, TAG_REQUEST_ID, Tags};
use edgequeue::queue::event::Start;
use edgequeue::wire::v1::client::{ClientCommand, requests};
use edgequeue::wire::v1::server::{ServerAnswer, ServerMessage};
use edgequeue::wire::{CallPurpose, Operation, RequestParts, parse};
use prost::Message;

pub const OK: HttpResponse = HttpResponse { status: 200, request_id: None, repeated: false, body: Bytes::new() };
pub const PLAIN: WatchTransport = WatchTransport::Socket { offers: false };
pub const SESSION: WatchTransport = WatchTransport::Socket { offers: true };

pub fn endpoint() -> Endpoint {
    Endpoint::parse("http://a/api/predict/x").expect("an address")
}

pub fn options(window: u32) -> WatchOptions {
    WatchOptions { start: Start::At(Index(0)), window, auto_commit: false, index_only: false, tags: Tags::new() }
}

pub fn watch(transport: WatchTransport) -> Subscription {
    Subscription::new(endpoint(), options(5), transport, None, 1)
}

pub fn frame(index: u64, request_id: &str) -> Bytes {
    let tags = [(TAG_REQUEST_ID.to_string(), request_id.to_string())].into();
    Frame { index, tags, data: Bytes::from_static(b"x"), message: String::new() }.encode_to_vec().into()
}

pub fn operation(sent: &HttpRequest) -> Operation {
    let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
    let header = |name: &str| {
        let found = sent.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    let parts = RequestParts { method: sent.method, path, query, header: &header };
    match parse(&parts, 0).expect("a good request").purpose {
        CallPurpose::Operation(operation) => operation,
        other => panic!("{other:?}"),
    }
}

/// The requests in a message on a socket.
pub fn asked(message: Vec<u8>) -> Vec<(u64, ClientCommand)> {
    let requests = requests(message.into()).expect("a client message");
    requests.into_iter().map(|(id, operation)| (id, operation.expect("a good request"))).collect()
}

/// A server message with one answer.
pub fn answer(id: u64, status: u16, text: &str) -> Bytes {
    let mut message = ServerMessage::default();
    message.answer(&ServerAnswer { id, status, text: text.into(), ..ServerAnswer::default() });
    message.0.into()
}

/// A server message with one entry.
pub fn pushed(index: u64) -> Bytes {
    let mut message = ServerMessage::default();
    message.frame(&frame(index, "a"));
    message.0.into()
}

/// What to do next, apart from being told how the watch is.
pub fn next(watch: &mut Subscription, now_ms: u64) -> Todo {
    loop {
        match watch.next(now_ms) {
            Todo::Turned(_) | Todo::Confirmed(_) => {}
            todo => return todo,
        }
    }
}

/// Lets the watch connect for the first time.
pub fn connect(watch: &mut Subscription) -> u64 {
    let Todo::Connect(attempt) = next(watch, 0) else { panic!("it begins with a connection") };
    attempt.number
}

/// Opens the first connection, on which the protocol is spoken that was offered.
pub fn open(watch: &mut Subscription) -> u64 {
    let Todo::Connect(attempt) = next(watch, 0) else { panic!("it begins with a connection") };
    watch.opened(0, attempt.number, attempt.protocols.first().map(String::as_str));
    attempt.number
}

/// Hands a message in; the index of the entry that is given out for it.
pub fn message(watch: &mut Subscription, now_ms: u64, connection: u64, message: Bytes) -> Option<u64> {
    watch.message(now_ms, connection, message);
    match next(watch, now_ms) {
        Todo::Deliver(frame) => Some(frame.index),
        Todo::Wait(_) => None,
        other => panic!("{other:?}"),
    }
}
