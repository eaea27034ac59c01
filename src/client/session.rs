//! A watch from its beginning to its end, over as many connections as it takes.
//!
//! The shell asks [`Session::next`] what to do, does it, and tells what happened. Connections are numbered, and what is
//! told about an old one counts for nothing.
//!
//! What is promised: a frame is given out once, also when the connection breaks and the service sends again what it had
//! not seen decided. What was decided is told again silently; what is still undecided here is not given out twice. At the
//! end everything undecided is handed back with the code `Shutdown`, which does not count as a failed delivery.

use super::answer::{self, Failure, Kind, Response};
use super::backoff::Backoff;
use super::endpoint::Endpoint;
use super::recent::{Recent, fingerprint};
use super::request::{Request, Subscribe};
use super::settlements::{Decision, Settlements};
use crate::queue::entry::{Frame, Mark};
use crate::queue::event::{CODE_SHUTDOWN, Rejection, Start};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use bytes::Bytes;
use prost::Message;

/// Time between pings, in milliseconds.
const PING_MS: u64 = 10_000;
/// A connection of which nothing was heard for this long is given up, in milliseconds.
const SILENCE_MS: u64 = 30_000;
/// What is not confirmed this long after leaving began is left as it is, in milliseconds.
const LEAVE_MS: u64 = 5_000;
/// Close code of our service: the same group and user connected again.
const CLOSE_TAKEN_OVER: u16 = 4001;

/// What the shell has to do.
#[derive(Debug)]
pub enum Todo {
    /// Open this connection; then [`Session::opened`], [`Session::refused`] or [`Session::lost`].
    Connect(u64, Request),
    /// Send this request; then [`Session::settled`].
    Settle(Request),
    /// Send a ping on this connection; an answer is [`Session::heard`].
    Ping(u64),
    /// Close this connection.
    Close(u64),
    /// Nothing before this time, in milliseconds, unless something happens.
    Wait(u64),
    /// The watch is over.
    Over(End),
}

/// How a watch ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Because the shell wanted to.
    Left,
    /// The stream was ended and everything in it was delivered.
    Ended,
    /// Another consumer with the same group and user took the place.
    TakenOver,
    /// The first connection could not be made.
    Unreachable(String),
    /// The service refuses it.
    Failed(Failure),
}

/// What a watch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames given out.
    pub shown: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Entries whose commit was confirmed.
    pub committed: u64,
    /// Entries whose negative commit was confirmed, without those handed back at the end.
    pub rejected: u64,
    /// Entries handed back at the end.
    pub returned: u64,
    /// Frames that came again and were not given out again.
    pub repeated: u64,
    /// Connections after the first.
    pub reconnects: u64,
}

#[derive(Debug)]
enum State {
    /// No connection; the next attempt is at this time.
    Apart { until_ms: u64 },
    /// An attempt is under way.
    Connecting,
    /// Connected.
    Open { heard_ms: u64, ping_ms: u64 },
    /// Over, perhaps with a connection to close.
    Over,
}

/// One watch.
#[derive(Debug)]
pub struct Session {
    endpoint: Endpoint,
    subscribe: Subscribe,
    resume: Option<Start>,
    state: State,
    connection: u64,
    was_open: bool,
    backoff: Backoff,
    held: BTreeMap<u64, Mark>,
    decided: Recent,
    settlements: Settlements,
    settle_at_ms: u64,
    settle_backoff: Backoff,
    leaving_until_ms: Option<u64>,
    to_close: Option<u64>,
    end: Option<End>,
    totals: Totals,
}

impl Session {
    /// `resume` is where later connections begin, if not where the first does: a new group that began with what is newest
    /// must not skip what comes while the connection is away. `seed` should differ between clients.
    pub fn new(endpoint: Endpoint, subscribe: Subscribe, resume: Option<Start>, seed: u64) -> Self {
        Self {
            endpoint,
            subscribe,
            resume,
            state: State::Apart { until_ms: 0 },
            connection: 0,
            was_open: false,
            backoff: Backoff::new(seed),
            held: BTreeMap::new(),
            decided: Recent::default(),
            settlements: Settlements::default(),
            settle_at_ms: 0,
            settle_backoff: Backoff::new(seed.rotate_left(32)),
            leaving_until_ms: None,
            to_close: None,
            end: None,
            totals: Totals::default(),
        }
    }

