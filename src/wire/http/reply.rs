//! Replies and refusals of the queue become answers.

use super::address::Address;
use super::attributes;
use super::operation::{Encoding, EntryEncoding, Form};
use super::progress::{self, Progress};
use super::settings;
use crate::queue::effect::{Delivery, Receipt, Reply};
use crate::queue::entry::{Frame, TAG_REQUEST_ID};
use crate::queue::refusal::Refusal;
use crate::queue::stats::{EntryStatus, Position};
use crate::queue::store::Side;
use crate::wire::answer::Answer;
use crate::wire::json::{self, go};
use crate::wire::names::{
    BINARY, HEADER_REPEATED, HEADER_REQUEST_ID, JSON, PROTOBUF, REPEATED, TAG_CONTENT_TYPE, TEXT,
};
use crate::wire::proto::frame;
use alloc::{borrow::Cow, format, string::String, string::ToString, vec, vec::Vec};
use bytes::Bytes;
use prost::Message;

/// Time to wait after a 429, in seconds: consumers make room within moments.
const RETRY_AFTER_S: &str = "1";
/// Longest content type of an entry that is sent as the content type of an answer, in bytes.
const CONTENT_TYPE_BYTES_MAX: usize = 256;

/// Writes a reply in the form of its operation: see [`Operation::form`](super::operation::Operation::form).
///
/// The queue answers each operation with a reply of its own kind or with a refusal. Panics on any other pair.
pub fn answer(form: &Form, reply: Reply) -> Answer {
    match (form, reply) {
        (_, Reply::Refused(refusal)) => refused(&refusal),
        (Form::Put, Reply::Put(receipts)) => put(&receipts),
        (Form::Batch(Encoding::Protobuf), Reply::Put(receipts)) => {
            Answer::new(200, PROTOBUF, frame_receipts(&receipts))
        }
        (Form::Batch(Encoding::Json), Reply::Put(receipts)) => Answer::new(200, JSON, json_receipts(&receipts)),
        (Form::Entries(encoding), Reply::Entries(deliveries)) => entries(*encoding, &deliveries),
        (Form::Attributes(encoding, address, side), Reply::Stats(stats)) => {
            let map = attributes::attributes(&stats, address, *side);
            match encoding {
                Encoding::Protobuf => Answer::new(200, PROTOBUF, frame::attributes(&map)),
                Encoding::Json => Answer::new(200, JSON, json::frame::json_attributes(&map)),
            }
        }
        (Form::Settings, Reply::Stats(stats)) => Answer::new(200, JSON, settings::to_json(&stats.settings)),
        (Form::Count, Reply::Count(count)) => Answer::text(200, count.to_string()),
        (Form::Position, Reply::Position(position)) => Answer::new(200, JSON, search(&position)),
        (Form::Progress(request_id, address, side), Reply::Found(found)) => {
            progress(found, address, *side).answer(request_id)
        }
        (Form::Cancelled(request_id), Reply::Cancelled(Some(index))) => progress::cancelled(request_id, index),
        (Form::Cancelled(request_id), Reply::Cancelled(None)) => Progress::Unknown.answer(request_id),
        (Form::Done, Reply::Done) => Answer::text(200, "OK"),
        // Not printed with the panic: what formats replies is kilobytes of code.
        _ => unreachable!("a queue answers each operation with a reply of its own kind"),
    }
}

/// What this side of one queue knows of a request.
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
        go::string(&mut out, &receipt.request_id);
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

/// The index in decimal and nothing else, because clients parse the whole body as a number.
fn put(receipts: &[Receipt]) -> Answer {
    let [receipt] = receipts else { unreachable!("one entry was put, and there are {} receipts", receipts.len()) };
    let mut answer = Answer::text(200, receipt.index.0.to_string());
    answer.headers.push((HEADER_REQUEST_ID, header_value(&receipt.request_id)));
    if receipt.repeated {
        answer.headers.push((HEADER_REPEATED, "true".into()));
    }
    answer
}

fn entries(encoding: EntryEncoding, deliveries: &[Delivery]) -> Answer {
    match (encoding, deliveries) {
        (_, []) => Answer { status: 204, content_type: None, headers: Vec::new(), body: Bytes::new() },
        (EntryEncoding::Raw, [delivery]) => raw(frame::of(delivery)),
        (EntryEncoding::List(Encoding::Protobuf), _) => {
            let frames: Vec<Bytes> = deliveries.iter().map(Delivery::frame).collect();
            Answer::new(200, PROTOBUF, frame::list(&frames))
        }
        (EntryEncoding::List(Encoding::Json) | EntryEncoding::Raw, _) => {
            let frames: Vec<Frame> = deliveries.iter().map(frame::of).collect();
            Answer::new(200, JSON, json::frame::json_list(&frames))
        }
    }
}

fn raw(frame: Frame) -> Answer {
    let content_type = match frame.tags.get(TAG_CONTENT_TYPE).filter(|text| is_content_type(text)) {
        Some(content_type) => Cow::Owned(content_type.clone()),
        None => Cow::Borrowed(if is_text(&frame.data) { TEXT } else { BINARY }),
    };
    // Anybody may have put the body: a browser must not take it for a page because it looks like one.
    let mut headers = vec![("X-Content-Type-Options", String::from("nosniff"))];
    headers.extend(frame.tags.get(TAG_REQUEST_ID).map(|id| (HEADER_REQUEST_ID, header_value(id))));
    Answer { status: 200, content_type: Some(content_type), headers, body: frame.data }
}

/// Whether a stored content type is well-formed and means something. What `curl -d` claims of every body does not.
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
    go::string(&mut out, &format!("{}.{}", position.consumer.group, position.consumer.user));
    out.push_str(&format!(", \"IsPending\": {}, \"WaitCount\": {}}}", position.pending, position.ahead));
    out
}
