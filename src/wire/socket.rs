//! Our own protocol on a WebSocket, for clients that offer [`SUBPROTOCOL`]: requests with answers, and several of either
//! in one message.
//!
//! A client message is a list of [`Request`]s, carried out in their order. A server message is a list of [`Answered`]
//! requests and of pushed frames. Both are protobuf and can be written by appending; `docs/protocol.md` has the schema.
//! Unknown fields are passed over; a change that old clients would misread gets another subprotocol name.

use super::batch::{self, PutEntry};
pub use super::fields::Malformed;
use super::fields::{self, Fields, Value};
use super::rejection;
use super::status::Answer;
use crate::queue::effect::Receipt;
use crate::queue::entry::Index;
use crate::queue::event::Rejection;
use crate::queue::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, INDEXES_MAX};
use alloc::{format, string::String, vec::Vec};
use bytes::Bytes;

/// Name of the protocol and its version, offered in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "edgequeue.v1";
/// Text message that is answered with [`PONG`] without waking the queue.
pub const PING: &str = "ping";
/// Answer to [`PING`].
pub const PONG: &str = "pong";
/// Requests in one message.
pub const REQUESTS_MAX: usize = BATCH_ENTRIES_MAX;

/// Whether a list of subprotocols has ours.
pub fn is_offered(header: &str) -> bool {
    header.split(',').any(|name| name.trim() == SUBPROTOCOL)
}

/// One request on a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the client; comes back with the answer. With 0 only a refusal is answered.
    pub id: u64,
    /// What for.
    pub operation: Operation,
}

/// What a request on a socket asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Store entries, all or none; answered with their indexes, and if wanted their request ids.
    Put(Vec<PutEntry>, bool),
    /// Entries are done.
    Commit(Vec<Index>),
    /// Entries are refused.
    Reject(Vec<Index>, Rejection),
    /// From now on at most this many uncommitted entries at this consumer; 0: push nothing.
    Window(u32),
}

impl Request {
    /// Appends the request to a client message.
    pub fn write(&self, message: &mut Vec<u8>) {
        let mut out = Vec::new();
        if self.id != 0 {
            fields::put_number(&mut out, 1, self.id);
        }
        let mut operation = Vec::new();
        match &self.operation {
            Operation::Put(entries, request_ids) => {
                for entry in entries {
                    fields::put_bytes(&mut operation, 1, &entry.encode());
                }
                if *request_ids {
                    fields::put_number(&mut operation, 2, 1);
                }
                fields::put_bytes(&mut out, 2, &operation);
            }
            Operation::Commit(indexes) => {
                fields::put_bytes(&mut operation, 1, &steps(indexes));
                fields::put_bytes(&mut out, 3, &operation);
            }
            Operation::Reject(indexes, rejection) => {
                fields::put_bytes(&mut operation, 1, &steps(indexes));
                fields::put_bytes(&mut operation, 2, rejection.code.as_bytes());
                fields::put_bytes(&mut operation, 3, rejection.reason.as_bytes());
                if rejection.delay_ms != 0 {
                    fields::put_number(&mut operation, 4, rejection.delay_ms);
                }
                fields::put_bytes(&mut out, 4, &operation);
            }
            Operation::Window(window) => fields::put_number(&mut out, 5, u64::from(*window)),
        }
        fields::put_bytes(message, 1, &out);
    }
}

/// A request as it was received: its id, and what it asks for or why that makes no sense.
pub type Received = (u64, Result<Operation, Answer>);

/// Indexes as differences, each to the one before and the first to 0: one byte where they are consecutive.
fn steps(indexes: &[Index]) -> Vec<u8> {
    let (mut out, mut before) = (Vec::with_capacity(indexes.len() + 8), 0);
    for index in indexes {
        prost::encoding::encode_varint(fields::zigzag(index.0.wrapping_sub(before) as i64), &mut out);
        before = index.0;
    }
    out
}

/// Reads a client message: its requests in order, each with its id, or the refusal of one that makes no sense. An error
/// says that this is no client message at all; nothing of it may be carried out.
pub fn requests(message: Bytes) -> Result<Vec<Received>, Malformed> {
    let mut budget =
        Budget { bytes: message.len() <= BATCH_BYTES_MAX, entries: BATCH_ENTRIES_MAX, indexes: INDEXES_MAX };
    let mut requests = Vec::new();
    let mut fields = Fields(message);
    while let Some((field, value)) = fields.next()? {
        let (1, Value::Bytes(request)) = (field, value) else { continue };
        if requests.len() == REQUESTS_MAX {
            return Err(Malformed);
        }
        requests.push(request_of(request, &mut budget)?);
    }
    Ok(requests)
}

