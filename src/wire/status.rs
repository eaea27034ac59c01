//! Answers: replies and refusals as status, headers and bytes.

use super::address::Address;
use super::operation::{PROTOBUF, TAG_CONTENT_TYPE};
use super::progress::{self, Progress};
use super::{attributes, frame, json, settings};
use crate::queue::effect::{Delivery, Receipt, Reply};
use crate::queue::entry::{Frame, TAG_REQUEST_ID};
use crate::queue::refusal::Refusal;
use crate::queue::stats::{EntryStatus, Position};
use crate::queue::store::Side;
use alloc::{borrow::Cow, format, string::String, string::ToString, vec, vec::Vec};
use bytes::Bytes;
use prost::Message;

const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";
/// Header with the request id of a put entry, and of an entry got raw.
pub const HEADER_REQUEST_ID: &str = "X-Eas-Queueservice-Request-Id";
/// Header of the answer to a put of one entry that stored nothing because an earlier put had done so.
pub const HEADER_REPEATED: &str = "X-Eas-Queueservice-Repeated";
/// Message of the receipt of an entry that was not stored because an earlier put had done so.
pub const REPEATED: &str = "repeated";
/// When to try again after a 429, in seconds: what consumers free, they free within moments.
const RETRY_AFTER_S: &str = "1";
/// Longest stored content type that is given back.
const CONTENT_TYPE_BYTES_MAX: usize = 256;

/// An answer ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, when there is a body.
    pub content_type: Option<Cow<'static, str>>,
    /// Further headers; values are printable ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// A plain text, without a line feed.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status, TEXT, text.into())
    }

    /// 400: something in the request is wrong.
    pub fn bad(text: impl Into<String>) -> Self {
        Self::text(400, text)
    }

    /// 405, with the methods that would be right.
    pub fn wrong_method(allow: &str, text: impl Into<String>) -> Self {
        Self { headers: vec![("Allow", allow.into())], ..Self::text(405, text) }
    }

    pub(super) fn new(status: u16, content_type: impl Into<Cow<'static, str>>, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: Some(content_type.into()), headers: Vec::new(), body: body.into() }
    }
}

/// How frames and attributes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The bare body of the entry.
    Raw,
    /// JSON.
    Json,
    /// Protobuf.
    Protobuf,
}

/// How the reply to a call is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Replies that are written in one way only.
    Plain,
    /// Entries.
    Entries(Encoding),
    /// Receipts of a batch.
    Batch(Encoding),
    /// Attributes of a queue.
    Attributes(Encoding, Address, Side),
    /// Settings of a queue.
    Settings,
    /// What became of the request with this id, as this queue knows it.
    Progress(String, Address, Side),
    /// A cancellation of the request with this id.
    Cancelled(String),
}

/// Writes a reply. Every pair of form and reply gives an answer; those that do not belong together are not made by
/// [`Call::form`](super::Call::form).
pub fn answer(form: &Form, reply: Reply) -> Answer {
    match reply {
        Reply::Put(receipts) => match form {
            Form::Batch(Encoding::Protobuf) => Answer::new(200, PROTOBUF, frame_receipts(&receipts)),
            Form::Batch(_) => Answer::new(200, JSON, json_receipts(&receipts)),
            _ => put(&receipts),
        },
        Reply::Entries(deliveries) => match form {
            Form::Entries(encoding) => entries(*encoding, &deliveries),
            _ => entries(Encoding::Json, &deliveries),
        },
        Reply::Stats(stats) => match form {
            Form::Attributes(encoding, address, side) => {
                let map = attributes::attributes(&stats, address, *side);
                match encoding {
                    Encoding::Protobuf => Answer::new(200, PROTOBUF, frame::attributes(&map)),
                    Encoding::Json | Encoding::Raw => Answer::new(200, JSON, frame::json_attributes(&map)),
                }
            }
            _ => Answer::new(200, JSON, settings::to_json(&stats.settings)),
        },
        Reply::Count(count) => Answer::text(200, count.to_string()),
        Reply::Position(position) => Answer::new(200, JSON, search(&position)),
        Reply::Found(found) => match form {
            Form::Progress(request_id, address, side) => progress(found, address, *side).answer(request_id),
            _ => progress(found, &Address::default(), Side::Main).answer(""),
        },
        Reply::Cancelled(index) => {
            let request_id = if let Form::Cancelled(request_id) = form { request_id } else { "" };
            match index {
                Some(index) => progress::cancelled(request_id, index),
                None => Progress::Unknown.answer(request_id),
            }
        }
        Reply::Attached | Reply::Done => Answer::text(200, "OK"),
        Reply::Refused(refusal) => refused(&refusal),
    }
}

/// What one queue knows of a request.
fn progress(found: Option<EntryStatus>, address: &Address, side: Side) -> Progress {
    match found {
        None => Progress::Unknown,
        Some(found) if side == Side::Rear => Progress::of_rear(&found),
        Some(found) if address.sink => Progress::of_sink(&found),
        Some(found) => Progress::of_input(found, &address.service),
    }
}

