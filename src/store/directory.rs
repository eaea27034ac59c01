//! The part of a segment's body before its frames: `segment.rs` shows the bytes.

use super::format::{self, checksum, segment_seed};
use super::limits::SEGMENT_ENTRIES_MAX;
use super::rows::PriorityKey;
use crate::queue::entry::Index;
use alloc::{format, string::String, vec::Vec};
use bytes::{Buf, Bytes};
use prost::encoding::decode_varint;

/// What the directory of a body says of one entry.
pub(super) struct Draft {
    pub index: Index,
    pub put_ms: u64,
    pub head_len: u32,
    pub frame_len: usize,
    /// None in version 1.
    pub checksum: Option<u32>,
}

/// The part of a body before its frames.
pub(super) struct Directory {
    pub places: Vec<Draft>,
    /// None in version 1.
    pub tag_hashes_sum: Option<u32>,
    /// Its length in bytes.
    pub len: usize,
}

impl Directory {
    /// Reads and checks the directory of a body; fails with what is wrong.
    pub fn read(key: PriorityKey, first: Index, body: &Bytes) -> Result<Self, String> {
        let mut rest = body.clone();
        let is_checked = match rest.try_get_u8() {
            Ok(1) => false,
            Ok(format::SEGMENT) => true,
            Ok(version) => return Err(format!("it has the unknown version {version}")),
            Err(_) => return Err("it is empty".into()),
        };
        let count = varint(&mut rest)?;
        // Four bytes are the least an entry takes in a directory: hostile counts allocate nothing.
        if count == 0 || count > SEGMENT_ENTRIES_MAX as u64 || rest.len() as u64 / 4 < count {
            return Err("it has another number of entries than it says".into());
        }
        let (mut index, mut put_ms, mut frames_len) = (first.0, 0_u64, 0_u64);
        let mut places = Vec::with_capacity(count as usize);
        for place in 0..count {
            let step = varint(&mut rest)?;
            if step == 0 && place > 0 {
                return Err("an index occurs twice".into());
            }
            index = index.checked_add(step).ok_or("an index is too large")?;
            put_ms = put_ms.wrapping_add(unzigzag(varint(&mut rest)?));
            let (head_len, frame_len) = (varint(&mut rest)?, varint(&mut rest)?);
            let head_len = u32::try_from(head_len).ok().filter(|_| head_len <= frame_len);
            let head_len = head_len.ok_or("a frame is shorter than its head")?;
            frames_len = frames_len.checked_add(frame_len).ok_or("a frame is too long")?;
            let checksum = if is_checked { Some(word(&mut rest)?) } else { None };
            let (index, frame_len) = (Index(index), frame_len as usize);
            places.push(Draft { index, put_ms, head_len, frame_len, checksum });
        }
        let tag_hashes_sum = if is_checked { Some(word(&mut rest)?) } else { None };
        let summed = body.len() - rest.len();
        if is_checked && word(&mut rest)? != checksum(segment_seed(key, first), &body[..summed]) {
            return Err("the checksum of its directory is wrong".into());
        }
        if frames_len != rest.len() as u64 {
            return Err("its frames have another length than it says".into());
        }
        Ok(Self { places, tag_hashes_sum, len: body.len() - rest.len() })
    }
}

fn varint(bytes: &mut Bytes) -> Result<u64, &'static str> {
    decode_varint(bytes).map_err(|_| "a number is cut off")
}

fn word(bytes: &mut Bytes) -> Result<u32, &'static str> {
    bytes.try_get_u32_le().map_err(|_| "a checksum is cut off")
}

fn unzigzag(number: u64) -> u64 {
    number >> 1 ^ (number & 1).wrapping_neg()
}
