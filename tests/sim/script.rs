//! A script is data: what the world does, step by step. Steps name things relatively ("this consumer", "three behind
//! the newest"), so that a script stays meaningful when steps are left out of it.

use edgequeue::queue::config::{DeadPolicy, Settings};
use edgequeue::queue::store::Side;
use edgequeue::wire::Transport;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Put {
        side: Side,
        items: Vec<Item>,
    },
    Get {
        side: Side,
        start: Place,
        want: Want,
        count: u64,
        remove: bool,
        wait_ms: u64,
    },
    /// The client of one of the waiting gets leaves.
    Abandon {
        pick: u64,
    },
    Attach {
        who: Who,
        start: Place,
        window: u32,
        modes: Modes,
        color: Option<u8>,
    },
    /// A session is sent one message.
    Say {
        who: Who,
        requests: Vec<Saying>,
    },
    /// A `ping` is answered on every connection whose client lives.
    Ping,
    /// The connection dies; with `noticed` the queue hears of it at once.
    Die {
        who: Who,
        noticed: bool,
    },
    /// The queue hears of one of the connections that died unnoticed, or that it closed itself.
    Notice {
        pick: u64,
    },
    Commit {
        who: Who,
        what: Choice,
    },
    Reject {
        who: Who,
        what: Choice,
        code: &'static str,
        reason: &'static str,
        delay_ms: u64,
    },
    Remove {
        side: Side,
        what: Choice,
    },
    Truncate {
        side: Side,
        at: Place,
    },
    End {
        side: Side,
        force: bool,
    },
    /// Some of the settings change: those with these numbers.
    Configure {
        settings: Settings,
        keys: Vec<usize>,
    },
    Stats {
        side: Side,
    },
    Count {
        side: Side,
        priority: Option<i64>,
        want: Want,
    },
    Search {
        who: Who,
        at: Place,
    },
    /// Where a request stands.
    Find {
        side: Side,
        behind: u64,
    },
    /// A request is cancelled.
    Cancel {
        side: Side,
        behind: u64,
    },
    /// The clock moves, possibly backward.
    Pass {
        ms: i64,
    },
    /// The alarm goes off, too early or once more.
    Ring,
    /// The timer goes off, too early or once more.
    Timer,
    /// Nothing happens until an alarm or timer goes off, so late.
    Wake {
        late_ms: u64,
    },
    /// The next requests come together: the first two at once, then one with each turn of the event loop.
    Hold {
        requests: u32,
    },
    /// The queue is dropped from memory, if nothing keeps it awake; sockets survive and are found in an order that the
    /// number stands for.
    Sleep {
        order: u64,
    },
    /// The process dies after this many more outputs: streams are gone, sockets survive. Written rows become durable.
    Panic {
        outputs: u32,
        order: u64,
    },
    /// The machine dies after this many more outputs: every connection is gone. Of rows that are not durable it is open
    /// whether they survive.
    Crash {
        outputs: u32,
        survives: bool,
    },
    /// A storage operation fails after this many more.
    Fault {
        after: u32,
    },
}

/// A consumer, by small numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    pub side: Side,
    pub group: u8,
    pub user: u8,
}

/// How a connection watches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Modes {
    pub auto_commit: bool,
    pub index_only: bool,
    pub transport: Transport,
}

/// One request in a message of a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Saying {
    Put(Vec<Item>),
    Commit(Choice),
    Reject { what: Choice, code: &'static str, delay_ms: u64 },
    Window(u32),
}

/// An entry to be put.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    pub priority: i64,
    pub color: u8,
    pub bytes: u32,
    /// Whether the client chooses the request id.
    pub named: bool,
    pub once: Option<ItemOnce>,
}

/// How an entry is put once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ItemOnce {
    /// Under one of few request ids.
    Request(u8),
    /// As what came of the entry so far behind the newest one of another queue, which has settled what is still further
    /// behind.
    Outcome { behind: u64, settled_behind: u64 },
}

/// What a read looks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Want {
    Anything,
    Color(u8),
    /// The request id of the entry so far behind the next index.
    Request(u64),
}

/// An index, relative to the next one of its side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    Zero,
    Newest,
    Behind(u64),
}

/// Indexes to commit, reject or remove.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// The oldest ones this consumer saw and did not settle.
    Oldest(usize),
    /// The newest ones this consumer saw and did not settle.
    Latest(usize),
    /// Ones it settled before, or never saw.
    Stale(usize),
    /// Whatever stands so far behind the next index.
    Behind(u64),
}

/// What a seed means.
#[derive(Clone, Debug)]
pub struct Script {
    pub seed: u64,
    pub settings: Settings,
    pub ops: Vec<Op>,
}

impl std::fmt::Display for Script {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "seed {} with {}", self.seed, brief(&self.settings))?;
        for (position, op) in self.ops.iter().enumerate() {
            match op {
                Op::Configure { settings, keys } => {
                    writeln!(out, "  {position:3} Configure {keys:?} of {}", brief(settings))?;
                }
                op => writeln!(out, "  {position:3} {op:?}")?,
            }
        }
        Ok(())
    }
}

/// Settings on one line, without what is at rest.
pub fn brief(settings: &Settings) -> String {
    let policy = if settings.dead_message_policy == DeadPolicy::Drop as i32 { "Drop" } else { "Rear" };
    let mut line = format!("max_delivery={} {policy} max_length={}", settings.max_delivery, settings.max_length);
    let timed = [
        ("max_payload_bytes", settings.max_payload_bytes),
        ("max_idle_ms", settings.max_idle_ms),
        ("retention_ms", settings.retention_ms),
        ("max_silence_ms", settings.max_silence_ms),
    ];
    for (name, value) in timed.iter().filter(|(_, value)| *value != 0) {
        line += &format!(" {name}={value}");
    }
    if settings.auto_evict { line + " auto_evict" } else { line }
}
