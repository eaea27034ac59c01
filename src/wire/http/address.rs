//! Addresses: paths as names of queues.

use super::parameters::RESERVED;
use crate::queue::limits::NAME_BYTES_MAX;
use crate::wire::answer::Answer;
use crate::wire::request_parts::RequestParts;
use crate::wire::scalar::shown;
use crate::wire::urlencoded;
use alloc::{format, string::String};

/// What comes before the name of a service.
pub const PREFIX: &str = "/api/predict/";
/// Service whose queues have the bare paths `/` and `/sink`.
pub const BARE_SERVICE: &str = "default";
/// First segment after the service that selects its output queue.
pub const SINK: &str = "sink";
/// First segment after the service that selects the queue of its callbacks. Only the service itself puts into it.
pub const CALLBACKS: &str = "~callbacks";

/// A queue, and the sub-path that is passed on to whoever processes its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Name of the service, checked: ASCII letters, digits, `_`, `-` and `.`, beginning with a letter or digit.
    pub service: String,
    /// Whether the output queue of the service is meant.
    pub sink: bool,
    /// The rest of the path, with its leading `/` and percent-encoded as sent; or empty.
    pub suffix: String,
}

impl Address {
    /// Reads a path (percent-encoded, without the query). Refuses what is not the path of a queue (404), and bad names
    /// (400).
    pub fn parse(path: &str) -> Result<Self, Answer> {
        if let Some(sink) = bare(path) {
            return Ok(Self { service: BARE_SERVICE.into(), sink, suffix: String::new() });
        }
        let Some(rest) = path.strip_prefix(PREFIX).filter(|rest| !rest.is_empty()) else {
            return Err(Answer::text(
                404,
                format!("{} is not a queue; queues are at {PREFIX}<service> and {PREFIX}<service>/sink", shown(path)),
            ));
        };
        let (service, suffix) = split(rest);
        let service = service_name(service)?;
        let (first, after) = split(suffix.strip_prefix('/').unwrap_or_default());
        let sink = first == SINK;
        let suffix = if sink { after } else { suffix };
        let suffix = if suffix == "/" { "" } else { suffix };
        Ok(Self { service, sink, suffix: suffix.into() })
    }

    /// Name of the object that holds the queue: `service`, `service/sink` or `service/~callbacks`. No two queues share
    /// one, because the name of a service has no `/`.
    pub fn queue_name(&self) -> String {
        match (self.sink, self.is_callbacks()) {
            (true, _) => format!("{}/{SINK}", self.service),
            (_, true) => format!("{}/{CALLBACKS}", self.service),
            _ => self.service.clone(),
        }
    }

    /// Whether the queue of callbacks is meant.
    pub fn is_callbacks(&self) -> bool {
        !self.sink && self.suffix.strip_prefix('/').is_some_and(|suffix| suffix == CALLBACKS)
    }

    /// Reads the path of a client's request. Clients may not put into the queue of callbacks, because what is in it
    /// will be signed in the name of the service.
    pub fn of_client(method: &str, path: &str) -> Result<Self, Answer> {
        let address = Self::parse(path)?;
        if method == "POST" && address.is_callbacks() {
            return Err(Answer::wrong_method("GET, PUT, DELETE", "only the service itself puts into its callbacks"));
        }
        Ok(address)
    }
}

/// Whether a bare path means the sink, if it is one.
fn bare(path: &str) -> Option<bool> {
    match path {
        "" | "/" => Some(false),
        "/sink" | "/sink/" => Some(true),
        _ => None,
    }
}

/// Splits before the first `/`.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find('/').unwrap_or(text.len()))
}

fn service_name(encoded: &str) -> Result<String, Answer> {
    let name = urlencoded::decode(encoded, false).map_err(|wrong| Answer::bad(format!("the service name {wrong}")))?;
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
    if !name.starts_with(|character: char| character.is_ascii_alphanumeric()) || !name.chars().all(plain) {
        return Err(Answer::bad(format!(
            "{} is not a service name; use letters, digits, '_', '-' and '.', beginning with a letter or digit",
            shown(&name)
        )));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Answer::bad(format!(
            "the service name has {} bytes and at most {NAME_BYTES_MAX} are allowed; shorten it",
            name.len()
        )));
    }
    Ok(name)
}

/// Whether a request is for the API rather than for the web page. Everything under `/api/` is. On the bare paths `/`
/// and `/sink` these are: any `POST`, `PUT` or `DELETE`, any request with an `Authorization` header (even an empty one,
/// which some clients send), and any request with a reserved parameter (`_attrs_`, `_watch_`, ...).
pub fn is_api(parts: &RequestParts<'_>) -> bool {
    let reserved = |piece: &str| {
        let name = piece.split_once('=').map_or(piece, |(name, _)| name);
        urlencoded::decode(name, true).is_ok_and(|name| RESERVED.contains(&name.as_str()))
    };
    parts.path.starts_with("/api/")
        || bare(parts.path).is_some()
            && (matches!(parts.method, "POST" | "PUT" | "DELETE")
                || (parts.header)("Authorization").is_some()
                || parts.query.split('&').any(reserved))
}
