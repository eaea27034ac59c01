//! Requests: method, path, query and headers in, a [`Call`] out.
//!
//! A parameter that an operation does not use is ignored, since clients send some of them with every request. One that
//! no operation uses is refused by [`Parameters`], since it must be a misspelling.

use super::address::Address;
use super::batch::{BatchFormat, BatchPut};
use super::operation::{Call, CallPurpose, Encoding, EntryEncoding, Operation, Transport};
use super::parameters::Parameters;
use crate::queue::entry::{Filter, Index, Priority, TAG_REQUEST_ID};
use crate::queue::event::{Get, Start, Watch};
use crate::queue::limits;
use crate::wire::answer::Answer;
use crate::wire::names::{HEADER_PRIORITY, PROTOBUF, TAG_CALLBACK, TAG_CONTENT_TYPE};
use crate::wire::put::{PutDefaults, Stamp, no_request_id};
use crate::wire::rejection;
use crate::wire::request_parts::{RequestParts, consumer, side};
use crate::wire::scalar::{self, shown};
use crate::wire::v1::subprotocol;
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

/// A get that waits for [`EARLY_FROM_MS`] or longer is answered this much earlier than asked, so that the answer
/// arrives before a client with the same timeout gives up.
const EARLY_MS: u64 = 100;
/// Shorter waits are kept as they are.
const EARLY_FROM_MS: u64 = 1_000;

const _: () = assert!(EARLY_MS < EARLY_FROM_MS, "a get that waits still waits when it is answered early");
const _: () = assert!(limits::WINDOW_DEFAULT > 0, "a watch that asks for no window is pushed entries");
const _: () = assert!(limits::GET_ENTRIES_MAX > 0, "a get can return an entry");

/// Parameters that select an operation, each with the methods it belongs to.
const MARKERS: [(&str, &str); 11] = [
    ("_attrs_", "GET"),
    ("_count_", "GET"),
    ("_search_", "GET"),
    ("_status_", "GET"),
    ("_watch_", "GET"),
    ("_settings_", "GET, PUT"),
    ("_eos_", "POST"),
    ("_batch_", "POST"),
    ("_negative_", "PUT"),
    ("_cancel_", "DELETE"),
    ("_trunc_", "DELETE"),
];

/// Reads a request that arrives at `now_ms` (Unix milliseconds), with which puts are stamped. The error is a 4xx that
/// says what is wrong.
pub fn parse(parts: &RequestParts<'_>, now_ms: u64) -> Result<Call, Answer> {
    let address = Address::parse(parts.path)?;
    if !matches!(parts.method, "GET" | "POST" | "PUT" | "DELETE") {
        let text =
            format!("a queue does not know the method {}; it knows GET, POST, PUT and DELETE", shown(parts.method));
        return Err(Answer::wrong_method("GET, POST, PUT, DELETE", text));
    }
    let query = Parameters::parse(parts.query)?;
    if parts.method != "POST" && !address.suffix.is_empty() && !query.has_reserved() {
        return Err(Answer::text(
            404,
            format!(
                "there is nothing to {} at the sub-path {}; only POST takes one",
                parts.method,
                shown(&address.suffix)
            ),
        ));
    }
    check_markers(parts.method, &query)?;
    let purpose = match parts.method {
        "GET" if query.flag("_watch_")? => watch(parts, &query)?,
        "GET" => CallPurpose::Operation(read(parts, &query)?),
        "POST" => CallPurpose::Operation(post(parts, &query, &address, now_ms)?),
        "PUT" => CallPurpose::Operation(settle(&query)?),
        _ => CallPurpose::Operation(remove(&query)?),
    };
    Ok(Call { side: side(parts)?, consumer: consumer(parts)?, address, purpose })
}

/// Refuses a marker with another method, because what such a request says literally (a put, a get that removes entries)
/// could do harm; and two markers at once.
fn check_markers(method: &str, query: &Parameters) -> Result<(), Answer> {
    let mut set = None;
    for (marker, allow) in MARKERS {
        if !query.flag(marker)? {
            continue;
        }
        if !allow.split(", ").any(|allowed| allowed == method) {
            return Err(Answer::wrong_method(allow, format!("{marker} goes with {allow}, not with {method}")));
        }
        if let Some(other) = set {
            return Err(Answer::bad(format!("{other} and {marker} ask for two things at once; send two requests")));
        }
        set = Some(marker);
    }
    Ok(())
}

