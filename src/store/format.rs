//! The table of what is stored: every kind of row with its key, its version and where its bytes are described; how a
//! database of an earlier format is brought to this one; and the checksums.
//!
//! Ids and versions are frozen: a number that was once stored never means anything else. `docs/storage.md` shows the
//! bytes, `tests/store/v3.hex` holds one of each kind.
//!
//! | kind | key | version | bytes |
//! |---|---|---|---|
//! | schema | state 0 | [`SCHEMA`] | [`seal`]ed, the payload is [`MIN_READER`] |
//! | manifest, consumers, settings | [`STATE_ROWS`] | there | [`seal`]ed |
//! | body of a segment | side, place, first index | [`SEGMENT`] | `segment.rs` |
//! | checkpoint of a segment | same row | [`CHECKPOINT`] | [`checkpoint`](super::checkpoint) |

use super::rows::{PriorityKey, Rows, StateId};
use crate::queue::effect::Record;
use crate::queue::entry::Index;
use crate::queue::refusal::StoreError;
use crate::queue::store::Side;
use alloc::{format, string::String, vec::Vec};
use bytes::Bytes;
use twox_hash::XxHash64;

/// Format of the whole database. A program that finds an older one brings it here while it opens.
pub const SCHEMA: u8 = 3;
/// The oldest program, by its [`SCHEMA`], that may open what this one writes: one that does not know a field would drop
/// it with the next write.
///
/// A new field or kind that must not be forgotten raises both numbers, one that may be forgotten only [`SCHEMA`].
pub const MIN_READER: u8 = 3;
/// The oldest format there is a step from. Format 1 was never released.
pub const OLDEST: u8 = 2;
/// Version of a segment's body. Version 1 has no checksums; such rows are read, and rewritten when they are touched.
pub const SEGMENT: u8 = 2;
/// Version of a segment's checkpoint. Version 1 has no checksum and does not repeat the columns.
pub const CHECKPOINT: u8 = 2;

const _: () = assert!(OLDEST <= MIN_READER && MIN_READER <= SCHEMA);

/// A row of the table of states.
#[derive(Clone, Copy, Debug)]
pub struct StateRow {
    /// Its key.
    pub id: StateId,
    /// The version of its payload.
    pub version: u8,
    /// What an operator calls it.
    pub name: &'static str,
}

/// The row with the version of everything, written with the first flush.
pub const SCHEMA_ROW: StateRow =
    StateRow { id: StateId(0), version: SCHEMA, name: "the row with the format's version" };

/// The state rows of both sides. The manifest holds the record of the groups. Version 1 of each, in a database of
/// format 2, is the payload alone.
pub const STATE_ROWS: [(Side, Record, StateRow); 6] = [
    (Side::Main, Record::Groups, StateRow { id: StateId(1), version: 2, name: "the manifest" }),
    (Side::Main, Record::Consumers, StateRow { id: StateId(2), version: 2, name: "the record of consumers" }),
    (Side::Main, Record::Settings, StateRow { id: StateId(3), version: 2, name: "the record of settings" }),
    (Side::Rear, Record::Groups, StateRow { id: StateId(17), version: 2, name: "the rear queue's manifest" }),
    (
        Side::Rear,
        Record::Consumers,
        StateRow { id: StateId(18), version: 2, name: "the rear queue's record of consumers" },
    ),
    (
        Side::Rear,
        Record::Settings,
        StateRow { id: StateId(19), version: 2, name: "the rear queue's record of settings" },
    ),
];

/// The row of a record.
pub fn state_row(side: Side, record: Record) -> &'static StateRow {
    let found = STATE_ROWS.iter().find(|(of_side, of_record, _)| (*of_side, *of_record) == (side, record));
    &found.expect("the table has every record of both sides").2
}

/// What an operator calls a segment.
pub fn segment_name(key: PriorityKey, first: Index) -> String {
    let queue = if key.side == Side::Rear { "the rear queue" } else { "the queue" };
    format!("segment {} of priority {} of {queue}", first.0, key.priority.0)
}

/// The low half of XXH64. CRC-32C takes 24 KB of tables to be a third as fast in WebAssembly, which has no instruction
/// for it; `docs/storage.md` has the numbers.
pub fn checksum(seed: u64, bytes: &[u8]) -> u32 {
    XxHash64::oneshot(seed, bytes) as u32
}