    /// What to do now.
    pub fn next(&mut self, now_ms: u64) -> Todo {
        if let Some(connection) = self.to_close.take() {
            return Todo::Close(connection);
        }
        let confirms = !matches!(self.end, Some(End::Failed(_) | End::Unreachable(_)));
        if confirms
            && now_ms >= self.settle_at_ms
            && let Some(request) = self.settlements.request(&self.endpoint)
        {
            return Todo::Settle(request);
        }
        let mut wake_ms = if self.settlements.is_ready() { self.settle_at_ms } else { u64::MAX };
        if let Some(until_ms) = self.leaving_until_ms {
            if confirms && !self.settlements.is_empty() && now_ms < until_ms {
                return Todo::Wait(wake_ms.min(until_ms));
            }
            self.finish(now_ms, End::Left);
            return match self.to_close.take() {
                Some(connection) => Todo::Close(connection),
                None => Todo::Over(self.end.clone().unwrap_or(End::Left)),
            };
        }
        match &mut self.state {
            State::Apart { until_ms } if now_ms < *until_ms => wake_ms = wake_ms.min(*until_ms),
            State::Apart { .. } => {
                self.state = State::Connecting;
                self.connection += 1;
                return Todo::Connect(self.connection, self.endpoint.watch(&self.subscribe));
            }
            State::Open { heard_ms, .. } if now_ms >= heard_ms.saturating_add(SILENCE_MS) => {
                self.to_close = Some(self.connection);
                self.lost(now_ms, self.connection, None, "");
                return self.next(now_ms);
            }
            State::Open { ping_ms, .. } if now_ms >= *ping_ms => {
                *ping_ms = now_ms + PING_MS;
                return Todo::Ping(self.connection);
            }
            State::Open { heard_ms, ping_ms } => wake_ms = wake_ms.min(*ping_ms).min(*heard_ms + SILENCE_MS),
            State::Connecting | State::Over => {}
        }
        Todo::Wait(wake_ms)
    }

    /// The connection is open.
    pub fn opened(&mut self, now_ms: u64, connection: u64) {
        if connection != self.connection || !matches!(self.state, State::Connecting) {
            self.to_close = Some(connection);
            return;
        }
        if self.was_open {
            self.totals.reconnects += 1;
        }
        self.was_open = true;
        if let Some(resume) = self.resume {
            self.subscribe.start = resume;
        }
        self.state = State::Open { heard_ms: now_ms, ping_ms: now_ms + PING_MS };
    }

    /// The service answered the attempt to connect with something else than a connection.
    pub fn refused(&mut self, now_ms: u64, connection: u64, response: &Response) {
        if connection != self.connection {
            return;
        }
        let failure = Failure::of(response);
        match failure.kind {
            Kind::Ended => self.finish(now_ms, End::Ended),
            // What passes is waited for, but not before the watch has once begun: the address may be wrong.
            Kind::Service | Kind::Full if self.was_open => self.apart(now_ms),
            _ => self.finish(now_ms, End::Failed(failure)),
        }
    }

    /// The connection could not be made, or is gone; with the close code if there was one, and with the reason.
    pub fn lost(&mut self, now_ms: u64, connection: u64, code: Option<u16>, why: &str) {
        if connection != self.connection || matches!(self.state, State::Apart { .. } | State::Over) {
            return;
        }
        if code == Some(CLOSE_TAKEN_OVER) {
            self.finish(now_ms, End::TakenOver);
        } else if self.was_open {
            self.apart(now_ms);
        } else {
            self.finish(now_ms, End::Unreachable(why.into()));
        }
    }

    fn apart(&mut self, now_ms: u64) {
        self.state = State::Apart { until_ms: now_ms + self.backoff.next_ms() };
    }

    /// A sign of life that is no frame.
    pub fn heard(&mut self, now_ms: u64, connection: u64) {
        if connection == self.connection
            && let State::Open { heard_ms, .. } = &mut self.state
        {
            *heard_ms = now_ms;
            self.backoff.reset();
        }
    }

