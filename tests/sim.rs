//! The simulator: many seeded scripts against the machine, with a naive second queue saying what may come of each turn.
//!
//! `cargo test --test sim -- --nocapture` plays seeds for SIM_SECONDS (45; 5 with debug assertions). SIM_SEEDS=N
//! plays exactly N, SIM_FIRST is the first seed, SIM_SEED=x plays one and prints it when it fails, SIM_STORE=plain
//! replaces the segment store by plain maps, SIM_SURVEY=1 goes on after failures and lists their kinds. `npm run sim --
//! --seeds N` is the same with options.

#![allow(missing_docs, reason = "a test has no users")]

#[path = "sim/mod.rs"]
mod sim;
mod support;

use sim::disk::{FaultyDisk, PlainDisk};
use sim::script::Script;
use sim::segments::SegmentDisk;
use sim::shrink::shrink;
use sim::swarm;
use sim::world::World;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Tries to shorten one failing script, unless SIM_SHRINK says otherwise.
const SHRINK_TRIES: u64 = 3_000;
/// Every seed that is a multiple of this is played twice to compare the bytes.
const TWICE_EVERY: u64 = 16;

/// What came of one script.
struct Outcome {
    turns: u64,
    digest: u64,
    lines: Vec<String>,
    failure: Option<String>,
}

fn play<D: FaultyDisk>(script: &Script, readable: bool) -> Outcome {
    let mut world = None;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let world = world.insert(World::<D>::new(script));
        world.onlooker().judge().transcript.lines = readable.then(Vec::new);
        world.play(script)
    }));
    let failure = match result {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Some(format!("panic: {}", text.unwrap_or_default()))
        }
    };
    let onlooker = world.expect("a world can be made").onlooker();
    let judge = onlooker.judge();
    let lines = judge.transcript.lines.clone().unwrap_or_default();
    Outcome { turns: judge.turns, digest: judge.transcript.digest.0, lines, failure }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

/// A failure without its numbers: while a script is shrunk it must go on failing for the same reason.
fn kind(failure: &str) -> String {
    let reason = failure.lines().next().unwrap_or_default();
    let reason = reason.split_once(": ").map_or(reason, |(_, reason)| reason);
    // What stands in brackets or quotes are particulars.
    let (mut depth, mut quoted, mut kind) = (0_i32, false, String::new());
    for letter in reason.chars() {
        depth += i32::from("([{".contains(letter)) - i32::from(")]}".contains(letter));
        quoted ^= letter == '"';
        if depth == 0 && !quoted && letter.is_alphabetic() {
            kind.push(letter);
        }
    }
    kind.chars().take(80).collect()
}

/// The failing script, shrunk, with its transcript.
fn report<D: FaultyDisk>(script: &Script) -> String {
    std::panic::set_hook(Box::new(|_| {}));
    let kind = play::<D>(script, false).failure.map(|failure| kind(&failure));
    let fails = |shorter: &Script| play::<D>(shorter, false).failure.map(|failure| self::kind(&failure)) == kind;
    let small = shrink(script, fails, number("SIM_SHRINK").unwrap_or(SHRINK_TRIES) as usize);
    let outcome = play::<D>(&small, true);
    let _ = std::panic::take_hook();
    let failure = outcome.failure.unwrap_or_default();
    format!("{small}\n  played:\n{}\n\n  {failure}\n\n  replay: SIM_SEED={}", outcome.lines.join("\n"), script.seed)
}

fn swarm<D: FaultyDisk>() {
    if let Some(seed) = number("SIM_SEED") {
        let script = swarm::script(seed);
        match play::<D>(&script, false).failure {
            Some(failure) => panic!("seed {seed}: {failure}\n{}", report::<D>(&script)),
            None => return println!("seed {seed} passes"),
        }
    }
    let (seeds, seconds) =
        (number("SIM_SEEDS"), number("SIM_SECONDS").unwrap_or(if cfg!(debug_assertions) { 5 } else { 45 }));
    let first = number("SIM_FIRST").unwrap_or(1);
    let begun = Instant::now();
    let (mut turns, mut seed) = (0, first);
    let going = |seed: u64| match seeds {
        Some(seeds) => seed < first + seeds,
        None => begun.elapsed() < Duration::from_secs(seconds),
    };
    let survey = number("SIM_SURVEY").is_some();
    let mut kinds: BTreeMap<String, (u64, u64, String)> = BTreeMap::new();
    if survey {
        std::panic::set_hook(Box::new(|_| {}));
    }
    while going(seed) {
        let script = swarm::script(seed);
        let outcome = play::<D>(&script, false);
        turns += outcome.turns;
        if let Some(failure) = outcome.failure {
            if survey {
                kinds.entry(kind(&failure)).or_insert((0, seed, failure)).0 += 1;
                seed += 1;
                continue;
            }
            panic!("seed {seed} fails after {turns} turns: {failure}\n{}", report::<D>(&script));
        }
        if seed.is_multiple_of(TWICE_EVERY) {
            assert_eq!(play::<D>(&script, false).digest, outcome.digest, "seed {seed} played twice gives other bytes");
        }
        seed += 1;
    }
    println!("{turns} turns of {} seeds in {:.1?}, {} kinds of violations", seed - first, begun.elapsed(), kinds.len());
    for (count, seed, failure) in kinds.values() {
        println!("  {count:5} times, first in seed {seed}: {failure}");
    }
    assert!(kinds.is_empty(), "violations found");
}

#[test]
fn every_interleaving_keeps_the_promises() {
    match std::env::var("SIM_STORE").as_deref() {
        Ok("plain") => swarm::<PlainDisk>(),
        _ => swarm::<SegmentDisk>(),
    }
}
