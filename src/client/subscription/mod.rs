//! A watch from its beginning to its end, over as many connections as it takes.
//!
//! **Values in, values out: no socket, no clock, no thread.** Time and randomness are arguments. The shell runs it:
//!
//! 1. It makes a [`Subscription`] and says how it connects ([`WatchTransport`]).
//! 2. It calls [`Subscription::next`] and does what the [`Todo`] says, again and again until that is [`Todo::Wait`] or
//!    [`Todo::Over`].
//! 3. It tells what happened ([`opened`](Subscription::opened), [`refused`](Subscription::refused),
//!    [`lost`](Subscription::lost), [`message`](Subscription::message), ...) or what its user wants
//!    ([`decide`](Subscription::decide), [`resize`](Subscription::resize), [`leave`](Subscription::leave), ...), and
//!    goes on with 2.
//!
//! Where the service speaks `edgequeue.v1`, decisions travel on the open connection, else by HTTP. Connections are
//! numbered, and news about an old one changes nothing.
//!
//! What is promised: an entry is given out once, also when the connection breaks and the service sends again what it
//! had not seen decided. What was committed is committed again silently; what is still undecided is not given out
//! twice. At the end everything undecided is handed back with the code `Shutdown`, which does not count as a failed
//! delivery.

mod events;
mod held;
mod link;
mod recent;
mod settlements;
mod todo;
mod window;

pub use link::WatchTransport;
pub use settlements::Decision;
pub use todo::{Attempt, End, Todo, WatchPhase, WatchTotals};

use super::answer::{Failure, FailureKind, HttpResponse};
use super::endpoint::Endpoint;
use super::request::WatchOptions;
use crate::queue::entry::Index;
use crate::queue::event::{CODE_SHUTDOWN, Rejection, Start};
use crate::wire::v1::client::ClientCommand;
use crate::wire::v1::subprotocol::{PLAIN, SUBPROTOCOL, carry};
use alloc::{collections::VecDeque, string::String, vec::Vec};
use core::mem::{Discriminant, discriminant};
use held::Held;
use link::{AskedFor, Link, LinkStage, Need};
use settlements::Settlements;
use window::Window;

/// What is not confirmed this long after leaving began is left as it is, in milliseconds.
const LEAVE_MS: u64 = 5_000;
/// A shell that comes this much later than it was asked to was held back, as browsers hold back timers of hidden pages;
/// in milliseconds.
const LATE_MS: u64 = 5_000;

/// One watch.
#[derive(Debug)]
pub struct Subscription {
    endpoint: Endpoint,
    options: WatchOptions,
    /// Where connections after the first begin, if not where the first did.
    resume: Option<Start>,
    link: Link,
    window: Window,
    held: Held,
    settlements: Settlements,
    totals: WatchTotals,
    leaving_until_ms: Option<u64>,
    end: Option<End>,
    /// What is to be done before anything else, in order.
    todos: VecDeque<Todo>,
    /// What tells the phase that was told last from others: which one it is, and the time of the next attempt.
    told: (Discriminant<WatchPhase>, u64),
    /// When the shell was asked to come back.
    due_ms: u64,
}

impl Subscription {
    /// A watch that begins with the first call of [`next`](Self::next). `resume` is where later connections begin, if
    /// not where the first does ([`WatchOptions::resume`]). `seed` should differ between clients.
    pub fn new(
        endpoint: Endpoint,
        options: WatchOptions,
        transport: WatchTransport,
        resume: Option<Start>,
        seed: u64,
    ) -> Self {
        Self {
            link: Link::new(transport, seed),
            window: Window::new(options.window),
            held: Held::default(),
            settlements: Settlements::new(seed.rotate_left(32)),
            totals: WatchTotals::default(),
            leaving_until_ms: None,
            end: None,
            todos: VecDeque::new(),
            told: (discriminant(&WatchPhase::Connecting), 0),
            due_ms: u64::MAX,
            endpoint,
            options,
            resume,
        }
    }

