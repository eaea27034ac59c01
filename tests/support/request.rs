//! Requests as clients send them, and what comes back on connections.

use bytes::{Buf, Bytes};
use edgequeue::broker::Fetch;
use edgequeue::wire::names::{HEADER_GROUP, HEADER_REAR, HEADER_USER};
use edgequeue::wire::v1::server::{self, ServerEvent};
use edgequeue::wire::{Answer, Call, RequestParts, Transport, parse};

/// A request for one queue.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// What follows the address of the queue; empty or with a leading `/`.
    pub suffix: String,
    /// Query without the `?`.
    pub query: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &'static str, query: impl Into<String>) -> Self {
        Self { method, query: query.into(), ..Self::default() }
    }

    /// A request with a body.
    pub fn with_body(method: &'static str, query: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::new(method, query) }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// By this consumer.
    #[must_use]
    pub fn by(self, group: &str, user: &str) -> Self {
        self.header(HEADER_GROUP, group).header(HEADER_USER, user)
    }

    /// At the rear queue.
    #[must_use]
    pub fn rear(self) -> Self {
        self.header(HEADER_REAR, "true")
    }

    /// A watch over a WebSocket with this subprotocol; empty for none.
    #[must_use]
    pub fn upgrade(self, subprotocol: &str) -> Self {
        self.header("Upgrade", "websocket").header("Sec-WebSocket-Protocol", subprotocol)
    }

    /// What another queue of the service asks for.
    pub fn of_fetch(fetch: &Fetch) -> Self {
        let (_, query) = fetch.url.split_once('?').unwrap_or_default();
        Self {
            method: fetch.method,
            suffix: String::new(),
            query: query.into(),
            headers: fetch.headers.clone(),
            body: fetch.body.clone(),
        }
    }

    /// What the queue with this name makes of it.
    pub fn parse(&self, queue: &str, now_ms: u64) -> Result<Call, Answer> {
        let header = |name: &str| {
            let named = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            named.map(|(_, value)| value.clone())
        };
        let path = format!("/api/predict/{queue}{}", self.suffix);
        parse(&RequestParts { method: self.method, path: &path, query: &self.query, header: &header }, now_ms)
    }
}

/// What was sent on a connection: frames, and answers to the requests of a session.
pub fn events(transport: Transport, sent: Bytes) -> Vec<ServerEvent> {
    match transport {
        Transport::Socket | Transport::Plain => vec![ServerEvent::Pushed(sent)],
        Transport::Session => server::events(sent).expect("a message of the protocol"),
        Transport::Stream => {
            let (mut rest, mut frames) = (sent, Vec::new());
            while rest.has_remaining() {
                let length = rest.get_u32() as usize;
                frames.push(ServerEvent::Pushed(rest.split_to(length)));
            }
            frames
        }
    }
}
