//! Faults on request, so that tests can prove on the real platform what happens when something breaks.
//!
//! Off unless the variable `EDGEQUEUE_FAULTS` of the deployment is `allow`, which no configuration of ours sets. Then the
//! header `X-Edgequeue-Fault` of an authenticated request asks for one:
//!
//! - `panic`, `trap`: while the turns of this request's batch are taken;
//! - `storage`: the next flush fails in the middle of its transaction, after its first row;
//! - `rows`: no fault; the answer says what the object has read and written, and how much memory the instance has.

use std::{cell::Cell, rc::Rc};

use worker::Env;

use super::storage::Meter;
use crate::queue::refusal::StoreError;
use crate::wire::RequestParts;

const VARIABLE: &str = "EDGEQUEUE_FAULTS";
const HEADER: &str = "X-Edgequeue-Fault";
const PAGE_BYTES: usize = 64 * 1024;

/// The faults of one object; nothing in a deployment that does not allow them.
pub struct Faults(Option<Allowed>);

struct Allowed {
    meter: Rc<Meter>,
    strike: Cell<Option<Strike>>,
    tear: Rc<Cell<bool>>,
}

#[derive(Clone, Copy)]
enum Strike {
    Panic,
    Trap,
}

impl Faults {
    pub fn of(env: &Env) -> Self {
        let allowed = env.var(VARIABLE).is_ok_and(|value| value.to_string() == "allow");
        Self(allowed.then(|| Allowed { meter: Rc::default(), strike: Cell::default(), tear: Rc::default() }))
    }

    /// Counts rows where faults are allowed.
    pub fn meter(&self) -> Option<Rc<Meter>> {
        self.0.as_ref().map(|allowed| allowed.meter.clone())
    }

    /// Tears flushes where faults are allowed.
    pub fn tear(&self) -> Tear {
        Tear(self.0.as_ref().map(|allowed| allowed.tear.clone()))
    }

    /// Whether the next flush fails in its middle.
    pub fn tears(&self) -> bool {
        self.0.as_ref().is_some_and(|allowed| allowed.tear.get())
    }

    /// Takes note of the fault a request asks for. A text is the request's answer.
    pub fn ask(&self, head: &RequestParts<'_>) -> Result<Option<String>, String> {
        let Some(allowed) = &self.0 else { return Ok(None) };
        match (head.header)(HEADER).as_deref() {
            None => {}
            Some("panic") => allowed.strike.set(Some(Strike::Panic)),
            Some("trap") => allowed.strike.set(Some(Strike::Trap)),
            Some("storage") => allowed.tear.set(true),
            Some("rows") => return Ok(Some(allowed.report())),
            Some(other) => return Err(format!("{HEADER} knows no fault {other:?}")),
        }
        Ok(None)
    }

    /// Strikes if it was asked for.
    pub fn strike(&self) {
        match self.0.as_ref().and_then(|allowed| allowed.strike.take()) {
            None => {}
            Some(Strike::Panic) => panic!("a request asked for a panic"),
            Some(Strike::Trap) => core::arch::wasm32::unreachable(),
        }
    }
}

impl Allowed {
    fn report(&self) -> String {
        format!(
            r#"{{"rows_written": {}, "rows_read": {}, "alarms_set": {}, "memory_bytes": {}}}"#,
            self.meter.rows_written.get(),
            self.meter.rows_read.get(),
            self.meter.alarms_set.get(),
            core::arch::wasm32::memory_size(0) * PAGE_BYTES
        )
    }
}

/// Makes a flush fail after its first row, once.
pub struct Tear(Option<Rc<Cell<bool>>>);

impl Tear {
    /// Called after each statement.
    pub fn after(&self, statement: &str) -> Result<(), StoreError> {
        let Some(armed) = &self.0 else { return Ok(()) };
        let writes = ["INSERT", "DELETE", "REPLACE", "UPDATE"].iter().any(|verb| statement.starts_with(verb));
        if writes && armed.take() {
            return Err(StoreError("a request asked for a failure of the storage".into()));
        }
        Ok(())
    }
}
