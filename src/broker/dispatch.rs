//! Requests become tasks: a call, or a request of a session, as an event of the machine.

use super::connections::WatchTerms;
use super::deployment::{Deployment, Kind};
use super::inbox::Task;
use super::io::{BodyError, ConnectionId};
use crate::queue::{
    Event,
    event::{Dedup, NewEntry, Ticket, Watch},
    limits,
    store::Side,
};
use crate::wire::{
    Answer, Call, CallPurpose, Operation,
    http::settings::Patch,
    put::{PutDefaults, Stamp},
    rejection,
    v1::client::ClientCommand,
};
use alloc::{format, vec};
use bytes::Bytes;

/// Largest form or settings body, in bytes.
const FORM_BYTES_MAX: u64 = 64 * 1024;

/// The longest body of a call, in bytes. `None` for a call without a body.
pub(super) fn body_max(purpose: &CallPurpose) -> Option<u64> {
    let CallPurpose::Operation(operation) = purpose else { return None };
    match operation {
        Operation::Put { .. } => Some(limits::PAYLOAD_BYTES_CEILING),
        Operation::Batch { .. } => Some(limits::BATCH_BYTES_MAX as u64),
        Operation::Reject { .. } | Operation::Configure => Some(FORM_BYTES_MAX),
        _ => None,
    }
}

/// The answer to a request whose body was not read.
pub(super) fn no_body(purpose: &CallPurpose, error: BodyError) -> Answer {
    match error {
        BodyError::TooLong => {
            let max = body_max(purpose).expect("a body was asked for");
            Answer::text(413, format!("the body is larger than the {max} bytes allowed here; send a smaller one"))
        }
        BodyError::Broken(error) => Answer::bad(format!("the body could not be read: {error}; send the request again")),
    }
}

/// The task of a call.
pub(super) fn call(ticket: Ticket, call: Call, body: Bytes, random: u128) -> Result<Task, Answer> {
    let Call { side, consumer, purpose, .. } = call;
    let operation = match purpose {
        CallPurpose::Operation(operation) => operation,
        CallPurpose::Watch { watch, .. } => return Ok(Task::Watch(side, ticket, watch)),
    };
    let event = match operation {
        Operation::Put { priority, tags, once } => {
            let once = once.then_some(Dedup::RequestId);
            Event::Put(ticket, vec![NewEntry { priority, tags, data: body, random, dedup: once }])
        }
        Operation::Batch { batch, .. } => Event::Put(ticket, batch.read(body, random)?),
        Operation::Get { get, .. } => Event::Get(ticket, get),
        Operation::Attributes { .. } | Operation::Settings => Event::Stats(ticket),
        Operation::Count { priority, filter } => Event::Count(ticket, priority, filter),
        Operation::Status { request_id } => Event::Find(ticket, request_id),
        Operation::Cancel { request_id } => Event::Cancel(ticket, request_id),
        Operation::Search { index } => Event::Search(ticket, consumer, index),
        Operation::Commit { indexes } => Event::Commit(ticket, consumer, indexes),
        Operation::Reject { indexes, delay_ms } => {
            Event::Reject(ticket, consumer, indexes, rejection::parse(&body, delay_ms)?)
        }
        Operation::Remove { indexes } => Event::Remove(ticket, indexes),
        Operation::Truncate { below } => Event::Truncate(ticket, below),
        Operation::End { force } => Event::End(ticket, force),
        Operation::Configure => return Ok(Task::Configure(ticket, Patch::parse(&body)?)),
    };
    Ok(Task::Event(side, event))
}

/// The task of one request of a session.
pub(super) fn session(
    ticket: Ticket,
    connection: ConnectionId,
    terms: &WatchTerms,
    command: ClientCommand,
    now_ms: u64,
    random: u128,
) -> Result<Task, Answer> {
    let consumer = || terms.watch.consumer.clone();
    let event = match command {
        ClientCommand::Put(entries, _) => {
            let stamp = Stamp::new(terms.sink, now_ms, "");
            Event::Put(ticket, PutDefaults::of(stamp).complete(entries, random)?)
        }
        ClientCommand::Commit(indexes) => Event::Commit(ticket, consumer(), indexes),
        ClientCommand::Reject(indexes, rejection) => Event::Reject(ticket, consumer(), indexes, rejection),
        ClientCommand::Window(window) => Event::Attach(ticket, connection, Watch { window, ..terms.watch.clone() }),
    };
    Ok(Task::Event(terms.side, event))
}

/// The sender of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// An HTTP request: of a client, which the Worker has checked, or of another queue of the service.
    Request,
    /// A session, which is always a client's.
    Session,
}

/// Whether this queue may carry out a task of this sender.
pub(super) fn check(task: &Task, caller: Caller, deployment: &Deployment) -> Result<(), Answer> {
    let Task::Event(_, Event::Put(_, entries)) = task else { return Ok(()) };
    if deployment.kind == Kind::Callbacks && caller == Caller::Session {
        return Err(Answer::text(405, "only the service itself puts into its callbacks"));
    }
    deployment.check_entries(entries).map_err(Answer::bad)
}

/// The side that a task concerns.
pub(super) fn side(task: &Task) -> Side {
    match task {
        Task::Event(side, _) | Task::Watch(side, ..) => *side,
        Task::Alarm | Task::Configure(..) => Side::Main,
    }
}
