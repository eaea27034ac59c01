//! Requests: method, path, query and headers in, a [`Call`] out.
//!
//! A parameter that an operation does not use is ignored, since clients send some of them everywhere; one that nobody
//! uses is refused by [`Query`], since it is a misspelling.

use super::address::Address;
use super::query::{Query, check_tags};
use super::scalar::{self, shown};
use super::status::{Answer, Encoding, Form};
use crate::queue::entry::{Filter, Index, Lane, TAG_REQUEST_ID, TAG_TIME_PREFIX, Tags};
use crate::queue::event::{ConsumerId, Get, Start, Watch};
use crate::queue::limits;
use crate::queue::store::Side;
use alloc::{format, string::String, string::ToString, vec::Vec};

/// Header with the name of the consumer.
pub const HEADER_USER: &str = "X-EAS-QueueService-Uid";
/// Header with the name of the consumer's group.
pub const HEADER_GROUP: &str = "X-EAS-QueueService-Gid";
/// The same as some clients write it.
const HEADER_USER_REDIS: &str = "X-EAS-QueueService-Redis-Uid";
/// The same as some clients write it.
const HEADER_GROUP_REDIS: &str = "X-EAS-QueueService-Redis-Gid";
/// Header with the priority of a put.
pub const HEADER_PRIORITY: &str = "X-EAS-QueueService-Priority";
/// Header that selects the rear queue.
pub const HEADER_REAR: &str = "X-EAS-QueueService-Access-Rear";
/// Consumer of a request that names none.
pub const USER_DEFAULT: &str = "default_user";
/// Group of a request that names none.
pub const GROUP_DEFAULT: &str = "default_group";
/// Media type that asks for protobuf.
pub const PROTOBUF: &str = "application/vnd.google.protobuf";
/// Tag with the content type of a put.
pub const TAG_CONTENT_TYPE: &str = "Header:Content-Type";
/// Tag with the sub-path of a put.
pub const TAG_PATH: &str = "Path";
/// A get that waits at least a second is answered this much earlier than asked, so that the answer arrives before a
/// client whose own timeout is the same gives up.
const EARLY_MS: u64 = 100;

/// Parameters that select an operation, each with the methods it belongs to.
const MARKERS: [(&str, &str); 8] = [
    ("_attrs_", "GET"),
    ("_count_", "GET"),
    ("_search_", "GET"),
    ("_watch_", "GET"),
    ("_settings_", "GET, PUT"),
    ("_eos_", "POST"),
    ("_negative_", "PUT"),
    ("_trunc_", "DELETE"),
];

/// What is known of a request before its body.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// `GET`, `POST`, ...
    pub method: &'a str,
    /// Path, percent-encoded, beginning with `/`.
    pub path: &'a str,
    /// Query without the `?`; may be empty.
    pub query: &'a str,
    /// Looks a header up; must ignore case.
    pub header: &'a dyn Fn(&str) -> Option<String>,
}

/// A request that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The queue.
    pub address: Address,
    /// Which side of it.
    pub side: Side,
    /// Who asks.
    pub consumer: ConsumerId,
    /// What for.
    pub operation: Operation,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Store the body. `tags` are complete except for a generated `requestId`.
    Put {
        /// Priority.
        lane: Lane,
        /// Tags, time stamp included.
        tags: Tags,
    },
    /// Read.
    Get {
        /// What.
        get: Get,
        /// How the answer is written.
        encoding: Encoding,
    },
    /// Tell the attributes.
    Attributes {
        /// How the answer is written; never raw.
        encoding: Encoding,
    },
    /// Count entries.
    Count {
        /// Of this priority only.
        lane: Option<Lane>,
        /// With these tags.
        filter: Filter,
    },
    /// Tell where an entry stands.
    Search {
        /// Which.
        index: Index,
    },
    /// Subscribe.
    Watch {
        /// To what.
        watch: Watch,
        /// How frames are sent.
        transport: Transport,
    },
    /// Commit.
    Commit {
        /// What, at least one.
        indexes: Vec<Index>,
    },
    /// Commit negatively; code and reason are in the body: see [`rejection::parse`](super::rejection::parse).
    Reject {
        /// What, at least one.
        indexes: Vec<Index>,
    },
    /// Remove entries.
    Remove {
        /// What, at least one.
        indexes: Vec<Index>,
    },
    /// Remove everything below an index.
    Truncate {
        /// The first that stays.
        below: Index,
    },
    /// End the stream.
    End {
        /// Drop what is waiting.
        force: bool,
    },
    /// Change settings; the change is in the body: see [`settings::Patch::parse`](super::settings::Patch::parse).
    Configure,
    /// Tell the settings.
    Settings,
}

