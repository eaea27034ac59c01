//! Pending replies: who is owed what for which ticket.

use super::connections::WatchTerms;
use super::consumer::Inquiry;
use super::io::{ConnectionId, RequestId};
use crate::queue::{event::Ticket, refusal::StoreError, store::Side};
use crate::wire::{Answer, Form, Transport};
use alloc::{collections::BTreeMap, format, vec, vec::Vec};
use core::fmt;

/// Who is owed a reply.
#[derive(Debug)]
pub(super) enum Pending {
    /// A request, answered in this form.
    Request(RequestId, Form),
    /// A request that asks to watch.
    Watch(Asked),
    /// A request inside a session.
    Session(SessionRequest),
    /// A question about a request, which goes on with the reply.
    Inquiry(Inquiry),
    /// The consumer beside the queue, which wants to watch.
    Consumer,
}

/// A watch that is asked for and not yet accepted.
#[derive(Debug)]
pub(super) struct Asked {
    pub request: RequestId,
    /// Numbered in its turn.
    pub connection: Option<ConnectionId>,
    pub transport: Transport,
    pub terms: WatchTerms,
}

/// A request of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionRequest {
    pub connection: ConnectionId,
    /// The client's own number for it.
    pub id: u64,
    /// Whether the request ids of what it puts are to be told.
    pub request_ids: bool,
}

/// All of them, by ticket.
#[derive(Debug, Default)]
pub(super) struct Replies {
    pending: BTreeMap<Ticket, Pending>,
    /// The requests among them whose client is watched for.
    held: BTreeMap<RequestId, (Side, Ticket)>,
    tickets: u64,
}

impl Replies {
    /// A ticket that nobody is owed anything for.
    pub fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Somebody is owed a reply.
    pub fn owe(&mut self, ticket: Ticket, pending: Pending) {
        let before = self.pending.insert(ticket, pending);
        assert!(before.is_none(), "two replies are owed for ticket {}", ticket.0);
    }

    /// A watch has its turn, as this connection.
    pub fn connect(&mut self, ticket: Ticket, connection: ConnectionId) {
        match self.pending.get_mut(&ticket) {
            Some(Pending::Watch(asked)) => asked.connection = Some(connection),
            other => unreachable!("a watch is owed its answer until its turn, not {other:?}"),
        }
    }

    /// The client of a request is watched for until it is answered.
    pub fn hold(&mut self, request: RequestId, side: Side, ticket: Ticket) {
        self.held.insert(request, (side, ticket));
    }

    /// The client of a request went away: nobody is owed its reply any more. Returns what the queue must forget.
    pub fn abandon(&mut self, request: RequestId) -> Option<(Side, Ticket)> {
        let (side, ticket) = self.held.remove(&request)?;
        self.pending.remove(&ticket);
        Some((side, ticket))
    }

    /// A reply is there: who is owed it; nobody any more where its client went away.
    pub fn take(&mut self, ticket: Ticket) -> Option<Pending> {
        let pending = self.pending.remove(&ticket)?;
        if let Pending::Request(request, _) = &pending {
            self.held.remove(request);
        }
        Some(pending)
    }

    /// The queue was lost from memory and will answer none of these, except for the tickets that still wait for their turn.
    pub fn lose(&mut self, waiting: impl Fn(Ticket) -> bool) -> Vec<Pending> {
        let lost: Vec<Ticket> = self.pending.keys().copied().filter(|ticket| !waiting(*ticket)).collect();
        lost.into_iter().filter_map(|ticket| self.take(ticket)).collect()
    }
}

/// 503: something outside failed, and another try may help.
pub(super) fn failed(error: impl fmt::Display) -> Answer {
    let mut answer = Answer::text(503, format!("the request failed and nothing of it was kept: {error}; try again"));
    answer.headers.push(("Retry-After", "1".into()));
    answer
}

/// The storage failed: 503 where another try may help, 500 with the sentence for the operator where it cannot.
pub(super) fn storage_failed(error: &StoreError) -> Answer {
    match error.is_permanent() {
        false => failed(error),
        true => Answer::text(500, format!("the request failed and nothing of it was kept: {error}")),
    }
}

/// 429: more arrives than can be stored.
pub(super) fn too_fast() -> Answer {
    let text = "more is being put into this queue than it can store at the moment; wait for answers and try again";
    Answer { headers: vec![("Retry-After", "1".into())], ..Answer::text(429, text) }
}
