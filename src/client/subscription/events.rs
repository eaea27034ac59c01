//! What a watch makes of what its shell tells it.

use super::held::Arrival;
use super::link::{AskedFor, LinkStage, Speech, WatchTransport};
use super::{Decision, End, Subscription, Todo};
use crate::client::answer::{self, Failure, FailureKind, HttpResponse};
use crate::client::connection::{ClientConnection, Incoming};
use crate::client::frames::FrameReader;
use crate::queue::entry::Frame;
use crate::wire::v1::server::ServerAnswer;
use crate::wire::v1::subprotocol::SUBPROTOCOL;
use alloc::string::ToString;
use bytes::Bytes;
use prost::Message;

/// Close code of our service: the same group and user connected again.
const CLOSE_TAKEN_OVER: u16 = 4001;

/// An answer on a connection as the one that the same request would have got by HTTP.
fn as_http(answered: ServerAnswer) -> HttpResponse {
    let status = if answered.status == 0 { 200 } else { answered.status };
    HttpResponse { status, body: answered.text.into(), ..HttpResponse::default() }
}

impl Subscription {
    /// The connection is there, with the subprotocol that the service chose.
    pub fn opened(&mut self, now_ms: u64, number: u64, protocol: Option<&str>) {
        if number != self.link.number || self.link.stage != LinkStage::Connecting {
            // It came too late to be of use.
            self.todos.push_back(Todo::Close(number));
            return;
        }
        let is_session = protocol == Some(SUBPROTOCOL);
        self.link.speech = Some(match self.link.transport {
            WatchTransport::Stream => Speech::Pieces(FrameReader::default()),
            _ if is_session => Speech::Session(ClientConnection::default()),
            _ => Speech::Frames,
        });
        match self.link.transport {
            WatchTransport::PageSocket if is_session => {
                self.ask_window(AskedFor::Begin);
            }
            WatchTransport::PageSocket => self.give_up(now_ms, "the service does not speak edgequeue.v1"),
            WatchTransport::Socket { .. } | WatchTransport::Stream => self.begin(now_ms),
        }
        self.tell_phase();
    }

    /// Entries arrive from now on.
    fn begin(&mut self, now_ms: u64) {
        if self.link.was_open {
            self.totals.reconnects += 1;
        }
        if let Some(resume) = self.resume {
            self.options.start = resume;
        }
        self.link.open(now_ms);
        self.todos.extend((0..self.window.begin()).map(|_| Todo::Resized(Ok(()))));
    }

    /// The service answered the attempt to connect with something else than a connection.
    pub fn refused(&mut self, now_ms: u64, number: u64, response: &HttpResponse) {
        if self.link.is_current(number) {
            self.gone(now_ms);
            self.end_with(now_ms, response);
            self.tell_phase();
        }
    }

    /// The connection could not be made, or is gone; with the close code if there was one, and with the reason.
    pub fn lost(&mut self, now_ms: u64, number: u64, code: Option<u16>, why: &str) {
        if !self.link.is_current(number) {
            return;
        }
        self.gone(now_ms);
        self.link.why = why.into();
        if code == Some(CLOSE_TAKEN_OVER) {
            self.finish(now_ms, End::TakenOver);
        } else if self.link.was_open {
            self.link.part(now_ms);
        } else {
            self.finish(now_ms, End::Unreachable(why.into()));
        }
        self.tell_phase();
    }

    /// The connection has become useless, whether the other end knows it or not.
    pub(super) fn give_up(&mut self, now_ms: u64, why: &str) {
        let number = self.link.number;
        if self.link.is_current(number) {
            self.todos.push_back(Todo::Close(number));
            self.lost(now_ms, number, None, why);
        }
    }

    /// Nothing that was asked on the connection will be answered.
    fn gone(&mut self, now_ms: u64) {
        self.link.stage = LinkStage::Over;
        let Some(Speech::Session(session)) = self.link.speech.take() else { return };
        for purpose in session.abandon() {
            match purpose {
                AskedFor::Begin | AskedFor::Flow => {}
                AskedFor::Resize => self.window.defer(),
                AskedFor::Settle => self.settlements.retry(now_ms),
            }
        }
    }

    /// Something other than an entry was heard, such as a pong.
    pub fn heard(&mut self, now_ms: u64, number: u64) {
        if number == self.link.number {
            self.link.hear(now_ms);
        }
    }

