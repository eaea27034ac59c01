//! Pending replies: for each ticket, who waits for the reply and in which form.

use super::connections::WatchTerms;
use super::consumer::Inquiry;
use super::io::{ConnectionId, RequestId};
use crate::queue::{event::Ticket, refusal::StoreError, store::Side};
use crate::wire::{Answer, Form, Transport};
use alloc::{collections::BTreeMap, format, vec, vec::Vec};
use core::fmt;

/// Somebody who waits for a reply.
#[derive(Debug)]
pub(super) enum Pending {
    /// A request, answered in this form.
    Request(RequestId, Form),
    /// A request to watch.
    Watch(Asked),
    /// A request inside a session.
    Session(SessionRequest),
    /// A question about a request, whose next step depends on the reply.
    Inquiry(Inquiry),
    /// The consumer beside the queue, which attaches itself.
    Consumer,
}

/// A watch that is not accepted yet.
#[derive(Debug)]
pub(super) struct Asked {
    pub request: RequestId,
    /// Its connection, which is numbered in its turn.
    pub connection: Option<ConnectionId>,
    pub transport: Transport,
    pub terms: WatchTerms,
}

/// A request of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionRequest {
    pub connection: ConnectionId,
    /// The client's number for it.
    pub id: u64,
    /// Whether the answer to a put names request ids.
    pub request_ids: bool,
}

/// All pending replies, by ticket.
#[derive(Debug, Default)]
pub(super) struct Replies {
    pending: BTreeMap<Ticket, Pending>,
    /// The requests among them whose client may go away first.
    held: BTreeMap<RequestId, (Side, Ticket)>,
    tickets: u64,
}

impl Replies {
    /// A new ticket.
    pub fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Somebody waits for the reply to this ticket.
    pub fn add(&mut self, ticket: Ticket, pending: Pending) {
        let before = self.pending.insert(ticket, pending);
        assert!(before.is_none(), "ticket {} has two pending replies", ticket.0);
    }

    /// A watch has its turn, and becomes this connection.
    pub fn connect(&mut self, ticket: Ticket, connection: ConnectionId) {
        match self.pending.get_mut(&ticket) {
            Some(Pending::Watch(asked)) => asked.connection = Some(connection),
            other => unreachable!("a watch waits for its turn, not {other:?}"),
        }
    }

    /// The client of a request may go away before the answer.
    pub fn hold(&mut self, request: RequestId, side: Side, ticket: Ticket) {
        let before = self.held.insert(request, (side, ticket));
        assert!(before.is_none(), "request {} is held twice", request.0);
    }

    /// The client of a request went away. Returns the waiting call that the queue must forget, unless it was answered
    /// already.
    pub fn abandon(&mut self, request: RequestId) -> Option<(Side, Ticket)> {
        let (side, ticket) = self.held.remove(&request)?;
        self.pending.remove(&ticket).expect("a request is held until it is answered");
        Some((side, ticket))
    }

    /// Who waits for this reply. There may be nobody, as clients go away.
    pub fn take(&mut self, ticket: Ticket) -> Option<Pending> {
        let pending = self.pending.remove(&ticket)?;
        if let Pending::Request(request, _) = &pending {
            self.held.remove(request);
        }
        Some(pending)
    }

    /// The queue was lost from memory and will not reply to the tickets whose turn it has taken. `waiting` tells the
    /// others. Returns the replies that will never come.
    pub fn lose(&mut self, waiting: impl Fn(Ticket) -> bool) -> Vec<Pending> {
        let lost: Vec<Ticket> = self.pending.keys().copied().filter(|ticket| !waiting(*ticket)).collect();
        lost.into_iter().filter_map(|ticket| self.take(ticket)).collect()
    }
}

/// 503: something outside failed, and trying again may help.
pub(super) fn failed(error: impl fmt::Display) -> Answer {
    let mut answer = Answer::text(503, format!("the request failed and nothing of it was kept: {error}; try again"));
    answer.headers.push(("Retry-After", "1".into()));
    answer
}

/// The storage failed: 503 if trying again may help, otherwise 500 with a sentence for the operator.
pub(super) fn storage_failed(error: &StoreError) -> Answer {
    match error.is_permanent() {
        false => failed(error),
        true => Answer::text(500, format!("the request failed and nothing of it was kept: {error}")),
    }
}

/// 429: entries arrive faster than they can be stored.
pub(super) fn too_fast() -> Answer {
    let text = "more is being put into this queue than it can store at the moment; wait for answers and try again";
    Answer { headers: vec![("Retry-After", "1".into())], ..Answer::text(429, text) }
}
