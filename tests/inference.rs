//! A whole service in virtual time: input queue, sink and queue of callbacks, each a real broker over a real store in
//! the test host; predictors and networks that do everything they ever do; storage that fails, clocks that jump, alarms
//! that are early, late or come twice; memories that sleep, or are lost after any output. Every request that was
//! acknowledged must end exactly once.
//!
//! `INFERENCE_SEEDS=N` plays that many seeds, `INFERENCE_SEED=x` plays one and prints what happened.

#![allow(missing_docs, reason = "a test has no users")]

#[path = "inference/entries.rs"]
mod entries;
#[path = "inference/network.rs"]
mod network;
#[allow(dead_code, reason = "the simulator of the machine uses the rest")]
#[path = "sim/random.rs"]
mod random;
#[path = "inference/service.rs"]
mod service;
mod support;
#[path = "inference/verdict.rs"]
mod verdict;
#[path = "inference/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use world::World;

const SEEDS: u64 = 300;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn every_request_ends_exactly_once() {
    if let Some(seed) = number("INFERENCE_SEED") {
        let mut world = World::new(seed);
        world.talks = true;
        world.play();
        return;
    }
    let mut endings = verdict::Endings::default();
    for seed in 0..number("INFERENCE_SEEDS").unwrap_or(SEEDS) {
        let played = catch_unwind(AssertUnwindSafe(|| World::new(seed).play()));
        let Ok(ended) = played else { panic!("seed {seed} fails; INFERENCE_SEED={seed} shows how") };
        endings.add(&ended);
    }
    println!("{endings:?}");
    // A simulation in which nothing goes wrong proves nothing.
    for (what, count) in endings.counts() {
        assert!(count > 20, "only {count} requests: {what}");
    }
}

#[test]
fn the_same_seed_twice_is_the_same() {
    for seed in [1, 2, 3] {
        let log = || {
            let mut world = World::new(seed);
            world.play();
            world.log
        };
        assert_eq!(log(), log());
    }
}
