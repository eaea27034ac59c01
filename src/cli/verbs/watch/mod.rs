//! `stream watch`: what is asked for, and how it begins. [`WatchRun`] is the watch itself.

mod run;

use clap::Args;
use edgequeue::client::{WatchOptions, answer};
use edgequeue::queue::entry::Tags;
use edgequeue::queue::limits::{WINDOW_DEFAULT, WINDOW_MAX};
use std::process;

use super::change::rejection;
use super::get::start;
use crate::driver::Driver;
use crate::invocation::Invocation;
use crate::parse::{duration_ms, pair};
use crate::stop::{Exit, Stop};
use crate::{ask, progress};
use run::{Then, Until, WatchRun};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream watch                                # ask about each entry
  edgequeue stream watch -y --window 100 --json         # commit each when it was printed
  edgequeue stream watch --auto-commit -k               # the service commits what it sends
  edgequeue stream watch -y -q --count 1000 > lines.txt
  edgequeue stream watch -y --timeout 5s                # until nothing comes for five seconds

With -y an entry is committed after it was written, so nothing is lost when this command is killed; with \
--auto-commit what was on its way is. The watch reconnects by itself.

Ctrl-C ends it: what was not committed goes back to the queue, and the totals are printed. Exit code 3: --timeout \
passed and nothing had come.")]
pub struct WatchArgs {
    /// The service commits what it sends
    #[arg(long, conflicts_with_all = ["yes", "no_commit", "code"])]
    auto_commit: bool,
    /// Do not ask, commit each entry after it was printed
    #[arg(short = 'y', long, conflicts_with = "no_commit")]
    yes: bool,
    /// Do not ask and commit nothing: look at what comes until the window is full
    #[arg(long)]
    no_commit: bool,
    /// Entries that may be uncommitted here
    #[arg(short = 'w', long, default_value_t = WINDOW_DEFAULT, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(WINDOW_MAX)))]
    window: u32,
    /// Where a new group begins; -1: only what is put from now on
    #[arg(long, default_value_t = 0, value_name = "INDEX", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i64).range(-1..))]
    index: i64,
    /// Indexes and tags without bodies
    #[arg(long)]
    index_only: bool,
    /// Only entries with this tag; may be repeated; the same for all consumers of a group
    #[arg(long = "tags", alias = "tag", value_name = "KEY=VALUE", value_parser = pair)]
    tags: Vec<(String, String)>,
    /// End after this many entries
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End when nothing came for this long
    #[arg(long, value_name = "TIME", value_parser = duration_ms)]
    timeout: Option<u64>,
    /// Code of negative commits
    #[arg(long, default_value = "", hide_default_value = true)]
    code: String,
    /// Reason of negative commits
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

pub fn run(call: &mut Invocation, args: &WatchArgs) -> Result<Exit, Stop> {
    let rejection = rejection(&args.code, &args.reason)?;
    let then = match args {
        WatchArgs { auto_commit: true, .. } => Then::Nothing,
        WatchArgs { no_commit: true, .. } => Then::Hold,
        WatchArgs { yes: true, .. } => Then::Commit,
        _ if ask::possible() => Then::Ask(rejection),
        _ => {
            return Err(Stop::usage(
                "watch asks about each entry, and there is no terminal to ask on",
                "Add -y to commit each entry after it was printed, --auto-commit to let the service do it, \
                 or --no-commit to only look.",
            ));
        }
    };
    let http = call.http()?;
    let options = WatchOptions {
        start: start(args.index),
        window: args.window,
        auto_commit: args.auto_commit,
        index_only: args.index_only,
        tags: args.tags.iter().cloned().collect(),
    };
    let attributes = http.ask(&http.endpoint.attributes(), answer::attributes)?;
    call.out.info(&format!(
        "Start to watch: index: {}, indexOnly: {}, autoCommit: {}, window: {}",
        args.index, args.index_only, args.auto_commit, args.window
    ));
    call.out.note(&log_line("watch via websocket"));
    if !call.out.on_terminal
        && let Some(bar) = progress::bar(expected(args, &attributes), false, call.out.quiet)
    {
        call.out.with_bar(bar);
    }
    let until = Until { count: args.count, silence_ms: args.timeout };
    WatchRun::new(Driver::new(http, options, &attributes), then, until)?.go(call)
}

/// How many entries will come, as far as it can be known.
fn expected(args: &WatchArgs, attributes: &Tags) -> Option<u64> {
    let waiting =
        || attributes.get("stream.length").and_then(|length| length.parse().ok()).filter(|length| *length > 0);
    args.count.or_else(|| if args.tags.is_empty() && args.index == 0 { waiting() } else { None })
}

/// A line as the logger of the vendor's tool writes it. The name of the source file is the vendor's: scripts know the
/// line by it.
fn log_line(text: &str) -> String {
    let now = chrono::Local::now().format("%m%d %H:%M:%S%.6f");
    format!("I{now} {:7} queue.go:532] {text}", process::id())
}
