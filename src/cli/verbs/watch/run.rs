//! A watch under way: the session's shell. One thread prints and decides, one reads the socket, one sends commits, one
//! reads answers from the terminal; all that happens comes in through one channel.

use edgequeue::client::{Decision, End, Request, Response, Session, Todo};
use edgequeue::queue::entry::Frame;
use edgequeue::queue::event::Rejection;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Then, Until};
use crate::ask::{self, Answers};
use crate::http::{Http, PATIENCE, unreachable};
use crate::socket::{Happened, Socket};
use crate::stop::{Exit, Stop};
use crate::{Context, interrupt, units};

/// Messages that may wait to be printed. What is beyond that waits at the service.
const WAITING_MAX: usize = 64;
/// Messages taken in before what they led to is sent.
const TURN_MAX: usize = 256;

/// What happens.
enum Event {
    Connection(u64, Happened),
    Settled(Option<Response>),
    Answer(Option<String>),
    Interrupted,
}

/// What somebody is being asked.
enum Question {
    Commit(u64),
    Reject(u64),
}

pub struct Run {
    http: Http,
    session: Session,
    then: Then,
    until: Until,
    events: Receiver<Event>,
    tell: SyncSender<Event>,
    settle: Sender<Request>,
    answers: Option<Answers>,
    socket: Option<(u64, Socket)>,
    began: Instant,
    last_frame: Instant,
    printed: u64,
    /// Printed but not yet given to the reader of our output.
    fresh: Vec<u64>,
    waiting: VecDeque<Frame>,
    question: Option<Question>,
    was_open: bool,
    over: bool,
}

impl Run {
    pub fn new(http: Http, session: Session, then: Then, until: Until) -> Result<Self, Stop> {
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
        let told = tell.clone();
        interrupt::catch(move || {
            // A full channel is read soon, and then the flag is seen.
            let _ = told.try_send(Event::Interrupted);
        })?;
        let told = tell.clone();
        let asks = matches!(then, Then::Ask(_));
        let answers = asks.then(|| Answers::new(move |line| drop(told.send(Event::Answer(line)))));
        Ok(Self {
            http,
            session,
            then,
            until,
            events,
            tell,
            settle,
            answers,
            socket: None,
            began: Instant::now(),
            last_frame: Instant::now(),
            printed: 0,
            fresh: Vec::new(),
            waiting: VecDeque::new(),
            question: None,
            was_open: false,
            over: false,
        })
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    pub fn go(mut self, context: &mut Context) -> Result<Exit, Stop> {
        let mut broken = None;
        let end = loop {
            if let Err(stop) = self.turn(context) {
                // Nobody reads any more: what was not written out is not committed.
                self.fresh.clear();
                broken.get_or_insert(stop);
                self.leave();
            }
            let wait_ms = match self.session.next(self.now_ms()) {
                Todo::Connect(number, request) => {
                    let tell = self.tell.clone();
                    let told = move |what| drop(tell.send(Event::Connection(number, what)));
                    self.socket = Some((number, Socket::open(&self.http.endpoint, &request, told)));
                    continue;
                }
                Todo::Settle(request) => {
                    // Its thread lives as long as we do.
                    let _ = self.settle.send(request);
                    continue;
                }
                Todo::Ping(number) => {
                    self.with_socket(number, Socket::ping);
                    continue;
                }
                Todo::Close(number) => {
                    self.with_socket(number, Socket::close);
                    self.wait_for_close(number);
                    continue;
                }
                Todo::Over(end) => break end,
                Todo::Wait(until_ms) => until_ms.saturating_sub(self.now_ms()),
            };
            self.wait(context, wait_ms);
        };
        if broken.is_none() {
            broken = self.print_rest(context).err();
        }
        let summed = self.summary(context, end);
        match broken {
            Some(stop) => Err(stop),
            None => summed,
        }
    }

    fn with_socket(&self, number: u64, act: impl Fn(&Socket)) {
        if let Some((known, socket)) = &self.socket
            && *known == number
        {
            act(socket);
        }
    }

    /// The service learns from the closing handshake that what it sent is back; the process must not end before.
    fn wait_for_close(&mut self, number: u64) {
        let until = Instant::now() + Duration::from_secs(2);
        while let Ok(event) = self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            match event {
                Event::Connection(known, Happened::Lost(..) | Happened::Refused(_)) if known == number => return,
                Event::Settled(response) => self.session.settled(self.now_ms(), response.as_ref()),
                Event::Connection(known, Happened::Message(message)) => {
                    self.waiting.extend(self.session.message(self.now_ms(), known, message));
                }
                _ => {}
            }
        }
    }

    /// What arrived while the watch ended: under auto commit it is committed, and nobody else will ever print it.
    fn print_rest(&mut self, context: &mut Context) -> Result<(), Stop> {
        if !matches!(self.then, Then::Nothing) {
            return Ok(());
        }
        while self.until.count.is_none_or(|count| self.printed < count)
            && let Some(frame) = self.waiting.pop_front()
        {
            context.out.entry(self.printed, &frame)?;
            self.printed += 1;
        }
        if !self.waiting.is_empty() {
            let lost = self.waiting.len();
            context.out.info(&format!("{lost} more entries had been sent and committed by the service."));
        }
        context.out.flush()
    }

