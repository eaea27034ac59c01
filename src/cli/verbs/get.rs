//! `stream get`.

use clap::Args;
use edgequeue::client::{Read, answer};
use edgequeue::queue::entry::{Index, Tags};
use edgequeue::queue::event::Start;
use std::time::{Duration, Instant};

use crate::http::ANSWER_TIMEOUT;
use crate::invocation::Invocation;
use crate::parse::{duration_ms, pair};
use crate::stop::{Exit, Stop};

/// Entries asked for at a time, so that a large get is not held in memory.
const PAGE: u64 = 1_000;
/// Longest wait of one request; a longer one is asked for again.
const WAIT_MS_MAX: u64 = 60_000;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream get                             # take the oldest entry
  edgequeue stream get -k -l 10 --timeout 3s       # up to ten results, wait three seconds for them
  edgequeue stream get -k --tags requestId=ID --timeout 1m
  edgequeue stream get --index 7 --keep --raw > body.bin

Entries are removed when they are read, unless --keep is given; `watch` removes them only when they are committed. \
Exit code 3: there was nothing.")]
pub struct GetArgs {
    /// Most entries to return
    #[arg(short = 'l', long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    length: u64,
    /// How long to wait for that many: 500ms, 3s, 1m30s
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = duration_ms)]
    timeout: u64,
    /// Only entries with this tag; may be repeated
    #[arg(long = "tags", alias = "tag", value_name = "KEY=VALUE", value_parser = pair)]
    tags: Vec<(String, String)>,
    /// First index to consider; -1 is the newest entry
    #[arg(long, default_value_t = 0, value_name = "INDEX", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i64).range(-1..))]
    index: i64,
    /// Leave the entries in the queue
    #[arg(long)]
    keep: bool,
    /// Only the bodies, byte for byte, with nothing between them
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

/// Where reading begins; -1 means the newest.
pub fn start(index: i64) -> Start {
    u64::try_from(index).map_or(Start::Newest, |index| Start::At(Index(index)))
}

pub fn run(call: &mut Invocation, args: &GetArgs) -> Result<Exit, Stop> {
    let http = call.http()?;
    let tags: Tags = args.tags.iter().cloned().collect();
    let until = Instant::now() + Duration::from_millis(args.timeout);
    let mut start = start(args.index);
    let mut found = 0;
    loop {
        let left_ms = until.saturating_duration_since(Instant::now()).as_millis() as u64;
        let read = Read {
            start,
            count: (args.length - found).min(PAGE),
            wait_ms: left_ms.min(WAIT_MS_MAX),
            remove: !args.keep,
            tags: tags.clone(),
        };
        let timeout = ANSWER_TIMEOUT + Duration::from_millis(read.wait_ms);
        let frames = answer::entries(&http.send(&http.endpoint.get(&read), timeout)?)?;
        for frame in &frames {
            if args.raw {
                call.out.bytes(&frame.data)?;
            } else {
                call.out.entry(found, frame)?;
            }
            found += 1;
        }
        call.out.flush()?;
        // The newest entry is one; what follows it is asked for by index.
        if args.keep
            && let Some(last) = frames.last()
        {
            start = Start::At(Index(last.index + 1));
        }
        // A service may return less than it has, and may wait less than it was asked to.
        let time_is_up = until.saturating_duration_since(Instant::now()).as_millis() < 200;
        if found >= args.length || (frames.is_empty() && time_is_up) {
            break;
        }
        if time_is_up && (frames.len() as u64) < read.count && args.timeout > 0 {
            break;
        }
    }
    if found == 0 {
        call.out.info("Nothing was found.");
        return Ok(Exit::Nothing);
    }
    Ok(Exit::Ok)
}
