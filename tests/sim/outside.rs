//! What may be seen outside, and when: every reply once, to whoever asked, and every frame; of turns that were written,
//! in their order, and of no others.

use super::oracle::{Oracle, Verdict, demand};
use bytes::Bytes;
use edgequeue::broker::{ConnectionId, RequestId};
use edgequeue::queue::effect::{CloseReason, Effect, Reply};
use edgequeue::queue::event::{Event, Ticket};
use edgequeue::queue::store::Side;
use edgequeue::wire::http::settings::Patch;
use edgequeue::wire::v1::server::ServerAnswer;
use edgequeue::wire::{Answer, Form, Transport, answer, refused};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Kind {
    /// In this form.
    Plain(Form),
    /// With a connection.
    Watch(Transport),
    /// With what several places know of this request.
    Inquiry(String),
    /// In this form, after a change of settings.
    Configure(Form, Bytes),
}

/// A request that the queue has not taken up.
#[derive(Clone, Debug)]
struct Asked {
    side: Side,
    /// Its ticket does not count, nor does the connection of a watch.
    event: Event,
    asker: Asker,
}

/// Who is owed a reply.
#[derive(Clone, Debug)]
enum Asker {
    Request(RequestId, Kind),
    /// A request of a session, by its number there.
    Session(ConnectionId, u64, bool),
}

/// What somebody must see.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Frame(Bytes, u64),
    Answer(ServerAnswer),
    Close(u16),
}

/// What may be seen of one life of the queue and its turns.
#[derive(Default)]
pub struct Outside {
    /// By connection; requests over HTTP have none. The queue takes up those of one in their order.
    asked: BTreeMap<Option<ConnectionId>, VecDeque<Asked>>,
    /// Turns were taken; there is no reply yet, or it was not flushed.
    owed: BTreeMap<Ticket, Asker>,
    /// Effects of turns that are not flushed.
    unflushed: Vec<Effect>,
    /// Questions that are open.
    inquiries: BTreeMap<RequestId, String>,
    answers: BTreeMap<RequestId, Expected>,
    pieces: BTreeMap<ConnectionId, VecDeque<Piece>>,
    /// Connections of watches that were asked for.
    asking: BTreeMap<Ticket, ConnectionId>,
    /// Connections that clients have not closed.
    open: BTreeMap<ConnectionId, Transport>,
    /// Clients that are gone.
    gone: BTreeSet<RequestId>,
    /// Endless bodies that end when the queue is opened again.
    ending: BTreeSet<ConnectionId>,
    /// The memory was lost while these waited or were in a turn: they may be told so.
    may_fail: bool,
}

/// The one right answer.
#[derive(Clone, Debug, PartialEq)]
enum Expected {
    Answer(Answer),
    Accept(ConnectionId, Transport),
    Failed,
}

impl Outside {
    /// A client asks.
    pub fn ask(&mut self, id: RequestId, side: Side, event: Event, kind: Kind) {
        if let Kind::Inquiry(request_id) = &kind {
            self.inquiries.insert(id, request_id.clone());
        }
        self.asked.entry(None).or_default().push_back(Asked { side, event, asker: Asker::Request(id, kind) });
    }

    /// A session asks.
    pub fn say(&mut self, id: ConnectionId, number: u64, side: Side, event: Event, request_ids: bool) {
        let asker = Asker::Session(id, number, request_ids);
        self.asked.entry(Some(id)).or_default().push_back(Asked { side, event, asker });
    }

    /// The client of a request is gone.
    pub fn gone(&mut self, id: RequestId) {
        self.gone.insert(id);
        self.answers.remove(&id);
        self.unasked(|asker| matches!(asker, Asker::Request(other, _) if *other == id));
    }

    /// A client closed its connection.
    pub fn closed(&mut self, id: ConnectionId) {
        self.open.remove(&id);
        self.ending.remove(&id);
        self.pieces.remove(&id);
    }

