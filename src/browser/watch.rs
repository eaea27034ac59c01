//! A watch: asks the [`Session`] what to do, has it done, and tells it what happened.

use std::cell::RefCell;

use bytes::{Buf, Bytes, BytesMut};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

use super::page::{self, Observer, now_ms, tags};
use super::queue::{self, Queue};
use crate::client::{
    Decision, End, Endpoint, Failure, Kind, Request, Response, Session, Subscribe, Todo, Totals, answer,
};
use crate::queue::entry::{Frame, Index};
use crate::wire::v1::PING;
use crate::wire::v1::client::{ClientCommand, ClientRequest};
use crate::wire::v1::server::{ServerAnswer, ServerEvent, events};
use crate::wire::v1::subprotocol::{self, SUBPROTOCOL};

/// A timer this late was held back, as browsers do with those of hidden pages, in milliseconds.
const LATE_MS: u64 = 5_000;
/// Longest frame of an endless answer that is waited for, in bytes: far above what any queue takes.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes before a frame of an endless answer: its length, big-endian.
const LENGTH_BYTES: usize = 4;

/// What a request on a socket is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The first window: may this be a watch?
    Begin,
    /// Another window.
    Resize,
    /// The window for as long as the page has too much, or the old one again.
    Flow,
    /// Decisions.
    Settle,
}

/// The connection there is, and what is under way on it.
struct Linked {
    number: u64,
    asked: Vec<(u64, Asked)>,
    /// A ping was sent, and since then nothing was heard.
    waits_for_pong: bool,
    /// The beginning of a frame of an endless answer.
    rest: BytesMut,
}

impl Linked {
    fn is_asked(&self, what: Asked) -> bool {
        self.asked.iter().any(|(_, asked)| *asked == what)
    }
}

/// A watch under way.
#[wasm_bindgen]
pub struct Watching {
    endpoint: Endpoint,
    observer: Observer,
    inner: RefCell<Inner>,
}

