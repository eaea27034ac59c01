//! What many turns write is written once per flush.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use bytes::Bytes;
use edgequeue::queue::config::Settings;
use edgequeue::queue::effect::{Record, Write};
use edgequeue::queue::entry::{Entry, Filter, Index, Mark, Priority};
use edgequeue::queue::event::{ConsumerId, NewEntry, Start, Ticket, Watch, WatcherId};
use edgequeue::queue::refusal::StoreError;
use edgequeue::queue::store::{Side, Store, Stores, Totals};
use edgequeue::queue::{Effect, Event, Queue};
use edgequeue::store::{SegmentStore, memory::MemoryRows};

type Inner = SegmentStore<MemoryRows>;

/// A store that notes which records are saved.
struct Noting {
    inner: Inner,
    saved: Vec<Record>,
}

struct NotingSide<'a> {
    inner: <Inner as Stores>::Side<'a>,
    saved: &'a mut Vec<Record>,
}

impl Stores for Noting {
    type Side<'a> = NotingSide<'a>;

    fn side(&mut self, side: Side) -> NotingSide<'_> {
        NotingSide { inner: self.inner.side(side), saved: &mut self.saved }
    }
}

impl Store for NotingSide<'_> {
    fn totals(&self) -> Totals {
        self.inner.totals()
    }

    fn priorities(&self) -> Vec<(Priority, u64)> {
        self.inner.priorities()
    }

    fn next(&mut self, priority: Priority, from: Index) -> Result<Option<Entry>, StoreError> {
        self.inner.next(priority, from)
    }

    fn previous(&mut self, priority: Priority, upto: Index) -> Result<Option<Entry>, StoreError> {
        self.inner.previous(priority, upto)
    }

    fn next_marked(&mut self, priority: Priority, from: Index, marks: &[Mark]) -> Result<Option<Entry>, StoreError> {
        self.inner.next_marked(priority, from, marks)
    }

    fn find(&mut self, index: Index) -> Result<Option<Entry>, StoreError> {
        self.inner.find(index)
    }

    fn load(&mut self, record: Record) -> Result<Option<Bytes>, StoreError> {
        self.inner.load(record)
    }

    fn apply(&mut self, write: Write) -> Result<(), StoreError> {
        if let Write::Save(record, _) = &write {
            self.saved.push(*record);
        }
        self.inner.apply(write)
    }
}

struct World {
    queue: Queue,
    store: Noting,
    effects: Vec<Effect>,
}

impl World {
    fn open(rows: MemoryRows) -> Self {
        let mut store = Noting { inner: SegmentStore::open(rows).unwrap(), saved: Vec::new() };
        Self { queue: Queue::open(Settings::standard(), &mut store).unwrap(), store, effects: Vec::new() }
    }

    /// A queue of 64 entries that are all out at a consumer, flushed.
    fn with_64_out() -> Self {
        let mut world = Self::open(MemoryRows::new());
        world.turn(Event::Put(Ticket(0), vec![NewEntry { data: "x".into(), ..NewEntry::default() }; 64]));
        world.turn(Event::Attach(Ticket(0), WatcherId(1), watch()));
        assert_eq!(world.pushed(), 64);
        world.flush();
        world
    }

    fn turn(&mut self, event: Event) {
        self.queue.turn(1_000, Side::Main, event, &mut self.store, &mut self.effects).unwrap();
    }

    fn commit_all(&mut self) {
        (1..=64).for_each(|index| self.turn(Event::Commit(Ticket(0), watch().consumer, vec![Index(index)])));
    }

    fn pushed(&self) -> usize {
        self.effects.iter().filter(|effect| matches!(effect, Effect::Push(..))).count()
    }

    /// Flushes and says which records were saved since the last flush.
    fn flush(&mut self) -> Vec<Record> {
        self.queue.before_flush(&mut self.store).unwrap();
        self.store.inner.flush().unwrap();
        std::mem::take(&mut self.store.saved)
    }
}

fn watch() -> Watch {
    Watch {
        consumer: ConsumerId { group: "g".into(), user: "u".into() },
        start: Start::At(Index(0)),
        window: 64,
        auto_commit: false,
        index_only: false,
        filter: Filter::default(),
        local: false,
    }
}

#[test]
fn sixty_four_commits_of_one_flush_write_the_groups_once() {
    let mut world = World::with_64_out();
    world.commit_all();
    assert_eq!(world.store.saved, [], "a turn saves nothing");
    assert_eq!(world.flush(), [Record::Groups]);
    assert_eq!(world.flush(), [], "nothing has changed since");
    let mut again = World::open(world.store.inner.rows().clone());
    again.turn(Event::Attach(Ticket(0), WatcherId(2), watch()));
    assert_eq!(again.pushed(), 0, "what was committed is not pushed again");
}

#[test]
#[should_panic(expected = "before_flush")]
fn what_is_settled_is_not_told_before_it_is_written() {
    let mut world = World::with_64_out();
    world.commit_all();
    world.queue.settled_below(Side::Main, "g", &mut world.store);
}
