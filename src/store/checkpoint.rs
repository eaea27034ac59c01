//! The checkpoint in every segment row: the sums of the moment when the row was written, so that a put needs no other
//! row.
//!
//! # Version 2
//!
//! ```text
//! 1 byte      version, 2
//! 8 bytes     the row's column `priority`
//! 3 * 8 bytes the row's columns `last`, `count`, `bytes`, big-endian
//! six varints the fields of `Checkpoint` in order, LEB128 of at most ten bytes
//! 4 bytes     checksum of all before, seeded with the row's key, little-endian
//! ```
//!
//! The columns are repeated so that a statement that adds them up can tell which rows are damaged. Version 1 is the
//! version byte and the varints.

use super::format::{self, checksum, segment_seed};
use super::rows::{Extent, PriorityKey};
use crate::queue::entry::Priority;
use crate::queue::refusal::StoreError;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use prost::encoding::{decode_varint, encode_varint};

/// Sums of a side and of one of its priorities at the end of the flush that wrote a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of the flush.
    pub seq: u64,
    /// Index of the next entry of the side.
    pub next_index: u64,
    /// Live entries of the side.
    pub length: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Live entries of the priority.
    pub priority_length: u64,
    /// Their bytes.
    pub priority_bytes: u64,
}

/// Bytes of a checkpoint that repeat the row's columns.
const COLUMNS_BYTES: usize = 32;

impl Checkpoint {
    /// The stored form, for the row with this extent.
    pub fn encode(&self, key: PriorityKey, extent: &Extent) -> Bytes {
        let mut out = Vec::with_capacity(80);
        out.push(format::CHECKPOINT);
        out.extend_from_slice(&columns(key.priority, extent));
        for number in [self.seq, self.next_index, self.length, self.bytes, self.priority_length, self.priority_bytes] {
            encode_varint(number, &mut out);
        }
        out.extend_from_slice(&checksum(segment_seed(key, extent.first), &out).to_le_bytes());
        out.into()
    }

    /// Reads the stored form from the row with this extent. Fails where either is damaged.
    pub fn decode(key: PriorityKey, extent: &Extent, stored: &Bytes) -> Result<Self, StoreError> {
        let damaged = |what: &str| StoreError::corrupt(format::segment_name(key, extent.first), what);
        let mut numbers = match stored.first() {
            Some(1) => stored.slice(1..),
            Some(&format::CHECKPOINT) => {
                let (bytes, sum) =
                    stored.split_last_chunk::<4>().ok_or_else(|| damaged("its checkpoint is cut off"))?;
                if checksum(segment_seed(key, extent.first), bytes) != u32::from_le_bytes(*sum) {
                    return Err(damaged("the checksum of its checkpoint is wrong"));
                }
                if !repeats_columns(key.priority, extent, stored) {
                    return Err(damaged("its columns are not those of its checkpoint"));
                }
                stored.slice(1 + COLUMNS_BYTES..bytes.len())
            }
            _ => return Err(damaged("its checkpoint has an unknown version")),
        };
        let mut number = || decode_varint(&mut numbers).map_err(|_| damaged("its checkpoint is cut off"));
        let checkpoint = Self {
            seq: number()?,
            next_index: number()?,
            length: number()?,
            bytes: number()?,
            priority_length: number()?,
            priority_bytes: number()?,
        };
        if numbers.has_remaining() { Err(damaged("its checkpoint is too long")) } else { Ok(checkpoint) }
    }
}

/// The columns beside the key, as a checkpoint repeats them.
fn columns(priority: Priority, extent: &Extent) -> [u8; COLUMNS_BYTES] {
    let mut out = [0; COLUMNS_BYTES];
    let words = [priority.0 as u64 ^ 1 << 63, extent.last.0, extent.count, extent.bytes];
    for (bytes, word) in out.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

/// Whether a row's columns are those that its checkpoint repeats. Version 1 repeats none and vouches for any.
pub fn repeats_columns(priority: Priority, extent: &Extent, stored: &[u8]) -> bool {
    stored.first() == Some(&1) || stored.get(1..=COLUMNS_BYTES) == Some(&columns(priority, extent)[..])
}
