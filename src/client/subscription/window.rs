//! The window of a watch: how many entries may be uncommitted at this consumer.

/// The window the user wants, and the one the service has agreed to.
#[derive(Debug)]
pub struct Window {
    wanted: u32,
    agreed: u32,
    /// The user has more than it can take in: no more is to be sent.
    is_full: bool,
    /// Changes that take effect with the next connection, which asks for `wanted` anyway.
    deferred: u32,
}

impl Window {
    /// Not agreed to yet.
    pub fn new(wanted: u32) -> Self {
        Self { wanted, agreed: wanted, is_full: false, deferred: 0 }
    }

    /// The window to ask for now.
    pub fn current(&self) -> u32 {
        if self.is_full { 0 } else { self.wanted }
    }

    /// The user wants another window.
    pub fn want(&mut self, window: u32) {
        self.wanted = window;
    }

    /// Whether the user has more than it can take in.
    pub fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    /// A change has to wait for the next connection.
    pub fn defer(&mut self) {
        self.deferred += 1;
    }

    /// The service agreed to what was asked for.
    pub fn agree(&mut self) {
        self.agreed = self.wanted;
    }

    /// The service refused the change: the window before it is wanted again.
    pub fn refuse(&mut self) {
        self.wanted = self.agreed;
    }

    /// A connection with the wanted window began: how many deferred changes took effect with it.
    pub fn begin(&mut self) -> u32 {
        self.agree();
        core::mem::take(&mut self.deferred)
    }
}
