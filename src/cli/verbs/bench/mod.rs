//! `bench`: producers put, one consumer watches and commits, and everything is timed.

mod consume;
mod figures;
mod produce;

use clap::Args;
use edgequeue::client::{Read, answer};
use edgequeue::queue::entry::{Index, Tags};
use edgequeue::queue::event::Start;
use edgequeue::queue::limits::WINDOW_MAX;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use super::watch::seed;
use crate::args::duration_ms;
use crate::http::Http;
use crate::stop::{Exit, Stop};
use crate::{Context, interrupt, units};
use figures::Figures;

/// Tag of the entries of all benches, and what their group watches for.
const TAG: (&str, &str) = ("bench", "edgequeue");
/// Group of all benches: one filter, so that they do not use up the groups a queue may have.
const GROUP: &str = "edgequeue-bench";
/// Shortest body: it holds the run's number and the time of the put.
pub const SIZE_MIN: usize = 16;

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  edgequeue bench
  edgequeue bench --size 16KB --concurrency 32 --duration 30s
  edgequeue bench --batch 100 --json

A bench puts entries with the tag bench=edgequeue and consumes them in the group edgequeue-bench. Use a queue of its \
own: other groups of the queue would be delivered the entries too, and keep them there.

When producers are faster than the consumer, end-to-end times show the waiting; --in-flight bounds it.")]
pub struct BenchArgs {
    /// Length of the bodies
    #[arg(short = 's', long, default_value = "1KB", value_parser = units::parse_size)]
    size: usize,
    /// Producers, each waiting for its answer before it puts again
    #[arg(short = 'c', long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// How long to put
    #[arg(short = 'd', long, default_value = "10s", value_name = "TIME", value_parser = duration_ms)]
    duration: u64,
    /// Entries per put, on services that take several
    #[arg(short = 'b', long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch: u16,
    /// Window of the consumer
    #[arg(short = 'w', long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(WINDOW_MAX)))]
    window: u32,
    /// Entries that may be put and not yet delivered; 0: any number
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    in_flight: u64,
}

/// What all threads of a bench share.
struct Shared {
    run: u64,
    began: Instant,
    /// Producers are to end.
    stop: AtomicBool,
    put: AtomicU64,
    delivered: AtomicU64,
    committed: AtomicU64,
}

pub fn run(context: &mut Context, args: &BenchArgs) -> Result<Exit, Stop> {
    let http = context.http()?;
    if args.size < SIZE_MIN {
        return Err(Stop::usage(format!("--size is at least {SIZE_MIN}"), "The body holds the time of the put."));
    }
    let attributes = http.ask(&http.endpoint.attributes(), answer::attributes)?;
    check(args, &attributes)?;
    let shared = Arc::new(Shared {
        run: seed(),
        began: Instant::now(),
        stop: AtomicBool::new(false),
        put: AtomicU64::new(0),
        delivered: AtomicU64::new(0),
        committed: AtomicU64::new(0),
    });
    let tags: Tags = [(TAG.0.into(), TAG.1.into())].into();
    let stop = shared.clone();
    interrupt::catch(move || stop.stop.store(true, std::sync::atomic::Ordering::SeqCst))?;

    let mut consumer = consume::Consumer::start(&http, &shared, &tags, args.window)?;
    let producers = produce::Producers::start(&http, &shared, &tags, args);
    let mut live = figures::Live::new(Duration::from_millis(args.duration), context.out.quiet);
    let until = Instant::now() + Duration::from_millis(args.duration);
    let mut failed = None;
    while Instant::now() < until && !interrupt::asked() && failed.is_none() && !producers.are_done() {
        failed = consumer.turn(Duration::from_millis(50)).err();
        live.tell(&shared);
    }
    let produced = producers.finish(&shared);
    let consumed = consumer.finish(&shared);
    live.clear();
    clear(&http, &tags)?;
    if let Some(stop) = failed {
        return Err(stop);
    }
    let ((puts, put_time), consumed) = (produced?, consumed?);
    let all = [
        ("put", Figures::of(&puts, put_time)),
        ("end-to-end", Figures::of(&consumed.delivery, consumed.delivery_time)),
        ("commit", Figures::of(&consumed.commit, consumed.commit_time)),
    ];
    if context.out.json {
        let mut object = json!({
            "size": args.size, "concurrency": args.concurrency, "batch": args.batch, "window": args.window,
            "seconds": put_time.as_secs_f64(),
        });
        for (name, figures) in &all {
            object[name] = figures.object();
        }
        context.out.object(&object)?;
    } else {
        context.out.line(&Figures::head())?;
        for (name, figures) in &all {
            context.out.line(&figures.line(name))?;
        }
    }
    if consumed.missing > 0 {
        context.out.info(&format!("{} entries were put and not delivered before the bench ended.", consumed.missing));
    }
    Ok(Exit::Ok)
}

fn check(args: &BenchArgs, attributes: &Tags) -> Result<(), Stop> {
    if args.batch > 1 && !answer::takes_batches(attributes) {
        return Err(Stop::usage("this service takes one entry per put", "Leave --batch out."));
    }
    if let Some(max) = answer::payload_bytes_max(attributes)
        && args.size as u64 > max
    {
        return Err(Stop::usage(format!("the queue takes bodies of at most {max} bytes"), "Choose a smaller --size."));
    }
    Ok(())
}

/// Removes what was put and not consumed.
fn clear(http: &Http, tags: &Tags) -> Result<(), Stop> {
    let read = Read { start: Start::At(Index(0)), count: 1_000, wait_ms: 0, remove: true, tags: tags.clone() };
    while !http.ask(&http.endpoint.get(&read), answer::entries)?.is_empty() {}
    Ok(())
}

impl Shared {
    /// A body that says which run put it, and when.
    fn body(&self, size: usize) -> Vec<u8> {
        let mut body = vec![b'x'; size];
        let stamp = [self.run.to_be_bytes(), (self.began.elapsed().as_nanos() as u64).to_be_bytes()].concat();
        body.iter_mut().zip(stamp).for_each(|(byte, stamp)| *byte = stamp);
        body
    }

    /// How long ago a body was made; `None` if it is of another run.
    fn age(&self, body: &[u8]) -> Option<Duration> {
        let number = |at: usize| body.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
        let made = Duration::from_nanos(number(8).filter(|_| number(0) == Some(self.run))?);
        Some(self.began.elapsed().saturating_sub(made))
    }
}
