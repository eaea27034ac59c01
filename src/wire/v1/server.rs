//! Messages of the service: answers and pushed frames, several of either in one message.

use super::steps::{indexes_of, steps};
use crate::queue::effect::Receipt;
use crate::queue::entry::Index;
use crate::wire::answer::Answer;
use crate::wire::proto::fields::{self, Fields, Malformed, Value};
use alloc::{string::String, vec::Vec};
use bytes::Bytes;

/// The answer to one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerAnswer {
    /// The request.
    pub id: u64,
    /// 0 when it was done, otherwise the status that the same request would have got by HTTP.
    pub status: u16,
    /// Why it was refused, and what to do.
    pub text: String,
    /// Index of the first entry put; the others follow without gaps, unless `indexes` has them.
    pub first_index: Index,
    /// Request ids of the entries put, if they were asked for.
    pub request_ids: Vec<String>,
    /// Indexes of the entries put, if some were repeated: then they do not follow each other.
    pub indexes: Vec<Index>,
    /// Positions, from 0, of the entries that were repeated: an earlier put had stored them.
    pub repeated: Vec<u64>,
}

impl ServerAnswer {
    /// The answer to a put, with request ids if they were asked for.
    pub fn put(id: u64, receipts: Vec<Receipt>, request_ids: bool) -> Self {
        let first_index = receipts.first().expect("a put has at least one entry").index;
        let places = receipts.iter().enumerate().filter(|(_, receipt)| receipt.repeated);
        let repeated: Vec<u64> = places.map(|(place, _)| place as u64).collect();
        let indexes =
            if repeated.is_empty() { Vec::new() } else { receipts.iter().map(|receipt| receipt.index).collect() };
        debug_assert!(
            !repeated.is_empty() || receipts.windows(2).all(|pair| pair[1].index == pair[0].index.next()),
            "entries put at once have indexes without gaps"
        );
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
    pub fn answer(&mut self, answered: &ServerAnswer) {
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

/// One thing in a server message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// A request is answered.
    Answered(ServerAnswer),
    /// An entry is pushed: an encoded `DataFrameProto`.
    Pushed(Bytes),
}

/// Reads a server message.
pub fn events(message: Bytes) -> Result<Vec<ServerEvent>, Malformed> {
    let mut all = Vec::new();
    let mut fields = Fields(message);
    while let Some(field) = fields.read()? {
        match field {
            (1, Value::Bytes(answered)) => all.push(ServerEvent::Answered(answered_of(answered)?)),
            (2, Value::Bytes(frame)) => all.push(ServerEvent::Pushed(frame)),
            _ => {}
        }
    }
    Ok(all)
}

fn answered_of(answered: Bytes) -> Result<ServerAnswer, Malformed> {
    let mut out = ServerAnswer::default();
    let mut fields = Fields(answered);
    while let Some(field) = fields.read()? {
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
