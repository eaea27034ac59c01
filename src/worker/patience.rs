//! How long a desk waits for more before it begins a flush.

/// When a flush waits a moment for more.
///
/// After a flush that many events shared, the next one waits: while so many are worked off a moment passes anyway, and who
/// is many now will be many again. A lone event never waits for others.
///
/// A flush that mail from sockets would begin waits as well. Where that was in vain, as with a client that sends one
/// message at a time, ever more flushes begin at once before it is tried again.
#[derive(Default)]
pub(super) struct Patience {
    /// Events of the last flush; none after a time without any.
    company: usize,
    /// Messages that came on sockets since the last flush.
    mail: u32,
    /// The moment was waited for.
    waited: bool,
    /// A moment is due in any case.
    rest: bool,
    /// Times in a row that waiting brought nothing.
    in_vain: u32,
    /// Flushes that still begin at once.
    hurried: u32,
}

impl Patience {
    /// So many times in a row count: 2 to the power of it, minus one, flushes at the most begin at once.
    const IN_VAIN_MAX: u32 = 5;
    /// A moment is about a millisecond, in which about so many requests are taken in.
    const COMPANY_MIN: usize = 4;

    /// A message came.
    pub(super) fn mail(&mut self) {
        self.mail += 1;
    }

    /// The next step begins a moment later.
    pub(super) fn rest(&mut self) {
        self.rest = true;
    }

    /// So many events were taken for a flush, or none were left.
    pub(super) fn took(&mut self, events: usize) {
        self.company = events;
    }

    /// Whether the flush that would begin now waits a moment; asked again after that.
    pub(super) fn waits(&mut self) -> bool {
        if std::mem::take(&mut self.rest) {
            return true;
        }
        let mail = self.mail;
        if mail == 0 {
            self.waited = !self.waited && self.company >= Self::COMPANY_MIN;
            return self.waited;
        }
        if self.waited {
            self.in_vain = if mail > 1 { 0 } else { (self.in_vain + 1).min(Self::IN_VAIN_MAX) };
            self.hurried = (1 << self.in_vain) - 1;
        } else if mail > 1 || self.hurried == 0 {
            self.waited = true;
            return true;
        } else {
            self.hurried -= 1;
        }
        (self.waited, self.mail) = (false, 0);
        false
    }
}
