//! The load client: `load PROGRAM key=value...` puts one kind of load on something that listens on the loopback
//! interface and prints one line of JSON with entries per second and latencies. One thread, as the machine has other
//! work.
//!
//! Started by `tests/bench/run.mjs`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a program for measuring")]

mod eas;
mod fill;
mod http;
mod measure;
mod nats;
mod redis;
mod session;
mod simulator;
mod wire;

use std::collections::HashMap;
use std::io::Result;
use std::time::Duration;

/// What to do, from the command line.
pub struct Wish {
    values: HashMap<String, String>,
}

impl Wish {
    pub fn text(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }

    pub fn number(&self, key: &str, standard: u64) -> u64 {
        self.values.get(key).map_or(standard, |text| text.parse().expect("a whole number"))
    }

    pub fn seconds(&self) -> f64 {
        self.values.get("seconds").map_or(1.0, |text| text.parse().expect("a number"))
    }

    pub fn connections(&self) -> u64 {
        self.number("connections", 1)
    }

    /// A body that does not compress to nothing.
    pub fn body(&self) -> Vec<u8> {
        let mut state = 1_u32;
        let random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        std::iter::repeat_with(random).take(self.number("bytes", 1024) as usize).collect()
    }
}

async fn run(program: &str, wish: &Wish) -> Result<measure::Figures> {
    match program {
        "fill" => fill::run(wish),
        "http" => http::requests(wish).await,
        "socket" => http::socket_echo(wish).await,
        "eas-flow" => eas::flow(wish).await,
        "simulator-flow" => simulator::flow(wish).await,
        "session-puts" => session::puts(wish).await,
        "session-flow" => session::flow(wish).await,
        "redis-put" => redis::put(wish).await,
        "redis-flow" => redis::flow(wish).await,
        "nats-put" => nats::put(wish).await,
        "nats-flow" => nats::flow(wish).await,
        _ => Err(wire::bad(format!("no program {program}"))),
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().unwrap_or_default();
    let pairs = arguments.filter_map(|pair| pair.split_once('=').map(|(key, value)| (key.into(), value.into())));
    let wish = Wish { values: pairs.collect() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    // Nothing takes this long unless the other side is stuck.
    let patience = Duration::from_secs_f64(wish.seconds() * 2.0 + 30.0);
    let local = tokio::task::LocalSet::new();
    let outcome =
        runtime.block_on(local.run_until(async { tokio::time::timeout(patience, run(&program, &wish)).await }));
    let error = match outcome {
        Ok(Ok(figures)) => return figures.print(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => String::from("it took too long"),
    };
    eprintln!("load {program}: {error}");
    std::process::exit(1);
}