struct Inner {
    session: Session,
    /// The service is one of ours, and may be spoken to like that.
    is_ours: bool,
    linked: Option<Linked>,
    window: u32,
    agreed_window: u32,
    /// Changes of the window that take effect with the next connection.
    resizes: u32,
    is_full: bool,
    ids: u64,
    wake_ms: u64,
    was_open: bool,
    is_leaving: bool,
    is_over: bool,
    why: String,
    told: Option<(&'static str, u64)>,
}

/// What is to be told to the page when nothing is borrowed any more.
#[derive(Default)]
struct News {
    send: Vec<u8>,
    hang_up: bool,
    frames: Vec<Frame>,
    settled: Vec<u64>,
    resized: Vec<Option<JsValue>>,
}

fn seed() -> u64 {
    (js_sys::Math::random() * u64::MAX as f64) as u64
}

/// An answer on a socket as the answer the same request would have got by HTTP.
fn response(answered: &ServerAnswer) -> Response {
    let status = if answered.status == 0 { 200 } else { answered.status };
    Response { status, request_id: None, repeated: false, body: answered.text.clone().into() }
}

fn response_of(status: u16, body: Vec<u8>) -> Response {
    Response { status, request_id: None, repeated: false, body: body.into() }
}

#[wasm_bindgen]
impl Watching {
    /// Begins with the first call of [`Watching::woken`]. `attributes` are those of the queue; `from` missing: what is put from now
    /// on; `is_plain`: only what every service has is used.
    #[wasm_bindgen(constructor)]
    #[expect(
        clippy::too_many_arguments,
        reason = "options come one by one: an object would have to be taken apart here"
    )]
    pub fn new(
        queue: &Queue,
        attributes: Vec<String>,
        is_plain: bool,
        window: u32,
        from: Option<u64>,
        auto_commit: bool,
        index_only: bool,
        filter: Vec<String>,
        observer: Observer,
    ) -> Self {
        let (endpoint, attributes) = (queue.0.clone(), tags(attributes));
        let is_ours = !is_plain && answer::takes_batches(&attributes);
        // A session becomes a watch with its first window, which can be refused with a reason; a socket cannot.
        let first = if is_ours { 0 } else { window };
        let (start, filter) = (queue::start(from), tags(filter));
        let subscribe = Subscribe { start, window: first, auto_commit, index_only, tags: filter };
        let resume = subscribe.resume(&endpoint, &attributes);
        let inner = Inner {
            session: Session::new(endpoint.clone(), subscribe, resume, seed()),
            is_ours,
            linked: None,
            window,
            agreed_window: window,
            resizes: 0,
            is_full: false,
            ids: 0,
            wake_ms: u64::MAX,
            was_open: false,
            is_leaving: false,
            is_over: false,
            why: String::new(),
            told: None,
        };
        Self { endpoint, observer, inner: RefCell::new(inner) }
    }

    /// An entry is done.
    pub fn commit(&self, index: u64) {
        self.decide(index, Decision::Commit);
    }

    /// An entry is refused.
    pub fn negative(&self, index: u64, code: String, reason: String) -> Result<(), JsValue> {
        self.decide(index, Decision::Reject(queue::rejection(code, reason)?));
        Ok(())
    }

    /// Changes the window; [`Observer::resized`] follows.
    pub fn resize(&self, window: u32) -> Result<(), JsValue> {
        let mut news = News::default();
        let mut inner = self.inner.borrow_mut();
        if !inner.is_ours {
            return Err(page::error(
                "unsupported",
                "only an edgequeue can change the window of a watch that has begun",
            ));
        }
        inner.window = window;
        if inner.has_session() || inner.linked.as_ref().is_some_and(|linked| linked.is_asked(Asked::Begin)) {
            inner.ask_window(Asked::Resize, &mut news);
        } else {
            inner.resizes += 1;
        }
        drop(inner);
        self.tell(news);
        Ok(())
    }

    /// Under auto commit: whether the page has more than it can take. It is sent no more then.
    pub fn flow(&self, is_full: bool) {
        let mut news = News::default();
        let mut inner = self.inner.borrow_mut();
        inner.is_full = is_full;
        if inner.has_session() {
            inner.ask_window(Asked::Flow, &mut news);
        }
        drop(inner);
        self.tell(news);
    }

    /// Confirms what was decided, hands back the rest and ends.
    pub fn leave(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.is_leaving = true;
        inner.session.leave(now_ms());
        drop(inner);
        self.turn();
    }

    /// Shown, bytes, committed, rejected, returned, repeated, reconnects.
    pub fn totals(&self) -> Vec<f64> {
        let totals = self.inner.borrow().session.totals();
        let Totals { shown, bytes, committed, rejected, returned, repeated, reconnects } = totals;
        [shown, bytes, committed, rejected, returned, repeated, reconnects].map(|count| count as f64).into()
    }

    /// The time asked for by [`Observer::wake`] is there.
    pub fn woken(&self) {
        let mut inner = self.inner.borrow_mut();
        let (now_ms, due_ms) = (now_ms(), std::mem::replace(&mut inner.wake_ms, u64::MAX));
        // Whoever did not listen cannot say that it was silent, unless it owes an answer for longer than that.
        if now_ms > due_ms.saturating_add(LATE_MS)
            && let Some(Linked { number, waits_for_pong: false, .. }) = inner.linked
        {
            inner.session.heard(now_ms, number);
        }
        drop(inner);
        self.turn();
    }

    /// The WebSocket is open.
    pub fn opened(&self, number: f64) {
        self.happened(number, |inner, _, news| inner.ask_window(Asked::Begin, news));
    }

    /// The endless answer has begun.
    pub fn begun(&self, number: f64) {
        self.happened(number, |inner, now_ms, news| inner.begun(now_ms, news));
    }

    /// A sign of life.
    pub fn heard(&self, number: f64) {
        self.happened(number, |_, _, _| {});
    }

    /// A message on the WebSocket.
    pub fn message(&self, number: f64, message: Vec<u8>) {
        self.happened(number, |inner, now_ms, news| match events(message.into()) {
            Ok(said) => said.into_iter().for_each(|said| inner.events(now_ms, said, news)),
            Err(_) => inner.lost(now_ms, None, "the service sent a message that is no edgequeue.v1", news),
        });
    }

    /// A piece of the endless answer.
    pub fn piece(&self, number: f64, piece: &[u8]) {
        self.happened(number, |inner, now_ms, news| inner.piece(now_ms, piece, news));
    }

    /// The connection was answered with something else.
    pub fn refused(&self, number: f64, status: u16, body: Vec<u8>) {
        let response = response_of(status, body);
        self.happened(number, |inner, now_ms, news| inner.refused(now_ms, &response, news));
    }

    /// Whether it is worth asking why a WebSocket that is gone was not opened at all: browsers do not say, but another
    /// request may tell. What that brings is told to [`Watching::refused`] or [`Watching::lost`] instead.
    #[wasm_bindgen(js_name = asksWhy)]
    pub fn asks_why(&self) -> bool {
        let inner = self.inner.borrow();
        inner.is_ours && !inner.has_session() && inner.linked.is_some()
    }

    /// The connection is gone; with the close code, or 0.
    pub fn lost(&self, number: f64, code: u16, why: &str) {
        let code = (code != 0).then_some(code);
        self.happened(number, |inner, now_ms, news| inner.lost(now_ms, code, why, news));
    }

    /// The request of [`Observer::settle`] was answered; with the status, or 0 if no answer came.
    #[wasm_bindgen(js_name = settledByHttp)]
    pub fn settled_by_http(&self, status: u16, body: Vec<u8>) {
        let mut news = News::default();
        let response = (status != 0).then(|| response_of(status, body));
        settled(&mut self.inner.borrow_mut().session, response.as_ref(), &mut news);
        self.tell(news);
        self.turn();
    }
}

