//! A watch's door for JavaScript: asks the [`Subscription`] what to do, has the page do it, and tells what happened.

use std::cell::RefCell;

use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

use super::page::{self, Observer, now_ms, tags};
use super::requests::{self, Requests};
use crate::client::{
    Attempt, Decision, End, Endpoint, FailureKind, Subscription, Todo, WatchOptions, WatchPhase, WatchTotals,
    WatchTransport, answer,
};
use crate::wire::v1::PING;

/// A watch under way.
#[wasm_bindgen]
pub struct Watching {
    endpoint: Endpoint,
    transport: WatchTransport,
    observer: Observer,
    inner: RefCell<Inner>,
}

struct Inner {
    subscription: Subscription,
    /// When the page's timer fires, in milliseconds; `u64::MAX`: it is not set.
    timer_ms: u64,
    is_over: bool,
}

#[wasm_bindgen]
impl Watching {
    /// Begins with the first call of [`Watching::woken`]. `attributes` are those of the queue, names and values taking
    /// turns. Without `from` a new group begins with what is put from now on. `modes` may hold `eas` (only what every
    /// service has is used), `autoCommit` and `indexOnly`.
    #[wasm_bindgen(constructor)]
    pub fn new(
        queue: &Requests,
        attributes: Vec<String>,
        window: u32,
        from: Option<u64>,
        modes: Vec<String>,
        filter: Vec<String>,
        observer: Observer,
    ) -> Self {
        let has = |name: &str| modes.iter().any(|mode| mode == name);
        let (endpoint, attributes) = (queue.0.clone(), tags(attributes));
        let is_ours = !has("eas") && answer::is_edgequeue(&attributes);
        let transport = if is_ours { WatchTransport::PageSocket } else { WatchTransport::Stream };
        let (start, auto_commit, index_only) = (requests::start(from), has("autoCommit"), has("indexOnly"));
        let options = WatchOptions { start, window, auto_commit, index_only, tags: tags(filter) };
        let resume = options.resume(&endpoint, &attributes);
        let seed = (js_sys::Math::random() * u64::MAX as f64) as u64;
        let subscription = Subscription::new(endpoint.clone(), options, transport, resume, seed);
        let inner = Inner { subscription, timer_ms: u64::MAX, is_over: false };
        Self { endpoint, transport, observer, inner: RefCell::new(inner) }
    }

    /// An entry is done.
    pub fn commit(&self, index: u64) {
        self.tell(|watch, _| watch.decide(index, Decision::Commit));
    }

    /// An entry could not be processed.
    pub fn negative(&self, index: u64, code: String, reason: String) -> Result<(), JsValue> {
        let rejection = requests::rejection(code, reason)?;
        self.tell(|watch, _| watch.decide(index, Decision::Reject(rejection)));
        Ok(())
    }

    /// Changes the window; [`Observer::resized`] follows.
    pub fn resize(&self, window: u32) -> Result<(), JsValue> {
        if !self.inner.borrow().subscription.can_resize() {
            let why = "only an edgequeue can change the window of a watch that has begun";
            return Err(page::error("unsupported", why));
        }
        self.tell(|watch, _| watch.resize(window));
        Ok(())
    }

    /// Under auto commit: whether the page has more than it can take. It is sent no more then.
    pub fn flow(&self, is_full: bool) {
        self.tell(|watch, _| watch.set_full(is_full));
    }

    /// Confirms what was decided, hands back the rest and ends.
    pub fn leave(&self) {
        self.tell(Subscription::leave);
    }

    /// Shown, bytes, committed, rejected, returned, repeated, reconnects.
    pub fn totals(&self) -> Vec<f64> {
        let totals = self.inner.borrow().subscription.totals();
        let WatchTotals { shown, bytes, committed, rejected, returned, repeated, reconnects } = totals;
        [shown, bytes, committed, rejected, returned, repeated, reconnects].map(|count| count as f64).into()
    }

    /// The time asked for by [`Observer::wake`] has come.
    pub fn woken(&self) {
        self.inner.borrow_mut().timer_ms = u64::MAX;
        self.turn();
    }

    /// The connection is there; with the subprotocol of a WebSocket.
    pub fn opened(&self, number: f64, protocol: &str) {
        self.tell(|watch, now_ms| watch.opened(now_ms, number as u64, Some(protocol)));
    }

    /// A text came on the WebSocket: the answer to a ping.
    pub fn heard(&self, number: f64) {
        self.tell(|watch, now_ms| watch.heard(now_ms, number as u64));
    }

    /// A binary message came on the WebSocket.
    pub fn message(&self, number: f64, message: Vec<u8>) {
        self.tell(|watch, now_ms| watch.message(now_ms, number as u64, message.into()));
    }

    /// A piece of the endless answer came.
    pub fn piece(&self, number: f64, piece: &[u8]) {
        self.tell(|watch, now_ms| watch.piece(now_ms, number as u64, piece));
    }

