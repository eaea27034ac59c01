//! Panics and traps on request. Only builds for tests have this, by the feature `faults`.

use std::cell::Cell;

/// The fault that the next flush of an object meets.
#[derive(Clone, Copy)]
enum Fault {
    Panic,
    Trap,
}

/// The fault of one object.
#[derive(Default)]
pub struct Strike(Cell<Option<Fault>>);

impl Strike {
    /// Has the next flush meet a fault: `panic` or `trap`.
    pub fn prepare(&self, fault: &str) {
        self.0.set(Some(if fault == "panic" { Fault::Panic } else { Fault::Trap }));
    }

    /// Meets the fault, if there is one.
    pub fn meet(&self) {
        match self.0.take() {
            None => {}
            Some(Fault::Panic) => panic!("a request asked for a panic"),
            Some(Fault::Trap) => core::arch::wasm32::unreachable(),
        }
    }
}
