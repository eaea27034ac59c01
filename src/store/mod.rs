//! Where entries live: a log of segments, written behind.
//!
//! Read in this order:
//!
//! 1. [`rows`]: the few operations on rows, the only way out of this room. [`memory`] and [`sql`] implement them.
//! 2. [`mod@format`]: the table of what is stored, with ids, versions, checksums and migrations. `segment`,
//!    `directory`, `checkpoint`, `tombstones` and `manifest` are the kinds of rows and their parts, as values and as
//!    bytes. `docs/storage.md` shows the bytes.
//! 3. `priority_log`: one priority of one side; finds, appends, removes, and knows which segments must be written.
//! 4. `log`: one side: its priorities, its sums, its flush.
//! 5. [`SegmentStore`]: both sides over one set of rows; what a shell holds.
//!
//! Four rules carry the rest:
//!
//! - **A put writes one row.** Every segment carries the sums of the moment in its checkpoint, so a flush without
//!   removals does not write the manifest. At open the newest of manifest and tails is right.
//! - **A removal writes one row.** Removed entries are tombstones in the manifest; a segment is deleted when nothing
//!   lives in it, and compacted only when it is written anyway or its tombstones weigh too much. The tombstones of a
//!   segment change only in a flush that writes the manifest, so that both always agree.
//! - **Memory does not know the backlog.** Held are priorities, tombstones, unflushed segments and a bounded cache.
//! - **Damage is reported and never delivered.** Entries that cannot be read are passed over; their rows stay as they
//!   are until an operator restores them or truncates the queue beyond them.

pub mod checkpoint;
mod damage;
mod directory;
pub mod format;
pub mod limits;
mod log;
mod manifest;
pub mod memory;
mod priority_log;
pub mod rows;
mod segment;
pub mod sql;
mod tag_hashes;
mod tombstones;

use crate::queue::effect::{Record, Write};
use crate::queue::entry::{Entry, Index, Mark, Priority};
use crate::queue::refusal::StoreError;
use crate::queue::store::{Side, Store, Stores, Totals};
use alloc::vec::Vec;
use bytes::Bytes;
use log::Log;
use rows::Rows;

/// Storage of a queue and its rear twin over rows of some database.
pub struct SegmentStore<R> {
    rows: R,
    main: Log,
    rear: Log,
    has_schema: bool,
}

/// What a flush did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Rows written; 0 when nothing had changed.
    pub rows_written: u64,
    /// Rows deleted; each is billed like a written one.
    pub rows_deleted: u64,
}

impl Flushed {
    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl<R: Rows> SegmentStore<R> {
    /// Opens what the rows hold; empty rows are an empty queue. Reads a few rows per priority, however long the queue
    /// is.
    ///
    /// What was stored in an earlier format is brought to this one, so this must run inside a transaction. Damage that
    /// was met is told by [`take_damage`](Self::take_damage); an error is one that leaves nothing to be read.
    pub fn open(rows: R) -> Result<Self, StoreError> {
        Self::open_with_cache(rows, limits::CACHE_BYTES_MAX)
    }

    /// As [`open`](Self::open), with another bound of the decoded segments each side keeps in memory, in bytes.
    pub fn open_with_cache(mut rows: R, bytes_max: usize) -> Result<Self, StoreError> {
        let has_schema = format::migrate(&mut rows)?;
        let main = Log::open(Side::Main, &mut rows, bytes_max)?;
        let rear = Log::open(Side::Rear, &mut rows, bytes_max)?;
        Ok(Self { rows, main, rear, has_schema })
    }

    /// Writes what changed since the last flush. Must run inside one transaction; after an error roll that back, drop
    /// the store and open it again.
    pub fn flush(&mut self) -> Result<Flushed, StoreError> {
        let main = self.main.flush(&mut self.rows)?;
        let rear = self.rear.flush(&mut self.rows)?;
        let mut flushed = Flushed {
            rows_written: main.rows_written + rear.rows_written,
            rows_deleted: main.rows_deleted + rear.rows_deleted,
        };
        if !self.has_schema && !flushed.is_empty() {
            self.rows.put_state(format::SCHEMA_ROW.id, format::schema_row())?;
            self.has_schema = true;
            flushed.rows_written += 1;
        }
        Ok(flushed)
    }

    /// The most rows the next flush can write. One statement is a transaction by itself.
    pub fn rows_to_write(&self) -> usize {
        let rows = self.main.rows_to_write().saturating_add(self.rear.rows_to_write());
        rows.saturating_add(usize::from(!self.has_schema && rows > 0))
    }

    /// Rows that were found damaged since the last call, each told once while the store is open: sentences for an
    /// operator. What they hold is passed over and counted still; everything else works on.
    pub fn take_damage(&mut self) -> Vec<StoreError> {
        let mut damage = self.main.take_damage();
        damage.extend(self.rear.take_damage());
        damage
    }

    /// The rows as they are stored; what is not flushed is missing.
    pub fn rows(&self) -> &R {
        &self.rows
    }

    /// The rows, to begin or end a transaction on them.
    pub fn rows_mut(&mut self) -> &mut R {
        &mut self.rows
    }

    /// Drops everything but the rows.
    pub fn into_rows(self) -> R {
        self.rows
    }
}

impl<R: Rows> Stores for SegmentStore<R> {
    type Side<'a>
        = SideStore<'a, R>
    where
        Self: 'a;

    fn side(&mut self, side: Side) -> SideStore<'_, R> {
        let log = match side {
            Side::Main => &mut self.main,
            Side::Rear => &mut self.rear,
        };
        SideStore { log, rows: &mut self.rows }
    }
}

/// One side of a [`SegmentStore`].
pub struct SideStore<'a, R> {
    log: &'a mut Log,
    rows: &'a mut R,
}

impl<R: Rows> Store for SideStore<'_, R> {
    fn totals(&self) -> Totals {
        self.log.totals()
    }

    fn priorities(&self) -> Vec<(Priority, u64)> {
        self.log.priorities()
    }

    fn next(&mut self, priority: Priority, from: Index) -> Result<Option<Entry>, StoreError> {
        self.log.next(self.rows, priority, from)
    }

    fn previous(&mut self, priority: Priority, upto: Index) -> Result<Option<Entry>, StoreError> {
        self.log.previous(self.rows, priority, upto)
    }

    fn next_marked(&mut self, priority: Priority, from: Index, marks: &[Mark]) -> Result<Option<Entry>, StoreError> {
        self.log.next_tagged(self.rows, priority, from, marks)
    }

    fn find(&mut self, index: Index) -> Result<Option<Entry>, StoreError> {
        self.log.find(self.rows, index)
    }

    fn count(&mut self, priority: Priority, from: Index, below: Index) -> Result<u64, StoreError> {
        self.log.count(self.rows, priority, from, below)
    }

    fn load(&mut self, record: Record) -> Result<Option<Bytes>, StoreError> {
        self.log.load(self.rows, record)
    }

    fn apply(&mut self, write: Write) -> Result<(), StoreError> {
        self.log.apply(self.rows, write)
    }
}