/// What the requests of one message may hold together.
struct Budget {
    /// Whether the message is short enough.
    bytes: bool,
    entries: usize,
    indexes: usize,
}

fn request_of(request: Bytes, budget: &mut Budget) -> Result<Received, Malformed> {
    let (mut id, mut asked) = (0, None);
    let mut fields = Fields(request);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Number(number)) => id = number,
            // Of several operations the last one counts, as in every protobuf oneof.
            (2..=5, _) => asked = Some(field),
            _ => {}
        }
    }
    if !budget.bytes {
        let text = format!("the message is longer than {BATCH_BYTES_MAX} bytes; send several messages");
        return Ok((id, Err(Answer::text(413, text))));
    }
    let operation = match asked {
        Some((2, Value::Bytes(put))) => put_of(put, budget),
        Some((3, Value::Bytes(commit))) => settle_of(commit, budget).map(|(indexes, _)| Operation::Commit(indexes)),
        Some((4, Value::Bytes(reject))) => settle_of(reject, budget)
            .and_then(|(indexes, rejection)| Ok(Operation::Reject(indexes, rejection::checked(rejection)?))),
        Some((5, Value::Number(window))) => Ok(Operation::Window(window.min(u32::MAX.into()) as u32)),
        _ => Err(Answer::bad(format!("the request asks for nothing that {SUBPROTOCOL} knows"))),
    };
    Ok((id, operation))
}

fn put_of(put: Bytes, budget: &mut Budget) -> Result<Operation, Answer> {
    let (mut entries, mut request_ids) = (Vec::new(), false);
    let mut fields = Fields(put);
    while let Some(field) = fields.next().map_err(|_| unreadable())? {
        match field {
            (1, Value::Bytes(entry)) => {
                budget.entries = budget.entries.checked_sub(1).ok_or_else(batch::too_many)?;
                entries.push(PutEntry::read(entry)?);
            }
            (2, Value::Number(flag)) => request_ids = flag != 0,
            _ => {}
        }
    }
    Ok(Operation::Put(entries, request_ids))
}

fn settle_of(settle: Bytes, budget: &mut Budget) -> Result<(Vec<Index>, Rejection), Answer> {
    let (mut indexes, mut rejection) = (Vec::new(), Rejection::default());
    let mut last = 0_u64;
    let mut add = |step: u64| {
        budget.indexes = budget.indexes.checked_sub(1).ok_or_else(|| {
            Answer::text(
                413,
                format!("there are more than {INDEXES_MAX} indexes in one message; send several messages"),
            )
        })?;
        last = last.checked_add_signed(fields::signed(step)).ok_or_else(|| Answer::bad("an index is below 0"))?;
        indexes.push(Index(last));
        Ok(())
    };
    let mut fields = Fields(settle);
    while let Some(field) = fields.next().map_err(|_| unreadable())? {
        match field {
            (1, Value::Bytes(packed)) => {
                let mut steps = Fields(packed);
                while steps.has_more() {
                    add(steps.varint().map_err(|_| unreadable())?)?;
                }
            }
            (1, Value::Number(step)) => add(step)?,
            (2, Value::Bytes(code)) => rejection.code = fields::text(&code).map_err(|_| unreadable())?,
            (4, Value::Number(delay_ms)) => rejection.delay_ms = delay_ms,
            (3, Value::Bytes(reason)) => rejection.reason = fields::text(&reason).map_err(|_| unreadable())?,
            _ => {}
        }
    }
    Ok((indexes, rejection))
}

fn unreadable() -> Answer {
    Answer::bad(format!("the request cannot be read as {SUBPROTOCOL} describes it; send protobuf with UTF-8 texts"))
}