    /// What to do now.
    pub fn next(&mut self, now_ms: u64) -> Todo {
        if now_ms > self.due_ms.saturating_add(LATE_MS) {
            self.link.excuse(now_ms);
        }
        self.due_ms = u64::MAX;
        loop {
            if let Some(todo) = self.todos.pop_front() {
                return todo;
            }
            self.settle(now_ms);
            let wait_ms = match self.leaving_until_ms {
                Some(until_ms) => self.next_leaving(now_ms, until_ms),
                None => self.next_connected(now_ms),
            };
            if !self.todos.is_empty() {
                continue;
            }
            let Some(wait_ms) = wait_ms else {
                return Todo::Over(self.end.clone().expect("a watch that leaves has an end"));
            };
            // That it is being left is worth telling only where that takes time.
            if self.leaving_until_ms.is_some() && self.is_news(&WatchPhase::Closing, 0) {
                return Todo::Turned(WatchPhase::Closing);
            }
            self.due_ms = wait_ms.min(self.settlements.due_ms());
            return Todo::Wait(self.due_ms);
        }
    }

    /// What was decided is confirmed for a while; then it is over, without a time to wait for.
    fn next_leaving(&mut self, now_ms: u64, until_ms: u64) -> Option<u64> {
        if self.confirms() && !self.settlements.is_empty() && now_ms < until_ms {
            return Some(until_ms);
        }
        self.finish(now_ms, End::Left);
        None
    }

    fn next_connected(&mut self, now_ms: u64) -> Option<u64> {
        match self.link.need(now_ms) {
            Need::Connect => {
                self.link.connect();
                let attempt = self.attempt();
                self.todos.push_back(Todo::Connect(attempt));
            }
            Need::Ping => self.todos.push_back(Todo::Ping(self.link.number)),
            Need::GiveUp => self.give_up(now_ms, "it was silent for too long"),
            Need::Nothing(until_ms) => return Some(until_ms),
        }
        self.tell_phase();
        None
    }

    fn attempt(&mut self) -> Attempt {
        let consumer = &self.endpoint.consumer;
        let (window, protocols) = match self.link.transport {
            WatchTransport::PageSocket => {
                let mut protocols: Vec<String> = Vec::from([SUBPROTOCOL.into()]);
                protocols.extend(carry(&self.endpoint.token, &consumer.group, &consumer.user, self.endpoint.rear));
                (0, protocols)
            }
            WatchTransport::Socket { offers: true } => {
                (self.window.current(), Vec::from([SUBPROTOCOL.into(), PLAIN.into()]))
            }
            WatchTransport::Socket { offers: false } | WatchTransport::Stream => (self.window.current(), Vec::new()),
        };
        self.options.window = window;
        let request = self.endpoint.watch(&self.options);
        Attempt { number: self.link.number, request, protocols }
    }

    /// Sends the decisions that are due.
    fn settle(&mut self, now_ms: u64) {
        if !self.confirms() {
            return;
        }
        let Some((indexes, decision)) = self.settlements.start(now_ms) else { return };
        let is_open = self.link.is_open();
        let todo = match self.link.session() {
            Some(session) if is_open => {
                let indexes = indexes.into_iter().map(Index).collect();
                let operation = match decision {
                    Decision::Commit => ClientCommand::Commit(indexes),
                    Decision::Reject(rejection) => ClientCommand::Reject(indexes, rejection.clone()),
                };
                Todo::Send(session.ask(AskedFor::Settle, operation))
            }
            _ => Todo::Settle(match decision {
                Decision::Commit => self.endpoint.commit(&indexes),
                Decision::Reject(rejection) => self.endpoint.reject(&indexes, rejection),
            }),
        };
        self.todos.push_back(todo);
    }

    /// Whether decisions are still taken to the service.
    fn confirms(&self) -> bool {
        !matches!(self.end, Some(End::Failed(_) | End::Unreachable(_)))
    }

    /// What the user makes of an entry it was given. It may have been handed back meanwhile, because the watch is being
    /// left; then nothing more is said about it.
    pub fn decide(&mut self, index: u64, decision: Decision) {
        if self.held.decide(index, decision == Decision::Commit) {
            self.settlements.push(index, decision);
        }
    }

    /// Whether the window can be changed while watching.
    pub fn can_resize(&self) -> bool {
        matches!(self.link.transport, WatchTransport::PageSocket | WatchTransport::Socket { offers: true })
    }

