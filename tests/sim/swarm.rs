//! From a seed to a script. Every seed draws its own weights and bounds (swarm testing): most leave whole kinds of
//! steps out, so that the others meet in ways an even mixture never reaches.

use super::random::Random;
use super::script::{Choice, Item, ItemOnce, Modes, Op, Place, Saying, Script, Want, Who};
use edgequeue::queue::config::{DeadPolicy, Settings};
use edgequeue::queue::event::CODE_SHUTDOWN;
use edgequeue::queue::limits;
use edgequeue::queue::store::Side;
use edgequeue::wire::Transport;

/// The settings with numbers below this are about the queue; the others are about whom it calls.
const SETTINGS: usize = 8;

/// Kinds of steps, with how often they happen when a seed does not say otherwise.
const KINDS: [(Kind, u64); 28] = [
    (Kind::Put, 30),
    (Kind::Get, 8),
    (Kind::Abandon, 2),
    (Kind::Attach, 12),
    (Kind::Die, 6),
    (Kind::Notice, 4),
    (Kind::Commit, 30),
    (Kind::Reject, 10),
    (Kind::Remove, 3),
    (Kind::Truncate, 1),
    (Kind::End, 1),
    (Kind::Configure, 2),
    (Kind::Stats, 4),
    (Kind::Count, 2),
    (Kind::Search, 4),
    (Kind::Find, 4),
    (Kind::Cancel, 3),
    (Kind::Pass, 10),
    (Kind::Ring, 4),
    (Kind::Timer, 1),
    (Kind::Wake, 6),
    (Kind::Hold, 4),
    (Kind::Sleep, 6),
    (Kind::Crash, 2),
    (Kind::Fault, 3),
    (Kind::Panic, 3),
    (Kind::Say, 12),
    (Kind::Ping, 4),
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Put,
    Get,
    Abandon,
    Attach,
    Die,
    Notice,
    Commit,
    Reject,
    Remove,
    Truncate,
    End,
    Configure,
    Stats,
    Count,
    Search,
    Find,
    Cancel,
    Pass,
    Ring,
    Timer,
    Wake,
    Hold,
    Sleep,
    Crash,
    Fault,
    Panic,
    Say,
    Ping,
}

/// What one seed is about.
struct Swarm {
    random: Random,
    weights: Vec<u64>,
    groups: u64,
    users: u64,
    colors: u64,
    priorities: i64,
    windows: u64,
    batch: u64,
    body: u64,
    rear: u64,
    auto_commit: u64,
    newest: u64,
    /// Percentage of entries that are put once.
    once: u64,
    transports: [Transport; 4],
    delays: [u64; 4],
}

/// The script of a seed.
pub fn script(seed: u64) -> Script {
    let mut random = Random::new(seed);
    let settings = settings(&mut random);
    let weights = KINDS.map(|(_, weight)| weight * random.pick(&[0, 1, 1, 1, 3]));
    let theme = match random.below(200) {
        0..=4 => Theme::Many,
        5 | 6 => Theme::Heavy,
        7 | 8 => Theme::Crowded,
        _ => Theme::Usual,
    };
    let mut swarm = Swarm {
        weights: weights.to_vec(),
        groups: random.between(1, 3),
        users: random.between(1, 4),
        colors: random.pick(&[1, 1, 2, 3]),
        priorities: random.pick(&[1, 1, 2, 3]),
        windows: random.pick(&[1, 2, 4, 16, 1000]),
        batch: random.pick(&[1, 3, 10]),
        body: random.pick(&[0, 20, 200, 1_500, 40_000]),
        rear: random.pick(&[0, 5, 30]),
        auto_commit: random.pick(&[0, 0, 10, 50]),
        newest: random.pick(&[0, 10, 40]),
        once: random.pick(&[0, 0, 30, 90]),
        transports: random.pick(&[
            [Transport::Socket, Transport::Socket, Transport::Session, Transport::Stream],
            [Transport::Session; 4],
            [Transport::Socket, Transport::Plain, Transport::Session, Transport::Session],
        ]),
        delays: random.pick(&[[0; 4], [0, 0, 700, 5_000], [0, 700, 5_000, 60_000]]),
        random,
    };
    let length = swarm.random.pick(&[30, 100, 300]);
    let (length, settings) = swarm.take_up(theme, length, settings);
    let ops = (0..length).map(|_| swarm.op()).collect();
    Script { seed, settings, ops }
}

/// What a seed is about.
#[derive(Clone, Copy, PartialEq)]
enum Theme {
    Usual,
    /// Many entries: what does not fit one turn has to go on in the next.
    Many,
    /// Large entries: turns, windows and answers are bounded in bytes too.
    Heavy,
    /// More groups than a queue takes.
    Crowded,
}

