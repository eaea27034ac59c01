//! `stream put`: lines in, acknowledgements out.
//!
//! A reader cuts the source into batches ([`source`]), senders put them ([`sender`]), and this thread prints what became
//! of each line, in order. All that is ever held are the few batches on their way.

mod lines;
mod sender;
mod source;

use clap::Args;
use edgequeue::client::answer::{self, Receipt};
use edgequeue::client::{Failure, Kind, Outcome, Put, Receipts};
use edgequeue::queue::entry::{TAG_REQUEST_ID, Tags};
use edgequeue::queue::limits::DEDUP_LOOKUPS_MAX;
use edgequeue::wire::url::Url;
use indicatif::ProgressBar;
use serde_json::json;
use std::io::{IsTerminal, stdin};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::args::pair;
use crate::stop::{Exit, Stop};
use crate::{Context, http::Http, interrupt, progress, units};
use lines::Lines;
use sender::{Report, Sender};
use source::Source;

/// Single puts under way at once, unless asked otherwise.
const SINGLES: usize = 16;
/// Longest line for a queue that does not say how long a body may be.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Refused lines after which the rest is not tried.
const REFUSED_MAX: u64 = 1_000;
/// Files from this size on get a progress bar.
const BAR_BYTES_MIN: u64 = 1024 * 1024;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream put -d 'hello' --tags model=a --priority 1
  edgequeue stream put -f requests.txt              # one entry per line
  generate | edgequeue stream put                   # the same from standard input
  edgequeue stream put -f image.png --whole         # the file as one entry
  edgequeue stream put -f requests.txt --from-line 20001
  edgequeue stream put -f requests.txt --once --tags requestId=job-42
  edgequeue stream put -d 'hello' --callback https://example.com/done

Edgequeue services take many lines per request, in order. Other services take one per request, 16 requests at a \
time, so that the order in the queue may differ from the order of the lines; --concurrency 1 keeps it.

An interrupted put says which lines were acknowledged, and with which option the rest is put. With --once the same \
command can be repeated as it is.")]
pub struct PutArgs {
    /// Put this text as one entry
    #[arg(short = 'd', long, value_name = "TEXT", conflicts_with = "file")]
    data: Option<String>,
    /// Put every line of this file; `-` is standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Put the file, or standard input, as one entry
    #[arg(long, conflicts_with_all = ["data", "from_line", "lines"])]
    whole: bool,
    /// Priority; higher is delivered first
    #[arg(short = 'p', long, default_value_t = 0, value_name = "N", allow_negative_numbers = true)]
    priority: i64,
    /// Tag of the entries; may be repeated
    #[arg(long = "tags", alias = "tag", value_name = "KEY=VALUE", value_parser = pair)]
    tags: Vec<(String, String)>,
    /// Path for whoever processes the entries, such as /sdapi/v1/txt2img
    #[arg(long, default_value = "", hide_default_value = true, value_parser = path)]
    path: String,
    /// Store nothing that is there already: the tag requestId tells; lines of a file are ID-1, ID-2, ... (edgequeue
    /// services only)
    #[arg(long)]
    once: bool,
    /// URL that is told when a request has ended (edgequeue services only)
    #[arg(long, default_value = "", hide_default_value = true, value_name = "URL", value_parser = url)]
    callback: String,
    /// Begin with this line
    #[arg(long, value_name = "N", conflicts_with = "data", value_parser = clap::value_parser!(u64).range(1..))]
    from_line: Option<u64>,
    /// Put only these lines, such as 5-7,10,20-
    #[arg(long, value_name = "LINES", conflicts_with_all = ["data", "from_line"])]
    lines: Option<Lines>,
    /// Requests under way at once [default: 1 with batches, else 16]
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: Option<u16>,
    /// Lines per request where the service takes several; 1 puts each on its own
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch: u16,
    /// When the queue is full, try again until it is not
    #[arg(long)]
    wait: bool,
}

fn path(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#".contains(&byte);
    match text {
        "" => Ok(String::new()),
        _ if text.starts_with('/') && text.bytes().all(plain) => Ok(text.into()),
        _ => Err("it begins with / and is percent-encoded".into()),
    }
}