    /// Waits for something to happen, and takes in what has.
    fn wait(&mut self, context: &mut Context, wait_ms: u64) {
        let mut wait = Duration::from_millis(wait_ms.min(60_000));
        if let Some(silence_ms) = self.until.silence_ms.filter(|_| !self.over) {
            let left = Duration::from_millis(silence_ms).saturating_sub(self.last_frame.elapsed());
            wait = wait.min(left);
        }
        match self.events.recv_timeout(wait) {
            Ok(event) => self.take(context, event),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
        for _ in 1..TURN_MAX {
            match self.events.try_recv() {
                Ok(event) => self.take(context, event),
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, context: &mut Context, event: Event) {
        let now_ms = self.now_ms();
        match event {
            Event::Connection(number, Happened::Opened) => {
                self.session.opened(now_ms, number);
                if self.was_open {
                    context.out.info("Connected again.");
                }
                self.was_open = true;
                // Silence is counted while there is a connection.
                self.last_frame = Instant::now();
            }
            Event::Connection(number, Happened::Message(message)) => {
                if let Some(frame) = self.session.message(now_ms, number, message) {
                    self.last_frame = Instant::now();
                    self.waiting.push_back(frame);
                }
            }
            Event::Connection(number, Happened::Heard) => self.session.heard(now_ms, number),
            Event::Connection(number, Happened::Refused(response)) => self.session.refused(now_ms, number, &response),
            Event::Connection(number, Happened::Lost(code, why)) => {
                if self.session.is_open() && !self.over {
                    context.out.info(&format!("The connection is gone ({why}); connecting again."));
                }
                self.session.lost(now_ms, number, code, &why);
            }
            Event::Settled(response) => self.session.settled(now_ms, response.as_ref()),
            Event::Answer(answer) => self.answered(answer),
            Event::Interrupted => {}
        }
    }

    /// Prints what waits, decides, and sees whether it is time to end.
    fn turn(&mut self, context: &mut Context) -> Result<(), Stop> {
        while self.question.is_none() && !self.enough() {
            let Some(frame) = self.waiting.pop_front() else { break };
            context.out.entry(self.printed, &frame)?;
            self.printed += 1;
            if let Then::Ask(_) = self.then {
                context.out.flush()?;
                self.ask(Question::Commit(frame.index));
            } else if self.then.decision().is_some() {
                self.fresh.push(frame.index);
            }
        }
        context.out.flush()?;
        if let Some(decision) = self.then.decision() {
            for index in self.fresh.drain(..) {
                self.session.decide(index, decision.clone());
            }
        }
        context.out.progress(self.printed);
        let silent = self.until.silence_ms.is_some_and(|ms| self.last_frame.elapsed().as_millis() >= u128::from(ms));
        let silent = silent && self.waiting.is_empty() && self.question.is_none();
        if interrupt::asked() || silent || (self.enough() && self.question.is_none()) {
            self.leave();
        }
        Ok(())
    }

    fn enough(&self) -> bool {
        self.over || self.until.count.is_some_and(|count| self.printed >= count)
    }

    fn leave(&mut self) {
        if !self.over {
            self.over = true;
            self.session.leave(self.now_ms());
        }
    }

    fn ask(&mut self, question: Question) {
        match &question {
            Question::Commit(index) => ask::print(&format!("commit: {index} ? [Y/n]")),
            Question::Reject(index) => ask::print(&format!("negative: {index} ? [Y/n]")),
        }
        if let Some(answers) = &self.answers {
            answers.want();
        }
        self.question = Some(question);
    }

    /// An answer came; the end of input is the wish to end.
    fn answered(&mut self, answer: Option<String>) {
        let Some(answer) = answer else {
            self.leave();
            return;
        };
        let yes = ask::is_yes(&answer, true);
        match self.question.take() {
            Some(Question::Commit(index)) if yes => self.session.decide(index, Decision::Commit),
            Some(Question::Commit(index)) => self.ask(Question::Reject(index)),
            Some(Question::Reject(index)) if yes => {
                let rejection = match &self.then {
                    Then::Ask(rejection) => rejection.clone(),
                    _ => Rejection::default(),
                };
                self.session.decide(index, Decision::Reject(rejection));
            }
            // Neither: it stays with this consumer until the end.
            Some(Question::Reject(_)) | None => {}
        }
    }

    fn summary(&mut self, context: &mut Context, end: End) -> Result<Exit, Stop> {
        context.out.without_bar();
        let totals = self.session.totals();
        if self.question.is_some() {
            // The cursor stands behind a question.
            context.out.note("");
        }
        if self.was_open {
            context.out.info("Watch done.");
            context.out.note(&format!("Total time cost: {}", units::duration(self.began.elapsed())));
            context.out.note(&format!("Total size: {}", units::size(totals.bytes)));
            context.out.note(&format!(
                "Total: {}, committed: {}, negative: {}, returned: {}, reconnects: {}",
                self.printed, totals.committed, totals.rejected, totals.returned, totals.reconnects
            ));
        }
        match end {
            End::Failed(failure) => return Err(failure.into()),
            End::Unreachable(why) => return Err(unreachable(&why)),
            End::TakenOver => {
                return Err(Stop::new(
                    Exit::Failure,
                    "another watch with the same group and user has begun",
                    "Give each consumer a name of its own with --user.",
                ));
            }
            End::Ended => context.out.info("The stream was ended."),
            End::Left => {}
        }
        let unsettled = self.session.unsettled();
        if unsettled > 0 {
            return Err(Stop::new(
                Exit::Failure,
                format!("{unsettled} commits were not confirmed in time"),
                "The entries may be delivered again.",
            ));
        }
        let nothing = self.printed == 0 && self.until.silence_ms.is_some() && !interrupt::asked();
        Ok(if nothing { Exit::Nothing } else { Exit::Ok })
    }
}