impl Swarm {
    fn take_up(&mut self, theme: Theme, length: u64, settings: Settings) -> (u64, Settings) {
        let (max_length, max_payload_bytes) = (1_000_000, limits::PAYLOAD_BYTES_CEILING / 1_024 * 1_024);
        let roomy = Settings { max_length, max_payload_bytes, ..settings.clone() };
        let mut weigh = |kind: Kind, weight: u64| {
            let place = KINDS.iter().position(|(other, _)| *other == kind).expect("all kinds are listed");
            self.weights[place] = weight;
        };
        match theme {
            Theme::Usual => (length, settings),
            Theme::Many => {
                weigh(Kind::Configure, 0);
                (self.batch, self.body) = (1_500, 20);
                (40, roomy)
            }
            Theme::Heavy => {
                weigh(Kind::Configure, 0);
                weigh(Kind::Hold, 40);
                weigh(Kind::Put, 150);
                (self.batch, self.body, self.windows) = (8, 1_700_000, 20);
                (30, roomy)
            }
            Theme::Crowded => {
                weigh(Kind::Attach, 200);
                (self.groups, self.users) = (200, 2);
                (300, roomy)
            }
        }
    }
}

fn settings(random: &mut Random) -> Settings {
    Settings {
        max_delivery: random.pick(&[0, 1, 2, 3, 5]),
        dead_message_policy: random.pick(&[DeadPolicy::Rear, DeadPolicy::Rear, DeadPolicy::Drop]) as i32,
        auto_evict: random.percent(30),
        max_payload_bytes: random.pick(&[1_024, 2_048, 1_024_000]),
        max_length: random.pick(&[3, 10, 50, 1_000_000]),
        max_idle_ms: random.pick(&[0, 0, 2_000]),
        retention_ms: random.pick(&[0, 0, 0, 8_000]),
        max_silence_ms: random.pick(&[0, 0, 5_000, limits::SILENCE_MS_DEFAULT]),
        ..Settings::standard()
    }
}

impl Swarm {
    fn op(&mut self) -> Op {
        let kind = KINDS[self.random.weighted(&self.weights)].0;
        match kind {
            Kind::Put => self.put(),
            Kind::Get => self.get(),
            Kind::Abandon => Op::Abandon { pick: self.random.below(8) },
            Kind::Attach => self.attach(),
            Kind::Die => Op::Die { who: self.who(), noticed: self.random.percent(60) },
            Kind::Notice => Op::Notice { pick: self.random.below(8) },
            Kind::Commit => Op::Commit { who: self.who(), what: self.choice() },
            Kind::Reject => self.reject(),
            Kind::Remove => Op::Remove { side: self.side(), what: Choice::Behind(self.random.below(12)) },
            Kind::Truncate => Op::Truncate { side: self.side(), at: self.place() },
            Kind::End => Op::End { side: self.side(), force: self.random.percent(30) },
            Kind::Configure => {
                let settings = settings(&mut self.random);
                let mut keys: Vec<usize> = (0..SETTINGS).filter(|_| self.random.percent(40)).collect();
                if keys.is_empty() {
                    keys.push(0);
                }
                Op::Configure { settings, keys }
            }
            Kind::Stats => Op::Stats { side: self.side() },
            Kind::Count => {
                let priority = if self.random.percent(50) { Some(self.priority()) } else { None };
                Op::Count { side: self.side(), priority, want: self.want() }
            }
            Kind::Search => Op::Search { who: self.who(), at: self.place() },
            Kind::Find => Op::Find { side: self.side(), behind: self.random.below(10) },
            Kind::Cancel => Op::Cancel { side: self.side(), behind: self.random.below(10) },
            Kind::Pass => Op::Pass { ms: self.ms() },
            Kind::Ring => Op::Ring,
            Kind::Timer => Op::Timer,
            Kind::Wake => Op::Wake { late_ms: self.random.pick(&[0, 0, 0, 1, 700, 30_000]) },
            Kind::Hold => Op::Hold { requests: self.random.between(2, 12) as u32 },
            Kind::Sleep => Op::Sleep { order: self.random.next() },
            Kind::Panic => Op::Panic { outputs: self.outputs(), order: self.random.next() },
            Kind::Crash => Op::Crash { outputs: self.outputs(), survives: self.random.percent(50) },
            Kind::Say => self.say(),
            Kind::Ping => Op::Ping,
            Kind::Fault => Op::Fault { after: self.random.below(40) as u32 },
        }
    }

    fn put(&mut self) -> Op {
        // Too many priorities at once are refused; a put that tries is rare and large.
        if self.random.below(400) == 0 {
            let first = self.random.below(40) as i64;
            let items = (0..self.random.between(200, 260) as i64).map(|offset| Item {
                priority: first + offset,
                color: 0,
                bytes: 10,
                named: false,
                once: None,
            });
            return Op::Put { side: self.side(), items: items.collect() };
        }
        let count = if self.random.percent(50) { 1 } else { self.random.between(1, self.batch) };
        let items = self.items(count);
        Op::Put { side: self.side(), items }
    }

