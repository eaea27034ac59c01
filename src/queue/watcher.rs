//! One live connection and what is out at it.

use super::entry::{Index, Lane};

/// An entry that is out at a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The entry.
    pub index: Index,
    /// Its lane.
    pub lane: Lane,
    /// When it was pushed, Unix milliseconds.
    pub since_ms: u64,
    /// Its bytes.
    pub bytes: u32,
}