/// How a watcher is sent its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One frame per binary WebSocket message.
    Socket,
    /// Length-delimited frames in an endless body: see [`frame::delimited`](super::frame::delimited).
    Stream,
}

/// Reads a request. `now_ms` is stamped on puts. The answer is a 4xx that says what is wrong.
pub fn parse(head: &Head, now_ms: u64) -> Result<Call, Answer> {
    let address = Address::parse(head.path)?;
    if !matches!(head.method, "GET" | "POST" | "PUT" | "DELETE") {
        let text =
            format!("a queue does not know the method {}; it knows GET, POST, PUT and DELETE", shown(head.method));
        return Err(Answer::wrong_method("GET, POST, PUT, DELETE", text));
    }
    let query = Query::parse(head.query)?;
    if head.method != "POST" && !address.suffix.is_empty() && !query.has_reserved() {
        return Err(Answer::text(
            404,
            format!(
                "there is nothing to {} at the sub-path {}; only POST takes one",
                head.method,
                shown(&address.suffix)
            ),
        ));
    }
    check_markers(head.method, &query)?;
    let operation = match head.method {
        "GET" => read(head, &query)?,
        "POST" => post(head, &query, &address, now_ms)?,
        "PUT" => settle(&query)?,
        _ => remove(&query)?,
    };
    Ok(Call { side: side(head)?, consumer: consumer(head)?, address, operation })
}

impl Call {
    /// How the reply is to be written.
    pub fn form(&self) -> Form {
        match &self.operation {
            Operation::Get { encoding, .. } => Form::Entries(*encoding),
            Operation::Attributes { encoding } => Form::Attributes(*encoding, self.address.clone(), self.side),
            Operation::Settings => Form::Settings,
            _ => Form::Plain,
        }
    }
}

/// A marker with another method is a mistake whose literal reading (a put, a get that deletes) could do harm.
fn check_markers(method: &str, query: &Query) -> Result<(), Answer> {
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

fn side(head: &Head) -> Result<Side, Answer> {
    let value = (head.header)(HEADER_REAR).filter(|value| !value.is_empty());
    match value.as_deref().map(scalar::boolean).transpose() {
        Ok(Some(true)) => Ok(Side::Rear),
        Ok(_) => Ok(Side::Main),
        Err(wrong) => Err(Answer::bad(format!("the header {HEADER_REAR} {wrong}"))),
    }
}

fn consumer(head: &Head) -> Result<ConsumerId, Answer> {
    Ok(ConsumerId {
        group: name(head, HEADER_GROUP, HEADER_GROUP_REDIS, GROUP_DEFAULT)?,
        user: name(head, HEADER_USER, HEADER_USER_REDIS, USER_DEFAULT)?,
    })
}

fn name(head: &Head, header: &str, header_redis: &str, default: &str) -> Result<String, Answer> {
    let sent = |header: &str| (head.header)(header).filter(|value| !value.is_empty());
    let Some((header, name)) =
        sent(header).map(|name| (header, name)).or_else(|| sent(header_redis).map(|name| (header_redis, name)))
    else {
        return Ok(default.into());
    };
    if name.len() > limits::NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Answer::bad(format!(
            "the header {header} must be at most {} bytes without control characters, not {}",
            limits::NAME_BYTES_MAX,
            shown(&name)
        )));
    }
    Ok(name)
}

fn read(head: &Head, query: &Query) -> Result<Operation, Answer> {
    let upgrade = (head.header)("Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    if query.flag("_watch_")? {
        return watch(head, query, if upgrade { Transport::Socket } else { Transport::Stream });
    }
    if upgrade {
        return Err(Answer::bad("a WebSocket is for watching; add _watch_=true"));
    }
    let protobuf = accepts_protobuf(head);
    let structured = if protobuf { Encoding::Protobuf } else { Encoding::Json };
    if query.flag("_attrs_")? {
        Ok(Operation::Attributes { encoding: structured })
    } else if query.flag("_settings_")? {
        Ok(Operation::Settings)
    } else if query.flag("_count_")? {
        Ok(Operation::Count { lane: query.signed("_priority_")?.map(Lane), filter: Filter(query.tags.clone()) })
    } else if query.flag("_search_")? {
        let index = query.unsigned("_index_")?;
        let index = index.ok_or_else(|| Answer::bad("a search needs _index_, the index of the entry to look for"))?;
        Ok(Operation::Search { index: Index(index) })
    } else {
        let encoding = match query.boolean("_raw_")? {
            Some(true) => Encoding::Raw,
            None if !protobuf => Encoding::Raw,
            _ => structured,
        };
        Ok(Operation::Get { get: get(query)?, encoding })
    }
}