    /// A turn was taken: somebody asked for it, or the queue takes it by itself.
    pub fn turn(&mut self, side: Side, event: &Event, effects: &[Effect], oracle: &Oracle) -> Verdict {
        if let Some(ticket) = event.ticket() {
            self.drop_windows();
            // A session that changes its window attaches as a watch does, but a watch has a new connection.
            let attached = matches!(event, Event::Attach(_, id, _) if self.open.contains_key(id));
            let place = self.asked.iter().find_map(|(source, asked)| {
                let front = asked.front().filter(|_| source.is_some() || !attached)?;
                (front.side == side && (same(&front.event, event) || resizes(&front.event, event, oracle)))
                    .then_some(*source)
            });
            match place.and_then(|source| self.asked.get_mut(&source)?.pop_front()) {
                Some(asked) => {
                    if let Asker::Request(_, Kind::Configure(_, body)) = &asked.asker {
                        let patch = Patch::parse(body).expect("a patch that makes sense");
                        let Event::Configure(_, seen) = event else { return Err("no change of settings".into()) };
                        demand!(*seen == patch.apply(&oracle.settings), "{patch:?} becomes {seen:?}");
                    }
                    if let (Asker::Request(..), Event::Attach(ticket, id, _)) = (&asked.asker, event) {
                        self.asking.insert(*ticket, *id);
                    }
                    self.owed.insert(ticket, asked.asker);
                }
                None => demand!(self.inquires(event), "nobody asked for {event:?}"),
            }
        }
        if let Event::Abandon(ticket) = event {
            self.owed.remove(ticket);
        }
        self.unflushed.extend_from_slice(effects);
        Ok(())
    }

    /// A connection that is closed is no longer given anything.
    fn drop_windows(&mut self) {
        let mut asked = std::mem::take(&mut self.asked);
        for (id, asked) in asked.iter_mut().filter_map(|(id, asked)| Some((id.as_ref()?, asked))) {
            let closed = |effect: &Effect| matches!(effect, Effect::Close(closed, _) if closed == id);
            let closing =
                self.pieces.get(id).and_then(VecDeque::back).is_some_and(|piece| matches!(piece, Piece::Close(_)));
            if closing || !self.open.contains_key(id) || self.unflushed.iter().any(closed) {
                while asked.front().is_some_and(|asked| matches!(asked.event, Event::Attach(..))) {
                    asked.pop_front();
                }
            }
        }
        self.asked = asked;
    }

    /// Whether a turn is the next question about a request.
    fn inquires(&self, event: &Event) -> bool {
        let (Event::Find(_, id) | Event::Cancel(_, id)) = event else { return false };
        self.inquiries.values().any(|asked| asked == id)
    }

    /// All turns so far were written: what came of them will be seen.
    pub fn flushed(&mut self) {
        for effect in std::mem::take(&mut self.unflushed) {
            match effect {
                Effect::Reply(ticket, reply) => self.reply(ticket, reply),
                Effect::Push(id, delivery) => self.piece(id, Piece::Frame(delivery.frame(), delivery.entry.index.0)),
                Effect::Close(id, reason) => {
                    let code = match reason {
                        CloseReason::Ended => 1000,
                        CloseReason::TakenOver => 4001,
                        CloseReason::Silent => 4002,
                    };
                    self.piece(id, Piece::Close(code));
                }
                Effect::Remember(_) | Effect::Again | Effect::Revoke(..) => {}
            }
        }
    }

