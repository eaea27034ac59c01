//! Every bound of the store in one file, with its unit and its reason.

use crate::queue::limits;

/// Most bytes of one stored row, a property of the platform.
pub const ROW_BYTES_MAX: usize = 2_000_000;
/// Frame bytes of one segment: one row per MiB of a batch. Only a segment of a single entry may hold more.
/// With the worst directory and all tag hashes a row stays below [`ROW_BYTES_MAX`].
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024;
/// Entries of one segment: keeps the directory of a row and the bit set of its tombstones small.
pub const SEGMENT_ENTRIES_MAX: usize = 16_384;
/// Distinct tag hashes of one segment: 64 KiB of its row.
pub const SEGMENT_TAG_HASHES_MAX: usize = 16_384;
/// Longest frame that is stored at all; the rest of the row is for its key, columns, directory and tag hashes.
pub const FRAME_BYTES_MAX: usize = 1_990_000;
/// A tail with fewer frame bytes takes further entries in a later flush, which rewrites it: 16 KiB.
pub const SMALL_BYTES: u64 = 16 * 1024;
/// A tail with fewer entries takes further entries in a later flush.
pub const SMALL_ENTRIES: u64 = 64;
/// A tail with more tag hashes takes no more entries in a later flush: compaction drops entries and keeps their hashes.
pub const SMALL_TAG_HASHES: usize = 1_024;
/// Priorities whose entries are all removed and whose small tail is kept, so that the next put costs no new row and the
/// last removal no delete.
pub const EMPTY_PRIORITIES_MAX: usize = 4;
/// Decoded segments kept in memory per side, in bytes: 8 MiB. Segments that wait for a flush come on top.
pub const CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A priority with more bytes than this does not keep in memory what is appended to it: 2 MiB.
pub const LONG_PRIORITY_BYTES: u64 = 2 * 1024 * 1024;
/// Bytes that tombstones may take in the manifest before segments are compacted: 32 KiB.
pub const TOMBSTONES_BYTES_MAX: usize = 32 * 1024;
/// Segments compacted in one flush while tombstones take less than twice their bound.
pub const COMPACTIONS_PER_FLUSH: usize = 2;
/// Tag hashes a search in rows looks at; further ones are left to the caller.
pub const SEARCH_TAG_HASHES_MAX: usize = 4;
/// Most bytes one entry takes in the directory of its segment: two long varints, two short ones, a checksum.
pub const DIRECTORY_ENTRY_BYTES_MAX: usize = 10 + 10 + 3 + 3 + 4;
/// Most bytes of a row beside its body and tag hashes: key, columns and checkpoint.
pub const ROW_REST_BYTES_MAX: usize = 192;

const _: () = {
    let directory = SEGMENT_ENTRIES_MAX * DIRECTORY_ENTRY_BYTES_MAX + 16;
    let tag_hashes = SEGMENT_TAG_HASHES_MAX * 4;
    assert!(SEGMENT_BYTES_MAX as usize + directory + tag_hashes + ROW_REST_BYTES_MAX <= ROW_BYTES_MAX);
    // The hashes of a segment of one entry: one for each of its tags.
    let single = FRAME_BYTES_MAX + DIRECTORY_ENTRY_BYTES_MAX + 16 + limits::TAGS_MAX * 4;
    assert!(single + ROW_REST_BYTES_MAX <= ROW_BYTES_MAX);
    // Every entry the queue takes can be stored, also as a dead letter, whose tags are a code and a reason longer.
    let tags = limits::TAGS_BYTES_MAX + 16 * limits::TAGS_MAX + 4 * limits::CODE_CHARS_MAX + limits::REASON_BYTES_MAX;
    assert!(limits::PAYLOAD_BYTES_CEILING as usize + 2 * tags <= FRAME_BYTES_MAX);
    assert!(SMALL_BYTES < SEGMENT_BYTES_MAX && (SMALL_ENTRIES as usize) < SEGMENT_ENTRIES_MAX);
    assert!(SMALL_TAG_HASHES < SEGMENT_TAG_HASHES_MAX && 2 * TOMBSTONES_BYTES_MAX < ROW_BYTES_MAX);
};
