//! Ctrl-C and the polite signals: the first asks the command to finish cleanly, the second ends it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::stop::{Exit, Stop};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static TELL: Mutex<Option<Box<dyn Fn() + Send>>> = Mutex::new(None);

/// Exit code of a command that was not allowed to finish, as shells know it.
const KILLED: i32 = 130;

/// From now on the first signal sets a flag and calls `tell`.
pub fn catch(tell: impl Fn() + Send + 'static) -> Result<(), Stop> {
    if let Ok(mut slot) = TELL.lock() {
        *slot = Some(Box::new(tell));
    }
    let caught = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(KILLED);
        }
        if let Ok(slot) = TELL.lock()
            && let Some(tell) = &*slot
        {
            tell();
        }
    });
    caught.map_err(|error| Stop::new(Exit::Failure, format!("cannot watch for signals: {error}"), ""))
}

/// Whether the command was asked to finish.
pub fn asked() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
