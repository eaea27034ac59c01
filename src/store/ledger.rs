//! The state rows: what is known about a side beside its entries.

use super::rows::StateId;
use crate::queue::effect::Record;
use crate::queue::refusal::StoreError;
use crate::queue::store::Side;
use alloc::{format, string::String, vec::Vec};
use bytes::Bytes;
use prost::Message;

/// Version of everything stored; a row of its own, written with the first flush.
pub const SCHEMA_VERSION: u8 = 2;
/// Row of the version: one byte.
pub const STATE_SCHEMA: StateId = StateId(0);

/// Row of a record. The ledger sits where the groups are.
pub fn state_id(side: Side, record: Record) -> StateId {
    let base = match side {
        Side::Main => 1,
        Side::Rear => 17,
    };
    StateId(match record {
        Record::Groups => base,
        Record::Consumers => base + 1,
        Record::Settings => base + 2,
    })
}

/// The ledger of one side: written whenever an entry is removed or the groups change.
#[derive(Clone, PartialEq, Message)]
pub struct Ledger {
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
    /// Every lane that has segments.
    #[prost(message, repeated, tag = "5")]
    pub lanes: Vec<LaneSums>,
    /// Removed entries of living segments.
    #[prost(message, repeated, tag = "6")]
    pub holes: Vec<HoleRecord>,
    /// The queue's own record of its groups, not looked at here.
    #[prost(bytes = "bytes", optional, tag = "7")]
    pub groups: Option<Bytes>,
}

/// Sums of one lane.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct LaneSums {
    /// The lane.
    #[prost(sint64, tag = "1")]
    pub lane: i64,
    /// Live entries.
    #[prost(uint64, tag = "2")]
    pub length: u64,
    /// Their bytes.
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
}

/// Removed entries of one segment.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct HoleRecord {
    /// The segment's lane.
    #[prost(sint64, tag = "1")]
    pub lane: i64,
    /// The segment's key.
    #[prost(uint64, tag = "2")]
    pub first: u64,
    /// Bytes of the removed frames.
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
    /// Whether every entry was removed when the ledger was written.
    #[prost(bool, tag = "4")]
    pub whole: bool,
    /// Removed places as runs: `gap, length, gap, length, ...` in LEB128.
    #[prost(bytes = "bytes", tag = "5")]
    pub runs: Bytes,
}

/// Reads a ledger row.
pub fn decode(row: Bytes) -> Result<Ledger, StoreError> {
    match Ledger::decode(row) {
        Ok(ledger) if ledger.next_index > 0 => Ok(ledger),
        Ok(_) => Err(StoreError(String::from("the ledger cannot be read: it is empty"))),
        Err(error) => Err(StoreError(format!("the ledger cannot be read: {error}"))),
    }
}

/// Checks the row with the version.
pub fn check_schema(row: Option<&Bytes>) -> Result<(), StoreError> {
    match row.map(Bytes::as_ref) {
        None | Some([SCHEMA_VERSION]) => Ok(()),
        // Version 1 was never released.
        Some([version]) if *version < SCHEMA_VERSION => Err(StoreError(format!(
            "the queue was stored in format {version} and this program knows format {SCHEMA_VERSION} only; delete what is stored"
        ))),
        Some([version]) => Err(StoreError(format!(
            "the queue was stored by a newer program (version {version}) and this one knows version {SCHEMA_VERSION}; run the newer program"
        ))),
        Some(_) => Err(StoreError(String::from("the version of what is stored cannot be read"))),
    }
}
