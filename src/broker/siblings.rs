//! The other queues of the service, as the consumer beside the queue calls them: the sink and the queue of callbacks.

use super::deployment::Deployment;
use super::io::{Fetch, Target};
use crate::inference::{
    event::{Destination, Place, PutOutcome},
    outcome::ResultEntry,
};
use crate::queue::{
    entry::{Frame, Index},
    event::Dedup,
};
use crate::wire::{
    PutEntry,
    http::address,
    names::{PROTOBUF, REPEATED},
    proto::frame,
};
use alloc::{format, string::String, vec, vec::Vec};
use bytes::Bytes;

/// Results or webhooks as the body of a put.
pub(super) fn batch(entries: Vec<(Index, ResultEntry)>, settled_below: Index) -> Bytes {
    let entry = |(index, entry): (Index, ResultEntry)| {
        let once = Some(Dedup::Source { index, settled_below });
        PutEntry { tags: entry.tags, data: entry.data, priority: None, once }.encode().into()
    };
    frame::list(&entries.into_iter().map(entry).collect::<Vec<Bytes>>()).into()
}

/// A request to another queue of the service.
pub(super) fn call(deployment: &Deployment, to: Destination, method: &'static str, query: &str, body: Bytes) -> Fetch {
    let name = deployment.queue_name(to);
    let url = format!("https://queue{}{name}?{query}", address::PREFIX);
    let headers = vec![("Content-Type".into(), PROTOBUF.into()), ("Accept".into(), PROTOBUF.into())];
    Fetch { target: Target::Queue(name), method, url, headers, body }
}

/// The outcome of a put into another queue, from its answer.
pub(super) fn put_outcome(status: u16, body: &Bytes) -> PutOutcome {
    match status {
        200 => match frame::decode_list(body) {
            Ok(receipts) => PutOutcome::Stored(receipts.iter().map(place).collect()),
            Err(_) => PutOutcome::Later,
        },
        400 | 413 => PutOutcome::Refused(status, String::from_utf8_lossy(body).into_owned()),
        _ => PutOutcome::Later,
    }
}

fn place(receipt: &Frame) -> Place {
    Place { index: Index(receipt.index), repeated: receipt.message == REPEATED }
}
