//! A TCP proxy in front of the service. It can cut every connection, pretend that the service is another one, take what
//! the client offers out of its requests, and it counts the commits that go by HTTP.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::support::service;

pub struct Proxy {
    port: u16,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    /// Whether new connections are refused.
    pub closed: Arc<AtomicBool>,
    /// Bytes that came from the service.
    pub bytes_down: Arc<AtomicU64>,
    /// Commits and negative commits that were requests of their own.
    pub settled_by_http: Arc<AtomicU64>,
}

/// What the proxy changes on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    /// What the service says of itself.
    Backend,
    /// The offer of subprotocols.
    Offer,
}

/// What the service says of itself, and what is said instead: of the same length, so that nothing else changes.
const OURS: &[u8] = b"\"meta.backend\":\"edgequeue\"";
const OTHER: &[u8] = b"\"meta.backend\":\"otherback\"";
/// The header that offers subprotocols, and one that nobody knows.
const OFFER: &[u8] = b"Sec-WebSocket-Protocol";
const UNKNOWN: &[u8] = b"X-nobody-knows-of-this";
/// How a request to commit begins.
const SETTLES: &[u8] = b"PUT /api/";

impl Proxy {
    pub fn new() -> Self {
        Self::start(Change::Nothing)
    }

    /// In front of a service that does not say that it is ours.
    pub fn disguised() -> Self {
        Self::start(Change::Backend)
    }

    /// Like proxies that do not let subprotocols through.
    pub fn without_offers() -> Self {
        Self::start(Change::Offer)
    }

    fn start(change: Change) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let target = service().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let proxy = Self {
            port,
            connections: Arc::default(),
            closed: Arc::default(),
            bytes_down: Arc::default(),
            settled_by_http: Arc::default(),
        };
        let (connections, closed) = (proxy.connections.clone(), proxy.closed.clone());
        let (bytes_down, settled_by_http) = (proxy.bytes_down.clone(), proxy.settled_by_http.clone());
        thread::spawn(move || {
            for down in listener.incoming().flatten() {
                if closed.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(up) = TcpStream::connect(&target) else { continue };
                let _ = (down.set_nodelay(true), up.set_nodelay(true));
                let clones = (down.try_clone(), up.try_clone(), down.try_clone(), up.try_clone());
                let (Ok(down_in), Ok(up_out), Ok(down_kept), Ok(up_kept)) = clones else { continue };
                if let Ok(mut connections) = connections.lock() {
                    connections.extend([down_kept, up_kept]);
                }
                let (bytes_down, settled_by_http) = (bytes_down.clone(), settled_by_http.clone());
                thread::spawn(move || {
                    copy(down_in, up_out, |bytes| {
                        let commits = bytes.windows(SETTLES.len()).filter(|window| *window == SETTLES).count();
                        settled_by_http.fetch_add(commits as u64, Ordering::SeqCst);
                        if change == Change::Offer {
                            replace(bytes, OFFER, UNKNOWN);
                        }
                    });
                });
                thread::spawn(move || {
                    copy(up, down, |bytes| {
                        bytes_down.fetch_add(bytes.len() as u64, Ordering::SeqCst);
                        if change == Change::Backend {
                            replace(bytes, OURS, OTHER);
                        }
                    });
                });
            }
        });
        proxy
    }

    /// The address of a queue, through the proxy.
    pub fn url(&self, url: &str) -> String {
        url.replace(&service(), &format!("http://127.0.0.1:{}", self.port))
    }

    /// Breaks every connection.
    pub fn cut(&self) {
        for connection in self.connections.lock().expect("nobody panics with it").drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// Replaces the first `this` by a `that` of the same length.
fn replace(bytes: &mut [u8], this: &[u8], that: &[u8]) {
    if let Some(at) = bytes.windows(this.len()).position(|window| window.eq_ignore_ascii_case(this)) {
        bytes[at..at + that.len()].copy_from_slice(that);
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&mut [u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        look(&mut buffer[..count]);
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
