//! Indexes as differences, each to the one before and the first to 0: one byte where they are consecutive.

use crate::queue::entry::Index;
use crate::wire::proto::fields::{self, Fields, Malformed};
use alloc::vec::Vec;
use bytes::Bytes;

pub fn steps(indexes: &[Index]) -> Vec<u8> {
    let (mut out, mut before) = (Vec::with_capacity(indexes.len() + 8), 0);
    for index in indexes {
        prost::encoding::encode_varint(fields::zigzag(index.0.wrapping_sub(before) as i64), &mut out);
        before = index.0;
    }
    out
}

/// Indexes out of their differences.
pub fn indexes_of(packed: Bytes) -> Result<Vec<Index>, Malformed> {
    let (mut indexes, mut last, mut steps) = (Vec::new(), 0_u64, Fields(packed));
    while steps.has_more() {
        last = last.checked_add_signed(fields::signed(steps.varint()?)).ok_or(Malformed)?;
        indexes.push(Index(last));
    }
    Ok(indexes)
}
