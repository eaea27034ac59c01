//! The queue machine: pure, `no_std`, time is an argument, no I/O, no clock, no randomness.
//!
//! Read first this file, then [`event`] (what goes in), then [`effect`] (what comes out). A turn runs
//!
//! 1. `accept`: what happened is taken in, entries are appended or removed;
//! 2. `settle_down`: what is due or became possible is done: timers, waiting gets, deliveries;
//! 3. what failed too often goes over to the rear side, which settles down in turn;
//! 4. `close_turn`: the records that changed are written.
//!
//! Writes go to the [`store::Store`] in order and are not durable yet; the shell makes them durable after one or several
//! turns, and lets nobody see the effects before.
//!
//! Absent by design: no module here knows of protocols, storage formats, clocks or sockets, and nothing here grows with
//! the number of entries that wait.

pub mod config;
pub mod effect;
pub mod entry;
pub mod event;
pub mod limits;
pub mod refusal;
pub mod stats;
pub mod store;
mod watcher;

mod attach;
mod dedup;
mod deliver;
mod group;
mod inspect;
mod lookup;
mod put;
mod ranges;
mod read;
mod record;
mod remove;
pub mod request_id;
mod settle;
mod stream;
mod timer;
mod waiter;

pub use effect::{Effect, Reply};
pub use event::Event;

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
    /// Opens what is stored. `defaults` are the deployment's settings, used until the queue has its own.
    ///
    /// Surviving connections come back with [`Event::Resume`] before any other event.
    pub fn open(defaults: Settings, stores: &mut impl Stores) -> Result<Self, StoreError> {
        let settings = match stores.side(Side::Main).load(Record::Settings)? {
            Some(bytes) => {
                Settings::decode(bytes).map_err(|error| StoreError(alloc::format!("settings record: {error}")))?
            }
            None => defaults,
        };
        let rear_settings = rear_settings(&settings);
        let main = Stream::open(&settings, &mut stores.side(Side::Main))?;
        let rear = Stream::open(&rear_settings, &mut stores.side(Side::Rear))?;
        Ok(Self { settings, rear_settings, main, rear, now_ms: 0 })
    }

    /// One turn: what happened, at what time. Effects are appended to `effects`, of which nothing may be seen
    /// before the store is durable; several turns may share one flush. `Tick`, `Heartbeats` and `Configure` concern both sides, whatever `side`
    /// says.
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

    /// When to come back with a `Tick` at the latest.
    pub fn wake(&self) -> Wake {
        let earliest = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        Wake {
            timer_ms: earliest(self.main.waiters.deadline_ms(), self.rear.waiters.deadline_ms()),
            alarm_ms: earliest(self.main.timers.alarm_ms(), self.rear.timers.alarm_ms()),
        }
    }

    /// What a connection must remember to be resumed: given back as [`Event::Resume`].
    pub fn resume_state(&self, watcher: WatcherId) -> Option<(Side, ResumeState)> {
        let of = |side, stream: &Stream| stream.resume_state(watcher).map(|state| (side, state));
        of(Side::Main, &self.main).or_else(|| of(Side::Rear, &self.rear))
    }

    /// The first index of which a group may still be given something, again or for the first time: everything below is
    /// settled. [`Dedup::Source`](event::Dedup::Source) is told this, once it is durable.
    pub fn settled_below(&self, side: Side, group: &str, stores: &mut impl Stores) -> Index {
        let stream = if side == Side::Main { &self.main } else { &self.rear };
        stream.settled_below(group, &stores.side(side))
    }

    /// The entry that [`Event::Cancel`] with this request id would remove.
    pub fn request(&self, side: Side, request_id: &str, stores: &mut impl Stores) -> Result<Option<Index>, StoreError> {
        Ok(lookup::find_request(&mut stores.side(side), request_id)?.map(|entry| entry.index))
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
