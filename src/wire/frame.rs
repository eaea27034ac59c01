//! Frames and lists of frames, in protobuf and JSON.

use super::json;
use super::scalar::shown;
use super::status::Answer;
use crate::queue::effect::Delivery;
use crate::queue::entry::{Frame, Tags};
use crate::queue::limits::BATCH_ENTRIES_MAX;
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use base64::{Engine, engine::general_purpose::STANDARD};
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

/// A JSON list of frames, with a line feed at its end. Keys come in the order `index`, `message` (only when there is
/// one), `tags`, `data`.
pub fn json_list<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> String {
    let mut out = String::from("[");
    for (position, frame) in frames.into_iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        out.push_str(&format!("{{\"index\":{},", frame.index));
        if !frame.message.is_empty() {
            out.push_str("\"message\":");
            json::string(&mut out, &frame.message);
            out.push(',');
        }
        out.push_str("\"tags\":");
        json::object(&mut out, &frame.tags);
        out.push_str(",\"data\":\"");
        STANDARD.encode_string(&frame.data, &mut out);
        out.push_str("\"}");
    }
    out.push_str("]\n");
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

/// A JSON object of attributes, with a line feed at its end.
pub fn json_attributes(attributes: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    json::object(&mut out, attributes);
    out.push('\n');
    out
}

/// Reads a `DataFrameListProto` of any length.
pub fn decode_list(body: &[u8]) -> Result<Vec<Frame>, prost::DecodeError> {
    FrameList::decode(body).map(|list| list.frames)
}

/// Reads a `DataFrameListProto`.
pub fn parse_list(body: &[u8]) -> Result<Vec<Frame>, Answer> {
    let frames = decode_list(body)
        .map_err(|_| Answer::bad("the body is no DataFrameListProto; send protobuf, or JSON with its content type"))?;
    bounded(frames)
}

/// Reads a JSON list of frames. `tags` and `data` may be missing or null.
pub fn parse_json_list(body: &[u8]) -> Result<Vec<Frame>, Answer> {
    #[derive(serde::Deserialize)]
    struct JsonFrame {
        #[serde(default)]
        index: u64,
        #[serde(default)]
        message: String,
        #[serde(default)]
        tags: Option<Tags>,
        #[serde(default)]
        data: Option<String>,
    }
    let frames: Vec<JsonFrame> = serde_json::from_slice(body).map_err(|wrong| {
        Answer::bad(format!("the body is no JSON list of frames with index, tags and base64 data: {wrong}"))
    })?;
    let frames = frames.into_iter().map(|frame| {
        let data = frame.data.unwrap_or_default();
        let data = STANDARD
            .decode(&data)
            .map_err(|_| Answer::bad(format!("the data {} of a frame is not base64", shown(&data))))?;
        Ok(Frame {
            index: frame.index,
            tags: frame.tags.unwrap_or_default(),
            data: data.into(),
            message: frame.message,
        })
    });
    bounded(frames.collect::<Result<_, Answer>>()?)
}

fn bounded(frames: Vec<Frame>) -> Result<Vec<Frame>, Answer> {
    if frames.len() > BATCH_ENTRIES_MAX {
        return Err(Answer::bad(format!(
            "the list has {} frames and at most {BATCH_ENTRIES_MAX} are allowed; send several lists",
            frames.len()
        )));
    }
    Ok(frames)
}
