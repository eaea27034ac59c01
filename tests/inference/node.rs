//! One object: queue, store and runner, as the desk of the worker has them.

use crate::disk::Disk;
use crate::segments::SegmentDisk;
use edgequeue::inference::consumer::{self, LIFE_LINE_MS};
use edgequeue::inference::{Action, Event as Happened, Runner, Terms};
use edgequeue::queue::config::Settings;
use edgequeue::queue::entry::{Entry, Index};
use edgequeue::queue::event::{ConsumerId, Ticket, Watch, WatcherId};
use edgequeue::queue::store::{Side, Store, Stores};
use edgequeue::queue::{Effect, Event, Queue, Reply};
use std::collections::VecDeque;

const SERVICE: &str = "svc";

/// An alarm whose work failed comes again this much later.
const ALARM_AGAIN_MS: u64 = 2_000;

/// Which of the three it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Input,
    Sink,
    Callbacks,
}

/// An object and its disk.
pub struct Node {
    pub name: Name,
    disk: SegmentDisk,
    defaults: Settings,
    memory: Option<(Queue, <SegmentDisk as Disk>::Stores)>,
    pub inbox: VecDeque<(Side, Event)>,
    pub runner: Option<Runner>,
    watcher: Option<WatcherId>,
    watchers: u64,
    pub tickets: u64,
    /// Lives so far: what belongs to an earlier one is of no interest.
    pub life: u64,
    /// Whether a work is on its way.
    pub busy: bool,
    /// Durable.
    pub alarm_ms: Option<u64>,
    /// The alarm rang and its work is not done. Should the memory be lost now, the platform lets it ring again.
    pub rings: bool,
    seen: [u64; 2],
}

impl Node {
    pub fn new(name: Name, seed: u64, defaults: Settings) -> Self {
        Self {
            name,
            disk: SegmentDisk::fresh(seed),
            defaults,
            memory: None,
            inbox: VecDeque::new(),
            runner: None,
            watcher: None,
            watchers: 0,
            tickets: 0,
            life: 0,
            busy: false,
            alarm_ms: None,
            rings: false,
            seen: [1, 1],
        }
    }

    pub fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub fn consumer(&self) -> ConsumerId {
        consumer::consumer(SERVICE)
    }

    pub fn watch(&self, window: u32) -> Watch {
        consumer::watch(SERVICE, window)
    }

    /// The runner's own connection, if this is it.
    pub fn is_local(&self, id: WatcherId) -> bool {
        self.watcher == Some(id)
    }

    pub fn watcher(&self) -> Option<WatcherId> {
        self.watcher
    }

    fn terms(&self, settings: &Settings) -> Terms {
        consumer::terms(SERVICE, settings, self.name == Name::Input)
    }

    fn open(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let mut stores = self.disk.open().expect("no faults here");
        let mut queue = Queue::open(self.defaults.clone(), &mut stores).expect("it can be opened");
        if self.name != Name::Sink {
            let runner = Runner::new(self.terms(queue.settings()));
            self.watchers += 1;
            let (id, ticket, window) = (WatcherId(self.watchers), self.ticket(), runner.window());
            self.runner = Some(runner);
            self.watcher = Some(id);
            let attach = Event::Attach(ticket, id, self.watch(window));
            queue.turn(now_ms, Side::Main, attach, &mut stores, effects).expect("no faults here");
        }
        self.memory = Some((queue, stores));
    }

    /// The turns of a batch. They are not durable yet.
    pub fn turns(&mut self, now_ms: u64, batch: Vec<(Side, Event)>) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.memory.is_none() {
            self.open(now_ms, &mut effects);
        }
        let (queue, stores) = self.memory.as_mut().expect("it was opened");
        for (side, event) in batch {
            if let (Event::Cancel(ticket, id), Some(runner)) = (&event, &mut self.runner) {
                let index = queue.request(side, id, stores).expect("no faults here");
                if index.is_some_and(|index| runner.give_up(index, &mut Vec::new()).is_err()) {
                    effects.push(Effect::Reply(*ticket, Reply::Cancelled(None)));
                    continue;
                }
            }
            queue.turn(now_ms, side, event, stores, &mut effects).expect("no faults here");
        }
        effects
    }

    /// Makes everything durable, with the alarm that must come should this memory be lost. Returns what is new.
    pub fn flush(&mut self, now_ms: u64, effects: &[Effect]) -> Vec<(Side, Entry)> {
        if effects.iter().any(|effect| matches!(effect, Effect::Push(id, _) if self.is_local(*id))) {
            self.set_alarm(now_ms + LIFE_LINE_MS);
        }
        let Some((queue, stores)) = self.memory.as_mut() else { return Vec::new() };
        queue.before_flush(stores).expect("no faults here");
        self.disk.flush(stores).expect("no faults here");
        let mut new = Vec::new();
        for (side, seen) in [Side::Main, Side::Rear].into_iter().zip(&mut self.seen) {
            let mut store = stores.side(side);
            let next = store.totals().next_index.0;
            for index in *seen..next {
                new.extend(store.find(Index(index)).expect("no faults here").map(|entry| (side, entry)));
            }
            *seen = next;
        }
        new
    }

    /// After the effects: what the runner must know, and when to wake up.
    pub fn tend(&mut self, now_ms: u64) {
        let Some((queue, stores)) = self.memory.as_mut() else { return };
        let wake = queue.wake().alarm_ms;
        let settled = queue.settled_below(Side::Main, SERVICE, stores);
        let mut actions = Vec::new();
        let terms = self.memory.as_ref().map(|(queue, _)| self.terms(queue.settings()));
        if let (Some(runner), Some(terms)) = (&mut self.runner, terms) {
            runner.settled(settled);
            if *runner.terms() != terms {
                runner.change(terms, &mut actions);
            }
            if runner.has_work() {
                self.set_alarm(now_ms + LIFE_LINE_MS);
            }
        }
        for action in actions {
            let Action::Window(window) = action else { panic!("a change of terms says {action:?}") };
            let (ticket, id) = (self.ticket(), self.watcher.expect("it watches"));
            self.inbox.push_back((Side::Main, Event::Attach(ticket, id, self.watch(window))));
        }
        if let Some(at_ms) = wake {
            self.set_alarm(at_ms);
        }
    }

    /// An alarm is only ever moved earlier.
    fn set_alarm(&mut self, at_ms: u64) {
        if self.alarm_ms.is_none_or(|set_ms| at_ms < set_ms) {
            self.alarm_ms = Some(at_ms);
        }
    }

    /// The memory is lost: only the disk and the alarm stay.
    pub fn die(&mut self, now_ms: u64) {
        if std::mem::take(&mut self.rings) {
            self.set_alarm(now_ms + ALARM_AGAIN_MS);
        }
        self.memory = None;
        self.runner = None;
        self.watcher = None;
        self.inbox.clear();
        self.busy = false;
        self.life += 1;
    }

    pub fn handle(&mut self, now_ms: u64, event: Happened) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(runner) = &mut self.runner {
            runner.handle(now_ms, event, &mut actions);
        }
        actions
    }

    /// How many entries a side holds durably.
    pub fn length(&self, side: Side) -> u64 {
        self.disk.inspect().side(side).totals().length
    }

    /// The ids of the live entries of the main side.
    pub fn live(&self) -> Vec<Entry> {
        let listing = crate::disk::listing(&mut self.disk.inspect(), Side::Main).expect("no faults here");
        listing.into_values().collect()
    }
}
