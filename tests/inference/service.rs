//! The three queues of a service, each a real broker in its host.

use crate::entries::Entries;
use crate::random::Random;
use crate::support::disk::{Disk, MemoryDisk};
use crate::support::host::{Clock, Host, Variables};
use edgequeue::broker::{RequestId, Wait};
use edgequeue::queue::entry::{Index, TAG_REQUEST_ID, Tags};
use edgequeue::queue::store::{Side, Store, Stores};
use edgequeue::store::limits;
use serde_json::json;
use std::collections::BTreeMap;

/// Results longer than this are too large for the sink, in bytes.
pub const SINK_BYTES_MAX: usize = 10 * 1024;

/// Which of the three it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Input,
    Sink,
    Callbacks,
}

impl Name {
    pub const ALL: [Self; 3] = [Self::Input, Self::Sink, Self::Callbacks];

    /// Name of the queue.
    pub fn queue(self) -> &'static str {
        match self {
            Self::Input => "svc",
            Self::Sink => "svc/sink",
            Self::Callbacks => "svc/~callbacks",
        }
    }

    /// The queue with this name.
    pub fn of(queue: &str) -> Self {
        Self::ALL.into_iter().find(|name| name.queue() == queue).expect("a queue of the service")
    }
}

/// What is new to be done for a broker.
#[derive(Debug, Default)]
pub struct Plan {
    pub wait: Option<Wait>,
    pub asks_alarm: bool,
    pub timer_ms: Option<u64>,
    pub alarm_ms: Option<u64>,
}

struct Node {
    host: Host<MemoryDisk, Entries>,
    entries: Entries,
    /// What is planned already.
    waits: bool,
    asks_alarm: bool,
    timer_ms: Option<u64>,
    alarm_ms: Option<u64>,
}

/// All of them.
pub struct Service {
    nodes: BTreeMap<Name, Node>,
    pub clock: Clock,
}

impl Service {
    pub fn new(random: &mut Random, now_ms: u64, seed: u64) -> Self {
        let clock = Clock::new(now_ms);
        let (max_idle, retry_delay) = (random.pick(&["0", "0", "3s"]), random.pick(&["100ms", "1s"]));
        let input = json!({
            "predictor": "https://predictor", "worker_threads": random.pick(&[1, 2, 5, 20]), "predictor_timeout": "5s",
            "max_idle": max_idle, "retry_delay": retry_delay, "max_delivery": random.pick(&[1, 2, 5]),
        });
        let callbacks = json!({
            "worker_threads": 3, "predictor_timeout": "5s", "max_idle": max_idle, "retry_delay": retry_delay,
            "max_delivery": 4,
        });
        let sink = json!({ "max_length": random.pick(&[2, 5, 1_000]), "max_payload_size_kb": SINK_BYTES_MAX / 1024 });
        let services = json!({
            Name::Input.queue(): input, Name::Sink.queue(): sink, Name::Callbacks.queue(): callbacks,
        });
        let variables = Variables::from([
            ("EDGEQUEUE_SERVICES".into(), services.to_string()),
            ("EDGEQUEUE_ALLOWED_HOSTS".into(), "c.example".into()),
            ("EDGEQUEUE_CALLBACK_SECRET".into(), "whsec_AAAAAAAAAAAAAAAAAAAAAA==".into()),
        ]);
        // Most queues here are small; with next to no cache even they are read from their rows.
        let cache_bytes = [0, 3_000, limits::CACHE_BYTES_MAX][seed as usize % 3];
        let node = |name: Name| {
            let entries = Entries::default();
            let disk = MemoryDisk { cache_bytes, ..MemoryDisk::default() };
            let host = Host::observed(name.queue(), variables.clone(), disk, clock.clone(), entries.clone());
            Node { host, entries, waits: false, asks_alarm: false, timer_ms: None, alarm_ms: None }
        };
        Self { nodes: Name::ALL.into_iter().map(|name| (name, node(name))).collect(), clock }
    }

    fn node(&mut self, name: Name) -> &mut Node {
        self.nodes.get_mut(&name).expect("there are three")
    }

    pub fn host(&mut self, name: Name) -> &mut Host<MemoryDisk, Entries> {
        &mut self.node(name).host
    }

    pub fn is_alive(&mut self, name: Name, life: u64) -> bool {
        self.host(name).life() == life
    }

    /// Counts the memories of a queue so far, also those that were lost with a failure of the storage.
    pub fn memory(&mut self, name: Name) -> u64 {
        let node = self.node(name);
        node.host.life() + node.entries.losses()
    }

    pub fn waited(&mut self, name: Name) {
        let node = self.node(name);
        if node.host.waiting() == Some(Wait::Durable) {
            node.entries.synced();
        }
        node.waits = false;
        node.host.waited();
    }

    pub fn told_alarm(&mut self, name: Name) {
        let node = self.node(name);
        node.asks_alarm = false;
        node.host.tell_alarm();
    }

    /// Lets a queue sleep, if nothing keeps it awake.
    pub fn sleep(&mut self, name: Name) -> bool {
        let node = self.node(name);
        let sleeps = node.host.can_sleep() && node.host.broker().is_some();
        if sleeps {
            node.host.sleep();
            node.entries.died(true);
        }
        sleeps
    }

    /// Loses the memory of a queue. Returns the requests that will not be answered.
    pub fn die(&mut self, name: Name, survives: bool) -> impl Iterator<Item = RequestId> + use<> {
        let node = self.node(name);
        let lost = node.host.crash(survives);
        node.entries.died(survives);
        (node.waits, node.asks_alarm, node.timer_ms) = (false, false, None);
        lost.requests.into_iter()
    }

    /// What is new since the last plan.
    pub fn plan(&mut self, name: Name) -> Plan {
        let node = self.node(name);
        let wait = node.host.waiting().filter(|_| !node.waits);
        node.waits |= wait.is_some();
        let asks_alarm = node.host.asks_alarm() && !node.asks_alarm;
        node.asks_alarm |= asks_alarm;
        let [timer_ms, alarm_ms] =
            [(&mut node.timer_ms, node.host.timer_ms()), (&mut node.alarm_ms, node.host.alarm_ms())]
                .map(|(planned, set)| if std::mem::replace(planned, set) == set { None } else { set });
        Plan { wait, asks_alarm, timer_ms, alarm_ms }
    }

    /// Entries that came to be durable.
    pub fn new_entries(&mut self, name: Name) -> Vec<(Side, Tags)> {
        self.node(name).entries.take()
    }

    /// How many entries a queue holds durably.
    pub fn length(&mut self, name: Name) -> u64 {
        self.open(name).side(Side::Main).totals().length
    }

    /// Whether the result of a request is in the sink.
    pub fn is_in_sink(&mut self, id: &str) -> bool {
        let mut stores = self.open(Name::Sink);
        let mut store = stores.side(Side::Main);
        store.priorities().into_iter().any(|(priority, _)| {
            let mut from = Index(0);
            std::iter::from_fn(|| {
                let entry = store.next(priority, from).expect("no faults here")?;
                from = entry.index.next();
                Some(entry)
            })
            .any(|entry| entry.tags()[TAG_REQUEST_ID] == id)
        })
    }

    fn open(&mut self, name: Name) -> <MemoryDisk as Disk>::Store {
        self.host(name).disk.open().expect("no faults here")
    }
}
