//! Threads that put batches, and the one that reads them.

use edgequeue::client::{Backoff, Failure, FailureKind, HttpResponse, LineBatch, LineOutcome, Put, answer};
use edgequeue::queue::entry::TAG_REQUEST_ID;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::Duration;

use super::source::{LineSource, Piece};
use crate::http::{ANSWER_TIMEOUT, Http, Unanswered};
use crate::stop::Stop;

/// How often a sender without work looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);
/// Attempts to reach a service that has gone away; with their waits they take about a minute.
const ATTEMPTS: u32 = 10;

/// What senders and reader tell.
pub enum Report {
    Line {
        position: u64,
        line: u64,
        outcome: LineOutcome<String>,
        bytes: u64,
    },
    /// All lines of a request were told.
    Sent {
        batch_bytes: u64,
    },
    Info(String),
    /// Nothing more can be put.
    Stopped(Stop),
    /// A sender has ended.
    Gone,
}

/// How things are put.
#[derive(Clone)]
pub struct Sender {
    pub http: Http,
    pub put: Put,
    /// What the request ids of lines begin with, when they need one each.
    pub request_id: Option<String>,
    /// Whether to wait while the queue is full.
    pub waits: bool,
}

impl Sender {
    /// The request id of a line, if it needs one.
    fn request_id_of(&self, line: u64) -> Option<String> {
        self.request_id.as_ref().map(|id| format!("{id}-{line}"))
    }

    /// How a line is put by itself.
    fn put_of(&self, line: u64) -> Put {
        let mut put = self.put.clone();
        if let Some(id) = self.request_id_of(line) {
            put.tags.insert(TAG_REQUEST_ID.into(), id);
        }
        put
    }
}

/// What all threads share.
#[derive(Default)]
struct CrewState {
    stop: AtomicBool,
    /// Something was stored: the address is right, and a failure to connect passes.
    worked: AtomicBool,
    /// That something is waited for was told, and has not passed since.
    told: AtomicBool,
    /// The service turned out not to take batches.
    singles: AtomicBool,
}

/// All threads.
pub struct Crew(Arc<CrewState>);