    /// Changes the window; [`Todo::Resized`] follows. Only where [`can_resize`](Self::can_resize).
    pub fn resize(&mut self, window: u32) {
        assert!(self.can_resize(), "the shell asks first");
        self.window.want(window);
        if !self.ask_window(AskedFor::Resize) {
            self.window.defer();
        }
    }

    /// Under auto commit: whether the user has more than it can take. It is sent no more then, where the service can do
    /// that.
    pub fn set_full(&mut self, is_full: bool) {
        self.window.set_full(is_full);
        if self.link.is_open() {
            self.ask_window(AskedFor::Flow);
        }
    }

    /// Asks for the current window; false if no connection can be asked.
    fn ask_window(&mut self, purpose: AskedFor) -> bool {
        let operation = ClientCommand::Window(self.window.current());
        let Some(session) = self.link.session() else { return false };
        self.todos.push_back(Todo::Send(session.ask(purpose, operation)));
        true
    }

    /// Ends the watch: what was decided is confirmed first, what is undecided goes back.
    pub fn leave(&mut self, now_ms: u64) {
        if self.leaving_until_ms.is_some() {
            return;
        }
        self.leaving_until_ms = Some(now_ms + LEAVE_MS);
        let shutdown = Rejection { code: CODE_SHUTDOWN.into(), ..Rejection::default() };
        for index in self.held.hand_back() {
            self.settlements.push(index, Decision::Reject(shutdown.clone()));
        }
        self.settlements.hurry();
    }

    /// Nothing more is taken in; what was decided is still confirmed if the service lets us.
    fn finish(&mut self, now_ms: u64, end: End) {
        if self.link.is_current(self.link.number) {
            self.todos.push_back(Todo::Close(self.link.number));
        }
        self.link.stage = LinkStage::Over;
        self.leaving_until_ms.get_or_insert(now_ms + LEAVE_MS);
        self.end.get_or_insert(end);
    }

    /// Tells how the connection is, if that has changed.
    fn tell_phase(&mut self) {
        let next_try_ms = match self.link.stage {
            _ if self.leaving_until_ms.is_some() => return,
            LinkStage::Apart { until_ms } => until_ms,
            LinkStage::Open { .. } | LinkStage::Connecting => 0,
            LinkStage::Over => unreachable!("a connection is over only once the watch is being left"),
        };
        let phase = match self.link.stage {
            LinkStage::Open { .. } => WatchPhase::Open { is_session: self.link.session().is_some() },
            _ if self.link.was_open => {
                WatchPhase::Reconnecting { why: self.link.why.clone(), next_try_ms, attempt: self.link.failures() }
            }
            _ => WatchPhase::Connecting,
        };
        if self.is_news(&phase, next_try_ms) {
            self.todos.push_back(Todo::Turned(phase));
        }
    }

    /// Whether this is another phase than the one told last; it counts as told now.
    fn is_news(&mut self, phase: &WatchPhase, next_try_ms: u64) -> bool {
        let news = (discriminant(phase), next_try_ms);
        core::mem::replace(&mut self.told, news) != news
    }

    /// What it did so far.
    pub fn totals(&self) -> WatchTotals {
        self.totals
    }

    /// Whether entries arrive.
    pub fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// Whether a connection is being made.
    pub fn is_connecting(&self) -> bool {
        self.link.stage == LinkStage::Connecting
    }

    /// Decisions that are not confirmed, and entries that wait for one.
    pub fn unsettled(&self) -> u64 {
        (self.settlements.len() + self.held.len()) as u64
    }

    /// A refusal as the service worded it, or what it was about to say.
    fn end_with(&mut self, now_ms: u64, response: &HttpResponse) {
        let failure = Failure::of(response);
        self.link.why = failure.text.clone();
        match failure.kind {
            FailureKind::Ended => self.finish(now_ms, End::Ended),
            // What passes is waited for, but not before the watch has once begun: the address may be wrong.
            FailureKind::Service | FailureKind::Full if self.link.was_open => self.link.part(now_ms),
            _ => self.finish(now_ms, End::Failed(failure)),
        }
    }
}
