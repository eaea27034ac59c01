//! Messages of a client: requests, several of them in one message.

use super::steps::steps;
use super::subprotocol::SUBPROTOCOL;
use crate::queue::entry::Index;
use crate::queue::event::Rejection;
use crate::queue::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, INDEXES_MAX, PAYLOAD_BYTES_CEILING};
use crate::wire::answer::Answer;
use crate::wire::proto::fields::{self, Fields, Malformed, Value};
use crate::wire::put_entry::{PutEntry, too_many};
use crate::wire::rejection;
use alloc::{format, vec::Vec};
use bytes::Bytes;

/// Most requests in one message.
pub const REQUESTS_MAX: usize = BATCH_ENTRIES_MAX;

const _: () = assert!(PAYLOAD_BYTES_CEILING < BATCH_BYTES_MAX as u64, "a message can put the longest body");

/// One request on a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRequest {
    /// Chosen by the client, and repeated in the answer. With 0 only a refusal is answered.
    pub id: u64,
    /// What is to be done.
    pub command: ClientCommand,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCommand {
    /// Store entries, all or none. The answer has their indexes and, with `true`, their request ids.
    Put(Vec<PutEntry>, bool),
    /// Commit entries.
    Commit(Vec<Index>),
    /// Reject entries.
    Reject(Vec<Index>, Rejection),
    /// From now on push at most this many uncommitted entries to this consumer; with 0, none.
    Window(u32),
}

impl ClientRequest {
    /// Appends the request to a client message.
    pub fn write(&self, message: &mut Vec<u8>) {
        let mut out = Vec::new();
        if self.id != 0 {
            fields::put_number(&mut out, 1, self.id);
        }
        let mut operation = Vec::new();
        match &self.command {
            ClientCommand::Put(entries, request_ids) => {
                for entry in entries {
                    fields::put_bytes(&mut operation, 1, &entry.encode());
                }
                if *request_ids {
                    fields::put_number(&mut operation, 2, 1);
                }
                fields::put_bytes(&mut out, 2, &operation);
            }
            ClientCommand::Commit(indexes) => {
                fields::put_bytes(&mut operation, 1, &steps(indexes));
                fields::put_bytes(&mut out, 3, &operation);
            }
            ClientCommand::Reject(indexes, rejection) => {
                fields::put_bytes(&mut operation, 1, &steps(indexes));
                fields::put_bytes(&mut operation, 2, rejection.code.as_bytes());
                fields::put_bytes(&mut operation, 3, rejection.reason.as_bytes());
                if rejection.delay_ms != 0 {
                    fields::put_number(&mut operation, 4, rejection.delay_ms);
                }
                fields::put_bytes(&mut out, 4, &operation);
            }
            ClientCommand::Window(window) => fields::put_number(&mut out, 5, u64::from(*window)),
        }
        fields::put_bytes(message, 1, &out);
    }
}

/// A request as it was received: its id, and what it asks for or the refusal.
pub type Received = (u64, Result<ClientCommand, Answer>);

/// Reads a client message: its requests in their order, each with its id; a request that makes no sense comes with its
/// refusal. An error means that this is not a client message at all, and that nothing in it may be carried out.
pub fn requests(message: Bytes) -> Result<Vec<Received>, Malformed> {
    let mut budget =
        MessageBudget { bytes: message.len() <= BATCH_BYTES_MAX, entries: BATCH_ENTRIES_MAX, indexes: INDEXES_MAX };
    let mut requests = Vec::new();
    let mut fields = Fields(message);
    while let Some((field, value)) = fields.read()? {
        let (1, Value::Bytes(request)) = (field, value) else { continue };
        if requests.len() == REQUESTS_MAX {
            return Err(Malformed);
        }
        requests.push(request_of(request, &mut budget)?);
    }
    Ok(requests)
}

/// What the requests of one message may still hold together.
struct MessageBudget {
    /// Whether the message is short enough.
    bytes: bool,
    entries: usize,
    indexes: usize,
}

fn request_of(request: Bytes, budget: &mut MessageBudget) -> Result<Received, Malformed> {
    let (mut id, mut asked) = (0, None);
    let mut fields = Fields(request);
    while let Some(field) = fields.read()? {
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
        Some((3, Value::Bytes(commit))) => settle_of(commit, budget).map(|(indexes, _)| ClientCommand::Commit(indexes)),
        Some((4, Value::Bytes(reject))) => settle_of(reject, budget)
            .and_then(|(indexes, rejection)| Ok(ClientCommand::Reject(indexes, rejection::checked(rejection)?))),
        Some((5, Value::Number(window))) => Ok(ClientCommand::Window(window.min(u32::MAX.into()) as u32)),
        _ => Err(Answer::bad(format!("the request asks for nothing that {SUBPROTOCOL} knows"))),
    };
    Ok((id, operation))
}

fn put_of(put: Bytes, budget: &mut MessageBudget) -> Result<ClientCommand, Answer> {
    let (mut entries, mut request_ids) = (Vec::new(), false);
    let mut fields = Fields(put);
    while let Some(field) = fields.read().map_err(|_| unreadable())? {
        match field {
            (1, Value::Bytes(entry)) => {
                budget.entries = budget.entries.checked_sub(1).ok_or_else(too_many)?;
                entries.push(PutEntry::read(entry)?);
            }
            (2, Value::Number(flag)) => request_ids = flag != 0,
            _ => {}
        }
    }
    Ok(ClientCommand::Put(entries, request_ids))
}

fn settle_of(settle: Bytes, budget: &mut MessageBudget) -> Result<(Vec<Index>, Rejection), Answer> {
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
    while let Some(field) = fields.read().map_err(|_| unreadable())? {
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
