//! What became of each request, and whether that may be.

use std::collections::{BTreeMap, BTreeSet};

/// Everything that is known of one request.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Its put was acknowledged.
    pub acknowledged: bool,
    /// Somebody wanted to be told of its end.
    pub callback: bool,
    /// Cancellations that were asked for, without those that were refused: any of them may have removed it.
    pub cancels_open: u32,
    /// A cancellation was acknowledged.
    pub cancelled: bool,
    /// Its result had been sent to the sink before, by a memory that was lost or without an answer: nobody could know.
    pub excused: bool,
    /// The memories in which its result was sent to the sink.
    pub shipped: BTreeSet<u64>,
    /// One of these puts was not answered.
    pub unheard: bool,
    /// The predictor answered nothing at all, once at least.
    pub empty: bool,
    /// Calls of the predictor.
    pub calls: u32,
    /// Entries in the sink: whether they tell of a failure.
    pub results: Vec<bool>,
    /// Entries in the rear queue.
    pub dead: u32,
    /// Notices that were stored, and their names.
    pub notices: u32,
    pub names: BTreeSet<String>,
    /// Notices that arrived.
    pub told: u32,
}

/// How many requests ended in which way.
#[derive(Clone, Debug, Default)]
pub struct Endings(BTreeMap<&'static str, u64>);

impl Endings {
    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// Every way there is.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let all = [
            "result",
            "error",
            "error and dead",
            "empty",
            "cancelled",
            "called twice",
            "told",
            "life lost",
            "slept",
            "storage failed",
        ];
        all.into_iter().map(|what| (what, self.0.get(what).copied().unwrap_or(0))).collect()
    }
}

/// Judges one request after everything has come to rest. `undelivered` says whether its notice is among the dead.
pub fn judge(id: &str, known: &Known, undelivered: bool, endings: &mut Endings) {
    assert!(known.results.len() <= 1, "{id} has {} results: {known:?}", known.results.len());
    assert!(known.dead <= 1, "{id} is dead {} times: {known:?}", known.dead);
    assert!(known.notices <= 1, "of {id} {} notices were stored: {known:?}", known.notices);
    if known.calls > 1 {
        endings.count("called twice");
    }
    let result = known.results.first();
    if known.dead == 1 {
        assert_eq!(result, Some(&true), "{id} is dead and its result does not say so: {known:?}");
    }
    if known.cancelled && !known.excused {
        assert_eq!((result, known.dead), (None, 0), "{id} was cancelled: {known:?}");
    }
    let ended = match (result, known.dead) {
        (Some(false), _) => "result",
        (Some(true), 0) => "error",
        (Some(true), _) => "error and dead",
        (None, _) if known.cancelled => "cancelled",
        (None, _) if known.empty => "empty",
        (None, _) if known.cancels_open > 0 || !known.acknowledged => return,
        (None, _) => panic!("{id} is lost: {known:?}"),
    };
    endings.count(ended);
    if known.callback && known.acknowledged && known.cancels_open == 0 {
        assert_eq!(known.notices, 1, "nobody was told of {id}: {known:?}");
        assert!(known.told > 0 || undelivered, "the notice of {id} is nowhere: {known:?}");
        endings.count("told");
    }
}
