//! Connections that watch: the messages for each, and the state kept with its socket while the broker sleeps.

use super::io::{ConnectionId, Output};
use super::resume::SocketState;
use crate::queue::{
    Queue,
    effect::{CloseReason, Delivery},
    event::ResumeState,
    event::Watch,
    store::Side,
};
use crate::wire::{
    Transport,
    proto::frame,
    v1::server::{ServerAnswer, ServerMessage},
};
use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    vec::Vec,
};
use bytes::Bytes;

/// A message to a session is sent once it has this length: 1 MiB.
pub const MESSAGE_BYTES: usize = 1024 * 1024;

/// The request behind a watch. A session begins to watch with the first window that is not 0.
#[derive(Clone, Debug)]
pub(super) struct WatchTerms {
    pub side: Side,
    pub sink: bool,
    pub watch: Watch,
}

/// How frames reach the client.
#[derive(Clone, Debug)]
enum Connection {
    /// One frame to a message.
    Socket(Side),
    /// Frames and answers together, several to a message: `edgequeue.v1`.
    Session(Rc<WatchTerms>),
    /// Frames in an endless body.
    Stream(Side),
}

/// All open connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: BTreeMap<ConnectionId, Connection>,
    /// The next message to each session.
    messages: BTreeMap<ConnectionId, ServerMessage>,
    /// Sockets whose resume state has changed.
    changed: BTreeSet<ConnectionId>,
    last: u64,
}

impl Connections {
    /// A number for a new connection. Later ones have higher numbers, even after a restart.
    pub fn number(&mut self, now_ms: u64) -> ConnectionId {
        self.last = (self.last + 1).max(now_ms << 10);
        ConnectionId(self.last)
    }

    /// A watch was accepted.
    pub fn open(&mut self, id: ConnectionId, transport: Transport, terms: WatchTerms) {
        let connection = match transport {
            Transport::Socket | Transport::Plain => Connection::Socket(terms.side),
            Transport::Session => Connection::Session(Rc::new(terms)),
            Transport::Stream => Connection::Stream(terms.side),
        };
        let before = self.open.insert(id, connection);
        assert!(before.is_none(), "connection {} is opened twice", id.0);
        // The machine mentions only sockets that hold something, but every one must be known after a sleep.
        self.changed.insert(id);
    }

    /// The queue was opened. Sockets come back as the state kept with them says. Endless bodies have no such state:
    /// they end, and their clients connect again. Returns the sockets that watch.
    pub fn reopen(&mut self, sockets: Vec<(ConnectionId, Bytes)>, outputs: &mut VecDeque<Output>) -> Vec<SocketState> {
        for (id, connection) in core::mem::take(&mut self.open) {
            if matches!(connection, Connection::Stream(_)) {
                outputs.push_back(Output::Close(id, 1012, "the queue was opened again"));
            }
        }
        self.changed.clear();
        self.last = sockets.iter().map(|(id, _)| id.0).fold(self.last, u64::max);
        let states = sockets.into_iter().filter_map(|(_, kept)| SocketState::decode(&kept));
        let watching = states.filter(|state| {
            let connection = match state.session {
                Some(sink) => {
                    let terms = WatchTerms { side: state.side, sink, watch: state.resume.watch.clone() };
                    Connection::Session(Rc::new(terms))
                }
                None => Connection::Socket(state.side),
            };
            self.open.insert(state.connection, connection);
            !state.idle
        });
        watching.collect()
    }

    /// Whether it is open.
    pub fn is_open(&self, id: ConnectionId) -> bool {
        self.open.contains_key(&id)
    }

    /// The request that opened a session; nothing for other connections.
    pub fn session(&self, id: ConnectionId) -> Option<Rc<WatchTerms>> {
        match self.open.get(&id)? {
            Connection::Session(terms) => Some(terms.clone()),
            Connection::Socket(_) | Connection::Stream(_) => None,
        }
    }

    /// Forgets a connection. Returns the side on which it watched.
    pub fn remove(&mut self, id: ConnectionId) -> Option<Side> {
        self.messages.remove(&id);
        self.changed.remove(&id);
        Some(match self.open.remove(&id)? {
            Connection::Socket(side) | Connection::Stream(side) => side,
            Connection::Session(terms) => terms.side,
        })
    }