fn url(text: &str) -> Result<String, String> {
    if !text.is_empty() {
        Url::parse(text)?;
    }
    Ok(text.into())
}

/// What is put, as one word in the messages.
enum What<'a> {
    Text(&'a str),
    File(&'a Path),
    Stdin,
}

pub fn run(context: &mut Context, args: &PutArgs) -> Result<Exit, Stop> {
    let what = match (&args.data, &args.file) {
        (Some(text), _) => What::Text(text),
        (None, Some(file)) if file.as_os_str() != "-" => What::File(file),
        (None, None) if stdin().is_terminal() => {
            return Err(Stop::usage(
                "there is nothing to put",
                "Give a text with -d, a file with -f, or lines on standard input.",
            ));
        }
        _ => What::Stdin,
    };
    let tags: Tags = args.tags.iter().cloned().collect();
    let request_id = tags.get(TAG_REQUEST_ID).filter(|id| !id.is_empty()).cloned();
    if args.once && request_id.is_none() {
        return Err(Stop::usage(
            "--once needs a request id, by which what is there already is recognized",
            "Give one of your own with --tags requestId=ID; the lines of a file get ID-1, ID-2 and so on.",
        ));
    }
    let http = context.http()?;
    if let What::File(file) = what {
        context.out.info(&format!("Opening data file: {}", file.display()));
    }
    let one = args.whole || matches!(what, What::Text(_));
    let lines = match (args.from_line, &args.lines) {
        (Some(from), _) => Lines::starting_at(from),
        (None, Some(lines)) => lines.clone(),
        (None, None) => Lines::starting_at(1),
    };
    let mut source = match what {
        What::Text(text) => Source::text(text),
        What::File(file) => Source::file(file)?,
        What::Stdin => Source::stdin(),
    };
    source.whole = one;
    source.lines = lines.clone();
    source.line_bytes_max = LINE_BYTES_MAX;
    let mut batch_lines = 1;
    if !one || args.once || !args.callback.is_empty() {
        let attributes = attributes(&http)?;
        if (args.once || !args.callback.is_empty()) && !answer::takes_batches(&attributes) {
            return Err(Stop::usage(
                "this service is not an edgequeue: it has neither put-once nor callbacks",
                "Put without --once and --callback.",
            ));
        }
        source.line_bytes_max = answer::payload_bytes_max(&attributes).unwrap_or(LINE_BYTES_MAX);
        if answer::takes_batches(&attributes) && !one {
            let most = if args.once { DEDUP_LOOKUPS_MAX } else { usize::MAX };
            batch_lines = usize::from(args.batch).min(most);
        }
    }
    source.batch_lines = batch_lines;
    let usual = if one || batch_lines > 1 { 1 } else { SINGLES };
    let senders = args.concurrency.map_or(usual, usize::from);
    let bar = match source.bytes_total {
        Some(total) if total >= BAR_BYTES_MIN && !one => progress::bar(Some(total), true, context.out.quiet),
        None if !one => progress::bar(None, true, context.out.quiet),
        _ => None,
    };
    if let Some(bar) = &bar {
        context.out.with_bar(bar.clone());
    }
    let put = Put {
        tags,
        priority: args.priority,
        path: args.path.clone(),
        once: args.once,
        callback: args.callback.clone(),
    };
    // Lines need request ids that tell them apart.
    let request_id = request_id.filter(|_| args.once && !one);
    let sender = Sender { http, put, request_id, wait: args.wait };
    let mut run = Run { one, bar, ..Run::default() };
    let stopped = run.go(context, sender, senders, source);
    context.out.without_bar();
    run.summary(context, stopped, &lines)
}

/// What the queue says of itself; a service that does not is one that takes plain puts.
fn attributes(http: &Http) -> Result<Tags, Stop> {
    let response = http.send(&http.endpoint.attributes(), crate::http::PATIENCE)?;
    match answer::attributes(&response) {
        Err(failure) if matches!(failure.kind, Kind::NotAuthorised | Kind::NotFound) => Err(failure.into()),
        answered => Ok(answered.unwrap_or_default()),
    }
}

/// A put under way.
struct Run {
    receipts: Receipts<String>,
    /// Whether it is all one entry.
    one: bool,
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

impl Default for Run {
    fn default() -> Self {
        Self {
            receipts: Receipts::default(),
            one: false,
            began: Instant::now(),
            bar: None,
            bytes: 0,
            stored: 0,
            failed: 0,
            repeated: 0,
            why: String::new(),
            over: false,
        }
    }
}

impl Run {
    /// Reads, sends and prints until everything is done or something stops it; what stopped it.
    fn go(&mut self, context: &mut Context, sender: Sender, senders: usize, source: Source) -> Option<Stop> {
        let (reports, inbox) = sync_channel(2 * senders + 2);
        let crew = sender::Crew::start(sender, senders, source, reports);
        let stopped = self.collect(context, &crew, &inbox, senders);
        // Whatever is still on its way has been waited for; the reader may wait for input that never comes.
        crew.stop();
        stopped
    }

    fn collect(
        &mut self,
        context: &mut Context,
        crew: &sender::Crew,
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
                    self.bytes += if matches!(outcome, Outcome::Stored(_)) { bytes } else { 0 };
                    self.receipts.insert(position, line, outcome);
                }
                Ok(Report::Sent { batch_bytes }) => {
                    if let Some(bar) = &self.bar {
                        bar.inc(batch_bytes);
                    }
                    if let Err(stop) = self.print(context) {
                        stopped.get_or_insert(stop);
                    }
                }
                Ok(Report::Info(text)) => context.out.info(&text),
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
        if let Err(stop) = self.print(context) {
            stopped.get_or_insert(stop);
        }
        for (line, outcome) in self.receipts.rest() {
            if let Err(stop) = self.print_one(context, line, outcome) {
                stopped.get_or_insert(stop);
            }
        }
        stopped
    }

    fn print(&mut self, context: &mut Context) -> Result<(), Stop> {
        while let Some((line, outcome)) = self.receipts.next_line() {
            self.print_one(context, line, outcome)?;
        }
        context.out.flush()
    }

    fn print_one(&mut self, context: &mut Context, line: u64, outcome: Outcome<String>) -> Result<(), Stop> {
        match outcome {
            Outcome::Stored(Receipt { index, request_id, repeated }) => {
                self.stored += 1;
                self.repeated += u64::from(repeated);
                let mut object = json!({ "line": line, "index": index, "requestId": request_id });
                if repeated {
                    object["repeated"] = true.into();
                }
                let text = index.to_string();
                context.out.ok(&text, &object, &text)?;
            }
            Outcome::Refused(why) => {
                self.failed += 1;
                if !self.one {
                    context.out.note(&format!("[FAIL] line {line}: {why}"));
                }
                self.why = why;
            }
            Outcome::Unknown => self.failed += 1,
        }
        Ok(())
    }

    /// The vendor's last lines; after a put that was cut short also what was acknowledged and how to go on.
    fn summary(&self, context: &mut Context, stopped: Option<Stop>, lines: &Lines) -> Result<Exit, Stop> {
        // Nobody reads any more.
        if let Some(stop) = &stopped
            && stop.message().is_empty()
        {
            return Err(stop.clone());
        }
        let cut_short = stopped.is_some() || self.over;
        if self.one && self.stored == 0 {
            let too_large = Failure { kind: Kind::TooLarge, status: 413, text: self.why.clone() };
            return Err(stopped.unwrap_or_else(|| too_large.into()));
        }
        context.out.flush()?;
        context.out.info(if cut_short { "Put data stopped." } else { "Put data done." });
        context.out.note(&format!("Total time cost: {}", units::duration(self.began.elapsed())));
        context.out.note(&format!("Total size: {}", units::size(self.bytes)));
        let total = self.stored + self.failed;
        context.out.note(&format!("Total: {total}, success: {}, failed: {}", self.stored, self.failed));
        if self.repeated > 0 {
            context.out.note(&format!("Already there: {}", self.repeated));
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
