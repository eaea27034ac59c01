//! A watch's session carried out: one thread reads the socket, one sends commits; all that happens comes in through one
//! channel.

use edgequeue::client::{Decision, End, Request, Response, Session, Todo};
use edgequeue::queue::entry::Frame;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Http, PATIENCE};
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
    Answer(Option<String>),
    Over(End),
}

/// What comes in from the threads.
pub enum Event {
    Connection(u64, Happened),
    Settled(Option<Response>),
    Answer(Option<String>),
    /// Something outside changed.
    Woken,
}

/// A session with its socket, its clock and its threads.
pub struct Driver {
    session: Session,
    http: Http,
    events: Receiver<Event>,
    tell: SyncSender<Event>,
    settle: Sender<Request>,
    socket: Option<(u64, Socket)>,
    began: Instant,
}

impl Driver {
    pub fn new(http: Http, session: Session) -> Self {
        let (tell, events) = sync_channel(WAITING_MAX);
        let (settle, requests) = channel::<Request>();
        let (settler, told) = (http.clone(), tell.clone());
        thread::spawn(move || {
            while let Ok(request) = requests.recv() {
                if told.send(Event::Settled(settler.send(&request, PATIENCE).ok())).is_err() {
                    return;
                }
            }
        });
        Self { session, http, events, tell, settle, socket: None, began: Instant::now() }
    }

    /// For threads that have something to tell.
    pub fn teller(&self) -> SyncSender<Event> {
        self.tell.clone()
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    pub fn began(&self) -> Instant {
        self.began
    }

    pub fn decide(&mut self, index: u64, decision: Decision) {
        self.session.decide(index, decision);
    }

    pub fn leave(&mut self) {
        self.session.leave(self.now_ms());
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Does what is to be done, and waits at most this long for something to happen.
    pub fn next(&mut self, wait: Duration) -> Vec<News> {
        let mut news = Vec::new();
        let wait = loop {
            match self.session.next(self.now_ms()) {
                Todo::Connect(number, request) => {
                    let tell = self.tell.clone();
                    let told = move |what| drop(tell.send(Event::Connection(number, what)));
                    self.socket = Some((number, Socket::open(&self.http.endpoint, &request, told)));
                }
                // Its thread lives as long as we do.
                Todo::Settle(request) => drop(self.settle.send(request)),
                Todo::Ping(number) => self.with_socket(number, Socket::ping),
                Todo::Close(number) => {
                    self.with_socket(number, Socket::close);
                    self.wait_for_close(number, &mut news);
                }
                Todo::Over(end) => {
                    news.push(News::Over(end));
                    return news;
                }
                Todo::Wait(until_ms) => break wait.min(Duration::from_millis(until_ms.saturating_sub(self.now_ms()))),
            }
        };
        if !news.is_empty() {
            return news;
        }
        let Ok(event) = self.events.recv_timeout(wait) else { return news };
        self.take(event, &mut news);
        for _ in 1..TURN_MAX {
            let Ok(event) = self.events.try_recv() else { break };
            self.take(event, &mut news);
        }
        news
    }

    fn with_socket(&self, number: u64, act: impl Fn(&Socket)) {
        if let Some((known, socket)) = &self.socket
            && *known == number
        {
            act(socket);
        }
    }

    /// The service learns from the closing handshake that what it sent is back; the process must not end before.
    fn wait_for_close(&mut self, number: u64, news: &mut Vec<News>) {
        let until = Instant::now() + CLOSE_TIMEOUT;
        while let Ok(event) = self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            let closed = matches!(&event, Event::Connection(known, Happened::Lost(..) | Happened::Refused(_)) if *known == number);
            self.take(event, news);
            if closed {
                return;
            }
        }
    }

    fn take(&mut self, event: Event, news: &mut Vec<News>) {
        let now_ms = self.now_ms();
        match event {
            Event::Connection(number, Happened::Opened) => {
                self.session.opened(now_ms, number);
                news.push(News::Opened);
            }
            Event::Connection(number, Happened::Message(message)) => {
                news.extend(self.session.message(now_ms, number, message).map(News::Frame));
            }
            Event::Connection(number, Happened::Heard) => self.session.heard(now_ms, number),
            Event::Connection(number, Happened::Refused(response)) => self.session.refused(now_ms, number, &response),
            Event::Connection(number, Happened::Lost(code, why)) => {
                let was_open = self.session.is_open();
                self.session.lost(now_ms, number, code, &why);
                if was_open && !self.session.is_open() {
                    news.push(News::Lost(why));
                }
            }
            Event::Settled(response) => self.session.settled(now_ms, response.as_ref()),
            Event::Answer(answer) => news.push(News::Answer(answer)),
            Event::Woken => {}
        }
    }
}
