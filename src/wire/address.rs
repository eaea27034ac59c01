//! Addresses: which queue a path means.

use super::query::{self, RESERVED};
use super::request::Head;
use super::scalar::shown;
use super::status::Answer;
use crate::queue::limits::NAME_BYTES_MAX;
use alloc::{format, string::String};

/// What comes before the name of a service.
pub const PREFIX: &str = "/api/predict/";
/// Service whose queues are meant by the bare paths `/` and `/sink`.
pub const BARE_SERVICE: &str = "default";
/// First segment after the service that means its output queue.
const SINK: &str = "sink";

/// A queue, and the sub-path that goes to whoever processes its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name of the service, checked: ASCII letters, digits, `_`, `-` and `.`, beginning with a letter or digit.
    pub service: String,
    /// Whether its output queue is meant.
    pub sink: bool,
    /// What follows in the path, with its leading `/` and percent-encoded as sent; or empty.
    pub suffix: String,
}

impl Address {
    /// Reads a path (percent-encoded, without the query). 404 for a path that is no queue, 400 for a bad name.
    pub fn parse(path: &str) -> Result<Self, Answer> {
        if let Some(sink) = bare(path) {
            return Ok(Self { service: BARE_SERVICE.into(), sink, suffix: String::new() });
        }
        let Some(rest) = path.strip_prefix(PREFIX).filter(|rest| !rest.is_empty()) else {
            return Err(Answer::text(
                404,
                format!("{} is no queue; queues are at {PREFIX}<service> and {PREFIX}<service>/sink", shown(path)),
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

    /// Name of the object that holds the queue: `service` or `service/sink`. A service's name has no `/`, so no two
    /// queues share one.
    pub fn queue_name(&self) -> String {
        if self.sink { format!("{}/{SINK}", self.service) } else { self.service.clone() }
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
    let name = query::decode(encoded, false).map_err(|wrong| Answer::bad(format!("the service name {wrong}")))?;
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
    if !name.starts_with(|character: char| character.is_ascii_alphanumeric()) || !name.chars().all(plain) {
        return Err(Answer::bad(format!(
            "{} is no service name; use letters, digits, '_', '-' and '.', beginning with a letter or digit",
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

/// Host of an absolute URL, and its port if it is not the usual one.
pub fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Path and query of an absolute URL that a platform has already taken apart and put together again. Not a URL parser:
/// the tables of international names in one would more than double the size of the service.
pub fn path_and_query(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(host..).unwrap_or_default();
    let target = rest.find(['/', '?', '#']).and_then(|at| rest.get(at..)).unwrap_or_default();
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (if path.is_empty() { "/" } else { path }, query)
}

/// Whether a request is for the API. Everything under `/api/` is. On the bare paths `/` and `/sink` these are:
/// any `POST`, `PUT` or `DELETE`, any request with an `Authorization` header (even an empty one, which some clients
/// send), and any request with a reserved parameter (`_attrs_`, `_watch_`, ...). All else is for the web page.
pub fn is_api(head: &Head) -> bool {
    let reserved = |piece: &str| {
        let name = piece.split_once('=').map_or(piece, |(name, _)| name);
        query::decode(name, true).is_ok_and(|name| RESERVED.contains(&name.as_str()))
    };
    head.path.starts_with("/api/")
        || bare(head.path).is_some()
            && (matches!(head.method, "POST" | "PUT" | "DELETE")
                || (head.header)("Authorization").is_some()
                || head.query.split('&').any(reserved))
}
