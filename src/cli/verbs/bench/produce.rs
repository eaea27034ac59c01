//! Producers: each puts, waits for the answer, and puts again.

use bytes::Bytes;
use edgequeue::client::{FailureKind, LineBatch, Put, answer};
use edgequeue::queue::entry::Tags;
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use super::args::BenchArgs;
use super::figures::{histogram, record};
use super::state::BenchState;
use crate::http::{ANSWER_TIMEOUT, Http};
use crate::stop::{Exit, Stop};

/// How long a producer waits when the queue is full or too much is under way.
const PAUSE: Duration = Duration::from_millis(2);

/// What was measured.
pub struct Produced {
    /// How long puts took: one value per request, weighted by its entries.
    pub puts: Histogram<u64>,
    /// How long entries were put.
    pub time: Duration,
}

pub struct Producers {
    threads: Vec<JoinHandle<Result<Histogram<u64>, Stop>>>,
    began: Instant,
}

impl Producers {
    pub fn start(http: &Http, state: &Arc<BenchState>, tags: &Tags, args: &BenchArgs) -> Self {
        let put = Put { tags: tags.clone(), ..Put::default() };
        let threads = (0..args.concurrency).map(|_| {
            let (http, state, put, args) = (http.clone(), state.clone(), put.clone(), args.clone());
            thread::spawn(move || produce(&http, &state, &put, &args))
        });
        Self { threads: threads.collect(), began: Instant::now() }
    }

    /// Whether all have ended, which they do early only when something is wrong.
    pub fn are_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Ends them.
    pub fn finish(self, state: &BenchState) -> Result<Produced, Stop> {
        state.stop.store(true, SeqCst);
        let mut all = histogram();
        for thread in self.threads {
            let one = thread.join().map_err(|_| Stop::new(Exit::Failure, "a producer panicked", ""))??;
            // Equal bounds: adding cannot fail.
            let _ = all.add(one);
        }
        Ok(Produced { puts: all, time: self.began.elapsed() })
    }
}

fn produce(http: &Http, state: &BenchState, put: &Put, args: &BenchArgs) -> Result<Histogram<u64>, Stop> {
    let mut took = histogram();
    let count = u64::from(args.batch);
    while !state.stop.load(SeqCst) {
        let under_way = state.put.load(Relaxed).saturating_sub(state.delivered.load(Relaxed));
        if args.in_flight > 0 && under_way >= args.in_flight {
            sleep(PAUSE);
            continue;
        }
        let body = Bytes::from(state.body(args.size));
        let request = if count == 1 {
            http.endpoint.put(put, body)
        } else {
            let mut batch = LineBatch::starting_at(1, 0);
            (0..count).for_each(|_| batch.push(body.clone()));
            http.endpoint.put_batch(put, batch.encode(|_| None))
        };
        let sent = Instant::now();
        let response = http.send(&request, ANSWER_TIMEOUT)?;
        let stored = match count {
            1 => answer::put(&response).map(|_| ()),
            _ => answer::put_batch(&response, count as usize).map(|_| ()),
        };
        match stored {
            Ok(()) => {
                record(&mut took, sent.elapsed(), count);
                state.put.fetch_add(count, Relaxed);
            }
            Err(failure) if failure.kind == FailureKind::Full => sleep(PAUSE),
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(took)
}