fn read(parts: &RequestParts<'_>, query: &Parameters) -> Result<Operation, Answer> {
    if is_upgrade(parts) {
        return Err(Answer::bad("a WebSocket is for watching; add _watch_=true"));
    }
    let protobuf = accepts_protobuf(parts);
    let structured = if protobuf { Encoding::Protobuf } else { Encoding::Json };
    if query.flag("_attrs_")? {
        Ok(Operation::Attributes { encoding: structured })
    } else if query.flag("_settings_")? {
        Ok(Operation::Settings)
    } else if query.flag("_count_")? {
        Ok(Operation::Count { priority: query.signed("_priority_")?.map(Priority), filter: Filter(query.tags.clone()) })
    } else if query.flag("_status_")? {
        Ok(Operation::Status { request_id: request_id(query, "_status_")? })
    } else if query.flag("_search_")? {
        let index = query.unsigned("_index_")?;
        let index = index.ok_or_else(|| Answer::bad("a search needs _index_, the index of the entry to look for"))?;
        Ok(Operation::Search { index: Index(index) })
    } else {
        // A client that asks for nothing in particular gets the bare body.
        let encoding = match query.boolean("_raw_")?.unwrap_or(!protobuf) {
            true => EntryEncoding::Raw,
            false => EntryEncoding::List(structured),
        };
        Ok(Operation::Get { get: get(query)?, encoding })
    }
}

/// The id of the request that a call is about.
fn request_id(query: &Parameters, marker: &str) -> Result<String, Answer> {
    let given = query.tags.get(TAG_REQUEST_ID).filter(|id| !id.is_empty());
    given.cloned().ok_or_else(|| Answer::bad(format!("{marker} needs requestId, the request id that the put answered")))
}

/// Whether protobuf is asked for by name. Plain HTTP clients send wildcards, and they want JSON.
fn accepts_protobuf(parts: &RequestParts<'_>) -> bool {
    let accept = (parts.header)("Accept").unwrap_or_default();
    let media_type = |part: &str| part.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(PROTOBUF));
    accept.split(',').any(media_type)
}

fn get(query: &Parameters) -> Result<Get, Answer> {
    let count = query.unsigned("_length_")?.unwrap_or(1);
    if count == 0 {
        return Err(Answer::bad("_length_ must be at least 1; it is the number of entries to get"));
    }
    let timeout_ms = query.duration_ms("_timeout_")?.unwrap_or(0).min(limits::WAIT_MS_MAX);
    Ok(Get {
        start: start(query)?,
        filter: Filter(query.tags.clone()),
        count: count.min(limits::GET_ENTRIES_MAX),
        remove: query.boolean("_auto_delete_")?.unwrap_or(true),
        wait_ms: if timeout_ms < EARLY_FROM_MS { timeout_ms } else { timeout_ms - EARLY_MS },
    })
}

fn start(query: &Parameters) -> Result<Start, Answer> {
    match query.one("_index_")? {
        Some("-1") => Ok(Start::Newest),
        _ => match query.unsigned("_index_") {
            Ok(index) => Ok(Start::At(Index(index.unwrap_or(0)))),
            Err(_) => Err(Answer::bad(format!(
                "_index_ must be a whole number from 0, or -1 for the newest, not {}",
                shown(query.one("_index_")?.unwrap_or_default())
            ))),
        },
    }
}

