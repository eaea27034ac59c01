//! `bench`: producers put, one consumer watches and commits, and everything is timed.

mod args;
mod consume;
mod figures;
mod produce;
mod state;

pub use args::BenchArgs;

use edgequeue::client::{Read, answer};
use edgequeue::queue::entry::{Index, Tags};
use edgequeue::queue::event::Start;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::http::Http;
use crate::interrupt;
use crate::invocation::Invocation;
use crate::stop::{Exit, Stop};
use consume::{BenchConsumer, Consumed};
use figures::{Figures, Live};
use produce::{Produced, Producers};
use state::{BenchState, SIZE_MIN};

/// Tag of the entries of all benches, and what their group watches for.
const TAG: (&str, &str) = ("bench", "edgequeue");

pub fn run(call: &mut Invocation, args: &BenchArgs) -> Result<Exit, Stop> {
    let http = call.http()?;
    if args.size < SIZE_MIN {
        return Err(Stop::usage(format!("--size is at least {SIZE_MIN}"), "The body holds the time of the put."));
    }
    let attributes = http.ask(&http.endpoint.attributes(), answer::attributes)?;
    check(args, &attributes)?;
    let state = Arc::new(BenchState::new());
    let tags: Tags = [(TAG.0.into(), TAG.1.into())].into();
    let stopped = state.clone();
    interrupt::catch(move || stopped.stop.store(true, Ordering::SeqCst))?;

    let mut consumer = BenchConsumer::start(&http, &state, &tags, args.window, &attributes)?;
    let producers = Producers::start(&http, &state, &tags, args);
    let mut live = Live::new(Duration::from_millis(args.duration), call.out.quiet);
    let until = Instant::now() + Duration::from_millis(args.duration);
    let mut failed = None;
    while Instant::now() < until && !interrupt::asked() && failed.is_none() && !producers.are_done() {
        failed = consumer.turn(Duration::from_millis(50)).err();
        live.tell(&state);
    }
    let produced = producers.finish(&state);
    let consumed = consumer.finish(&state);
    live.clear();
    clear(&http, &tags)?;
    match failed {
        Some(stop) => Err(stop),
        None => print(call, args, &produced?, &consumed?),
    }
}

fn print(call: &mut Invocation, args: &BenchArgs, produced: &Produced, consumed: &Consumed) -> Result<Exit, Stop> {
    let all = [
        ("put", Figures::of(&produced.puts, produced.time)),
        ("end-to-end", Figures::of(&consumed.delivery, consumed.delivery_time)),
        ("commit", Figures::of(&consumed.commit, consumed.commit_time)),
    ];
    if call.out.json {
        let mut object = json!({
            "size": args.size, "concurrency": args.concurrency, "batch": args.batch, "window": args.window,
            "seconds": produced.time.as_secs_f64(),
        });
        for (name, figures) in &all {
            object[name] = figures.object();
        }
        call.out.object(&object)?;
    } else {
        call.out.line(&Figures::head())?;
        for (name, figures) in &all {
            call.out.line(&figures.line(name))?;
        }
    }
    if consumed.missing > 0 {
        call.out.info(&format!("{} entries were put and not delivered before the bench ended.", consumed.missing));
    }
    Ok(Exit::Ok)
}

fn check(args: &BenchArgs, attributes: &Tags) -> Result<(), Stop> {
    if args.batch > 1 && !answer::is_edgequeue(attributes) {
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