    /// A connection will see this, unless it was closed before.
    fn piece(&mut self, id: ConnectionId, piece: Piece) {
        let pieces = self.pieces.entry(id).or_default();
        if self.open.contains_key(&id) && !matches!(pieces.back(), Some(Piece::Close(_))) {
            pieces.push_back(piece);
        }
    }

    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        let connection = self.asking.remove(&ticket);
        match self.owed.remove(&ticket) {
            // The question may go on; that it is answered once, and at last, is all that is asked here.
            None | Some(Asker::Request(_, Kind::Inquiry(_))) => {}
            Some(Asker::Session(id, number, request_ids)) => {
                let answered = match reply {
                    Reply::Put(receipts) => ServerAnswer::put(number, receipts, request_ids),
                    Reply::Refused(refusal) => ServerAnswer::refused(number, &refused(&refusal)),
                    _ => ServerAnswer { id: number, ..ServerAnswer::default() },
                };
                self.piece(id, Piece::Answer(answered));
            }
            Some(Asker::Request(id, _)) if self.gone.remove(&id) => {}
            Some(Asker::Request(id, kind)) => {
                let expected = match (kind, reply) {
                    (Kind::Watch(transport), Reply::Attached) => {
                        let connection = connection.expect("a watch has a connection");
                        self.open.insert(connection, transport);
                        Expected::Accept(connection, transport)
                    }
                    (_, Reply::Refused(refusal)) => Expected::Answer(refused(&refusal)),
                    (Kind::Plain(form) | Kind::Configure(form, _), reply) => Expected::Answer(answer(&form, reply)),
                    (Kind::Watch(_) | Kind::Inquiry(_), _) => Expected::Failed,
                };
                self.answers.insert(id, expected);
            }
        }
    }

    /// The memory was lost, with all turns since the last flush: whoever is owed something hears that it failed.
    pub fn lost(&mut self) {
        self.unflushed.clear();
        self.asking.clear();
        self.may_fail = true;
        let streams = self.open.iter().filter(|(_, transport)| **transport == Transport::Stream);
        self.ending.extend(streams.map(|(id, _)| *id));
        for asker in std::mem::take(&mut self.owed).into_values() {
            match asker {
                Asker::Request(_, Kind::Inquiry(_)) => {}
                Asker::Request(id, _) if self.gone.remove(&id) => {}
                Asker::Request(id, _) => drop(self.answers.insert(id, Expected::Failed)),
                Asker::Session(id, number, _) => {
                    let answered = ServerAnswer { id: number, status: 503, ..ServerAnswer::default() };
                    self.piece(id, Piece::Answer(answered));
                }
            }
        }
    }

    /// The process is gone, or the memory was given up: nobody who asked hears anything any more.
    pub fn forgotten(&mut self) {
        let open = std::mem::take(&mut self.open);
        *self = Self { open, ..Self::default() };
    }

    /// Connections that outlived the memory, as their clients see it.
    pub fn retain(&mut self, is_open: impl Fn(ConnectionId) -> bool) {
        self.open.retain(|id, _| is_open(*id));
    }

    /// Whether a request waits for its turn.
    pub fn is_asked(&self, id: RequestId) -> bool {
        let is_it = |asked: &Asked| matches!(asked.asker, Asker::Request(other, _) if other == id);
        self.asked.values().flatten().any(is_it)
    }

    /// A request was answered.
    pub fn answered(&mut self, id: RequestId, seen: &Answer) -> Verdict {
        if self.inquiries.remove(&id).is_some() {
            self.unasked(|asker| matches!(asker, Asker::Request(other, _) if *other == id));
            return Ok(());
        }
        match self.answers.remove(&id) {
            Some(Expected::Answer(expected)) => demand!(*seen == expected, "answered {seen:?} instead of {expected:?}"),
            Some(Expected::Failed) => {
                demand!(seen.status == 503, "the memory was lost and a request answered {seen:?}");
            }
            Some(other) => return Err(format!("{seen:?} instead of {other:?}")),
            None => {
                // It was refused before it was a turn, or failed together with another one.
                let possible = matches!(seen.status, 400 | 413 | 429) || (seen.status == 503 && self.may_fail);
                let waited = self.unasked(|asker| matches!(asker, Asker::Request(other, _) if *other == id));
                demand!(possible && waited, "request {} is answered too early, or for nothing: {seen:?}", id.0);
            }
        }
        Ok(())
    }

    /// Forgets a request that was not taken up. Says whether there was one.
    fn unasked(&mut self, is_it: impl Fn(&Asker) -> bool) -> bool {
        let before: usize = self.asked.values().map(VecDeque::len).sum();
        self.asked.values_mut().for_each(|asked| asked.retain(|asked| !is_it(&asked.asker)));
        before != self.asked.values().map(VecDeque::len).sum::<usize>()
    }

    /// A request was answered with a connection.
    pub fn accepted(&mut self, request: RequestId, connection: ConnectionId, transport: Transport) -> Verdict {
        let (expected, seen) = (self.answers.remove(&request), Expected::Accept(connection, transport));
        demand!(expected.as_ref() == Some(&seen), "accepted {seen:?} instead of {expected:?}");
        Ok(())
    }

    /// Something was sent, or a connection closed.
    pub fn seen(&mut self, id: ConnectionId, seen: &Piece) -> Verdict<Option<Piece>> {
        let expected = self.pieces.get_mut(&id).and_then(VecDeque::pop_front);
        match (&expected, seen) {
            (Some(Piece::Frame(frame, _)), Piece::Frame(sent, _)) if frame == sent => {}
            // The text is the storage's own.
            (Some(Piece::Answer(answered)), Piece::Answer(sent))
                if answered.status == 503 && (answered.id, 503) == (sent.id, sent.status) => {}
            (Some(Piece::Close(_)), seen) if expected.as_ref() == Some(seen) => drop(self.open.remove(&id)),
            (Some(piece), seen) if piece == seen => {}
            (None, Piece::Answer(sent)) if self.refuses(id, sent) => {}
            (None, Piece::Close(1012)) if self.ending.remove(&id) => drop(self.open.remove(&id)),
            (None, Piece::Close(1011)) if self.may_fail && self.asked.remove(&Some(id)).is_some() => {
                self.open.remove(&id);
            }
            (expected, seen) => return Err(format!("connection {} sees {seen:?} instead of {expected:?}", id.0)),
        }
        Ok(expected)
    }

    /// A request of a session may be refused before it is a turn, or fail together with others.
    fn refuses(&mut self, id: ConnectionId, sent: &ServerAnswer) -> bool {
        let possible = matches!(sent.status, 400 | 413 | 429) || (sent.status == 503 && self.may_fail);
        possible
            && self.unasked(
                |asker| matches!(asker, Asker::Session(other, number, _) if (*other, *number) == (id, sent.id)),
            )
    }

    /// Nothing happens any more: only gets may still wait.
    pub fn check_rest(&mut self, is_open: bool) -> Verdict {
        demand!(!is_open || self.ending.is_empty(), "never closed: {:?}", self.ending);
        let is_gone = |asker: &Asker| matches!(asker, Asker::Request(id, _) if self.gone.contains(id));
        demand!(!self.owed.values().any(is_gone), "the queue waits for clients that are gone: {:?}", self.gone);
        self.may_fail = false;
        self.gone.clear();
        self.drop_windows();
        // What a client said before it left is carried out, unless nobody had read it yet.
        let open = &self.open;
        let is_there = |source: &Option<ConnectionId>| source.is_none_or(|id| open.contains_key(&id));
        self.asked.retain(|source, asked| is_there(source) && !asked.is_empty());
        self.pieces.retain(|_, pieces| !pieces.is_empty());
        demand!(self.asked.is_empty(), "never taken up: {:?}", self.asked);
        demand!(self.unflushed.is_empty(), "never flushed: {:?}", self.unflushed);
        demand!(self.inquiries.is_empty(), "never answered: {:?}", self.inquiries);
        demand!(self.answers.is_empty(), "never answered: {:?}", self.answers);
        demand!(self.pieces.is_empty(), "never sent: {:?}", self.pieces);
        let is_get = |asker: &Asker| matches!(asker, Asker::Request(_, Kind::Plain(Form::Entries(_))));
        let other = self.owed.values().find(|asker| !is_get(asker));
        demand!(other.is_none(), "never answered: {other:?}");
        Ok(())
    }
}

