//! Messages, one field at a time.
//!
//! For what strangers send. An empty submessage is two bytes on the wire and dozens in memory, so lists are counted
//! while they are read, which a generated decoder does not do. Values are slices of the message; nothing is copied.

use alloc::{string::String, vec::Vec};
use bytes::{Buf, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

/// The bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A varint.
    Number(u64),
    /// A string, bytes, a message or a packed list.
    Bytes(Bytes),
    /// A number of fixed width, which none of the messages has.
    Fixed,
}

/// The fields of a message that are still to be read.
#[derive(Clone, Debug)]
pub struct Fields(pub Bytes);

impl Fields {
    /// Reads the next field: its number and value, or `None` at the end.
    pub fn read(&mut self) -> Result<Option<(u32, Value)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (field, wire_type) = decode_key(&mut self.0).map_err(|_| Malformed)?;
        let value = match wire_type {
            WireType::Varint => Value::Number(self.varint()?),
            WireType::LengthDelimited => {
                let len = self.varint()?;
                Value::Bytes(self.split(len)?)
            }
            WireType::SixtyFourBit => self.split(8).map(|_| Value::Fixed)?,
            WireType::ThirtyTwoBit => self.split(4).map(|_| Value::Fixed)?,
            WireType::StartGroup | WireType::EndGroup => return Err(Malformed),
        };
        Ok(Some((field, value)))
    }

    /// Whether something is left.
    pub fn has_more(&self) -> bool {
        self.0.has_remaining()
    }

    /// Reads a bare varint, as packed lists hold them.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        decode_varint(&mut self.0).map_err(|_| Malformed)
    }

    fn split(&mut self, len: u64) -> Result<Bytes, Malformed> {
        let len = usize::try_from(len).ok().filter(|len| *len <= self.0.len()).ok_or(Malformed)?;
        Ok(self.0.split_to(len))
    }
}

/// Bytes that must be UTF-8.
pub fn text(bytes: &Bytes) -> Result<String, Malformed> {
    core::str::from_utf8(bytes).map(String::from).map_err(|_| Malformed)
}

/// A signed number from its zigzag form.
pub fn signed(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// The zigzag form of a signed number.
pub fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

/// Appends a number. A zero is written too, since it says that the field is there.
pub fn put_number(out: &mut Vec<u8>, field: u32, number: u64) {
    encode_key(field, WireType::Varint, out);
    encode_varint(number, out);
}

/// Appends bytes, a text, a message or a packed list.
pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