/// The answer to one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The request.
    pub id: u64,
    /// 0: done. Otherwise the HTTP status that the same request would have got.
    pub status: u16,
    /// Why it was refused, and what to do.
    pub text: String,
    /// Index of the first entry put; the others follow without gaps.
    pub first_index: Index,
    /// Request ids of the entries put, if they were asked for.
    pub request_ids: Vec<String>,
    /// Indexes of the entries put, where they do not follow each other: some were not stored because they had been before.
    pub indexes: Vec<Index>,
    /// Which of the entries, by their places from 0, were not stored because they had been before.
    pub repeated: Vec<u64>,
}

impl Answered {
    /// A put that was carried out; request ids are told where they were asked for.
    pub fn put(id: u64, receipts: Vec<Receipt>, request_ids: bool) -> Self {
        let first_index = receipts.first().map(|receipt| receipt.index).unwrap_or_default();
        let places = receipts.iter().enumerate().filter(|(_, receipt)| receipt.repeated);
        let repeated: Vec<u64> = places.map(|(place, _)| place as u64).collect();
        let indexes =
            if repeated.is_empty() { Vec::new() } else { receipts.iter().map(|receipt| receipt.index).collect() };
        let request_ids = match request_ids {
            true => receipts.into_iter().map(|receipt| receipt.request_id).collect(),
            false => Vec::new(),
        };
        Self { id, first_index, request_ids, indexes, repeated, ..Self::default() }
    }

    /// A refusal.
    pub fn refused(id: u64, answer: &Answer) -> Self {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        Self { id, status: answer.status, text, ..Self::default() }
    }
}

/// A server message that is being written.
#[derive(Clone, Debug, Default)]
pub struct ServerMessage(pub Vec<u8>);

impl ServerMessage {
    /// Appends the answer to a request.
    pub fn answer(&mut self, answered: &Answered) {
        let mut out = Vec::new();
        for (field, number) in [(1, answered.id), (2, answered.status.into()), (4, answered.first_index.0)] {
            if number != 0 {
                fields::put_number(&mut out, field, number);
            }
        }
        if !answered.text.is_empty() {
            fields::put_bytes(&mut out, 3, answered.text.as_bytes());
        }
        for request_id in &answered.request_ids {
            fields::put_bytes(&mut out, 5, request_id.as_bytes());
        }
        if !answered.indexes.is_empty() {
            fields::put_bytes(&mut out, 6, &steps(&answered.indexes));
        }
        for place in &answered.repeated {
            fields::put_number(&mut out, 7, *place);
        }
        fields::put_bytes(&mut self.0, 1, &out);
    }

    /// Appends a pushed entry, an encoded `DataFrameProto`.
    pub fn frame(&mut self, frame: &[u8]) {
        fields::put_bytes(&mut self.0, 2, frame);
    }
}

/// What a service says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A request is answered.
    Answered(Answered),
    /// An entry is pushed: an encoded `DataFrameProto`.
    Pushed(Bytes),
}

/// Reads a server message.
pub fn said(message: Bytes) -> Result<Vec<Said>, Malformed> {
    let mut all = Vec::new();
    let mut fields = Fields(message);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(answered)) => all.push(Said::Answered(answered_of(answered)?)),
            (2, Value::Bytes(frame)) => all.push(Said::Pushed(frame)),
            _ => {}
        }
    }
    Ok(all)
}

/// Indexes out of their differences.
fn indexes_of(packed: Bytes) -> Result<Vec<Index>, Malformed> {
    let (mut indexes, mut last, mut steps) = (Vec::new(), 0_u64, Fields(packed));
    while steps.has_more() {
        last = last.checked_add_signed(fields::signed(steps.varint()?)).ok_or(Malformed)?;
        indexes.push(Index(last));
    }
    Ok(indexes)
}

fn answered_of(answered: Bytes) -> Result<Answered, Malformed> {
    let mut out = Answered::default();
    let mut fields = Fields(answered);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Number(id)) => out.id = id,
            (2, Value::Number(status)) => out.status = u16::try_from(status).map_err(|_| Malformed)?,
            (3, Value::Bytes(text)) => out.text = fields::text(&text)?,
            (4, Value::Number(index)) => out.first_index = Index(index),
            (5, Value::Bytes(request_id)) => out.request_ids.push(fields::text(&request_id)?),
            (6, Value::Bytes(packed)) => out.indexes = indexes_of(packed)?,
            (7, Value::Number(place)) => out.repeated.push(place),
            _ => {}
        }
    }
    Ok(out)
}