impl Watching {
    /// Something happened to the connection of this number.
    fn happened(&self, number: f64, act: impl FnOnce(&mut Inner, u64, &mut News)) {
        let mut news = News::default();
        let now_ms = now_ms();
        {
            let inner = &mut *self.inner.borrow_mut();
            let Some(linked) = inner.linked.as_mut().filter(|linked| linked.number == number as u64) else { return };
            linked.waits_for_pong = false;
            inner.session.heard(now_ms, linked.number);
            act(inner, now_ms, &mut news);
        }
        self.tell(news);
        self.turn();
    }

    fn decide(&self, index: u64, decision: Decision) {
        self.inner.borrow_mut().session.decide(index, decision);
        self.turn();
    }

    /// Has done what is to be done.
    fn turn(&self) {
        loop {
            let (todo, now_ms) = {
                let inner = &mut *self.inner.borrow_mut();
                if inner.is_over {
                    return;
                }
                let now_ms = now_ms();
                (inner.session.next(now_ms), now_ms)
            };
            match todo {
                Todo::Connect(number, request) => self.connect(number, &request, now_ms),
                Todo::Settle(request) => self.settle(&request),
                Todo::Ping(number) => self.ping(number, now_ms),
                Todo::Close(_) => self.unlink(now_ms),
                Todo::Over(end) => return self.over(end, now_ms),
                Todo::Wait(until_ms) => return self.wait(until_ms, now_ms),
            }
        }
    }

    fn connect(&self, number: u64, request: &Request, now_ms: u64) {
        self.unlink(now_ms);
        let mut inner = self.inner.borrow_mut();
        inner.linked = Some(Linked { number, asked: Vec::new(), waits_for_pong: false, rest: BytesMut::new() });
        let is_ours = inner.is_ours;
        drop(inner);
        if !is_ours {
            return self.observer.stream(number as f64, page::request(&self.endpoint, request));
        }
        let Endpoint { token, consumer, rear, .. } = &self.endpoint;
        let mut protocols = vec![SUBPROTOCOL.into()];
        protocols.extend(subprotocol::carry(token, &consumer.group, &consumer.user, *rear));
        self.observer.connect(number as f64, &self.endpoint.socket_url(&request.target), protocols);
    }

    fn unlink(&self, now_ms: u64) {
        let mut news = News::default();
        self.inner.borrow_mut().unlink(now_ms, &mut news);
        self.tell(news);
    }

