//! A watch's connection: a WebSocket with a thread of its own.

use edgequeue::client::{Endpoint, Request, Response};
use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Bytes, Error, Message, WebSocket, client_tls_with_config};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a silent connection looks for something to send.
const LOOK: Duration = Duration::from_millis(100);
/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What happens on a connection.
#[derive(Debug)]
pub enum Happened {
    Opened,
    /// The service answered with something else than a connection.
    Refused(Response),
    Message(Bytes),
    /// A ping or pong.
    Heard,
    /// Gone, with the close code if there was one.
    Lost(Option<u16>, String),
}

enum Order {
    Ping,
    Close,
}

/// A connection seen from outside its thread.
pub struct Socket(Sender<Order>);

impl Socket {
    /// Connects. `tell` is called with everything that happens; it may block, which slows the service down.
    pub fn open(endpoint: &Endpoint, request: &Request, tell: impl Fn(Happened) + Send + 'static) -> Self {
        let (orders, inbox) = channel();
        let url = endpoint.socket_url(&request.target);
        let (authority, secure, headers) = (endpoint.authority.clone(), endpoint.secure, request.headers.clone());
        thread::spawn(move || {
            let last = match connect(&url, &authority, secure, &headers) {
                Ok(socket) => {
                    tell(Happened::Opened);
                    talk(socket, &inbox, &tell)
                }
                Err(last) => last,
            };
            tell(last);
        });
        Self(orders)
    }

    pub fn ping(&self) {
        // A connection that is gone has said so.
        let _ = self.0.send(Order::Ping);
    }

    pub fn close(&self) {
        let _ = self.0.send(Order::Close);
    }
}

type Stream = WebSocket<MaybeTlsStream<TcpStream>>;

fn connect(url: &str, authority: &str, secure: bool, headers: &[(&'static str, String)]) -> Result<Stream, Happened> {
    let lost = |why: String| Happened::Lost(None, why);
    let mut request = url.into_client_request().map_err(|error| lost(error.to_string()))?;
    for (name, value) in headers {
        let name = HeaderName::try_from(*name).map_err(|error| lost(error.to_string()))?;
        let value = HeaderValue::from_str(value).map_err(|error| lost(format!("{name}: {error}")))?;
        request.headers_mut().insert(name, value);
    }
    let stream = dial(authority, secure).map_err(|error| lost(error.to_string()))?;
    match client_tls_with_config(request, stream, None, None) {
        Ok((socket, _)) => {
            // From here on reading gives up regularly, to see whether something is to be sent.
            tcp(socket.get_ref()).set_read_timeout(Some(LOOK)).map_err(|error| lost(error.to_string()))?;
            Ok(socket)
        }
        Err(HandshakeError::Failure(Error::Http(answer))) => Err(Happened::Refused(Response {
            status: answer.status().as_u16(),
            request_id: None,
            repeated: false,
            body: answer.into_body().unwrap_or_default().into(),
        })),
        Err(HandshakeError::Failure(error)) => Err(lost(error.to_string())),
        Err(HandshakeError::Interrupted(_)) => Err(lost("it does not answer".into())),
    }
}

fn dial(authority: &str, secure: bool) -> std::io::Result<TcpStream> {
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let with_port =
        if has_port { authority.to_owned() } else { format!("{authority}:{}", if secure { 443 } else { 80 }) };
    let mut last = std::io::Error::new(ErrorKind::NotFound, "the host has no address");
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

fn tcp(stream: &MaybeTlsStream<TcpStream>) -> &TcpStream {
    match stream {
        MaybeTlsStream::Rustls(stream) => &stream.sock,
        MaybeTlsStream::Plain(stream) => stream,
        // The enum may grow, but only by features that are off.
        _ => unreachable!("only plain and rustls streams are compiled in"),
    }
}

/// Reads until the connection is gone; the last thing that happened.
fn talk(mut socket: Stream, inbox: &Receiver<Order>, tell: &impl Fn(Happened)) -> Happened {
    let mut code = None;
    let mut closing_since: Option<Instant> = None;
    loop {
        match socket.read() {
            Ok(Message::Binary(bytes)) => tell(Happened::Message(bytes)),
            Ok(Message::Close(frame)) => code = frame.map(|frame| frame.code.into()).or(code),
            Ok(_) => tell(Happened::Heard),
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Happened::Lost(code, error.to_string()),
        }
        if closing_since.is_some_and(|since| since.elapsed() > CLOSE_TIMEOUT) {
            return Happened::Lost(code, "closed".into());
        }
        let failed = match inbox.try_recv() {
            Ok(Order::Ping) => socket.send(Message::Ping(Bytes::from_static(b"ping"))),
            Ok(Order::Close) | Err(TryRecvError::Disconnected) if closing_since.is_none() => {
                closing_since = Some(Instant::now());
                socket.close(None)
            }
            _ => Ok(()),
        };
        if let Err(error) = failed
            && !matches!(error, Error::ConnectionClosed)
        {
            return Happened::Lost(code, error.to_string());
        }
    }
}
