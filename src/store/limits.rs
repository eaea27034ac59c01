//! Every bound of the store in one file, with its unit and its reason.

/// Most bytes of one stored row, a property of the platform.
pub const ROW_BYTES_MAX: usize = 2_000_000;
/// Frame bytes of one segment: one row per MiB of a batch. Only a segment of a single entry may hold more.
/// With the worst directory (26 bytes per entry) and all marks a row stays below [`ROW_BYTES_MAX`].
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024;
/// Entries of one segment: keeps the directory of a row and the bit set of its holes small.
pub const SEGMENT_ENTRIES_MAX: usize = 16_384;
/// Distinct marks of one segment: 64 KiB of its row.
pub const SEGMENT_MARKS_MAX: usize = 16_384;
/// Longest frame that is stored at all; the rest of the row is for its key, sums, directory and marks.
pub const FRAME_BYTES_MAX: usize = 1_990_000;
/// A tail with fewer frame bytes takes further entries in a later flush, which rewrites it: 16 KiB.
pub const SMALL_BYTES: u64 = 16 * 1024;
/// A tail with fewer entries takes further entries in a later flush.
pub const SMALL_ENTRIES: u64 = 64;
/// A tail with more marks takes no more entries in a later flush: folding forgets entries but not their marks.
pub const SMALL_MARKS: usize = 1_024;
/// Lanes whose entries are all removed but whose small tail is kept, so that the next put costs no new row and the
/// last removal no delete.
pub const EMPTY_LANES_MAX: usize = 4;
/// Decoded segments kept in memory per side, in bytes: 8 MiB. Segments that wait for a flush come on top.
pub const CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A lane with more bytes than this does not keep in memory what is appended to it: 2 MiB.
pub const LONG_LANE_BYTES: u64 = 2 * 1024 * 1024;
/// What removed entries of living segments may weigh in the ledger, in bytes, before segments are folded: 32 KiB.
pub const HOLES_WEIGHT_MAX: usize = 32 * 1024;
/// Segments folded in one flush while the holes weigh less than twice their bound.
pub const FOLDS_PER_FLUSH: usize = 2;
/// Marks a search in rows looks at; further ones are left to the caller.
pub const SEARCH_MARKS_MAX: usize = 4;