/// Writes a refusal.
pub fn refused(refusal: &Refusal) -> Answer {
    let status = match refusal {
        Refusal::TooLarge { .. } => 413,
        Refusal::Full { .. } | Refusal::FullBytes { .. } | Refusal::TooMany { .. } => 429,
        Refusal::Ended => 410,
        Refusal::FilterDiffers { .. } | Refusal::Bad(_) => 400,
        Refusal::NotFound => 404,
    };
    let mut answer = Answer::text(status, refusal.to_string());
    if status == 429 {
        answer.headers.push(("Retry-After", RETRY_AFTER_S.into()));
    }
    answer
}

/// Receipts of a batch, in its order.
fn json_receipts(receipts: &[Receipt]) -> String {
    let mut out = String::from("{\"indexes\":[");
    for (position, receipt) in receipts.iter().enumerate() {
        out.push_str(if position > 0 { "," } else { "" });
        out.push_str(&receipt.index.0.to_string());
    }
    out.push_str("],\"requestIds\":[");
    for (position, receipt) in receipts.iter().enumerate() {
        out.push_str(if position > 0 { "," } else { "" });
        json::string(&mut out, &receipt.request_id);
    }
    out.push(']');
    let mut repeated =
        receipts.iter().enumerate().filter(|(_, receipt)| receipt.repeated).map(|(at, _)| at.to_string());
    if let Some(first) = repeated.next() {
        out.push_str(",\"repeated\":[");
        out.push_str(&first);
        repeated.for_each(|at| out.extend([",", &at]));
        out.push(']');
    }
    out.push_str("}\n");
    out
}

/// Receipts of a batch as frames with an index and the tag `requestId`; repeated ones have a message that says so.
fn frame_receipts(receipts: &[Receipt]) -> Vec<u8> {
    let frame = |receipt: &Receipt| {
        let tags = [(TAG_REQUEST_ID.to_string(), receipt.request_id.clone())].into();
        let message = if receipt.repeated { REPEATED.into() } else { String::new() };
        Frame { index: receipt.index.0, tags, message, ..Frame::default() }.encode_to_vec().into()
    };
    frame::list(&receipts.iter().map(frame).collect::<Vec<Bytes>>())
}

/// The index in decimal and nothing else, because clients parse the whole body as a number. Several entries: their
/// indexes, separated by commas, as `_indexes_` takes them.
fn put(receipts: &[Receipt]) -> Answer {
    let indexes: Vec<String> = receipts.iter().map(|receipt| receipt.index.0.to_string()).collect();
    let mut answer = Answer::text(200, indexes.join(","));
    if let [receipt] = receipts {
        answer.headers.push((HEADER_REQUEST_ID, header_value(&receipt.request_id)));
        if receipt.repeated {
            answer.headers.push((HEADER_REPEATED, "true".into()));
        }
    }
    answer
}

fn entries(encoding: Encoding, deliveries: &[Delivery]) -> Answer {
    match (encoding, deliveries) {
        (_, []) => Answer { status: 204, content_type: None, headers: Vec::new(), body: Bytes::new() },
        (Encoding::Raw, [delivery]) => raw(frame::of(delivery)),
        (Encoding::Protobuf, _) => {
            let frames: Vec<Bytes> = deliveries.iter().map(Delivery::frame).collect();
            Answer::new(200, PROTOBUF, frame::list(&frames))
        }
        // Bare bodies of several entries could not be told apart.
        (Encoding::Json | Encoding::Raw, _) => {
            let frames: Vec<Frame> = deliveries.iter().map(frame::of).collect();
            Answer::new(200, JSON, frame::json_list(&frames))
        }
    }
}

fn raw(frame: Frame) -> Answer {
    let content_type = match frame.tags.get(TAG_CONTENT_TYPE).filter(|text| is_content_type(text)) {
        Some(content_type) => Cow::Owned(content_type.clone()),
        None => Cow::Borrowed(if is_text(&frame.data) { TEXT } else { BINARY }),
    };
    // The body is somebody else's: a browser must not take it for a page because it looks like one.
    let mut headers = vec![("X-Content-Type-Options", String::from("nosniff"))];
    headers.extend(frame.tags.get(TAG_REQUEST_ID).map(|id| (HEADER_REQUEST_ID, header_value(id))));
    Answer { status: 200, content_type: Some(content_type), headers, body: frame.data }
}

/// Whether a stored content type says something. What `curl -d` claims of any body does not.
fn is_content_type(text: &str) -> bool {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    let name = text.split(';').next().unwrap_or_default().trim_end();
    text.len() <= CONTENT_TYPE_BYTES_MAX
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && name.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
        && !name.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn is_text(data: &[u8]) -> bool {
    let control =
        |character: char| character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\u{c}' | '\u{1b}');
    core::str::from_utf8(data).is_ok_and(|text| !text.chars().any(control))
}

/// A text as a header value: what is not printable ASCII is percent-encoded.
fn header_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Where an entry stands, spaced as the vendor's documentation prints it.
fn search(position: &Position) -> String {
    let mut out = String::from("{\"ConsumerId\": ");
    json::string(&mut out, &format!("{}.{}", position.consumer.group, position.consumer.user));
    out.push_str(&format!(", \"IsPending\": {}, \"WaitCount\": {}}}", position.pending, position.ahead));
    out
}
