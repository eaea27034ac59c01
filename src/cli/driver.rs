//! A watch carried out: one thread has the socket, one sends commits by HTTP where that is needed; everything that
//! happens comes in through one channel.

use edgequeue::client::{
    Decision, End, HttpRequest, HttpResponse, Subscription, Todo, WatchOptions, WatchPhase, WatchTransport, answer,
};
use edgequeue::queue::entry::{Frame, Tags};
use std::process;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::http::{ANSWER_TIMEOUT, Http};
use crate::socket::{Happened, Socket};

/// Messages that may wait to be taken in. What is beyond that waits at the service.
const WAITING_MAX: usize = 64;
/// Messages taken in before what they led to is sent.
const TURN_MAX: usize = 256;
/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the user of a watch gets to know.
pub enum News {
    /// Connected, for the first time or again.
    Opened,
    Frame(Frame),
    /// The connection is gone, and why; the next one is on its way.
    Lost(String),
    /// A line from the terminal, or its end.
    Line(Option<String>),
    Over(End),
}

/// What comes in from the threads.
pub enum Signal {
    Connection(u64, Happened),
    Settled(Option<HttpResponse>),
    Line(Option<String>),
    /// Something outside changed.
    Woken,
}

/// A watch with its socket, its clock and its threads.
pub struct Driver {
    watch: Subscription,
    http: Http,
    signals: Receiver<Signal>,
    tell: SyncSender<Signal>,
    settle: Sender<HttpRequest>,
    socket: Option<(u64, Socket)>,
    was_open: bool,
    began: Instant,
}

impl Driver {
    /// `attributes` are those of the queue. Our own protocol is only offered to a service that is ours: another one
    /// might not know what to make of it.
    pub fn new(http: Http, options: WatchOptions, attributes: &Tags) -> Self {
        let (tell, signals) = sync_channel(WAITING_MAX);
        let (settle, requests) = channel::<HttpRequest>();
        let (settler, told) = (http.clone(), tell.clone());
        thread::spawn(move || {
            while let Ok(request) = requests.recv() {
                if told.send(Signal::Settled(settler.send(&request, ANSWER_TIMEOUT).ok())).is_err() {
                    return;
                }
            }
        });
        let transport = WatchTransport::Socket { offers: answer::is_edgequeue(attributes) };
        let resume = options.resume(&http.endpoint, attributes);
        let watch = Subscription::new(http.endpoint.clone(), options, transport, resume, seed());
        Self { watch, http, signals, tell, settle, socket: None, was_open: false, began: Instant::now() }
    }

    /// For threads that have something to tell.
    pub fn teller(&self) -> SyncSender<Signal> {
        self.tell.clone()
    }

    pub fn watch(&self) -> &Subscription {
        &self.watch
    }

    pub fn began(&self) -> Instant {
        self.began
    }

    pub fn decide(&mut self, index: u64, decision: Decision) {
        self.watch.decide(index, decision);
    }

    pub fn leave(&mut self) {
        self.watch.leave(self.now_ms());
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Does what is to be done, and waits at most this long for something to happen.
    pub fn next(&mut self, wait: Duration) -> Vec<News> {
        let mut news = Vec::new();
        if let Some(until_ms) = self.carry_out(&mut news)
            && news.is_empty()
        {
            let wait = wait.min(Duration::from_millis(until_ms.saturating_sub(self.now_ms())));
            self.listen(wait, &mut news);
            self.carry_out(&mut news);
        }
        news
    }

    /// Does what is to be done; until when nothing is, or `None` at the end.
    fn carry_out(&mut self, news: &mut Vec<News>) -> Option<u64> {
        loop {
            match self.watch.next(self.now_ms()) {
                Todo::Connect(attempt) => {
                    let (number, tell) = (attempt.number, self.tell.clone());
                    let told = move |what| drop(tell.send(Signal::Connection(number, what)));
                    self.socket = Some((number, Socket::open(&self.http.endpoint, &attempt, told)));
                }
                Todo::Send(message) => {
                    if let Some((_, socket)) = &self.socket {
                        socket.send(message);
                    }
                }
                // Its thread lives as long as we do.
                Todo::Settle(request) => drop(self.settle.send(request)),
                Todo::Ping(number) => self.with_socket(number, Socket::ping),
                Todo::Close(number) => {
                    self.with_socket(number, Socket::close);
                    self.wait_for_close(number, news);
                }
                Todo::Deliver(frame) => news.push(News::Frame(frame)),
                Todo::Turned(phase) => self.turned(phase, news),
                // Totals tell how much is confirmed, and this window never changes.
                Todo::Confirmed(_) | Todo::Resized(_) => {}
                Todo::Wait(until_ms) => return Some(until_ms),
                Todo::Over(end) => {
                    news.push(News::Over(end));
                    return None;
                }
            }
        }
    }

    fn with_socket(&self, number: u64, act: impl Fn(&Socket)) {
        if let Some((known, socket)) = &self.socket
            && *known == number
        {
            act(socket);
        }
    }

    fn turned(&mut self, phase: WatchPhase, news: &mut Vec<News>) {
        match phase {
            WatchPhase::Open { .. } => {
                self.was_open = true;
                news.push(News::Opened);
            }
            // Further attempts that fail are not told.
            WatchPhase::Reconnecting { why, .. } if self.was_open => {
                self.was_open = false;
                news.push(News::Lost(why));
            }
            WatchPhase::Reconnecting { .. } | WatchPhase::Connecting | WatchPhase::Closing => {}
        }
    }

    /// The service learns from the closing handshake that what it sent is back; the process must not end before.
    fn wait_for_close(&mut self, number: u64, news: &mut Vec<News>) {
        let until = Instant::now() + CLOSE_TIMEOUT;
        while let Ok(signal) = self.signals.recv_timeout(until.saturating_duration_since(Instant::now())) {
            let gone = |happened: &Happened| matches!(happened, Happened::Lost(..) | Happened::Refused(_));
            let closed = matches!(&signal, Signal::Connection(known, what) if *known == number && gone(what));
            self.take(signal, news);
            if closed {
                return;
            }
        }
    }

    /// Waits at most this long for something to happen, and takes it in with what follows at once.
    fn listen(&mut self, wait: Duration, news: &mut Vec<News>) {
        let Ok(signal) = self.signals.recv_timeout(wait) else { return };
        self.take(signal, news);
        for _ in 1..TURN_MAX {
            let Ok(signal) = self.signals.try_recv() else { return };
            self.take(signal, news);
        }
    }

    fn take(&mut self, signal: Signal, news: &mut Vec<News>) {
        let now_ms = self.now_ms();
        match signal {
            Signal::Connection(number, happened) => match happened {
                Happened::Opened(protocol) => self.watch.opened(now_ms, number, protocol.as_deref()),
                Happened::Message(message) => self.watch.message(now_ms, number, message),
                Happened::Heard => self.watch.heard(now_ms, number),
                Happened::Refused(response) => self.watch.refused(now_ms, number, &response),
                Happened::Lost(code, why) => self.watch.lost(now_ms, number, code, &why),
            },
            Signal::Settled(response) => self.watch.settled(now_ms, response.as_ref()),
            Signal::Line(line) => news.push(News::Line(line)),
            Signal::Woken => {}
        }
    }
}

/// Differs between clients.
pub fn seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    since ^ (u64::from(process::id()) << 32)
}
