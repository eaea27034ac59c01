//! The manifest of one side: its sums, the tombstones of its segments and the queue's record of its groups. Written
//! whenever an entry is removed or the groups change.

use super::format::{self, StateRow};
use crate::queue::refusal::StoreError;
use alloc::{format, vec::Vec};
use bytes::Bytes;
use prost::Message;

/// The payload of a manifest row.
#[derive(Clone, PartialEq, Message)]
pub struct Manifest {
    /// Number of the flush that wrote it; segments may be newer.
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// Index of the next entry.
    #[prost(uint64, tag = "2")]
    pub next_index: u64,
    /// Live entries.
    #[prost(uint64, tag = "3")]
    pub length: u64,
    /// Their bytes.
    #[prost(uint64, tag = "4")]
    pub bytes: u64,
    /// Every priority that has segments.
    #[prost(message, repeated, tag = "5")]
    pub priorities: Vec<PrioritySums>,
    /// Removed entries of segments that still live.
    #[prost(message, repeated, tag = "6")]
    pub tombstones: Vec<TombstonesRecord>,
    /// The queue's own record of its groups, opaque here.
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub groups: Option<Bytes>,
}

/// Sums of one priority.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct PrioritySums {
    /// The priority.
    #[prost(sint64, tag = "1")]
    pub priority: i64,
    /// Live entries.
    #[prost(uint64, tag = "2")]
    pub length: u64,
    /// Their bytes.
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
}

/// Removed entries of one segment.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TombstonesRecord {
    /// The segment's priority.
    #[prost(sint64, tag = "1")]
    pub priority: i64,
    /// The segment's key.
    #[prost(uint64, tag = "2")]
    pub first: u64,
    /// Bytes of the removed frames.
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
    /// Whether every entry was removed when the manifest was written.
    #[prost(bool, tag = "4")]
    pub all_deleted: bool,
    /// Removed places as runs: `gap, length, gap, length, ...` in LEB128.
    #[prost(bytes = "bytes", tag = "5")]
    pub runs: Bytes,
}

/// Reads a manifest row.
pub fn decode(row: &StateRow, sealed: &Bytes) -> Result<Manifest, StoreError> {
    match Manifest::decode(format::unseal(row, sealed)?) {
        Ok(manifest) if manifest.next_index > 0 => Ok(manifest),
        Ok(_) => Err(StoreError::corrupt(row.name, "it is empty")),
        Err(error) => Err(StoreError::corrupt(row.name, format!("{error}"))),
    }
}
