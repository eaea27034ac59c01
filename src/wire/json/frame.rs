//! Lists of frames, and attributes.

use super::go;
use crate::queue::entry::Frame;
use alloc::{collections::BTreeMap, format, string::String};
use base64::{Engine, engine::general_purpose::STANDARD};

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
            go::string(&mut out, &frame.message);
            out.push(',');
        }
        out.push_str("\"tags\":");
        go::object(&mut out, &frame.tags);
        out.push_str(",\"data\":\"");
        STANDARD.encode_string(&frame.data, &mut out);
        out.push_str("\"}");
    }
    out.push_str("]\n");
    out
}

/// A JSON object of attributes, with a line feed at its end.
pub fn json_attributes(attributes: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    go::object(&mut out, attributes);
    out.push('\n');
    out
}
