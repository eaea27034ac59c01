//! The queue machine: pure, `no_std`, time is an argument.

pub mod config;
pub mod entry;
pub mod event;
pub mod limits;
pub mod refusal;
pub mod stats;
pub mod step;
pub mod store;
pub mod watcher;

pub use event::Event;
pub use step::{Effect, Reply};

use alloc::vec::Vec;
use config::Settings;
use event::{Watch, WatcherId};
use refusal::StoreError;
use store::{Side, Stores};
use watcher::Lease;

/// When the machine wants to be woken, Unix milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wake {
    /// For requests that wait: a timer in memory is enough, it may be lost with them.
    pub timer_ms: Option<u64>,
    /// For entries and leases: must survive the machine's eviction from memory.
    pub alarm_ms: Option<u64>,
}

/// A queue and its rear twin.
pub struct Queue {}

#[allow(unused_variables, clippy::todo)]
impl Queue {
    /// Opens what is stored. `defaults` are the deployment's settings, used until the queue has its own.
    pub fn open(now_ms: u64, defaults: Settings, stores: &mut impl Stores) -> Result<Self, StoreError> {
        todo!()
    }

    /// One turn: what happened, at what time; effects are appended to `effects` and carried out by the shell once the
    /// store is durable. Several turns may share one flush. `Tick` concerns both sides, whatever `side` says.
    /// After an error drop the queue and the store and open both again.
    pub fn turn(
        &mut self,
        now_ms: u64,
        side: Side,
        event: Event,
        stores: &mut impl Stores,
        effects: &mut Vec<Effect>,
    ) -> Result<(), StoreError> {
        todo!()
    }

    /// When to come back with a `Tick` at the latest.
    pub fn wake(&self) -> Wake {
        todo!()
    }

    /// What a connection must remember to be resumed: given back as [`Event::Resume`].
    pub fn attachment(&self, watcher: WatcherId) -> Option<(Side, Watch, Vec<Lease>)> {
        todo!()
    }
}
