//! Connections that watch: how they begin, are sent entries, are remembered, and end.

use std::{collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use futures_channel::{mpsc, oneshot};
use futures_util::future::{Either, select};
use wasm_bindgen_futures::spawn_local;
use worker::Response;

use super::{
    attachment::Attachment,
    departure::Departure,
    desk::{Desk, Papers},
    session::{Outbox, Terms},
    sockets::Socket,
};
use crate::queue::{
    Event,
    event::WatcherId,
    step::{CloseReason, Delivery},
    store::Side,
    watcher::Remembered,
};
use crate::wire::{
    Transport,
    proto::frame,
    v1::{PING, PONG, subprotocol},
};

/// Where frames go.
pub(super) enum Connection {
    /// One to a message.
    Socket(Socket),
    /// With answers, several to a message.
    Session(Socket, Rc<Terms>),
    Stream {
        frames: mpsc::UnboundedSender<worker::Result<Vec<u8>>>,
        /// Dropped with the connection: nobody needs to look out for its client any more.
        _open: oneshot::Sender<()>,
    },
}

/// A watch that is asked for and not yet accepted.
pub(super) struct Asking {
    pub(super) id: WatcherId,
    pub(super) transport: Transport,
    pub(super) terms: Terms,
    /// Tells when the client of an endless body is gone; sockets tell it themselves.
    pub(super) gone: Option<Departure>,
}

impl Desk {
    /// Takes what was asked for: our end of it, and the answer that gives the client the other end.
    pub(super) fn connect(self: &Rc<Self>, asking: Asking) -> Result<(Connection, Response), String> {
        let Asking { id, transport, terms, gone } = asking;
        match transport {
            Transport::Socket | Transport::Plain => {
                let name = (transport == Transport::Plain).then_some(subprotocol::PLAIN);
                let (socket, response) = self.sockets.accept(name).map_err(|error| error.to_string())?;
                Ok((Connection::Socket(socket), response))
            }
            Transport::Session => {
                let accepted = self.sockets.accept(Some(subprotocol::SUBPROTOCOL));
                let (socket, response) = accepted.map_err(|error| error.to_string())?;
                socket.set_watcher(id);
                // Without it a ping only costs more.
                let _ = self.sockets.respond_to(PING, PONG);
                Ok((Connection::Session(socket, Rc::new(terms)), response))
            }
            Transport::Stream => {
                let (frames, body) = mpsc::unbounded();
                let response = endless(body).map_err(|error| error.to_string())?;
                let (open, closed) = oneshot::channel();
                if let Some(gone) = gone {
                    let (desk, side) = (self.clone(), terms.side);
                    spawn_local(async move {
                        if let Either::Left(_) = select(gone, closed).await {
                            desk.gone(side, id);
                        }
                    });
                }
                Ok((Connection::Stream { frames, _open: open }, response))
            }
        }
    }

    /// Sends an entry, or puts it where it is sent with others.
    pub(super) fn push(&self, id: WatcherId, delivery: &Delivery, outbox: &mut Outbox) {
        let mut papers = self.papers.borrow_mut();
        let frame: Bytes = delivery.frame();
        let sent = match papers.connections.get(&id) {
            Some(Connection::Socket(socket)) => socket.send(&frame).is_ok(),
            Some(Connection::Session(socket, _)) => {
                outbox.push(id, &frame).is_none_or(|message| socket.send(&message).is_ok())
            }
            Some(Connection::Stream { frames, .. }) => {
                frames.unbounded_send(Ok(frame::delimited(&frame).to_vec())).is_ok()
            }
            None => false,
        };
        if !sent {
            papers.lose(id);
        }
    }

    /// Sends what was collected.
    pub(super) fn send_all(&self, outbox: Outbox) {
        for (id, message) in outbox.into_messages() {
            self.send(id, Some(message));
        }
    }

    pub(super) fn send(&self, id: WatcherId, message: Option<Vec<u8>>) {
        let mut papers = self.papers.borrow_mut();
        let (Some(message), Some(Connection::Session(socket, _))) = (message, papers.connections.get(&id)) else {
            return;
        };
        if socket.send(&message).is_err() {
            papers.lose(id);
        }
    }

    /// Ends a connection that the machine has forgotten already.
    pub(super) fn close(&self, id: WatcherId, reason: CloseReason) {
        let (code, text) = match reason {
            CloseReason::Ended => (1000, "the queue was ended and everything in it was delivered"),
            CloseReason::TakenOver => (4001, "the same group and user connected again"),
            CloseReason::Silent => (4002, "entries were held for too long without a sign of life"),
        };
        self.hang_up(id, code, text);
    }

    /// Ends a connection.
    pub(super) fn hang_up(&self, id: WatcherId, code: u16, text: &str) {
        let connection = self.papers.borrow_mut().connections.remove(&id);
        if let Some(Connection::Socket(socket) | Connection::Session(socket, _)) = connection {
            // It must not be resumed, even if the closing handshake takes long.
            let _ = socket.attach(&[]);
            let _ = socket.close(code, text);
        }
    }

    /// Keeps with a socket what it needs to be resumed.
    pub(super) fn remember(&self, id: WatcherId) {
        let papers = self.papers.borrow();
        let (socket, terms) = match papers.connections.get(&id) {
            Some(Connection::Socket(socket)) => (socket, None),
            Some(Connection::Session(socket, terms)) => (socket, Some(terms)),
            Some(Connection::Stream { .. }) | None => return,
        };
        let session = terms.map(|terms| terms.sink);
        let watching = papers.queue.as_ref().and_then(|(queue, _)| queue.attachment(id));
        let kept = match (watching, terms) {
            (Some((side, remembered)), _) => Attachment { watcher: id, side, remembered, session, idle: false },
            (None, Some(terms)) => {
                let remembered =
                    Remembered { watch: terms.watch.clone(), leases: Vec::new(), sign_ms: 0, stopped: false };
                Attachment { watcher: id, side: terms.side, remembered, session, idle: true }
            }
            (None, None) => return,
        };
        let _ = socket.attach(&kept.encode());
    }

    /// A socket was closed by its client or broke.
    pub fn socket_gone(self: &Rc<Self>, socket: &Socket) {
        let kept = socket.attachment().ok().flatten();
        if let Some(attachment) = kept.and_then(|bytes| Attachment::decode(&bytes)) {
            self.gone(attachment.side, attachment.watcher);
        }
    }

    pub(super) fn gone(self: &Rc<Self>, side: Side, id: WatcherId) {
        self.papers.borrow_mut().connections.remove(&id);
        self.tell(side, Event::Detach(id));
    }

    /// What the platform answered for us is a sign of life of a session.
    pub(super) fn signs_of_life(&self, connections: &BTreeMap<WatcherId, Connection>) -> Vec<(WatcherId, u64)> {
        let sign = |(id, connection): (&WatcherId, &Connection)| match connection {
            Connection::Session(socket, _) => Some((*id, self.sockets.responded_ms(socket)?)),
            Connection::Socket(_) | Connection::Stream { .. } => None,
        };
        connections.iter().filter_map(sign).collect()
    }
}

impl Papers {
    /// A connection turned out to be gone.
    pub(super) fn lose(&mut self, id: WatcherId) {
        self.connections.remove(&id);
        self.inbox.push(Side::Main, Event::Detach(id));
        self.inbox.push(Side::Rear, Event::Detach(id));
    }
}

/// An answer without an end. It has a type because proxies compress, and thereby hold back, what has none.
fn endless(body: mpsc::UnboundedReceiver<worker::Result<Vec<u8>>>) -> worker::Result<Response> {
    let mut response = Response::from_stream(body)?;
    response.headers_mut().set("Content-Type", "application/octet-stream")?;
    Ok(response)
}