/// Whether protobuf is asked for by name; wildcards are what plain HTTP clients send, and those want JSON.
fn accepts_protobuf(head: &Head) -> bool {
    let accept = (head.header)("Accept").unwrap_or_default();
    let media_type = |part: &str| part.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(PROTOBUF));
    accept.split(',').any(media_type)
}

fn get(query: &Query) -> Result<Get, Answer> {
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
        wait_ms: if timeout_ms < 1_000 { timeout_ms } else { timeout_ms - EARLY_MS },
    })
}

fn start(query: &Query) -> Result<Start, Answer> {
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

fn watch(head: &Head, query: &Query, transport: Transport) -> Result<Operation, Answer> {
    let auto_commit = query.flag("_auto_commit_")?;
    let window = query.unsigned("_window_")?.unwrap_or(limits::WINDOW_DEFAULT.into());
    if window == 0 && !auto_commit {
        return Err(Answer::bad(
            "_window_ must be at least 1; it is how many uncommitted entries may be at this consumer",
        ));
    }
    let window = window.clamp(1, limits::WINDOW_MAX.into()) as u32;
    let watch = Watch {
        consumer: consumer(head)?,
        start: start(query)?,
        window,
        auto_commit,
        index_only: query.flag("_index_only_")?,
        filter: Filter(query.tags.clone()),
    };
    Ok(Operation::Watch { watch, transport })
}

fn post(head: &Head, query: &Query, address: &Address, now_ms: u64) -> Result<Operation, Answer> {
    if query.flag("_eos_")? {
        return Ok(Operation::End { force: query.flag("_force_")? });
    }
    let lane = match (query.signed("_priority_")?, (head.header)(HEADER_PRIORITY).filter(|value| !value.is_empty())) {
        (Some(priority), _) => priority,
        (None, Some(text)) => {
            scalar::signed(&text).map_err(|wrong| Answer::bad(format!("the header {HEADER_PRIORITY} {wrong}")))?
        }
        (None, None) => 0,
    };
    Ok(Operation::Put { lane: Lane(lane), tags: put_tags(head, query, address, now_ms)? })
}

/// The caller's tags and those the service adds. What the caller says about content type and origin wins, so that a
/// consumer can carry them from the input queue to the sink; when an entry came here only the service says.
fn put_tags(head: &Head, query: &Query, address: &Address, now_ms: u64) -> Result<Tags, Answer> {
    let mut tags = query.tags.clone();
    if tags.get(TAG_REQUEST_ID).is_some_and(|id| id.is_empty()) {
        tags.remove(TAG_REQUEST_ID);
    }
    if tags.get(TAG_REQUEST_ID).is_some_and(|id| id.chars().any(char::is_control)) {
        return Err(Answer::bad("requestId must not contain control characters, because it is sent back in a header"));
    }
    let stamp = if address.sink { "sink" } else { "source" };
    tags.insert(format!("{TAG_TIME_PREFIX}{stamp}"), now_ms.to_string());
    if let Some(content_type) = (head.header)("Content-Type").filter(|value| !value.is_empty()) {
        tags.entry(TAG_CONTENT_TYPE.into()).or_insert(content_type);
    }
    if !address.suffix.is_empty() {
        tags.insert(TAG_PATH.into(), address.suffix.clone());
    }
    check_tags(&tags)?;
    Ok(tags)
}

fn settle(query: &Query) -> Result<Operation, Answer> {
    if query.flag("_settings_")? {
        return Ok(Operation::Configure);
    }
    let indexes = indexes(
        query,
        "PUT commits entries; name them with _indexes_=1,2,3 (or change settings with _settings_=true)",
    )?;
    Ok(if query.flag("_negative_")? { Operation::Reject { indexes } } else { Operation::Commit { indexes } })
}

fn remove(query: &Query) -> Result<Operation, Answer> {
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

/// All indexes named by `_index_` and `_indexes_`, each once, in order of appearance.
fn indexes(query: &Query, missing: &str) -> Result<Vec<Index>, Answer> {
    let texts = query.all("_index_").chain(query.all("_indexes_").flat_map(|list| list.split(',')));
    let mut indexes = Vec::new();
    for text in texts {
        if indexes.len() >= limits::INDEXES_MAX {
            return Err(Answer::bad(format!(
                "a request may name at most {} indexes; send several requests",
                limits::INDEXES_MAX
            )));
        }
        let index = scalar::unsigned(text).map_err(|wrong| Answer::bad(format!("an index {wrong}")))?;
        indexes.push(Index(index));
    }
    if indexes.is_empty() {
        return Err(Answer::bad(missing.to_string()));
    }
    let mut seen = alloc::collections::BTreeSet::new();
    indexes.retain(|index| seen.insert(*index));
    Ok(indexes)
}
