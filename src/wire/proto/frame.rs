//! Frames, lists of frames, and attributes.

use crate::queue::effect::Delivery;
use crate::queue::entry::Frame;
use crate::queue::limits::{PAYLOAD_BYTES_CEILING, TAGS_BYTES_MAX};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use bytes::Bytes;
use prost::Message;
use prost::encoding::encode_varint;

/// Key of the only field of `DataFrameListProto`: number 1, length-delimited.
const LIST_KEY: u8 = 0x0a;

const _: () =
    assert!(PAYLOAD_BYTES_CEILING + (TAGS_BYTES_MAX as u64) < u32::MAX as u64, "a frame has 32 bits of length");

/// The wire's `DataFrameListProto`; the vendor calls its field `index`.
#[derive(Clone, PartialEq, Message)]
struct FrameList {
    #[prost(message, repeated, tag = "1")]
    frames: Vec<Frame>,
}

/// The wire's `AttributesProto`.
#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(btree_map = "string, string", tag = "1")]
    attributes: BTreeMap<String, String>,
}

/// One frame of an HTTP watch: its length in four bytes, big-endian, and the encoded frame.
pub fn delimited(frame: &[u8]) -> Bytes {
    assert!(!frame.is_empty(), "a frame has an index; a length of zero would end the watch of the Go client");
    let len = u32::try_from(frame.len()).expect("a frame is not much longer than the longest body");
    let mut out = Vec::with_capacity(4 + frame.len());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(frame);
    out.into()
}

/// `DataFrameListProto` of already encoded frames.
pub fn list(frames: &[Bytes]) -> Vec<u8> {
    let mut out = Vec::with_capacity(frames.iter().map(|frame| frame.len() + 11).sum());
    for frame in frames {
        out.push(LIST_KEY);
        encode_varint(frame.len() as u64, &mut out);
        out.extend_from_slice(frame);
    }
    out
}

/// A delivery as a frame, with the tags that it gained.
pub fn of(delivery: &Delivery) -> Frame {
    Frame::decode(delivery.frame()).expect("an entry is stored as the frame that it was encoded as")
}

/// `AttributesProto`.
pub fn attributes(attributes: &BTreeMap<String, String>) -> Vec<u8> {
    Attributes { attributes: attributes.clone() }.encode_to_vec()
}

/// Reads a `DataFrameListProto` of any length.
pub fn decode_list(body: &[u8]) -> Result<Vec<Frame>, prost::DecodeError> {
    FrameList::decode(body).map(|list| list.frames)
}