    /// A message arrived: the frame in it, if it is one to be shown.
    pub fn message(&mut self, now_ms: u64, connection: u64, message: Bytes) -> Option<Frame> {
        self.heard(now_ms, connection);
        // Under auto commit what arrives is committed, and would be lost if it was not given out.
        let late = self.leaving_until_ms.is_some() && !self.subscribe.auto_commit;
        if connection != self.connection || late {
            return None;
        }
        // Index 0 is no entry; clients on the way may make such frames of errors.
        let frame = Frame::decode(message).ok().filter(|frame| frame.index != 0)?;
        if !self.subscribe.auto_commit && !self.take(&frame) {
            self.totals.repeated += 1;
            return None;
        }
        self.totals.shown += 1;
        self.totals.bytes += frame.data.len() as u64;
        Some(frame)
    }

    /// Holds a frame for a decision; false if it is here already or was decided.
    fn take(&mut self, frame: &Frame) -> bool {
        let mark = fingerprint(frame);
        if self.decided.contains(frame.index, mark) {
            if !self.settlements.has(frame.index) {
                self.settlements.push(frame.index, Decision::Commit);
            }
            return false;
        }
        self.held.insert(frame.index, mark) != Some(mark)
    }

    /// What the shell makes of a frame it was given. Of one that is not held any more nothing more is said.
    pub fn decide(&mut self, index: u64, decision: Decision) {
        let Some(mark) = self.held.remove(&index) else { return };
        // A refused entry may come again, and then it is to be shown again.
        if decision == Decision::Commit {
            self.decided.insert(index, mark);
        }
        self.settlements.push(index, decision);
    }

    /// What the request of [`Todo::Settle`] says, for a shell that has another way to say it; all decisions are equal.
    pub fn settling(&self) -> &[(u64, Decision)] {
        self.settlements.under_way()
    }

    /// The request of [`Todo::Settle`] was answered; `None`: no answer came.
    pub fn settled(&mut self, now_ms: u64, response: Option<&Response>) {
        match response.map(answer::done) {
            Some(Ok(())) => {
                self.settle_backoff.reset();
                let (committed, rejected) = self.settlements.confirmed();
                self.totals.committed += committed;
                match self.leaving_until_ms {
                    Some(_) => self.totals.returned += rejected,
                    None => self.totals.rejected += rejected,
                }
            }
            Some(Err(failure)) if !matches!(failure.kind, Kind::Service | Kind::Full) => {
                self.settlements.again();
                self.finish(now_ms, End::Failed(failure));
            }
            None | Some(Err(_)) => {
                self.settlements.again();
                self.settle_at_ms = now_ms + self.settle_backoff.next_ms();
            }
        }
    }

    /// Ends the watch: what was decided is confirmed first, what is undecided goes back.
    pub fn leave(&mut self, now_ms: u64) {
        if self.leaving_until_ms.is_some() || self.end.is_some() {
            return;
        }
        self.leaving_until_ms = Some(now_ms + LEAVE_MS);
        let shutdown = Rejection { code: CODE_SHUTDOWN.into(), ..Rejection::default() };
        let held: Vec<u64> = core::mem::take(&mut self.held).into_keys().collect();
        for index in held {
            self.settlements.push(index, Decision::Reject(shutdown.clone()));
        }
        self.settle_at_ms = now_ms;
    }

    /// Nothing more is taken in; what was decided is still confirmed if the service lets us.
    fn finish(&mut self, now_ms: u64, end: End) {
        if matches!(self.state, State::Open { .. } | State::Connecting) {
            self.to_close = Some(self.connection);
        }
        self.state = State::Over;
        self.leaving_until_ms.get_or_insert(now_ms + LEAVE_MS);
        self.end.get_or_insert(end);
    }

    /// What it did so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Whether there is a connection.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// When the next connection is attempted, while there is none; 0: one is being made.
    pub fn next_try_ms(&self) -> Option<u64> {
        match self.state {
            State::Apart { until_ms } => Some(until_ms),
            State::Connecting => Some(0),
            State::Open { .. } | State::Over => None,
        }
    }

    /// Attempts to connect that failed since a connection was of use.
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// Whether every decision is confirmed.
    pub fn is_settled(&self) -> bool {
        self.settlements.is_empty()
    }

    /// Decisions that are not confirmed, and frames that wait for one.
    pub fn unsettled(&self) -> u64 {
        (self.settlements.len() + self.held.len()) as u64
    }
}
