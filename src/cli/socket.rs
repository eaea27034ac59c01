//! A watch's connection: a WebSocket with a thread of its own, which sleeps until either end has something to say.

use edgequeue::client::{Attempt, Endpoint, HttpResponse};
use mio::net::TcpStream as WatchedStream;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{self, ErrorKind};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest;
use tungstenite::error::{ProtocolError, SubProtocolError};
use tungstenite::handshake::HandshakeError;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Bytes, Error, Message, WebSocket, client_tls_with_config};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest frame of the WebSocket, in bytes: messages of `edgequeue.v1` hold several entries.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// What the thread sleeps on: bytes of the service, and orders of ours.
const SOCKET: Token = Token(0);
const ORDERS: Token = Token(1);

/// What happens on a connection.
#[derive(Debug)]
pub enum Happened {
    /// It is there, with the subprotocol that the service chose.
    Opened(Option<String>),
    /// The service answered with something else than a connection.
    Refused(HttpResponse),
    Message(Bytes),
    /// A ping or pong.
    Heard,
    /// It is gone; with the close code if there was one, and with the reason.
    Lost(Option<u16>, String),
}

enum Order {
    Send(Vec<u8>),
    Ping,
    Close,
}

/// A connection seen from outside its thread.
pub struct Socket {
    orders: Sender<Order>,
    waker: Option<Arc<Waker>>,
}

impl Socket {
    /// Connects. `tell` is called with everything that happens; it may block, which slows the service down.
    pub fn open(endpoint: &Endpoint, attempt: &Attempt, tell: impl Fn(Happened) + Send + 'static) -> Self {
        let (orders, inbox) = channel();
        let polling = Poll::new().and_then(|poll| Ok((Arc::new(Waker::new(poll.registry(), ORDERS)?), poll)));
        let (waker, poll) = match polling {
            Ok((waker, poll)) => (Some(waker), Ok(poll)),
            Err(error) => (None, Err(error)),
        };
        let dial = Dial::new(endpoint, attempt);
        thread::spawn(move || {
            let opened = poll.map_err(|error| lost(&error)).and_then(|poll| Ok((dial.connect()?, poll)));
            let last = match opened {
                Ok(((socket, protocol), poll)) => {
                    tell(Happened::Opened(protocol));
                    Talk { socket, inbox, code: None, closing_since: None }.run(poll, &tell)
                }
                Err(last) => last,
            };
            tell(last);
        });
        Self { orders, waker }
    }

    /// Sends a binary message.
    pub fn send(&self, message: Vec<u8>) {
        self.order(Order::Send(message));
    }

    pub fn ping(&self) {
        self.order(Order::Ping);
    }

    pub fn close(&self) {
        self.order(Order::Close);
    }

    fn order(&self, order: Order) {
        // A connection that is gone has said so.
        let _ = self.orders.send(order);
        if let Some(waker) = &self.waker {
            let _ = waker.wake();
        }
    }
}

fn lost(why: &dyn std::fmt::Display) -> Happened {
    Happened::Lost(None, why.to_string())
}

type OpenSocket = WebSocket<MaybeTlsStream<TcpStream>>;

/// Where and how to connect.
struct Dial {
    url: String,
    authority: String,
    secure: bool,
    headers: Vec<(&'static str, String)>,
    protocols: Vec<String>,
}

impl Dial {
    fn new(endpoint: &Endpoint, attempt: &Attempt) -> Self {
        Self {
            url: endpoint.socket_url(&attempt.request.target),
            authority: endpoint.authority.clone(),
            secure: endpoint.secure,
            headers: attempt.request.headers.clone(),
            protocols: attempt.protocols.clone(),
        }
    }

    /// The connection and the subprotocol that the service chose.
    fn connect(&self) -> Result<(OpenSocket, Option<String>), Happened> {
        match self.attempt(&self.protocols) {
            // Something on the way took the offer out. The library insists on an answer to an offer, so there is none
            // this time, and the service is spoken to plainly.
            Err(Missed::OfferIgnored) => self.attempt(&[]),
            outcome => outcome,
        }
        .map_err(|missed| match missed {
            Missed::OfferIgnored => lost(&"it chose a subprotocol that was not offered"),
            Missed::Otherwise(happened) => happened,
        })
    }

