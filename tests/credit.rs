//! How the window of a connection changes.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use edgequeue::queue::config::Settings;
use edgequeue::queue::entry::{Filter, Index};
use edgequeue::queue::event::{ConsumerId, NewEntry, Start, Ticket, Watch, WatcherId};
use edgequeue::queue::store::Side;
use edgequeue::queue::{Effect, Event, Queue, Reply, Timer};
use edgequeue::store::{SegmentStore, memory::MemoryRows};

struct World {
    queue: Queue,
    store: SegmentStore<MemoryRows>,
    now_ms: u64,
}

impl World {
    fn new(settings: Settings) -> Self {
        let mut store = SegmentStore::open(MemoryRows::new()).unwrap();
        Self { queue: Queue::open(settings, &mut store).unwrap(), store, now_ms: 1_000 }
    }

    fn turn(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.queue.turn(self.now_ms, Side::Main, event, &mut self.store, &mut effects).unwrap();
        effects
    }

    /// Attaches, or gives credit, and says what was pushed.
    fn window(&mut self, id: u64, window: u32) -> Vec<u64> {
        let effects = self.turn(Event::Attach(Ticket(0), WatcherId(id), watch(window)));
        assert!(effects.contains(&Effect::Reply(Ticket(0), Reply::Attached)));
        pushed(&effects)
    }

    fn put(&mut self, count: usize) -> Vec<u64> {
        let entry = NewEntry {
            priority: Default::default(),
            tags: Default::default(),
            data: "x".into(),
            random: 0,
            dedup: None,
        };
        pushed(&self.turn(Event::Put(Ticket(0), vec![entry; count])))
    }

    fn commit(&mut self, index: u64) -> Vec<u64> {
        pushed(&self.turn(Event::Commit(Ticket(0), watch(0).consumer, vec![Index(index)])))
    }
}

fn watch(window: u32) -> Watch {
    Watch {
        consumer: ConsumerId { group: "g".into(), user: "u".into() },
        start: Start::At(Index(0)),
        window,
        auto_commit: false,
        index_only: false,
        filter: Filter::default(),
        local: false,
    }
}

fn pushed(effects: &[Effect]) -> Vec<u64> {
    let index = |effect: &Effect| match effect {
        Effect::Push(_, delivery) => Some(delivery.entry.index.0),
        _ => None,
    };
    effects.iter().filter_map(index).collect()
}

#[test]
fn without_credit_a_connection_is_no_watcher() {
    let mut world = World::new(Settings::standard());
    world.put(2);
    assert!(world.window(1, 0).is_empty());
    assert_eq!(world.queue.resume_state(WatcherId(1)), None);
    assert_eq!(world.window(2, 1), [1]);
    assert!(world.window(1, 0).is_empty(), "nobody's place is taken");
    assert!(world.queue.resume_state(WatcherId(2)).is_some());
}

#[test]
fn credit_widens_narrows_and_stops() {
    let mut world = World::new(Settings::standard());
    world.put(9);
    assert_eq!(world.window(1, 2), [1, 2]);
    assert_eq!(world.window(1, 4), [3, 4]);
    assert!(world.window(1, 3).is_empty() && world.commit(1).is_empty());
    assert_eq!(world.commit(2), [5]);
    assert!(world.window(1, 0).is_empty() && world.commit(3).is_empty());
    // A draining connection sleeps and comes back as it was.
    let (side, state) = world.queue.resume_state(WatcherId(1)).unwrap();
    assert!(state.draining || state.watch.window == 0);
    assert_eq!((side, state.leases.len()), (Side::Main, 2));
    world.queue = Queue::open(Settings::standard(), &mut world.store).unwrap();
    world.turn(Event::Resume(WatcherId(1), state));
    assert!(world.turn(Event::Tick).iter().all(|effect| !matches!(effect, Effect::Push(..))));
    assert_eq!(world.window(1, 3), [6]);
    assert_eq!(world.window(1, u32::MAX), [7, 8, 9]);
}

#[test]
fn who_was_heard_of_is_not_silent() {
    let mut world = World::new(Settings { max_silence_ms: 1_000, ..Settings::standard() });
    world.put(1);
    assert_eq!(world.window(1, 1), [1]);
    world.now_ms = 2_500;
    assert!(pushed(&world.turn(Event::Heartbeats(vec![(WatcherId(1), 2_000), (WatcherId(9), 2_000)]))).is_empty());
    assert!(world.queue.resume_state(WatcherId(1)).is_some());
    let wake = world.queue.wake();
    assert_eq!((wake.alarm_ms, wake.alarm), (Some(3_000), Some(Timer::Silence)));
    world.now_ms = 3_000;
    let effects = world.turn(Event::Heartbeats(vec![]));
    assert!(matches!(effects[..], [.., Effect::Close(WatcherId(1), _)]), "{effects:?}");
}
