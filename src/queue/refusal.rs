//! Refusals: answers to requests that cannot be carried out. Each sentence says what happened, why, and what to do.

use alloc::string::String;

/// Why a request was refused. Nothing was stored or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body is larger than the queue takes (413).
    #[error(
        "the entry has {bytes} bytes and this queue takes at most {max} per entry; \
         send a smaller body or raise max_payload_size_kb"
    )]
    TooLarge {
        /// Bytes sent.
        bytes: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// The queue holds as many entries as it may (429).
    #[error(
        "the queue is full: it holds {length} of at most {max} entries; \
         try again when some were consumed, or set auto_evict"
    )]
    Full {
        /// Entries held.
        length: u64,
        /// Entries allowed.
        max: u64,
    },
    /// The queue holds as many bytes as it may (429).
    #[error(
        "the queue is full: it holds {bytes} of at most {max} bytes (its rear queue included); \
         try again when some entries were consumed"
    )]
    FullBytes {
        /// Bytes held.
        bytes: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// A number of things is limited, and the limit is reached (429).
    #[error("the queue already has {max} {what}, which is the most it takes; {advice}")]
    TooMany {
        /// The things, in the plural.
        what: &'static str,
        /// The limit.
        max: usize,
        /// Advice: an imperative.
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
    /// A search for an entry that does not exist (404). The text is the vendor's.
    #[error("no data in stream")]
    NotFound,
    /// A parameter or body is not acceptable (400).
    #[error("{0}")]
    Bad(String),
}

/// The storage failed, or holds what cannot be used. The queue in memory must be dropped and opened again.
///
/// Every sentence is meant for an operator: it says what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database failed. The same may succeed a moment later.
    #[error("storage: {0}")]
    Io(String),
    /// A row is not what was written. It stays as it is; nothing that can be read is lost with it.
    #[error("storage: {row} is damaged ({what}); it was left as it is: restore the queue to an earlier point in time")]
    Corrupt {
        /// The row, by its kind and key.
        row: String,
        /// What is wrong with it.
        what: String,
    },
    /// A newer program wrote what is stored, and this one would lose part of it.
    #[error(
        "storage: the queue is stored in format {found} and this program reads up to {known}; run the newer program"
    )]
    Newer {
        /// The format that was found.
        found: u8,
        /// The newest format this program reads.
        known: u8,
    },
    /// An older program wrote what is stored, and no step leads from its format to this one.
    #[error(
        "storage: the queue is stored in format {found} and this program reads from {oldest} on; nothing was deleted: \
         run the program that wrote it"
    )]
    Older {
        /// The format that was found.
        found: u8,
        /// The oldest format this program reads.
        oldest: u8,
    },
    /// Rows that can each be read do not belong together.
    #[error("storage: what is stored contradicts itself: {0}; restore the queue to an earlier point in time")]
    Contradiction(String),
}

impl StoreError {
    /// Whether trying again cannot help: an operator must act.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Io(_))
    }

    /// A row that is not what was written.
    pub fn corrupt(row: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Corrupt { row: row.into(), what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_of_the_database_is_worth_another_try() {
        assert!(!StoreError::Io("disk I/O error".into()).is_permanent());
        for error in [
            StoreError::corrupt("the manifest", "its checksum"),
            StoreError::Newer { found: 9, known: 3 },
            StoreError::Older { found: 1, oldest: 2 },
            StoreError::Contradiction("sums".into()),
        ] {
            assert!(error.is_permanent(), "{error}");
        }
    }
}