impl Crew {
    pub fn start(sender: Sender, senders: usize, mut source: LineSource, reports: SyncSender<Report>) -> Self {
        let shared = Arc::new(CrewState::default());
        let (work, inbox) = sync_channel::<LineBatch>(1);
        let inbox = Arc::new(Mutex::new(inbox));
        for number in 0..senders {
            let worker = Worker {
                sender: sender.clone(),
                shared: shared.clone(),
                reports: reports.clone(),
                backoff: Backoff::new(number as u64 + u64::from(std::process::id())),
            };
            let inbox = inbox.clone();
            thread::spawn(move || worker.work(&inbox));
        }
        let reader = shared.clone();
        thread::spawn(move || {
            // Either end being gone ends the reading.
            while !reader.stop.load(Ordering::SeqCst) {
                match source.next() {
                    Ok(Some(Piece::Batch(batch))) => {
                        if work.send(batch).is_err() {
                            return;
                        }
                    }
                    Ok(Some(Piece::TooLong { position, line })) => {
                        let why = format!("it is longer than the {} bytes this queue takes", source.line_bytes_max);
                        let outcome = LineOutcome::Refused(why);
                        if reports.send(Report::Line { position, line, outcome, bytes: 0 }).is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    Err(stop) => {
                        let _ = reports.send(Report::Stopped(stop));
                        return;
                    }
                }
            }
        });
        Self(shared)
    }

    /// Nothing more is read or sent; what is on its way is still answered.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

struct Worker {
    sender: Sender,
    shared: Arc<CrewState>,
    reports: SyncSender<Report>,
    backoff: Backoff,
}

/// Whether to go on.
type Goes = bool;

impl Worker {
    fn work(mut self, inbox: &Mutex<Receiver<LineBatch>>) {
        loop {
            let received = match inbox.lock() {
                Ok(inbox) if !self.stopped() => inbox.recv_timeout(LOOK),
                _ => break,
            };
            match received {
                Ok(batch) => {
                    let batch_bytes = (batch.bytes() + batch.bodies.len()) as u64;
                    let goes = self.put(batch);
                    self.tell(Report::Sent { batch_bytes });
                    if !goes {
                        self.shared.stop.store(true, Ordering::SeqCst);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.tell(Report::Gone);
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst)
    }

    fn tell(&self, report: Report) {
        // The other end waits for every sender.
        let _ = self.reports.send(report);
    }

    /// Puts a batch whose lines are put in order, and tells what became of each.
    fn put(&mut self, batch: LineBatch) -> Goes {
        let single = batch.bodies.len() == 1;
        if !single && self.shared.singles.load(Ordering::SeqCst) {
            return self.put_halves(batch);
        }
        let http = self.sender.http.clone();
        let request = match batch.bodies.as_slice() {
            [body] => http.endpoint.put(&self.sender.put_of(batch.line), body.clone()),
            _ => http.endpoint.put_batch(&self.sender.put, batch.encode(|line| self.sender.request_id_of(line))),
        };
        let read = |response: &HttpResponse| match single {
            true => answer::put(response).map(|receipt| vec![receipt]),
            false => answer::put_batch(response, batch.bodies.len()),
        };
        loop {
            let failure = match http.send(&request, ANSWER_TIMEOUT).map(|response| read(&response)) {
                Ok(Ok(receipts)) => {
                    self.shared.worked.store(true, Ordering::SeqCst);
                    self.shared.told.store(false, Ordering::SeqCst);
                    self.backoff.reset();
                    let bodies = batch.lines().zip(&batch.bodies);
                    for (((position, line), body), receipt) in bodies.zip(receipts) {
                        let outcome = LineOutcome::Stored(receipt);
                        self.tell(Report::Line { position, line, outcome, bytes: body.len() as u64 });
                    }
                    return true;
                }
                Ok(Err(failure)) => failure,
                Err(unanswered @ Unanswered::NotSent(_)) => {
                    if self.shared.worked.load(Ordering::SeqCst) && self.pause("cannot reach the service") {
                        continue;
                    }
                    return self.give_up(unanswered.into());
                }
                Err(unanswered) => return self.unknown(&batch, unanswered.into()),
            };
            match failure.kind {
                FailureKind::Bad if !single && failure.text.contains("_batch_") => {
                    self.shared.singles.store(true, Ordering::SeqCst);
                    return self.put_halves(batch);
                }
                FailureKind::TooLarge | FailureKind::Full if !single => return self.put_halves(batch),
                FailureKind::TooLarge => return self.refused(&batch, &failure),
                FailureKind::Full if self.sender.waits => {
                    if !self.pause("the queue is full") {
                        return false;
                    }
                }
                FailureKind::Service | FailureKind::Unreadable => return self.unknown(&batch, failure.into()),
                _ => return self.give_up(failure.into()),
            }
        }
    }

    /// One refused line must not take the others with it.
    fn put_halves(&mut self, batch: LineBatch) -> Goes {
        let (first, second) = batch.halves();
        // Both in this thread: the order of the lines stays.
        self.put(first) && !self.stopped() && self.put(second)
    }

    /// Waits before the next attempt; false if there is to be none.
    fn pause(&mut self, why: &str) -> bool {
        let wait = Duration::from_millis(self.backoff.next_ms());
        if !self.sender.waits && self.backoff.failures() > ATTEMPTS {
            return false;
        }
        if !self.shared.told.swap(true, Ordering::SeqCst) {
            self.tell(Report::Info(format!("Waiting: {why}.")));
        }
        let mut left = wait;
        while !left.is_zero() && !self.stopped() {
            let step = left.min(LOOK);
            sleep(step);
            left -= step;
        }
        !self.stopped()
    }

    fn refused(&self, batch: &LineBatch, failure: &Failure) -> Goes {
        for (position, line) in batch.lines() {
            let outcome = LineOutcome::Refused(failure.text.clone());
            self.tell(Report::Line { position, line, outcome, bytes: 0 });
        }
        true
    }

    fn unknown(&self, batch: &LineBatch, stop: Stop) -> Goes {
        for (position, line) in batch.lines() {
            self.tell(Report::Line { position, line, outcome: LineOutcome::Unknown, bytes: 0 });
        }
        self.give_up(stop)
    }

    fn give_up(&self, stop: Stop) -> Goes {
        self.tell(Report::Stopped(stop));
        false
    }
}
