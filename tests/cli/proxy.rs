//! A TCP proxy in front of the service that can cut every connection, or pretend that the service is another one.

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
}

/// What the service says of itself, and what is said instead: of the same length, so that nothing else changes.
const OURS: &[u8] = b"\"meta.backend\":\"edgequeue\"";
const OTHER: &[u8] = b"\"meta.backend\":\"otherback\"";

impl Proxy {
    pub fn new() -> Self {
        Self::start(false)
    }

    /// In front of a service that does not say that it is ours.
    pub fn disguised() -> Self {
        Self::start(true)
    }

    fn start(disguised: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let target = service().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let proxy = Self { port, connections: Arc::default(), closed: Arc::default(), bytes_down: Arc::default() };
        let (connections, closed, bytes_down) =
            (proxy.connections.clone(), proxy.closed.clone(), proxy.bytes_down.clone());
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
                thread::spawn(move || copy(down_in, up_out, |_| {}));
                let bytes_down = bytes_down.clone();
                thread::spawn(move || {
                    copy(up, down, |bytes| {
                        bytes_down.fetch_add(bytes.len() as u64, Ordering::SeqCst);
                        if disguised && let Some(at) = bytes.windows(OURS.len()).position(|window| window == OURS) {
                            bytes[at..at + OTHER.len()].copy_from_slice(OTHER);
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