    /// The attempt to connect was answered with something else.
    pub fn refused(&self, number: f64, status: u16, body: Vec<u8>) {
        let response = page::response(status, None, body);
        self.tell(|watch, now_ms| watch.refused(now_ms, number as u64, &response));
    }

    /// Whether a WebSocket that is gone was never of use. Browsers do not say why, but another request may tell; what
    /// it brings is told to [`Watching::refused`] or [`Watching::lost`].
    #[wasm_bindgen(js_name = asksWhy)]
    pub fn asks_why(&self) -> bool {
        self.inner.borrow().subscription.is_connecting()
    }

    /// The connection is gone; with the close code, or 0.
    pub fn lost(&self, number: f64, code: u16, why: &str) {
        self.tell(|watch, now_ms| watch.lost(now_ms, number as u64, (code != 0).then_some(code), why));
    }

    /// The request of [`Observer::settle`] was answered; with the status, or 0 if no answer came.
    #[wasm_bindgen(js_name = settledByHttp)]
    pub fn settled_by_http(&self, status: u16, body: Vec<u8>) {
        let response = (status != 0).then(|| page::response(status, None, body));
        self.tell(|watch, now_ms| watch.settled(now_ms, response.as_ref()));
    }
}

impl Watching {
    /// Tells the subscription something, and does what it asks for then.
    fn tell(&self, something: impl FnOnce(&mut Subscription, u64)) {
        something(&mut self.inner.borrow_mut().subscription, now_ms());
        self.turn();
    }

    /// Does what is to be done. Nothing is borrowed while the page is called.
    fn turn(&self) {
        while !self.inner.borrow().is_over {
            let now_ms = now_ms();
            let todo = self.inner.borrow_mut().subscription.next(now_ms);
            match todo {
                Todo::Connect(attempt) => self.connect(attempt),
                Todo::Send(message) => self.observer.send(Uint8Array::from(message.as_slice())),
                // A page can send no protocol pings.
                Todo::Ping(_) => self.observer.say(PING),
                Todo::Close(_) => self.observer.hang_up(),
                Todo::Settle(request) => self.observer.settle(page::request(&self.endpoint, &request)),
                Todo::Deliver(frame) => page::hand_out(&self.observer, &frame),
                Todo::Confirmed(indexes) => self.observer.settled(indexes),
                Todo::Resized(done) => self.observer.resized(done.err().map(|failure| page::refusal(&failure))),
                Todo::Turned(phase) => self.turned(&phase, now_ms),
                Todo::Wait(until_ms) => return self.wait(until_ms, now_ms),
                Todo::Over(end) => {
                    self.inner.borrow_mut().is_over = true;
                    self.observer.over(error_of(end));
                }
            }
        }
    }

    fn connect(&self, attempt: Attempt) {
        let Attempt { number, request, protocols } = attempt;
        match self.transport {
            WatchTransport::Stream => self.observer.stream(number as f64, page::request(&self.endpoint, &request)),
            WatchTransport::PageSocket | WatchTransport::Socket { .. } => {
                self.observer.connect(number as f64, &self.endpoint.socket_url(&request.target), protocols);
            }
        }
    }

    fn turned(&self, phase: &WatchPhase, now_ms: u64) {
        let (name, why, next_try_ms, attempt) = match phase {
            WatchPhase::Connecting => ("connecting", "", 0, 0),
            WatchPhase::Open { is_session: true } => ("session", "", 0, 0),
            WatchPhase::Open { is_session: false } => ("stream", "", 0, 0),
            WatchPhase::Reconnecting { why, next_try_ms, attempt } => {
                ("reconnecting", why.as_str(), *next_try_ms, *attempt)
            }
            WatchPhase::Closing => ("closing", "", 0, 0),
        };
        self.observer.turned(name, why, next_try_ms.saturating_sub(now_ms) as f64, attempt);
    }

    /// An idle wake-up does no harm, while setting a timer with each message does: only an earlier time is
    /// asked for.
    fn wait(&self, until_ms: u64, now_ms: u64) {
        let inner = &mut *self.inner.borrow_mut();
        if until_ms < inner.timer_ms {
            inner.timer_ms = until_ms;
            self.observer.wake(until_ms.saturating_sub(now_ms) as f64);
        }
    }
}

/// The error a watch ends with.
fn error_of(end: End) -> Option<JsValue> {
    let taken = "another watch with the same group and user has begun; give each a user of its own";
    match end {
        End::Left | End::Ended => None,
        End::TakenOver => Some(page::error("taken_over", taken)),
        End::Unreachable(why) => Some(page::error("unreachable", &why)),
        End::Failed(failure) if failure.kind == FailureKind::Ended => None,
        End::Failed(failure) => Some(page::refusal(&failure)),
    }
}