    fn items(&mut self, count: u64) -> Vec<Item> {
        let items = (0..count).map(|_| Item {
            priority: self.priority(),
            color: self.random.below(self.colors) as u8,
            bytes: self.random.between(0, self.body) as u32,
            named: self.random.percent(20),
            once: self.once(),
        });
        items.collect()
    }

    /// Most often at once, else some way through what follows.
    fn outputs(&mut self) -> u32 {
        if self.random.percent(40) { 0 } else { self.random.between(1, 12) as u32 }
    }

    fn say(&mut self) -> Op {
        // A message may have more requests than a flush takes.
        let most = if self.random.below(60) == 0 { 1_500 } else { 4 };
        let count = self.random.between(1, most);
        let many = count > 4;
        let requests = (0..count).map(|_| match self.random.below(10) {
            _ if many => Saying::Commit(Choice::Behind(self.random.below(10))),
            0..=2 => Saying::Put(self.items(1)),
            3..=6 => Saying::Commit(self.choice()),
            7 => Saying::Reject {
                what: self.choice(),
                code: self.random.pick(&["", "500", CODE_SHUTDOWN]),
                delay_ms: self.random.pick(&self.delays.clone()),
            },
            _ => Saying::Window(self.window()),
        });
        let requests = requests.collect();
        Op::Say { who: self.who(), requests }
    }

    fn once(&mut self) -> Option<ItemOnce> {
        if !self.random.percent(self.once) {
            return None;
        }
        Some(match self.random.percent(50) {
            true => ItemOnce::Request(self.random.below(6) as u8),
            false => ItemOnce::Outcome {
                behind: self.random.below(12),
                settled_behind: self.random.pick(&[u64::MAX, u64::MAX, 6, 12, 20]),
            },
        })
    }

    fn get(&mut self) -> Op {
        Op::Get {
            side: self.side(),
            start: self.place(),
            want: self.want(),
            count: self.random.pick(&[1, 1, 2, 5, 100]),
            remove: self.random.percent(50),
            wait_ms: self.random.pick(&[0, 0, 500, 5_000, 600_000]),
        }
    }

    fn attach(&mut self) -> Op {
        let who = self.who();
        // A filter belongs to its group; a consumer that asks for another one is refused.
        let group_color =
            if who.group.is_multiple_of(2) { None } else { Some((u64::from(who.group) % self.colors) as u8) };
        Op::Attach {
            who,
            start: if self.random.percent(self.newest) {
                Place::Newest
            } else {
                self.random.pick(&[Place::Zero, Place::Zero, Place::Behind(3)])
            },
            window: self.window(),
            modes: Modes {
                auto_commit: self.random.percent(self.auto_commit),
                index_only: self.random.percent(20),
                transport: self.random.pick(&self.transports.clone()),
            },
            color: if self.random.percent(3) { Some(0) } else { group_color },
        }
    }

    fn window(&mut self) -> u32 {
        if self.random.percent(3) { 0 } else { self.random.between(1, self.windows) as u32 }
    }

    fn reject(&mut self) -> Op {
        let code = self.random.pick(&["", "OOM", "500", "BadRequest", CODE_SHUTDOWN]);
        let reason = self.random.pick(&["", "no", "later"]);
        let delay_ms = self.random.pick(&self.delays.clone());
        Op::Reject { who: self.who(), what: self.choice(), code, reason, delay_ms }
    }

    fn who(&mut self) -> Who {
        Who {
            side: self.side(),
            group: self.random.below(self.groups) as u8,
            user: self.random.below(self.users) as u8,
        }
    }

    fn side(&mut self) -> Side {
        if self.random.percent(self.rear) { Side::Rear } else { Side::Main }
    }

    fn priority(&mut self) -> i64 {
        let priority = self.random.below(self.priorities as u64) as i64;
        if self.random.percent(2) { -priority } else { priority }
    }

    fn want(&mut self) -> Want {
        match self.random.below(10) {
            0..=5 => Want::Anything,
            6..=8 => Want::Color(self.random.below(self.colors) as u8),
            _ => Want::Request(self.random.below(8)),
        }
    }

    fn place(&mut self) -> Place {
        match self.random.below(4) {
            0 => Place::Newest,
            1 => Place::Behind(self.random.below(10)),
            _ => Place::Zero,
        }
    }

    fn choice(&mut self) -> Choice {
        let count = self.random.pick(&[1, 1, 2, 5, 1000]);
        match self.random.below(10) {
            0 => Choice::Stale(count),
            1 => Choice::Behind(self.random.below(10)),
            2..=5 => Choice::Oldest(count),
            _ => Choice::Latest(count),
        }
    }

    fn ms(&mut self) -> i64 {
        match self.random.below(20) {
            0 => -(self.random.between(1, 20_000) as i64),
            1 => limits::FORGET_MS as i64 + self.random.below(3) as i64,
            2..=4 => self.random.between(1_000, 20_000) as i64,
            _ => self.random.between(1, 900) as i64,
        }
    }
}
