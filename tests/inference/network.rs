//! What a service calls: predictors of every kind, those who want to be told, and its own other queues.

use crate::random::Random;
use crate::service::{Name, SINK_BYTES_MAX};
use crate::support::request::Request;
use crate::world::{Happening, World};
use edgequeue::broker::{Fetch, FetchId, Fetched, Target};
use edgequeue::inference::outcome::{self, is_success};
use edgequeue::queue::entry::TAG_REQUEST_ID;
use edgequeue::queue::limits::PAYLOAD_BYTES_CEILING;
use edgequeue::wire::Answer;
use edgequeue::wire::proto::put_entry;
use std::collections::BTreeMap;

/// A call that is given no answer fails after this long.
pub const SILENT_MS: u64 = 90_000;

/// Who called: a queue, in which life, and its name of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caller {
    pub name: Name,
    pub life: u64,
    pub fetch: FetchId,
}

/// What the predictor makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    Good,
    Empty,
    Huge,
    TooLargeForTheSink,
    Doomed,
    Moody,
}

impl Nature {
    /// To be drawn from.
    pub const DRAWN: [Self; 9] = [
        Self::Good,
        Self::Good,
        Self::Moody,
        Self::Moody,
        Self::Moody,
        Self::Empty,
        Self::Huge,
        Self::TooLargeForTheSink,
        Self::Doomed,
    ];
}

/// What is on its way.
pub struct Network {
    /// Answers that have begun.
    answers: BTreeMap<Caller, outcome::PredictorAnswer>,
    /// Requests whose results are in a put into the sink.
    shipments: BTreeMap<Caller, Vec<String>>,
    pub natures: BTreeMap<String, Nature>,
    /// Requests by the name of the notice of their end.
    pub notices: BTreeMap<String, String>,
    /// Chances in a hundred: a call fails, a message is lost.
    moods: u64,
    losses: u64,
}

impl Network {
    pub fn new(random: &mut Random) -> Self {
        let (moods, losses) = (random.pick(&[0, 5, 30]), random.pick(&[0, 3, 20]));
        let (answers, shipments, natures, notices) = Default::default();
        Self { answers, shipments, natures, notices, moods, losses }
    }

    /// A call is given up. News of it may be on their way.
    pub fn abort(&mut self, caller: Caller) {
        self.answers.remove(&caller);
    }
}

impl World {
    /// Something is called, by this memory of a queue.
    pub fn fetch(&mut self, caller: Caller, fetch: Fetch, memory: u64) {
        self.say(&format!("{caller:?} calls {:?} {} {}", fetch.target, fetch.method, fetch.url));
        match &fetch.target {
            Target::Queue(queue) => {
                let to = Name::of(queue);
                if to == Name::Sink && fetch.method == "POST" {
                    let entries = put_entry::frames(fetch.body.clone()).expect("entries").into_iter();
                    let ids: Vec<String> = entries.map(|entry| entry.tags[TAG_REQUEST_ID].clone()).collect();
                    self.say(&format!("the results of {ids:?} are sent"));
                    for id in &ids {
                        self.known.get_mut(id).expect("it was put").shipped.insert(memory);
                    }
                    self.network.shipments.insert(caller, ids);
                }
                if self.chance(self.network.losses) {
                    return self.after(100, Happening::News(caller, failed()));
                }
                let ms = if self.chance(self.network.losses) { 5_000 } else { self.random.below(30) };
                self.after(ms, Happening::Arrive(to, caller, Request::of_fetch(&fetch)));
            }
            Target::Url => self.call(caller, &fetch),
            target => panic!("nobody calls {target:?}"),
        }
    }

    /// A predictor is called, or whoever wants to be told.
    fn call(&mut self, caller: Caller, fetch: &Fetch) {
        let header = |name: &str| {
            let found = fetch.headers.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).expect("a header")
        };
        let (id, nature) = match caller.name {
            Name::Callbacks => (self.network.notices[&header("webhook-id")].clone(), Nature::Moody),
            _ => (header("X-Request-Id"), self.network.natures[&header("X-Request-Id")]),
        };
        let moody = self.chance(self.network.moods);
        let (status, bytes) = match (nature, moody) {
            (Nature::Doomed, _) => (422, 20),
            (Nature::Moody, true) => match self.random.below(4) {
                // It hangs.
                0 => return,
                1 => return self.after(5, Happening::News(caller, failed())),
                2 => (500, 100_000),
                _ => (503, 0),
            },
            (Nature::Empty, _) => (204, 0),
            (Nature::Huge, _) => (200, PAYLOAD_BYTES_CEILING as usize + 1),
            (Nature::TooLargeForTheSink, _) => (200, SINK_BYTES_MAX + 1),
            _ => (200, 20),
        };
        let known = self.known.get_mut(&id).expect("it was put");
        if caller.name == Name::Input {
            known.calls += 1;
            known.empty |= nature == Nature::Empty;
        } else if is_success(status) {
            known.told += 1;
        }
        let slow_ms = if self.random.percent(10) { 4_000 } else { 200 };
        let ms = self.random.below(slow_ms);
        let body = vec![b'x'; bytes].into();
        self.begin(caller, ms, outcome::PredictorAnswer { status, body, ..outcome::PredictorAnswer::default() });
    }

    fn begin(&mut self, caller: Caller, ms: u64, answer: outcome::PredictorAnswer) {
        let length = answer.body.len().is_multiple_of(2).then_some(answer.body.len() as u64);
        self.after(ms, Happening::News(caller, Fetched::Begun(answer.status, length)));
        self.network.answers.insert(caller, answer);
    }

    /// A queue reads the answer to its call.
    pub fn read(&mut self, caller: Caller, max: usize) {
        let Some(mut answer) = self.network.answers.remove(&caller) else { return };
        answer.cut = answer.body.len() > max;
        answer.body.truncate(max);
        let ms = self.random.below(50);
        if self.chance(self.network.moods / 3) {
            return self.lose(caller, ms);
        }
        let news = Fetched::Answered(answer);
        if self.chance(self.network.losses) {
            self.after(ms + 20, Happening::News(caller, news.clone()));
        }
        self.after(ms, Happening::News(caller, news));
    }

    /// The answer to a call is lost. Nobody knows whether it did what it asked for.
    pub fn lose(&mut self, caller: Caller, ms: u64) {
        for id in self.network.shipments.remove(&caller).unwrap_or_default() {
            self.known.get_mut(&id).expect("it was put").unheard = true;
        }
        self.after(ms, Happening::News(caller, failed()));
    }

    /// One of the service's own queues answers another one.
    pub fn forwarded(&mut self, caller: Caller, method: &str, answer: Answer) {
        let ms = self.random.below(30);
        if self.chance(self.network.losses) {
            // An answer that is lost is an error, at once or after a long time.
            let long = method == "POST" && self.random.percent(50);
            return self.lose(caller, if long { SILENT_MS } else { ms });
        }
        let Answer { status, body, .. } = answer;
        self.begin(caller, ms, outcome::PredictorAnswer { status, body, ..outcome::PredictorAnswer::default() });
    }
}

fn failed() -> Fetched {
    Fetched::Failed("no connection".into())
}
