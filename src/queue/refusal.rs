//! Refusals: answers to a request that cannot be carried out. Each sentence says what, why and what to do.

use alloc::string::String;

/// Why a request was refused. Nothing was stored or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body is larger than the queue takes (413).
    #[error(
        "the entry has {bytes} bytes and this queue takes at most {max} per entry; send a smaller body or raise max_payload_size_kb"
    )]
    TooLarge {
        /// Bytes sent.
        bytes: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// The queue holds as many entries as it may (429).
    #[error(
        "the queue is full: it holds {length} of at most {max} entries; try again when some were consumed, or set auto_evict"
    )]
    Full {
        /// Entries held.
        length: u64,
        /// Entries allowed.
        max: u64,
    },
    /// The queue holds as many bytes as it may (429).
    #[error(
        "the queue is full: it holds {bytes} of at most {max} bytes (its rear queue included); try again when some entries were consumed"
    )]
    FullBytes {
        /// Bytes held.
        bytes: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// Something there may only be so many of (429).
    #[error("the queue already has {max} {what}, which is the most it takes; {advice}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many there may be.
        max: usize,
        /// What to do.
        advice: &'static str,
    },
    /// The stream was ended (410).
    #[error("the queue was ended: it takes no new entries, and no watchers for which nothing is left")]
    Ended,
    /// The group exists with another filter (400).
    #[error("group {group} watches with other tags; all consumers of a group must use the same tags")]
    FilterDiffers {
        /// The group.
        group: String,
    },
    /// A search for an entry that is not there (404). The text is the vendor's.
    #[error("no data in stream")]
    NotFound,
    /// A parameter or body is not acceptable (400).
    #[error("{0}")]
    Bad(String),
}

/// The storage failed or holds something that cannot be read. The queue in memory must be dropped and opened again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("storage: {0}")]
pub struct StoreError(pub String);
