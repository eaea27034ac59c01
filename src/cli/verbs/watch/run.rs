//! A watch under way: prints, asks and decides.

use edgequeue::client::{Decision, End};
use edgequeue::queue::entry::Frame;
use edgequeue::queue::event::Rejection;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ask::{self, Answers};
use crate::driver::{Driver, News, Signal};
use crate::http::unreachable;
use crate::invocation::Invocation;
use crate::stop::{Exit, Stop};
use crate::{interrupt, units};

/// Longest time without looking around.
const LOOK: Duration = Duration::from_secs(60);

/// What becomes of an entry after it was printed.
#[derive(Clone, Debug)]
pub enum Then {
    /// The service has committed it.
    Nothing,
    /// It is left as it is.
    Hold,
    Commit,
    /// The person at the terminal is asked; the rejection is for a no.
    Ask(Rejection),
}

/// When a watch ends by itself.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    pub count: Option<u64>,
    pub silence_ms: Option<u64>,
}

/// What the person at the terminal is being asked.
enum CommitQuestion {
    Commit(u64),
    Reject(u64),
}

pub struct WatchRun {
    driver: Driver,
    then: Then,
    until: Until,
    answers: Option<Answers>,
    last_frame: Instant,
    printed: u64,
    /// Printed but not yet given to the reader of our output.
    fresh: Vec<u64>,
    waiting: VecDeque<Frame>,
    question: Option<CommitQuestion>,
    was_open: bool,
    over: bool,
}

impl WatchRun {
    pub fn new(driver: Driver, then: Then, until: Until) -> Result<Self, Stop> {
        let tell = driver.teller();
        interrupt::catch(move || {
            // A full channel is read soon, and then the flag is seen.
            let _ = tell.try_send(Signal::Woken);
        })?;
        let tell = driver.teller();
        let asks = matches!(then, Then::Ask(_));
        let answers = asks.then(|| Answers::new(move |line| drop(tell.send(Signal::Line(line)))));
        Ok(Self {
            driver,
            then,
            until,
            answers,
            last_frame: Instant::now(),
            printed: 0,
            fresh: Vec::new(),
            waiting: VecDeque::new(),
            question: None,
            was_open: false,
            over: false,
        })
    }

    pub fn go(mut self, call: &mut Invocation) -> Result<Exit, Stop> {
        let mut broken = None;
        let end = loop {
            if broken.is_none()
                && let Err(stop) = self.turn(call)
            {
                // The reader has gone: what was not written out is not committed.
                self.fresh.clear();
                self.leave();
                broken = Some(stop);
            }
            let mut end = None;
            for news in self.driver.next(self.wait()) {
                match news {
                    News::Opened => self.opened(call),
                    News::Frame(frame) => {
                        self.last_frame = Instant::now();
                        self.waiting.push_back(frame);
                    }
                    News::Lost(why) if !self.over => {
                        call.out.info(&format!("The connection is gone ({why}); connecting again."));
                    }
                    News::Lost(_) => {}
                    News::Line(answer) => self.answered(answer),
                    News::Over(with) => end = Some(with),
                }
            }
            if let Some(end) = end {
                break end;
            }
        };
        if broken.is_none() {
            broken = self.print_rest(call).err();
        }
        let summed = self.summary(call, end);
        match broken {
            Some(stop) => Err(stop),
            None => summed,
        }
    }

    /// How long nothing may happen before something is to be done.
    fn wait(&self) -> Duration {
        let left = |ms| Duration::from_millis(ms).saturating_sub(self.last_frame.elapsed());
        self.until.silence_ms.filter(|_| !self.over).map_or(LOOK, left)
    }

    fn opened(&mut self, call: &mut Invocation) {
        if self.was_open {
            call.out.info("Connected again.");
        }
        self.was_open = true;
        // Silence is counted while there is a connection.
        self.last_frame = Instant::now();
    }

    /// Prints what waits, decides, and sees whether it is time to end.
    fn turn(&mut self, call: &mut Invocation) -> Result<(), Stop> {
        while self.question.is_none() && !self.enough() {
            let Some(frame) = self.waiting.pop_front() else { break };
            call.out.entry(self.printed, &frame)?;
            self.printed += 1;
            match self.then {
                Then::Ask(_) => {
                    call.out.flush()?;
                    self.ask(CommitQuestion::Commit(frame.index));
                }
                Then::Commit => self.fresh.push(frame.index),
                Then::Nothing | Then::Hold => {}
            }
        }
        call.out.flush()?;
        for index in self.fresh.drain(..) {
            self.driver.decide(index, Decision::Commit);
        }
        call.out.progress(self.printed);
        let silent = self.until.silence_ms.is_some_and(|ms| self.last_frame.elapsed().as_millis() >= u128::from(ms));
        let idle = self.question.is_none() && (self.enough() || (silent && self.waiting.is_empty()));
        if interrupt::asked() || idle {
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
            self.driver.leave();
        }
    }

    fn ask(&mut self, question: CommitQuestion) {
        match &question {
            CommitQuestion::Commit(index) => ask::print(&format!("commit: {index} ? [Y/n]")),
            CommitQuestion::Reject(index) => ask::print(&format!("negative: {index} ? [Y/n]")),
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
            Some(CommitQuestion::Commit(index)) if yes => self.driver.decide(index, Decision::Commit),
            Some(CommitQuestion::Commit(index)) => self.ask(CommitQuestion::Reject(index)),
            Some(CommitQuestion::Reject(index)) if yes => {
                let rejection = match &self.then {
                    Then::Ask(rejection) => rejection.clone(),
                    _ => Rejection::default(),
                };
                self.driver.decide(index, Decision::Reject(rejection));
            }
            // Neither: it stays with this consumer until the end.
            Some(CommitQuestion::Reject(_)) | None => {}
        }
    }

    /// Prints what arrived while the watch ended: under auto commit it is committed, and delivered nowhere else.
    fn print_rest(&mut self, call: &mut Invocation) -> Result<(), Stop> {
        if !matches!(self.then, Then::Nothing) {
            return Ok(());
        }
        while self.until.count.is_none_or(|count| self.printed < count)
            && let Some(frame) = self.waiting.pop_front()
        {
            call.out.entry(self.printed, &frame)?;
            self.printed += 1;
        }
        if !self.waiting.is_empty() {
            let lost = self.waiting.len();
            call.out.info(&format!("{lost} more entries had been sent and committed by the service."));
        }
        call.out.flush()
    }

    fn summary(&self, call: &mut Invocation, end: End) -> Result<Exit, Stop> {
        call.out.without_bar();
        let totals = self.driver.watch().totals();
        if self.question.is_some() {
            // The cursor stands behind a question.
            call.out.note("");
        }
        if self.was_open {
            call.out.info("Watch done.");
            call.out.note(&format!("Total time cost: {}", units::duration(self.driver.began().elapsed())));
            call.out.note(&format!("Total size: {}", units::size(totals.bytes)));
            call.out.note(&format!(
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
            End::Ended => call.out.info("The stream was ended."),
            End::Left => {}
        }
        let unsettled = self.driver.watch().unsettled();
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