/// Whether a WebSocket is to be opened.
fn is_upgrade(parts: &RequestParts<'_>) -> bool {
    (parts.header)("Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

fn transport(parts: &RequestParts<'_>) -> Transport {
    if !is_upgrade(parts) {
        return Transport::Stream;
    }
    let offered = (parts.header)("Sec-WebSocket-Protocol").unwrap_or_default();
    if subprotocol::is_offered(&offered) {
        Transport::Session
    } else if subprotocol::is_plain_offered(&offered) {
        Transport::Plain
    } else {
        Transport::Socket
    }
}

fn watch(parts: &RequestParts<'_>, query: &Parameters) -> Result<CallPurpose, Answer> {
    let transport = transport(parts);
    let auto_commit = query.flag("_auto_commit_")?;
    let window = query.unsigned("_window_")?.unwrap_or_else(|| limits::WINDOW_DEFAULT.into());
    // A session may begin with a window of 0, which pushes nothing.
    let least = if transport == Transport::Session { 0 } else { 1 };
    if window < least && !auto_commit {
        return Err(Answer::bad(
            "_window_ must be at least 1; it is how many uncommitted entries may be at this consumer",
        ));
    }
    let window = window.clamp(least, limits::WINDOW_MAX.into()) as u32;
    let watch = Watch {
        consumer: consumer(parts)?,
        start: start(query)?,
        window,
        auto_commit,
        index_only: query.flag("_index_only_")?,
        filter: Filter(query.tags.clone()),
        local: false,
    };
    Ok(CallPurpose::Watch { watch, transport })
}

fn post(parts: &RequestParts<'_>, query: &Parameters, address: &Address, now_ms: u64) -> Result<Operation, Answer> {
    if query.flag("_eos_")? {
        return Ok(Operation::End { force: query.flag("_force_")? });
    }
    let priority =
        match (query.signed("_priority_")?, (parts.header)(HEADER_PRIORITY).filter(|value| !value.is_empty())) {
            (Some(priority), _) => priority,
            (None, Some(text)) => {
                scalar::signed(&text).map_err(|wrong| Answer::bad(format!("the header {HEADER_PRIORITY} {wrong}")))?
            }
            (None, None) => 0,
        };
    let (priority, mut tags, once) = (Priority(priority), query.tags.clone(), query.flag("_once_")?);
    if let Some(callback) = query.one("_callback_")?.filter(|url| !url.is_empty()) {
        tags.insert(TAG_CALLBACK.into(), callback.into());
    }
    // The name of the queue of callbacks is not part of a request's path.
    let suffix = if address.is_callbacks() { "" } else { &address.suffix };
    let stamp = Stamp::new(address.sink, now_ms, suffix);
    let content_type = (parts.header)("Content-Type").filter(|value| !value.is_empty());
    if query.flag("_batch_")? {
        let format = BatchFormat::of(&content_type.unwrap_or_default())?;
        let encoding = if accepts_protobuf(parts) { Encoding::Protobuf } else { Encoding::Json };
        return Ok(Operation::Batch {
            batch: BatchPut { format, defaults: PutDefaults { stamp, priority, tags, once } },
            encoding,
        });
    }
    // A tag with the content type wins over the header.
    if let Some(content_type) = content_type {
        tags.entry(TAG_CONTENT_TYPE.into()).or_insert(content_type);
    }
    let tags = stamp.complete(tags)?;
    if once && !tags.contains_key(TAG_REQUEST_ID) {
        return Err(no_request_id());
    }
    Ok(Operation::Put { priority, tags, once })
}

fn settle(query: &Parameters) -> Result<Operation, Answer> {
    if query.flag("_settings_")? {
        return Ok(Operation::Configure);
    }
    let indexes = indexes(
        query,
        "PUT commits entries; name them with _indexes_=1,2,3 (or change settings with _settings_=true)",
    )?;
    if query.flag("_negative_")? {
        let delay_ms = query.one("_delay_")?.map(rejection::delay_ms).transpose()?;
        return Ok(Operation::Reject { indexes, delay_ms });
    }
    Ok(Operation::Commit { indexes })
}

fn remove(query: &Parameters) -> Result<Operation, Answer> {
    if query.flag("_cancel_")? {
        return Ok(Operation::Cancel { request_id: request_id(query, "_cancel_")? });
    }
    if query.flag("_trunc_")? {
        let below = query.unsigned("_index_")?;
        let below =
            below.ok_or_else(|| Answer::bad("_trunc_ needs _index_, the index of the first entry that stays"))?;
        return Ok(Operation::Truncate { below: Index(below) });
    }
    Ok(Operation::Remove {
        indexes: indexes(query, "DELETE removes entries; name them with _index_=1 or _indexes_=1,2,3")?,
    })
}

/// All indexes named by `_index_` and `_indexes_`, each once, in the order in which they first appear.
fn indexes(query: &Parameters, missing: &str) -> Result<Vec<Index>, Answer> {
    let single = query.all("_index_").map(|text| ("_index_", text));
    let listed =
        query.all("_indexes_").flat_map(|list| list.split(',')).map(|text| ("every number in _indexes_", text));
    let mut indexes = Vec::new();
    for (what, text) in single.chain(listed) {
        if indexes.len() >= limits::INDEXES_MAX {
            return Err(Answer::bad(format!(
                "a request may name at most {} indexes; send several requests",
                limits::INDEXES_MAX
            )));
        }
        let index = scalar::unsigned(text).map_err(|wrong| Answer::bad(format!("{what} {wrong}")))?;
        indexes.push(Index(index));
    }
    if indexes.is_empty() {
        return Err(Answer::bad(missing.to_string()));
    }
    let mut seen = alloc::collections::BTreeSet::new();
    indexes.retain(|index| seen.insert(*index));
    Ok(indexes)
}