    /// Decisions travel on the socket when there is one, else by HTTP.
    fn settle(&self, request: &Request) {
        let mut news = News::default();
        let mut inner = self.inner.borrow_mut();
        match inner.session.settling().first().cloned() {
            Some((_, decision)) if inner.has_session() => {
                let indexes = inner.session.settling().iter().map(|(index, _)| Index(*index)).collect();
                let operation = match decision {
                    Decision::Commit => ClientCommand::Commit(indexes),
                    Decision::Reject(rejection) => ClientCommand::Reject(indexes, rejection),
                };
                inner.ask(Asked::Settle, operation, &mut news);
                drop(inner);
                self.tell(news);
            }
            _ => {
                drop(inner);
                self.observer.settle(page::request(&self.endpoint, request));
            }
        }
    }

    /// A page can send no protocol pings; an endless answer shows by itself that it is gone.
    fn ping(&self, number: u64, now_ms: u64) {
        let inner = &mut *self.inner.borrow_mut();
        match &mut inner.linked {
            Some(linked) if inner.is_ours => {
                linked.waits_for_pong = true;
                self.observer.say(PING);
            }
            _ => inner.session.heard(now_ms, number),
        }
    }

    /// Tells the page how the watch is when that has changed, and when to come back.
    fn wait(&self, until_ms: u64, now_ms: u64) {
        let mut inner = self.inner.borrow_mut();
        let (name, next_try_ms) = inner.state();
        if inner.told.replace((name, next_try_ms)) != Some((name, next_try_ms)) {
            let attempt = inner.session.failures();
            self.observer.turned(name, &inner.why, next_try_ms.saturating_sub(now_ms) as f64, attempt);
        }
        // Being woken for nothing does no harm, while setting a timer with each message does.
        if until_ms < inner.wake_ms {
            inner.wake_ms = until_ms;
            self.observer.wake(until_ms.saturating_sub(now_ms) as f64);
        }
    }

    fn over(&self, end: End, now_ms: u64) {
        self.inner.borrow_mut().is_over = true;
        self.unlink(now_ms);
        self.observer.over(error_of(end));
    }

    fn tell(&self, news: News) {
        if !news.send.is_empty() {
            self.observer.send(Uint8Array::from(news.send.as_slice()));
        }
        if news.hang_up {
            self.observer.hang_up();
        }
        for frame in &news.frames {
            page::hand_out(&self.observer, frame);
        }
        if !news.settled.is_empty() {
            self.observer.settled(news.settled);
        }
        for refusal in news.resized {
            self.observer.resized(refusal);
        }
    }
}

impl Inner {
    /// Sends a request on the socket.
    fn ask(&mut self, what: Asked, operation: ClientCommand, news: &mut News) {
        let Some(linked) = &mut self.linked else { return };
        self.ids += 1;
        linked.asked.push((self.ids, what));
        ClientRequest { id: self.ids, command: operation }.write(&mut news.send);
    }

    fn ask_window(&mut self, what: Asked, news: &mut News) {
        let window = if self.is_full { 0 } else { self.window };
        self.ask(what, ClientCommand::Window(window), news);
    }

    /// Whether requests can be sent on a socket.
    fn has_session(&self) -> bool {
        self.is_ours && self.session.is_open() && self.linked.is_some()
    }

    /// Lets the connection go. What was asked on it will get no answer.
    fn unlink(&mut self, now_ms: u64, news: &mut News) {
        let Some(linked) = self.linked.take() else { return };
        news.hang_up = true;
        for (_, asked) in &linked.asked {
            match asked {
                Asked::Begin | Asked::Flow => {}
                Asked::Resize => self.resizes += 1,
                Asked::Settle => self.session.settled(now_ms, None),
            }
        }
    }

    /// Name of the state, and the time of the next attempt.
    fn state(&self) -> (&'static str, u64) {
        match self.session.next_try_ms() {
            _ if self.is_leaving => ("closing", 0),
            Some(next_try_ms) if self.was_open => ("reconnecting", next_try_ms),
            None if self.session.is_open() => (if self.is_ours { "session" } else { "stream" }, 0),
            _ => ("connecting", 0),
        }
    }

