//! A put carried out: prints what became of each line, and sums up.

use edgequeue::client::answer::{self, PutReceipt};
use edgequeue::client::{Failure, FailureKind, LineOutcome, Receipts};
use edgequeue::queue::entry::Tags;
use indicatif::ProgressBar;
use serde_json::json;
use std::io::{IsTerminal, stdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::args::PutArgs;
use super::lines::Lines;
use super::plan::{PutInput, PutPlan};
use super::sender::{Crew, Report, Sender};
use super::source::LineSource;
use crate::http::{ANSWER_TIMEOUT, Http};
use crate::invocation::Invocation;
use crate::stop::{Exit, Stop};
use crate::{interrupt, progress, units};

/// Refused lines after which the rest is not tried.
const REFUSED_MAX: u64 = 1_000;
/// Files from this size on get a progress bar, in bytes.
const BAR_BYTES_MIN: u64 = 1024 * 1024;

pub fn run(call: &mut Invocation, args: &PutArgs) -> Result<Exit, Stop> {
    let mut plan = PutPlan::new(args, stdin().is_terminal())?;
    let http = call.http()?;
    if let PutInput::File(file) = &plan.input {
        call.out.info(&format!("Opening data file: {}", file.display()));
    }
    let input = LineSource::open(&plan.input)?;
    if plan.depends_on_service() {
        plan.fit(args, &attributes(&http)?)?;
    }
    let source = input.planned(&plan);
    let bar = match source.bytes_total {
        Some(total) if total >= BAR_BYTES_MIN && !plan.is_whole => progress::bar(Some(total), true, call.out.quiet),
        None if !plan.is_whole => progress::bar(None, true, call.out.quiet),
        _ => None,
    };
    if let Some(bar) = &bar {
        call.out.with_bar(bar.clone());
    }
    let sender = Sender { http, put: plan.put, request_id: plan.request_id, waits: plan.waits };
    let mut run = PutRun::new(plan.is_whole, bar);
    let stopped = run.go(call, sender, plan.senders, source);
    call.out.without_bar();
    run.summary(call, stopped, &plan.lines)
}

/// What the queue says of itself; a service that says nothing takes plain puts.
fn attributes(http: &Http) -> Result<Tags, Stop> {
    let response = http.send(&http.endpoint.attributes(), ANSWER_TIMEOUT)?;
    match answer::attributes(&response) {
        Err(failure) if matches!(failure.kind, FailureKind::NotAuthorised | FailureKind::NotFound) => {
            Err(failure.into())
        }
        answered => Ok(answered.unwrap_or_default()),
    }
}

/// A put under way.
struct PutRun {
    receipts: Receipts<String>,
    /// Whether it is all one entry.
    is_whole: bool,
    began: Instant,
    bar: Option<ProgressBar>,
    bytes: u64,
    stored: u64,
    failed: u64,
    /// Of the stored ones, those that were there already.
    repeated: u64,
    /// Why the last line was refused.
    why: String,
    /// Set when nothing more is to be read or sent.
    over: bool,
}

impl PutRun {
    fn new(is_whole: bool, bar: Option<ProgressBar>) -> Self {
        Self {
            receipts: Receipts::default(),
            is_whole,
            began: Instant::now(),
            bar,
            bytes: 0,
            stored: 0,
            failed: 0,
            repeated: 0,
            why: String::new(),
            over: false,
        }
    }

    /// Reads, sends and prints until everything is done or something stops it; what stopped it.
    fn go(&mut self, call: &mut Invocation, sender: Sender, senders: usize, source: LineSource) -> Option<Stop> {
        let (reports, inbox) = sync_channel(2 * senders + 2);
        let crew = Crew::start(sender, senders, source, reports);
        let stopped = self.collect(call, &crew, &inbox, senders);
        // Whatever is still on its way has been waited for; the reader may wait for input that never comes.
        crew.stop();
        stopped
    }

    fn collect(
        &mut self,
        call: &mut Invocation,
        crew: &Crew,
        inbox: &Receiver<Report>,
        senders: usize,
    ) -> Option<Stop> {
        let mut at_work = senders;
        let mut stopped = None;
        if let Err(stop) = interrupt::catch(|| {}) {
            stopped = Some(stop);
        }
        while at_work > 0 {
            if (interrupt::asked() || stopped.is_some()) && !self.over {
                self.over = true;
                crew.stop();
            }
            match inbox.recv_timeout(Duration::from_millis(100)) {
                Ok(Report::Line { position, line, outcome, bytes }) => {
                    self.bytes += if matches!(outcome, LineOutcome::Stored(_)) { bytes } else { 0 };
                    self.receipts.insert(position, line, outcome);
                }
                Ok(Report::Sent { batch_bytes }) => {
                    if let Some(bar) = &self.bar {
                        bar.inc(batch_bytes);
                    }
                    if let Err(stop) = self.print(call) {
                        stopped.get_or_insert(stop);
                    }
                }
                Ok(Report::Info(text)) => call.out.info(&text),
                Ok(Report::Stopped(stop)) => {
                    stopped.get_or_insert(stop);
                }
                Ok(Report::Gone) => at_work -= 1,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.failed >= REFUSED_MAX && stopped.is_none() {
                let message = format!("{} lines were refused; the rest was not tried", self.failed);
                stopped = Some(Stop::new(Exit::Refused, message, "Look at the lines named above."));
            }
        }
        if let Err(stop) = self.print(call) {
            stopped.get_or_insert(stop);
        }
        for (line, outcome) in self.receipts.rest() {
            if let Err(stop) = self.print_one(call, line, outcome) {
                stopped.get_or_insert(stop);
            }
        }
        stopped
    }

    fn print(&mut self, call: &mut Invocation) -> Result<(), Stop> {
        while let Some((line, outcome)) = self.receipts.next_line() {
            self.print_one(call, line, outcome)?;
        }
        call.out.flush()
    }

    fn print_one(&mut self, call: &mut Invocation, line: u64, outcome: LineOutcome<String>) -> Result<(), Stop> {
        match outcome {
            LineOutcome::Stored(PutReceipt { index, request_id, repeated }) => {
                self.stored += 1;
                self.repeated += u64::from(repeated);
                let mut object = json!({ "line": line, "index": index, "requestId": request_id });
                if repeated {
                    object["repeated"] = true.into();
                }
                let text = index.to_string();
                call.out.ok(&text, &object, &text)?;
            }
            LineOutcome::Refused(why) => {
                self.failed += 1;
                if !self.is_whole {
                    call.out.note(&format!("[FAIL] line {line}: {why}"));
                }
                self.why = why;
            }
            LineOutcome::Unknown => self.failed += 1,
        }
        Ok(())
    }

    /// The vendor's last lines; after a put that was cut short also what was acknowledged and how to go on.
    fn summary(&self, call: &mut Invocation, stopped: Option<Stop>, lines: &Lines) -> Result<Exit, Stop> {
        // The reader of standard output has gone, and needs no summary.
        if let Some(stop) = &stopped
            && stop.message().is_empty()
        {
            return Err(stop.clone());
        }
        let cut_short = stopped.is_some() || self.over;
        if self.is_whole && self.stored == 0 {
            let too_large = Failure { kind: FailureKind::TooLarge, status: 413, text: self.why.clone() };
            return Err(stopped.unwrap_or_else(|| too_large.into()));
        }
        call.out.flush()?;
        call.out.info(if cut_short { "Put data stopped." } else { "Put data done." });
        call.out.note(&format!("Total time cost: {}", units::duration(self.began.elapsed())));
        call.out.note(&format!("Total size: {}", units::size(self.bytes)));
        let total = self.stored + self.failed;
        call.out.note(&format!("Total: {total}, success: {}, failed: {}", self.stored, self.failed));
        if self.repeated > 0 {
            call.out.note(&format!("Already there: {}", self.repeated));
        }
        if !cut_short {
            return Ok(if self.failed > 0 { Exit::Refused } else { Exit::Ok });
        }
        let acknowledged = Lines::from(self.receipts.stored());
        let mut text = format!("lines acknowledged: {acknowledged}");
        if !self.receipts.unknown().is_empty() {
            let unknown = Lines::from(self.receipts.unknown());
            text.push_str(&format!("; without an answer, so perhaps stored: {unknown}"));
        }
        let rest = lines.without(self.receipts.stored()).without(self.receipts.refused());
        let option = rest.option();
        let hint = format!("Put the rest with the same command and {option}.");
        let (exit, why) = match stopped {
            Some(stop) => (stop.exit, stop.message().to_owned()),
            None => (Exit::Failure, "interrupted".into()),
        };
        Err(Stop::new(exit, format!("{why}; {text}"), hint))
    }
}
