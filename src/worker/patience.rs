//! How long a desk waits for more before it begins a flush.

use super::desk::Wait;

/// When a flush waits for more requests to share it.
///
/// Where several came together, or shared the last flush, more are on their way. Whether others are is found out by
/// waiting: where that was in vain, as with a client that sends one request at a time, ever more flushes begin at once
/// before it is tried again.
///
/// It is waited in turns of the platform's event loop, for as long as they bring more. A timer would be idle at the end, and
/// its millisecond is long: a request takes a quarter of that.
#[derive(Default)]
pub(super) struct Patience {
    /// Requests, and messages on sockets, that came since the last flush.
    arrived: u32,
    /// How many shared the last flush; none after a time without any.
    company: u32,
    /// The wait for the flush that is to begin.
    waiting: Option<Waiting>,
    /// A moment is due in any case.
    rest: bool,
    /// Times in a row that waiting brought nothing.
    in_vain: u32,
    /// Flushes that still begin at once.
    hurried: u32,
}

struct Waiting {
    /// Turns that passed, and how many in a row brought nothing.
    turns: u32,
    quiet: u32,
    /// What had arrived before the last one.
    arrived: u32,
}

impl Patience {
    /// So many times in a row count: 2 to the power of it, minus one, flushes at the most begin at once.
    const IN_VAIN_MAX: u32 = 5;
    /// From its connection to the object a request takes about so many turns.
    const QUIET_TURNS: u32 = 5;
    /// However many requests there are, those that came first do not wait longer.
    const TURNS_MAX: u32 = 64;

    /// A request came, or a message on a socket.
    pub(super) fn arrived(&mut self) {
        self.arrived += 1;
    }

    /// The next step begins a moment later.
    pub(super) fn rest(&mut self) {
        self.rest = true;
    }

    /// Nothing is left to do.
    pub(super) fn idle(&mut self) {
        self.company = 0;
    }

    /// What the flush that would begin now waits for; asked again after that.
    pub(super) fn waits(&mut self) -> Option<Wait> {
        if std::mem::take(&mut self.rest) {
            return Some(Wait::Moment);
        }
        let arrived = self.arrived;
        if arrived == 0 {
            return None;
        }
        match &mut self.waiting {
            Some(waiting) => {
                waiting.quiet = if arrived > waiting.arrived { 0 } else { waiting.quiet + 1 };
                (waiting.turns, waiting.arrived) = (waiting.turns + 1, arrived);
                if waiting.quiet < Self::QUIET_TURNS && waiting.turns < Self::TURNS_MAX {
                    return Some(Wait::Turn);
                }
                self.in_vain = if arrived > 1 { 0 } else { (self.in_vain + 1).min(Self::IN_VAIN_MAX) };
                self.hurried = (1 << self.in_vain) - 1;
            }
            None if arrived > 1 || self.company > 1 || self.hurried == 0 => {
                self.waiting = Some(Waiting { turns: 0, quiet: 0, arrived });
                return Some(Wait::Turn);
            }
            None => self.hurried -= 1,
        }
        (self.company, self.arrived, self.waiting) = (arrived, 0, None);
        None
    }
}