/// Whether a turn gives a connection that watches another window: only the window counts.
fn resizes(asked: &Event, seen: &Event, oracle: &Oracle) -> bool {
    let (Event::Attach(_, id, asked), Event::Attach(_, seen_id, seen)) = (asked, seen) else { return false };
    let watches = [Side::Main, Side::Rear].iter().any(|side| oracle.side(*side).watcher(*id).is_some());
    watches && (id, &asked.consumer, asked.window) == (seen_id, &seen.consumer, seen.window)
}

/// Whether a turn is the one that was asked for.
fn same(asked: &Event, seen: &Event) -> bool {
    match (asked, seen) {
        (Event::Put(_, asked), Event::Put(_, seen)) => {
            asked.len() == seen.len()
                && asked.iter().zip(seen).all(|(asked, seen)| {
                    let tags = asked.tags.iter().all(|(key, value)| seen.tags.get(key) == Some(value));
                    tags && (asked.priority, &asked.data, asked.dedup) == (seen.priority, &seen.data, seen.dedup)
                })
        }
        (Event::Get(_, asked), Event::Get(_, seen)) => asked == seen,
        (Event::Attach(_, asked_id, asked), Event::Attach(_, seen_id, seen)) => {
            asked == seen && (asked_id.0 == 0 || asked_id == seen_id)
        }
        (Event::Commit(_, by, asked), Event::Commit(_, seen_by, seen)) => (by, asked) == (seen_by, seen),
        (Event::Reject(_, by, asked, why), Event::Reject(_, seen_by, seen, seen_why)) => {
            (by, asked, why) == (seen_by, seen, seen_why)
        }
        (Event::Remove(_, asked), Event::Remove(_, seen)) => asked == seen,
        (Event::Truncate(_, asked), Event::Truncate(_, seen)) => asked == seen,
        (Event::End(_, asked), Event::End(_, seen)) => asked == seen,
        (Event::Configure(..), Event::Configure(..)) | (Event::Stats(_), Event::Stats(_)) => true,
        (Event::Count(_, priority, filter), Event::Count(_, seen_lane, seen)) => {
            (priority, filter) == (seen_lane, seen)
        }
        (Event::Search(_, by, asked), Event::Search(_, seen_by, seen)) => (by, asked) == (seen_by, seen),
        (Event::Find(_, asked), Event::Find(_, seen)) | (Event::Cancel(_, asked), Event::Cancel(_, seen)) => {
            asked == seen
        }
        _ => false,
    }
}
