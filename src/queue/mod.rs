//! The queue machine: pure, `no_std`, no I/O, no clock, no randomness; time is an argument.
//!
//! Read first this file, then [`event`] (what goes in), then [`effect`] (what comes out).
//!
//! **One thing that happened is one [`Event`] and one [`turn`](Queue::turn). Turns write into the store's memory. A
//! flush makes several of them durable. Nobody may see an effect before its flush.** The shell's loop is
//!
//! 1. `queue.turn(now_ms, side, event, &mut stores, &mut effects)?` for each event that has arrived;
//! 2. `queue.before_flush(&mut stores)?`, which writes the records that changed;
//! 3. the store's flush, as one transaction;
//! 4. the effects, and an alarm for [`wake`](Queue::wake).
//!
//! After an error in 1 to 3 drop the queue, the store and the effects, and open both again. A turn runs
//!
//! 1. `accept`: takes in what happened; entries are appended or removed;
//! 2. `settle_down`: does what is due or has become possible: timers, waiting gets, deliveries;
//! 3. dead letters: entries that failed too often move to the rear side, which settles down in its turn;
//! 4. `close_turn`: tells the shell which resume states changed.
//!
//! Absent by design: no module here knows of protocols, storage formats, clocks or sockets, and nothing here grows with
//! the number of entries that wait.

pub mod config;
pub mod effect;
pub mod entry;
pub mod event;
pub mod limits;
pub mod refusal;
pub mod request_id;
pub mod stats;
pub mod store;

mod attach;
mod consumers;
mod dedup;
mod dedup_log;
mod deliver;
mod group;
mod housekeeping;
mod inspect;
mod invariants;
mod lookup;
mod phases;
mod put;
mod ranges;
mod read;
mod record;
mod remove;
mod resume;
mod settle;
mod stream;
mod timer;
mod waiter;
mod watcher;

pub use effect::{Effect, Reply};
pub use event::Event;
pub use timer::Timer;

use alloc::vec::Vec;
use config::Settings;
use effect::{Record, Write};
use entry::Index;
use event::{ResumeState, WatcherId};
use prost::Message;
use refusal::StoreError;
use store::{Side, Store, Stores};
use stream::{Stream, Turn};

/// When the machine wants to be woken, Unix milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// For requests that wait: a timer in memory is enough, it may be lost with them.
    pub timer_ms: Option<u64>,
    /// For entries and leases: must survive the machine's eviction from memory.
    pub alarm_ms: Option<u64>,
    /// What the alarm is for.
    pub alarm: Option<Timer>,
}

/// A queue and its rear twin.
#[derive(Debug)]
pub struct Queue {
    settings: Settings,
    rear_settings: Settings,
    main: Stream,
    rear: Stream,
    /// The latest time told: a clock that is set back stands still here.
    now_ms: u64,
}

impl Queue {
    /// Opens a stored queue, or a new one. `defaults` are the deployment's settings, used until the queue has its own.
    ///
    /// Surviving connections come back with [`Event::Resume`] before any other event.
    pub fn open(defaults: Settings, stores: &mut impl Stores) -> Result<Self, StoreError> {
        let settings = match stores.side(Side::Main).load(Record::Settings)? {
            Some(bytes) => Settings::decode(bytes)
                .map_err(|error| StoreError::corrupt("the record of settings", alloc::format!("{error}")))?,
            None => defaults,
        };
        let rear_settings = rear_settings(&settings);
        let main = Stream::open(&settings, &mut stores.side(Side::Main))?;
        let rear = Stream::open(&rear_settings, &mut stores.side(Side::Rear))?;
        Ok(Self { settings, rear_settings, main, rear, now_ms: 0 })
    }

    /// One turn: what happened, at what time. Effects are appended to `effects`; nobody may see them before the next
    /// flush is durable, and several turns may share one. `Tick`, `Heartbeats` and `Configure` concern both sides,
    /// whatever `side` says.
    ///
    /// After an error drop the queue and the store and open both again.
    pub fn turn(
        &mut self,
        now_ms: u64,
        side: Side,
        event: Event,
        stores: &mut impl Stores,
        effects: &mut Vec<Effect>,
    ) -> Result<(), StoreError> {
        match event {
            Event::Tick | Event::Heartbeats(_) => {
                self.run(now_ms, Side::Main, event.clone(), stores, effects)?;
                self.run(now_ms, Side::Rear, event, stores, effects)
            }
            Event::Configure(ticket, settings) => {
                self.configure(settings, stores)?;
                effects.push(Effect::Reply(ticket, Reply::Done));
                self.turn(now_ms, side, Event::Tick, stores, effects)
            }
            event => self.run(now_ms, side, event, stores, effects),
        }
    }

