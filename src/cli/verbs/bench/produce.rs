//! Producers: each puts, waits for the answer, and puts again.

use bytes::Bytes;
use edgequeue::client::{Batch, Kind, Put, answer};
use edgequeue::queue::entry::Tags;
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use super::figures::{histogram, record};
use super::{BenchArgs, Shared};
use crate::http::{Http, PATIENCE};
use crate::stop::{Exit, Stop};

/// How long a producer waits when the queue is full or too much is under way.
const PAUSE: Duration = Duration::from_millis(2);

pub struct Producers {
    threads: Vec<JoinHandle<Result<Histogram<u64>, Stop>>>,
    began: Instant,
}

impl Producers {
    pub fn start(http: &Http, shared: &Arc<Shared>, tags: &Tags, args: &BenchArgs) -> Self {
        let put = Put { tags: tags.clone(), ..Put::default() };
        let threads = (0..args.concurrency).map(|_| {
            let (http, shared, put, args) = (http.clone(), shared.clone(), put.clone(), args.clone());
            thread::spawn(move || produce(&http, &shared, &put, &args))
        });
        Self { threads: threads.collect(), began: Instant::now() }
    }

    /// Whether all have ended, which they do early only when something is wrong.
    pub fn are_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Ends them; how long puts took, one value per request weighted by its entries, and how long it was put.
    pub fn finish(self, shared: &Shared) -> Result<(Histogram<u64>, Duration), Stop> {
        shared.stop.store(true, SeqCst);
        let mut all = histogram();
        for thread in self.threads {
            let one = thread.join().map_err(|_| Stop::new(Exit::Failure, "a producer panicked", ""))??;
            // Equal bounds: adding cannot fail.
            let _ = all.add(one);
        }
        Ok((all, self.began.elapsed()))
    }
}

fn produce(http: &Http, shared: &Shared, put: &Put, args: &BenchArgs) -> Result<Histogram<u64>, Stop> {
    let mut took = histogram();
    let count = u64::from(args.batch);
    while !shared.stop.load(SeqCst) {
        let under_way = shared.put.load(Relaxed).saturating_sub(shared.delivered.load(Relaxed));
        if args.in_flight > 0 && under_way >= args.in_flight {
            sleep(PAUSE);
            continue;
        }
        let body = Bytes::from(shared.body(args.size));
        let request = if count == 1 {
            http.endpoint.put(put, body)
        } else {
            let mut batch = Batch::starting_at(1, 0);
            (0..count).for_each(|_| batch.push(body.clone()));
            http.endpoint.put_batch(put, batch.encode(|_| None))
        };
        let sent = Instant::now();
        let response = http.send(&request, PATIENCE)?;
        let stored = match count {
            1 => answer::put(&response).map(|_| ()),
            _ => answer::put_batch(&response, count as usize).map(|_| ()),
        };
        match stored {
            Ok(()) => {
                record(&mut took, sent.elapsed(), count);
                shared.put.fetch_add(count, Relaxed);
            }
            Err(failure) if failure.kind == Kind::Full => sleep(PAUSE),
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(took)
}
