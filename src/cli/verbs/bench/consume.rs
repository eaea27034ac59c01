//! The consumer: watches, commits, and times both.

use edgequeue::client::{Decision, End, WatchOptions};
use edgequeue::queue::entry::{Index, Tags};
use edgequeue::queue::event::Start;
use hdrhistogram::Histogram;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::figures::{histogram, record};
use super::state::BenchState;
use crate::driver::{Driver, News};
use crate::http::{Http, unreachable};
use crate::stop::{Exit, Stop};

/// Group of all benches: one filter, so that they do not use up the groups a queue may have.
const GROUP: &str = "edgequeue-bench";
/// How long the connection may take to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);
/// Silence after which what is missing is not waited for.
const SILENCE: Duration = Duration::from_secs(5);

/// What was measured.
pub struct Consumed {
    pub delivery: Histogram<u64>,
    pub delivery_time: Duration,
    pub commit: Histogram<u64>,
    pub commit_time: Duration,
    /// Entries that were put and did not arrive.
    pub missing: u64,
}

pub struct BenchConsumer {
    driver: Driver,
    state: Arc<BenchState>,
    delivery: Histogram<u64>,
    commit: Histogram<u64>,
    /// When each entry whose commit is not confirmed was decided, in order, and whether the entry belongs to this run.
    decided: VecDeque<(Instant, bool)>,
    confirmed: u64,
    began: Instant,
    last_delivery: Instant,
    last_commit: Instant,
    over: bool,
}

impl BenchConsumer {
    /// Returns when the connection is open.
    pub fn start(
        http: &Http,
        state: &Arc<BenchState>,
        tags: &Tags,
        window: u32,
        attributes: &Tags,
    ) -> Result<Self, Stop> {
        let mut http = http.clone();
        http.endpoint.consumer.group = GROUP.into();
        http.endpoint.consumer.user = format!("bench-{:x}", state.run);
        let options = WatchOptions {
            start: Start::At(Index(0)),
            window,
            auto_commit: false,
            index_only: false,
            tags: tags.clone(),
        };
        let now = Instant::now();
        let mut consumer = Self {
            driver: Driver::new(http, options, attributes),
            state: state.clone(),
            delivery: histogram(),
            commit: histogram(),
            decided: VecDeque::new(),
            confirmed: 0,
            began: now,
            last_delivery: now,
            last_commit: now,
            over: false,
        };
        while !consumer.driver.watch().is_open() {
            consumer.turn(Duration::from_millis(50))?;
            if now.elapsed() > OPEN_TIMEOUT {
                return Err(unreachable("the watch did not begin in time"));
            }
        }
        consumer.began = Instant::now();
        Ok(consumer)
    }

    /// Takes in what happens within this time.
    pub fn turn(&mut self, wait: Duration) -> Result<(), Stop> {
        for news in self.driver.next(wait) {
            match news {
                News::Frame(frame) => {
                    let now = Instant::now();
                    let age = self.state.age(&frame.data);
                    if let Some(age) = age {
                        record(&mut self.delivery, age, 1);
                        self.state.delivered.fetch_add(1, Relaxed);
                        self.last_delivery = now;
                    }
                    self.decided.push_back((now, age.is_some()));
                    self.driver.decide(frame.index, Decision::Commit);
                }
                News::Over(End::Failed(failure)) => return Err(failure.into()),
                News::Over(End::Unreachable(why)) => return Err(unreachable(&why)),
                News::Over(End::Left) => self.over = true,
                News::Over(_) => return Err(Stop::new(Exit::Failure, "the watch was ended from outside", "")),
                News::Opened | News::Lost(_) | News::Line(_) => {}
            }
        }
        let committed = self.driver.watch().totals().committed;
        // Commits are confirmed in the order in which they were decided.
        for _ in self.confirmed..committed {
            if let Some((since, true)) = self.decided.pop_front() {
                record(&mut self.commit, since.elapsed(), 1);
                self.last_commit = Instant::now();
                self.state.committed.fetch_add(1, Relaxed);
            }
        }
        self.confirmed = committed;
        Ok(())
    }

    /// Waits for what is still on its way, and leaves.
    pub fn finish(mut self, state: &BenchState) -> Result<Consumed, Stop> {
        let put = state.put.load(Relaxed);
        while state.delivered.load(Relaxed) < put && self.last_delivery.elapsed() < SILENCE {
            self.turn(Duration::from_millis(50))?;
        }
        self.driver.leave();
        while !self.over {
            self.turn(Duration::from_millis(50))?;
        }
        Ok(Consumed {
            delivery_time: self.last_delivery.saturating_duration_since(self.began),
            commit_time: self.last_commit.saturating_duration_since(self.began),
            missing: put.saturating_sub(state.delivered.load(Relaxed)),
            delivery: self.delivery,
            commit: self.commit,
        })
    }
}