    /// Writes the records that changed since the last flush, each once, however many turns changed it. To be called
    /// before each flush of the store. After an error drop the queue and the store and open both again.
    pub fn before_flush(&mut self, stores: &mut impl Stores) -> Result<(), StoreError> {
        self.main.before_flush(&mut stores.side(Side::Main))?;
        self.rear.before_flush(&mut stores.side(Side::Rear))
    }

    /// When to come back with a `Tick` at the latest.
    pub fn wake(&self) -> Wake {
        let timer_ms = [&self.main, &self.rear].into_iter().filter_map(|stream| stream.waiters.deadline_ms()).min();
        let alarms = [&self.main, &self.rear].into_iter().filter_map(|stream| stream.timers.alarm());
        let (alarm_ms, alarm) = alarms.min_by_key(|(at_ms, _)| *at_ms).unzip();
        Wake { timer_ms, alarm_ms, alarm }
    }

    /// What a connection must remember to come back with [`Event::Resume`]; none when it does not watch.
    pub fn resume_state(&self, watcher: WatcherId) -> Option<(Side, ResumeState)> {
        let of = |side, stream: &Stream| stream.resume_state(watcher).map(|state| (side, state));
        of(Side::Main, &self.main).or_else(|| of(Side::Rear, &self.rear))
    }

    /// The first entry that a group may still be given, again or for the first time: everything below is settled.
    /// [`Dedup::Source`](event::Dedup::Source) is told this, and only when it is durable.
    pub fn settled_below(&self, side: Side, group: &str, stores: &mut impl Stores) -> Index {
        let stream = if side == Side::Main { &self.main } else { &self.rear };
        assert!(!stream.unsaved.groups, "11: before_flush comes first, or what is told may not be durable");
        stream.settled_below(group, &stores.side(side))
    }

    /// The entry that [`Event::Cancel`] with this request id would remove.
    pub fn request(&self, side: Side, request_id: &str, stores: &mut impl Stores) -> Result<Option<Index>, StoreError> {
        Ok(lookup::find_request(&mut stores.side(side), request_id)?.map(|entry| entry.index))
    }

    /// The consumers that are known on a side, and their groups, as [`Reply::Stats`] tells them. For those who look on
    /// between turns: [`Event::Stats`] is a turn itself and may change them.
    pub fn members(&self, side: Side) -> (Vec<stats::ConsumerStats>, Vec<stats::GroupStats>) {
        let stream = if side == Side::Main { &self.main } else { &self.rear };
        stream.members(self.now_ms)
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn run(
        &mut self,
        now_ms: u64,
        side: Side,
        event: Event,
        stores: &mut impl Stores,
        effects: &mut Vec<Effect>,
    ) -> Result<(), StoreError> {
        self.now_ms = self.now_ms.max(now_ms);
        let now_ms = self.now_ms;
        // A connection that comes back must not be given what another, still to come back, holds.
        let resuming = matches!(event, Event::Resume(..));
        let (stream, settings, other) = match side {
            Side::Main => (&mut self.main, &self.settings, Side::Rear),
            Side::Rear => (&mut self.rear, &self.rear_settings, Side::Main),
        };
        let other_bytes = stores.side(other).totals().bytes;
        let dead = {
            let store = &mut stores.side(side);
            let mut turn = Turn { now_ms, settings, store, effects, other_bytes };
            if resuming {
                return stream.accept(&mut turn, event);
            }
            stream.mark_absent(&turn, &event);
            stream.expire(&mut turn)?;
            stream.accept(&mut turn, event)?;
            stream.settle_down(&mut turn)?;
            stream.close_turn(&mut turn)?;
            core::mem::take(&mut stream.dead)
        };
        if dead.is_empty() {
            return Ok(());
        }
        let store = &mut stores.side(Side::Rear);
        let mut turn = Turn { now_ms, settings: &self.rear_settings, store, effects, other_bytes: 0 };
        self.rear.dead_letter(&mut turn, dead)?;
        self.rear.settle_down(&mut turn)?;
        self.rear.close_turn(&mut turn)
    }

    /// New settings hold from now on.
    fn configure(&mut self, settings: Settings, stores: &mut impl Stores) -> Result<(), StoreError> {
        stores.side(Side::Main).apply(Write::Save(Record::Settings, settings.encode_to_vec().into()))?;
        self.rear_settings = rear_settings(&settings);
        self.settings = settings;
        self.main.timers.reset(&self.main.groups, &self.settings);
        self.rear.timers.reset(&self.rear.groups, &self.rear_settings);
        Ok(())
    }
}

/// What differs at the rear: nothing there is given up, evicted or too old.
fn rear_settings(settings: &Settings) -> Settings {
    Settings { max_delivery: 0, auto_evict: false, retention_ms: 0, ..settings.clone() }
}