    fn begun(&mut self, now_ms: u64, news: &mut News) {
        let Some(Linked { number, .. }) = self.linked else { return };
        self.session.opened(now_ms, number);
        self.session.heard(now_ms, number);
        self.was_open = true;
        self.agreed_window = self.window;
        news.resized.extend((0..std::mem::take(&mut self.resizes)).map(|_| None));
    }

    /// One thing that the service says on a socket.
    fn events(&mut self, now_ms: u64, said: ServerEvent, news: &mut News) {
        let answered = match said {
            ServerEvent::Pushed(frame) => return self.frame(now_ms, frame, news),
            ServerEvent::Answered(answered) => answered,
        };
        let Some(linked) = &mut self.linked else { return };
        let Some(at) = linked.asked.iter().position(|(id, _)| *id == answered.id) else { return };
        let (_, asked) = linked.asked.swap_remove(at);
        let response = response(&answered);
        match (asked, answered.status) {
            (Asked::Begin, 0) => self.begun(now_ms, news),
            (Asked::Begin, _) => self.refused(now_ms, &response, news),
            (Asked::Resize, 0) => {
                self.agreed_window = self.window;
                news.resized.push(None);
            }
            (Asked::Resize, _) => {
                self.window = self.agreed_window;
                news.resized.push(Some(page::refusal(&Failure::of(&response))));
            }
            (Asked::Flow, _) => {}
            (Asked::Settle, _) => settled(&mut self.session, Some(&response), news),
        }
    }

    fn frame(&mut self, now_ms: u64, frame: Bytes, news: &mut News) {
        let Some(Linked { number, .. }) = self.linked else { return };
        news.frames.extend(self.session.message(now_ms, number, frame));
    }

    fn piece(&mut self, now_ms: u64, piece: &[u8], news: &mut News) {
        let Some(linked) = &mut self.linked else { return };
        linked.rest.extend_from_slice(piece);
        while let Some(frame) = self.linked.as_mut().and_then(|linked| next_frame(&mut linked.rest)) {
            match frame {
                Ok(frame) => self.frame(now_ms, frame, news),
                Err(wrong) => self.lost(now_ms, None, wrong, news),
            }
        }
    }

    fn refused(&mut self, now_ms: u64, response: &Response, news: &mut News) {
        let Some(Linked { number, .. }) = self.linked else { return };
        self.unlink(now_ms, news);
        self.why = Failure::of(response).text;
        self.session.refused(now_ms, number, response);
    }

    fn lost(&mut self, now_ms: u64, code: Option<u16>, why: &str, news: &mut News) {
        let Some(Linked { number, .. }) = self.linked else { return };
        self.unlink(now_ms, news);
        self.why = why.into();
        self.session.lost(now_ms, number, code, why);
    }
}

/// The next whole frame of an endless answer.
fn next_frame(rest: &mut BytesMut) -> Option<Result<Bytes, &'static str>> {
    let length = u32::from_be_bytes(*rest.first_chunk::<LENGTH_BYTES>()?) as usize;
    if length > FRAME_BYTES_MAX {
        return Some(Err("the answer is no stream of frames"));
    }
    if rest.len() < LENGTH_BYTES + length {
        return None;
    }
    rest.advance(LENGTH_BYTES);
    Some(Ok(rest.split_to(length).freeze()))
}

/// The decisions under way were answered, or not.
fn settled(session: &mut Session, response: Option<&Response>, news: &mut News) {
    if response.is_some_and(|response| response.status == 200) {
        news.settled.extend(session.settling().iter().map(|(index, _)| *index));
    }
    session.settled(now_ms(), response);
}

/// The error a watch ends with.
fn error_of(end: End) -> Option<JsValue> {
    let taken = "another watch with the same group and user has begun; give each a user of its own";
    match end {
        End::Left | End::Ended => None,
        End::TakenOver => Some(page::error("taken_over", taken)),
        End::Unreachable(why) => Some(page::error("unreachable", &why)),
        End::Failed(failure) if failure.kind == Kind::Ended => None,
        End::Failed(failure) => Some(page::refusal(&failure)),
    }
}