    /// Sends an entry, or adds it to the next message. A connection that has just closed misses it: the event that
    /// detaches it waits for its turn, and gives the entry back.
    pub fn push(&mut self, id: ConnectionId, delivery: &Delivery, outputs: &mut VecDeque<Output>) {
        let Some(connection) = self.open.get(&id) else { return };
        let frame = delivery.frame();
        match connection {
            Connection::Socket(_) => outputs.push_back(Output::Send(id, frame)),
            Connection::Stream(_) => outputs.push_back(Output::Send(id, frame::delimited(&frame))),
            Connection::Session(_) => {
                let message = self.messages.entry(id).or_default();
                message.frame(&frame);
                if message.0.len() >= MESSAGE_BYTES {
                    self.send(id, outputs);
                }
            }
        }
    }

    /// Answers a request of a session. A request without an id hears of a refusal only.
    pub fn answer(&mut self, id: ConnectionId, answered: &ServerAnswer) {
        if self.is_open(id) && (answered.id != 0 || answered.status != 0) {
            self.messages.entry(id).or_default().answer(answered);
        }
    }

    fn send(&mut self, id: ConnectionId, outputs: &mut VecDeque<Output>) {
        if let Some(message) = self.messages.remove(&id) {
            outputs.push_back(Output::Send(id, message.0.into()));
        }
    }

    /// Sends every message that was begun.
    pub fn send_all(&mut self, outputs: &mut VecDeque<Output>) {
        let messages = core::mem::take(&mut self.messages);
        outputs.extend(messages.into_iter().map(|(id, message)| Output::Send(id, message.0.into())));
    }

    /// Closes a connection that the machine has forgotten already.
    pub fn end(&mut self, id: ConnectionId, reason: CloseReason, outputs: &mut VecDeque<Output>) {
        let (code, text) = match reason {
            CloseReason::Ended => (1000, "the queue was ended and everything in it was delivered"),
            CloseReason::TakenOver => (4001, "the same group and user connected again"),
            CloseReason::Silent => (4002, "entries were held for too long without a heartbeat"),
        };
        self.send(id, outputs);
        self.close(id, code, text, outputs);
    }

    /// Closes a connection, if it is open.
    pub fn close(&mut self, id: ConnectionId, code: u16, reason: &'static str, outputs: &mut VecDeque<Output>) {
        if self.remove(id).is_some() {
            outputs.push_back(Output::Close(id, code, reason));
        }
    }

    /// The resume state of a socket has changed.
    pub fn changed(&mut self, id: ConnectionId) {
        self.changed.insert(id);
    }

    /// Keeps the resume state of each socket that changed. Several turns may have changed the same one; the state is
    /// encoded once.
    pub fn keep(&mut self, queue: &Queue, outputs: &mut VecDeque<Output>) {
        for id in core::mem::take(&mut self.changed) {
            if let Some(state) = self.state(id, queue) {
                outputs.push_back(Output::Keep(id, state.encode()));
            }
        }
    }

    fn state(&self, id: ConnectionId, queue: &Queue) -> Option<SocketState> {
        let terms = match self.open.get(&id)? {
            Connection::Stream(_) => return None,
            Connection::Socket(_) => None,
            Connection::Session(terms) => Some(terms),
        };
        let session = terms.map(|terms| terms.sink);
        match (queue.resume_state(id), terms) {
            (Some((side, resume)), _) => Some(SocketState { connection: id, side, resume, session, idle: false }),
            (None, Some(terms)) => {
                let resume =
                    ResumeState { watch: terms.watch.clone(), leases: Vec::new(), heartbeat_ms: 0, draining: false };
                Some(SocketState { connection: id, side: terms.side, resume, session, idle: true })
            }
            (None, None) => None,
        }
    }

    /// All sessions. The shell answers their `ping`s.
    pub fn sessions(&self) -> Vec<ConnectionId> {
        let sessions = self.open.iter().filter(|(_, connection)| matches!(connection, Connection::Session(_)));
        sessions.map(|(id, _)| *id).collect()
    }
}