    /// A binary message arrived on a WebSocket.
    pub fn message(&mut self, now_ms: u64, number: u64, message: Bytes) {
        if number != self.link.number {
            return;
        }
        self.link.hear(now_ms);
        match &mut self.link.speech {
            Some(Speech::Frames) => self.take(message),
            Some(Speech::Session(session)) => match session.receive(message) {
                Ok(all) => all.into_iter().for_each(|incoming| self.incoming(now_ms, incoming)),
                Err(_) => self.give_up(now_ms, "the service sent a message that edgequeue.v1 does not have"),
            },
            Some(Speech::Pieces(_)) | None => {}
        }
    }

    /// A piece of the endless answer arrived.
    pub fn piece(&mut self, now_ms: u64, number: u64, piece: &[u8]) {
        if number != self.link.number {
            return;
        }
        self.link.hear(now_ms);
        if let Some(Speech::Pieces(reader)) = &mut self.link.speech {
            reader.push(piece);
        }
        while let Some(Speech::Pieces(reader)) = &mut self.link.speech {
            match reader.next_frame() {
                Ok(Some(frame)) => self.take(frame),
                Ok(None) => return,
                Err(wrong) => self.give_up(now_ms, &wrong.to_string()),
            }
        }
    }

    fn incoming(&mut self, now_ms: u64, incoming: Incoming<AskedFor>) {
        // What came before in the same message may have ended the connection.
        if self.link.speech.is_none() {
            return;
        }
        match incoming {
            Incoming::Pushed(frame) => self.take(frame),
            Incoming::Answered(purpose, answered) => self.answered(now_ms, purpose, &as_http(answered)),
        }
    }

    fn answered(&mut self, now_ms: u64, purpose: AskedFor, response: &HttpResponse) {
        let is_done = response.status == 200;
        match purpose {
            AskedFor::Flow => {}
            AskedFor::Settle => self.settled(now_ms, Some(response)),
            AskedFor::Begin if is_done => {
                self.begin(now_ms);
                self.tell_phase();
            }
            AskedFor::Begin => {
                self.todos.push_back(Todo::Close(self.link.number));
                self.refused(now_ms, self.link.number, response);
            }
            AskedFor::Resize if is_done => {
                self.window.agree();
                self.todos.push_back(Todo::Resized(Ok(())));
            }
            AskedFor::Resize => {
                self.window.refuse();
                self.todos.push_back(Todo::Resized(Err(Failure::of(response))));
            }
        }
    }

    /// An entry arrived.
    fn take(&mut self, frame: Bytes) {
        let auto_commit = self.options.auto_commit;
        // Under auto commit what arrives late is committed all the same, and would be lost if it was not given out.
        if self.leaving_until_ms.is_some() && !auto_commit {
            return;
        }
        // No entry has the index 0; proxies on the way may turn errors into such frames.
        let Some(frame) = Frame::decode(frame).ok().filter(|frame| frame.index != 0) else { return };
        let arrival = if auto_commit { Arrival::New } else { self.held.take(&frame) };
        if arrival == Arrival::New {
            self.totals.shown += 1;
            self.totals.bytes += frame.data.len() as u64;
            self.todos.push_back(Todo::Deliver(frame));
            return;
        }
        self.totals.repeated += 1;
        if arrival == Arrival::Committed && !self.settlements.has(frame.index) {
            self.settlements.push(frame.index, Decision::Commit);
        }
    }

    /// The request of [`Todo::Settle`] was answered; `None`: no answer came.
    pub fn settled(&mut self, now_ms: u64, response: Option<&HttpResponse>) {
        match response.map(answer::done) {
            Some(Ok(())) => {
                let (indexes, is_commit) = self.settlements.confirm();
                let count = indexes.len() as u64;
                match self.leaving_until_ms {
                    _ if is_commit => self.totals.committed += count,
                    Some(_) => self.totals.returned += count,
                    None => self.totals.rejected += count,
                }
                self.todos.push_back(Todo::Confirmed(indexes));
            }
            Some(Err(failure)) if !matches!(failure.kind, FailureKind::Service | FailureKind::Full) => {
                self.settlements.give_up();
                self.finish(now_ms, End::Failed(failure));
            }
            None | Some(Err(_)) => self.settlements.retry(now_ms),
        }
    }
}
