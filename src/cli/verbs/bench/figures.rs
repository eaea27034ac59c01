//! What a bench found, as figures.

use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use serde_json::json;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::state::BenchState;
use crate::progress;

/// Longest time that is told apart from longer ones, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// An empty histogram of times in microseconds, to three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("constant bounds that are in order")
}

/// Counts a time `count` times.
pub fn record(histogram: &mut Histogram<u64>, time: Duration, count: u64) {
    histogram.saturating_record_n(time.as_micros() as u64, count);
}

/// Rate and times of one kind of thing.
pub struct Figures {
    count: u64,
    per_second: f64,
    times_ms: Vec<(&'static str, f64)>,
}

impl Figures {
    pub fn of(histogram: &Histogram<u64>, time: Duration) -> Self {
        let ms = |micros: u64| micros as f64 / 1_000.0;
        let quantile = |(name, quantile)| (name, ms(histogram.value_at_quantile(quantile)));
        let mut times_ms: Vec<_> = QUANTILES.into_iter().map(quantile).collect();
        times_ms.push(("max", ms(histogram.max())));
        let per_second = if time.is_zero() { 0.0 } else { histogram.len() as f64 / time.as_secs_f64() };
        Self { count: histogram.len(), per_second, times_ms }
    }

    pub fn head() -> String {
        let names = QUANTILES.iter().map(|(name, _)| *name).chain(["max"]);
        let names: String = names.map(|name| format!("{:>11}", format!("{name} ms"))).collect();
        format!("{:12}{:>10}{:>12}{names}", "", "entries", "per second")
    }

    pub fn line(&self, name: &str) -> String {
        let times: String = self.times_ms.iter().map(|(_, ms)| format!("{ms:>11.2}")).collect();
        format!("{name:12}{:>10}{:>12.1}{times}", self.count, self.per_second)
    }

    pub fn object(&self) -> serde_json::Value {
        let mut object = json!({ "count": self.count, "per_second": self.per_second });
        for (name, ms) in &self.times_ms {
            object[format!("{name}_ms")] = json!(ms);
        }
        object
    }
}

/// Figures while it runs.
pub struct Live {
    bar: Option<ProgressBar>,
    began: Instant,
    told: Instant,
    before: [u64; 3],
}

impl Live {
    pub fn new(duration: Duration, quiet: bool) -> Self {
        let now = Instant::now();
        Self { bar: progress::time(duration, quiet), began: now, told: now, before: [0; 3] }
    }

    pub fn tell(&mut self, state: &BenchState) {
        let Some(bar) = &self.bar else { return };
        let since = self.told.elapsed();
        if since < Duration::from_millis(500) {
            return;
        }
        let now = [&state.put, &state.delivered, &state.committed].map(|counter| counter.load(Relaxed));
        let [put, delivered, committed] =
            [0, 1, 2].map(|at| now[at].saturating_sub(self.before[at]) as f64 / since.as_secs_f64());
        bar.set_message(format!("put {put:.0}/s  delivered {delivered:.0}/s  committed {committed:.0}/s"));
        bar.set_position(self.began.elapsed().as_millis() as u64);
        self.before = now;
        self.told = Instant::now();
    }

    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
