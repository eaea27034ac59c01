//! Connections that watch: what each is sent, and what is kept with its socket for the time after a sleep.

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

/// A message of a session is sent when it has reached this length: 1 MiB.
pub const MESSAGE_BYTES: usize = 1024 * 1024;

/// What a watch was asked for with. The window of a session counts from the first time it is not 0.
#[derive(Clone, Debug)]
pub(super) struct WatchTerms {
    pub side: Side,
    pub sink: bool,
    pub watch: Watch,
}

/// Where frames go.
#[derive(Clone, Debug)]
enum Connection {
    /// One to a message.
    Socket(Side),
    /// With answers, several to a message, as `edgequeue.v1` has it.
    Session(Rc<WatchTerms>),
    /// Into an endless body.
    Stream(Side),
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: BTreeMap<ConnectionId, Connection>,
    /// What is to be said to sessions, a message for each.
    messages: BTreeMap<ConnectionId, ServerMessage>,
    /// Those of which something else is to be kept than was.
    changed: BTreeSet<ConnectionId>,
    last: u64,
}

impl Connections {
    /// A number for a connection. Later ones have higher numbers, also after a restart.
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
        self.open.insert(id, connection);
        // The machine mentions only those that hold something; every socket must be known after a sleep.
        self.changed.insert(id);
    }

    /// The memory of the queue is new: endless bodies end, since nothing is known of them, and their clients come again;
    /// sockets are what was kept with them. Returns those that watch.
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

    /// What a session was opened with; nothing for other connections.
    pub fn session(&self, id: ConnectionId) -> Option<Rc<WatchTerms>> {
        match self.open.get(&id)? {
            Connection::Session(terms) => Some(terms.clone()),
            Connection::Socket(_) | Connection::Stream(_) => None,
        }
    }

    /// Forgets a connection. Says on which side it watched.
    pub fn remove(&mut self, id: ConnectionId) -> Option<Side> {
        self.messages.remove(&id);
        self.changed.remove(&id);
        Some(match self.open.remove(&id)? {
            Connection::Socket(side) | Connection::Stream(side) => side,
            Connection::Session(terms) => terms.side,
        })
    }

    /// Sends an entry, or puts it where it is sent with others. A connection that is gone misses it: its leaving is an
    /// event that waits for its turn.
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

    /// Answers a request of a session. Of requests without an id only refusals are answered.
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

    /// Sends what was collected.
    pub fn send_all(&mut self, outputs: &mut VecDeque<Output>) {
        let messages = core::mem::take(&mut self.messages);
        outputs.extend(messages.into_iter().map(|(id, message)| Output::Send(id, message.0.into())));
    }

    /// Ends a connection that the machine has forgotten already.
    pub fn end(&mut self, id: ConnectionId, reason: CloseReason, outputs: &mut VecDeque<Output>) {
        let (code, text) = match reason {
            CloseReason::Ended => (1000, "the queue was ended and everything in it was delivered"),
            CloseReason::TakenOver => (4001, "the same group and user connected again"),
            CloseReason::Silent => (4002, "entries were held for too long without a sign of life"),
        };
        self.send(id, outputs);
        self.close(id, code, text, outputs);
    }

    /// Closes a connection.
    pub fn close(&mut self, id: ConnectionId, code: u16, reason: &'static str, outputs: &mut VecDeque<Output>) {
        if self.remove(id).is_some() {
            outputs.push_back(Output::Close(id, code, reason));
        }
    }

    /// Something else is to be kept with a socket than was.
    pub fn changed(&mut self, id: ConnectionId) {
        self.changed.insert(id);
    }

    /// Keeps with each socket that changed what it needs to be resumed: several turns may have changed the same one, and
    /// what counts is how it is now.
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

    /// The sessions, whose `ping`s the shell answers.
    pub fn sessions(&self) -> Vec<ConnectionId> {
        let sessions = self.open.iter().filter(|(_, connection)| matches!(connection, Connection::Session(_)));
        sessions.map(|(id, _)| *id).collect()
    }
}