    fn attempt(&self, protocols: &[String]) -> Result<(OpenSocket, Option<String>), Missed> {
        let mut request = self.url.as_str().into_client_request().map_err(|error| lost(&error))?;
        let offer = (!protocols.is_empty()).then(|| ("Sec-WebSocket-Protocol", protocols.join(", ")));
        for (name, value) in self.headers.iter().cloned().chain(offer) {
            let value = HeaderValue::from_str(&value).map_err(|error| lost(&format!("{name}: {error}")))?;
            let name = HeaderName::try_from(name).map_err(|error| lost(&error))?;
            request.headers_mut().insert(name, value);
        }
        let stream = self.stream().map_err(|error| lost(&error))?;
        let config = WebSocketConfig::default().max_frame_size(Some(FRAME_BYTES_MAX));
        match client_tls_with_config(request, stream, Some(config), None) {
            Ok((socket, answer)) => {
                let chosen = answer.headers().get("Sec-WebSocket-Protocol").and_then(|value| value.to_str().ok());
                Ok((socket, chosen.map(str::to_owned)))
            }
            Err(HandshakeError::Failure(Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(
                SubProtocolError::NoSubProtocol,
            )))) => Err(Missed::OfferIgnored),
            Err(HandshakeError::Failure(Error::Http(answer))) => {
                Err(Missed::Otherwise(Happened::Refused(HttpResponse {
                    status: answer.status().as_u16(),
                    body: answer.into_body().unwrap_or_default().into(),
                    ..HttpResponse::default()
                })))
            }
            Err(HandshakeError::Failure(error)) => Err(lost(&error).into()),
            Err(HandshakeError::Interrupted(_)) => Err(lost(&"it does not answer").into()),
        }
    }

    /// A TCP connection to the first address that takes one.
    fn stream(&self) -> io::Result<TcpStream> {
        let has_port = self.authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let usual = if self.secure { 443 } else { 80 };
        let with_port = if has_port { self.authority.clone() } else { format!("{}:{usual}", self.authority) };
        let mut last = io::Error::new(ErrorKind::NotFound, "the host has no address");
        for address in with_port.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(CONNECT_TIMEOUT))?;
                    stream.set_write_timeout(Some(CONNECT_TIMEOUT))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Why there is no connection.
enum Missed {
    /// A connection was there, but its answer named no subprotocol.
    OfferIgnored,
    Otherwise(Happened),
}

impl From<Happened> for Missed {
    fn from(happened: Happened) -> Self {
        Self::Otherwise(happened)
    }
}

fn tcp(stream: &MaybeTlsStream<TcpStream>) -> &TcpStream {
    match stream {
        MaybeTlsStream::Rustls(stream) => &stream.sock,
        MaybeTlsStream::Plain(stream) => stream,
        // The enum may grow, but only by features that are off.
        _ => unreachable!("only plain and rustls streams are compiled in"),
    }
}

/// A connection that is open.
struct Talk {
    socket: OpenSocket,
    inbox: Receiver<Order>,
    /// The close code that the service sent.
    code: Option<u16>,
    closing_since: Option<Instant>,
}

impl Talk {
    /// Talks until the connection is gone; the last thing that happened.
    fn run(mut self, poll: Poll, tell: &impl Fn(Happened)) -> Happened {
        match self.talk(poll, tell) {
            Ok(()) => Happened::Lost(self.code, "it could not be closed in time".into()),
            Err(error) => Happened::Lost(self.code, error.to_string()),
        }
    }

    fn talk(&mut self, mut poll: Poll, tell: &impl Fn(Happened)) -> Result<(), Error> {
        let stream = tcp(self.socket.get_ref());
        stream.set_nonblocking(true)?;
        // The clone is the same connection; it is only looked at.
        let mut watched = WatchedStream::from_std(stream.try_clone()?);
        poll.registry().register(&mut watched, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
        let mut events = Events::with_capacity(4);
        loop {
            // Readiness is told once, so everything there is is taken before sleeping again.
            while self.hear(tell)? {
                self.obey()?;
            }
            self.obey()?;
            patient(self.socket.flush())?;
            let left = self.closing_since.map(|since| CLOSE_TIMEOUT.saturating_sub(since.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(());
            }
            match poll.poll(&mut events, left) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => outcome?,
            }
        }
    }

    /// Reads one message; false when there is none.
    fn hear(&mut self, tell: &impl Fn(Happened)) -> Result<bool, Error> {
        match self.socket.read() {
            Ok(Message::Binary(bytes)) => tell(Happened::Message(bytes)),
            Ok(Message::Close(frame)) => self.code = frame.map(|frame| frame.code.into()).or(self.code),
            Ok(_) => tell(Happened::Heard),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Carries out what was ordered. That no order can come any more is an order to close.
    fn obey(&mut self) -> Result<(), Error> {
        loop {
            let order = match self.inbox.try_recv() {
                Ok(order) => order,
                Err(TryRecvError::Disconnected) => Order::Close,
                Err(TryRecvError::Empty) => return Ok(()),
            };
            match order {
                Order::Send(message) => patient(self.socket.send(Message::Binary(message.into())))?,
                Order::Ping => patient(self.socket.send(Message::Ping(Bytes::from_static(b"ping"))))?,
                Order::Close if self.closing_since.is_some() => return Ok(()),
                Order::Close => {
                    self.closing_since = Some(Instant::now());
                    patient(self.socket.close(None))?;
                }
            }
        }
    }
}

/// What could not be written at once is kept by the socket and written later; a connection that is closed already says
/// so when it is read.
fn patient(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(Error::ConnectionClosed | Error::Protocol(ProtocolError::SendAfterClosing)) => Ok(()),
        outcome => outcome,
    }
}
