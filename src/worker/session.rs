//! Sockets that speak our own protocol: their requests become events, and what a flush has to say to one of them becomes
//! one message.

use std::{collections::BTreeMap, rc::Rc};

use worker::WebSocketIncomingMessage;

use super::{
    attachment::Attachment,
    connections::Connection,
    desk::{Desk, now_ms, random},
    inbox,
    sockets::Socket,
};
use crate::queue::{
    Event, Reply,
    event::{Ticket, Watch, WatcherId},
    store::Side,
};
use crate::wire::{
    Answer,
    put::{PutDefaults, Stamp},
    refused,
    v1::{
        client::{self, ClientCommand},
        server::{ServerAnswer, ServerMessage},
    },
};

/// A message is sent when it has reached this length: 1 MiB.
pub const MESSAGE_BYTES: usize = 1024 * 1024;

/// What a session was opened with. Its window counts from the first time it is not 0.
#[derive(Clone)]
pub struct Terms {
    pub side: Side,
    pub sink: bool,
    pub watch: Watch,
}

/// A request of a session that is owed an answer.
#[derive(Clone, Copy)]
pub struct Debt {
    pub watcher: WatcherId,
    pub id: u64,
    pub request_ids: bool,
}

impl Terms {
    /// The event a request asks for.
    pub fn event(
        &self,
        watcher: WatcherId,
        ticket: Ticket,
        operation: ClientCommand,
        now_ms: u64,
        random: u128,
    ) -> Result<Event, Answer> {
        let consumer = || self.watch.consumer.clone();
        Ok(match operation {
            ClientCommand::Put(entries, _) => {
                let stamp = Stamp::new(self.sink, now_ms, "");
                Event::Put(ticket, PutDefaults::of(stamp).complete(entries, random)?)
            }
            ClientCommand::Commit(indexes) => Event::Commit(ticket, consumer(), indexes),
            ClientCommand::Reject(indexes, rejection) => Event::Reject(ticket, consumer(), indexes, rejection),
            ClientCommand::Window(window) => Event::Attach(ticket, watcher, Watch { window, ..self.watch.clone() }),
        })
    }
}

/// The answer to a request of a session.
pub fn answered(debt: &Debt, reply: Reply) -> ServerAnswer {
    match reply {
        Reply::Put(receipts) => ServerAnswer::put(debt.id, receipts, debt.request_ids),
        Reply::Refused(refusal) => ServerAnswer::refused(debt.id, &refused(&refusal)),
        _ => ServerAnswer { id: debt.id, ..ServerAnswer::default() },
    }
}

/// What is to be said to sessions, a message for each.
#[derive(Default)]
pub struct Outbox(BTreeMap<WatcherId, ServerMessage>);

impl Outbox {
    /// The answer to a request. Those without an id wait for refusals only.
    pub fn answer(&mut self, watcher: WatcherId, answered: &ServerAnswer) {
        if answered.id != 0 || answered.status != 0 {
            self.0.entry(watcher).or_default().answer(answered);
        }
    }

    /// A pushed frame; gives the message back when it is long enough to be sent.
    pub fn push(&mut self, watcher: WatcherId, frame: &[u8]) -> Option<Vec<u8>> {
        let message = self.0.entry(watcher).or_default();
        message.frame(frame);
        if message.0.len() < MESSAGE_BYTES { None } else { self.take(watcher) }
    }

    /// What is to be said to one session.
    pub fn take(&mut self, watcher: WatcherId) -> Option<Vec<u8>> {
        self.0.remove(&watcher).map(|message| message.0)
    }

    /// Everything that is left.
    pub fn into_messages(self) -> impl Iterator<Item = (WatcherId, Vec<u8>)> {
        self.0.into_iter().map(|(watcher, message)| (watcher, message.0))
    }
}

/// The answer when the storage failed.
pub fn failed(debt: &Debt, error: impl std::fmt::Display) -> ServerAnswer {
    let text = format!("the request failed and nothing of it was kept: {error}; try again");
    ServerAnswer { id: debt.id, status: 503, text, ..ServerAnswer::default() }
}

/// 429: more arrives than can be stored.
pub fn too_fast() -> Answer {
    let text = "more is being put into this queue than it can store at the moment; wait for answers and try again";
    Answer { headers: vec![("Retry-After", "1".into())], ..Answer::text(429, text) }
}

impl Desk {
    /// A message came on a socket. Those of sessions are requests; others are not expected to send any.
    pub fn message(self: &Rc<Self>, socket: &Socket, message: WebSocketIncomingMessage) {
        let Some((watcher, terms)) = self.session(socket) else { return };
        let WebSocketIncomingMessage::Binary(message) = message else {
            self.hang_up(watcher, 1003, "a text message; this protocol has binary messages and the text ping");
            return self.gone(terms.side, watcher);
        };
        let Ok(requests) = client::requests(message.into()) else {
            self.hang_up(watcher, 1002, "a message that is no ClientMessage of edgequeue.v1, or has too many requests");
            return self.gone(terms.side, watcher);
        };
        self.papers.borrow_mut().patience.arrived();
        let mut outbox = Outbox::default();
        let (now_ms, mut bits) = (now_ms(), None);
        for (id, operation) in requests {
            if let Err(refused) = operation.and_then(|operation| {
                let debt = Debt { watcher, id, request_ids: matches!(operation, ClientCommand::Put(_, true)) };
                let bits = match (&operation, bits) {
                    (ClientCommand::Put(..), None) => *bits.insert(random()?),
                    _ => bits.unwrap_or_default(),
                };
                self.request(&terms, debt, operation, now_ms, bits)
            }) {
                outbox.answer(watcher, &ServerAnswer::refused(id, &refused));
            }
        }
        self.send_all(outbox);
    }

    /// One request of a session becomes an event.
    fn request(
        self: &Rc<Self>,
        terms: &Terms,
        debt: Debt,
        operation: ClientCommand,
        now_ms: u64,
        random: u128,
    ) -> Result<(), Answer> {
        let ticket = self.owe(debt);
        let event = terms.event(debt.watcher, ticket, operation, now_ms, random);
        let event =
            event.and_then(|event| if self.has_room(inbox::bytes(&event)) { Ok(event) } else { Err(too_fast()) });
        let event = event.and_then(|event| match &event {
            Event::Put(_, entries) => self.inference.check_entries(entries).map(|()| event).map_err(Answer::bad),
            _ => Ok(event),
        });
        match event {
            Ok(event) => self.tell(terms.side, event),
            Err(refused) => {
                self.forgive(ticket);
                return Err(refused);
            }
        }
        Ok(())
    }

    /// The session of a socket; also of one that is older than our memory. `None` for other sockets and closed ones.
    fn session(&self, socket: &Socket) -> Option<(WatcherId, Rc<Terms>)> {
        let papers = &mut *self.papers.borrow_mut();
        if let Some(id) = socket.watcher()
            && let Some(Connection::Session(_, terms)) = papers.connections.get(&id)
        {
            return Some((id, terms.clone()));
        }
        let Attachment { watcher, side, remembered, session, .. } = Attachment::decode(&socket.attachment().ok()??)?;
        let terms = Rc::new(Terms { side, sink: session?, watch: remembered.watch });
        socket.set_watcher(watcher);
        papers.connections.insert(watcher, Connection::Session(socket.clone(), terms.clone()));
        Some((watcher, terms))
    }
}
