//! Frames and lists of frames, in protobuf.

use crate::queue::effect::Delivery;
use crate::queue::entry::Frame;
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use bytes::Bytes;
use prost::Message;
use prost::encoding::encode_varint;

/// Key of the only field of `DataFrameListProto`: number 1, length-delimited.
const LIST_KEY: u8 = 0x0a;

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

/// One frame of an HTTP watch: its length in four bytes, big-endian, and the encoded frame. A frame is never empty (it
/// has an index), which matters because a length of zero ends the Go client's watch.
pub fn delimited(frame: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(4 + frame.len());
    out.extend_from_slice(&(frame.len() as u32).to_be_bytes());
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

/// A delivery as a frame with all its tags.
pub fn of(delivery: &Delivery) -> Frame {
    Frame {
        index: delivery.entry.index.0,
        tags: delivery.tags(),
        data: if delivery.index_only { Bytes::new() } else { delivery.entry.data() },
        message: String::new(),
    }
}

/// `AttributesProto`.
pub fn attributes(attributes: &BTreeMap<String, String>) -> Vec<u8> {
    Attributes { attributes: attributes.clone() }.encode_to_vec()
}

/// Reads a `DataFrameListProto` of any length.
pub fn decode_list(body: &[u8]) -> Result<Vec<Frame>, prost::DecodeError> {
    FrameList::decode(body).map(|list| list.frames)
}