/// Seed of a segment's checksums: bytes that are right in another row are wrong in this one.
pub fn segment_seed(key: PriorityKey, first: Index) -> u64 {
    let mut bytes = [0; 17];
    bytes[0] = u8::from(key.side == Side::Rear);
    bytes[1..9].copy_from_slice(&key.priority.0.to_be_bytes());
    bytes[9..].copy_from_slice(&first.0.to_be_bytes());
    XxHash64::oneshot(0, &bytes)
}

/// A state row: one byte version, the payload, the checksum of both seeded with the key, little-endian.
pub fn seal(row: &StateRow, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(payload.len() + 5);
    out.push(row.version);
    out.extend_from_slice(payload);
    out.extend_from_slice(&checksum(u64::from(row.id.0), &out).to_le_bytes());
    out.into()
}

/// Version and payload of a state row.
fn unseal_any(row: &StateRow, sealed: &Bytes) -> Result<(u8, Bytes), StoreError> {
    let Some((bytes, stored)) = sealed.split_last_chunk::<4>().filter(|(bytes, _)| !bytes.is_empty()) else {
        return Err(StoreError::corrupt(row.name, "it is cut off"));
    };
    if checksum(u64::from(row.id.0), bytes) != u32::from_le_bytes(*stored) {
        return Err(StoreError::corrupt(row.name, "its checksum is wrong"));
    }
    Ok((bytes[0], sealed.slice(1..bytes.len())))
}

/// The payload of a state row.
pub fn unseal(row: &StateRow, sealed: &Bytes) -> Result<Bytes, StoreError> {
    match unseal_any(row, sealed)? {
        (version, payload) if version == row.version => Ok(payload),
        (version, _) => Err(StoreError::corrupt(row.name, format!("it has version {version}"))),
    }
}

/// Brings what is stored to this format; says whether anything is stored. What it writes must be undone together with
/// an opening that fails, so all of it belongs into one transaction.
///
/// Only state rows are rewritten, so that the longest queue opens like an empty one.
pub fn migrate(rows: &mut impl Rows) -> Result<bool, StoreError> {
    let Some(stored) = rows.state(SCHEMA_ROW.id)? else { return Ok(false) };
    let found = match stored.as_ref() {
        // Until format 2 the row was the version alone.
        [version] if *version <= 2 => *version,
        _ => {
            let (found, payload) = unseal_any(&SCHEMA_ROW, &stored)?;
            let min_reader = payload.first().copied().unwrap_or(u8::MAX);
            if min_reader > SCHEMA {
                return Err(StoreError::Newer { found, known: SCHEMA });
            }
            found
        }
    };
    if found < OLDEST {
        return Err(StoreError::Older { found, oldest: OLDEST });
    }
    for step in found..SCHEMA {
        match step {
            2 => seal_states(rows)?,
            _ => return Err(StoreError::Contradiction(format!("there is no step from format {step}"))),
        }
    }
    if found < SCHEMA {
        rows.put_state(SCHEMA_ROW.id, schema_row())?;
    }
    Ok(true)
}

/// The row that says which format this is.
pub fn schema_row() -> Bytes {
    seal(&SCHEMA_ROW, &[MIN_READER])
}

/// Format 2 to 3: state rows get version and checksum.
fn seal_states(rows: &mut impl Rows) -> Result<(), StoreError> {
    for (_, _, row) in &STATE_ROWS {
        if let Some(payload) = rows.state(row.id)? {
            rows.put_state(row.id, seal(row, &payload))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_row_is_read_only_as_it_was_written() {
        let row = state_row(Side::Main, Record::Settings);
        let sealed = seal(row, b"settings");
        assert_eq!(unseal(row, &sealed).as_deref(), Ok(&b"settings"[..]));
        assert!(unseal(state_row(Side::Rear, Record::Settings), &sealed).is_err(), "another row's bytes");
        for length in 0..sealed.len() {
            assert!(unseal(row, &sealed.slice(..length)).is_err(), "cut to {length} bytes");
        }
    }

    #[test]
    fn ids_are_not_used_twice() {
        let mut ids: Vec<_> = STATE_ROWS.iter().map(|(_, _, row)| row.id).chain([SCHEMA_ROW.id]).collect();
        ids.sort_unstable();
        assert!(ids.is_sorted_by(|left, right| left < right), "{ids:?}");
    }
}
