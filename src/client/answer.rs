//! Answers: what came back, read into values or into the [`Failure`] it is.

use crate::queue::entry::{Frame, TAG_REQUEST_ID, Tags};
use crate::wire::Progress;
use crate::wire::names::BACKEND;
use crate::wire::names::REPEATED;
use crate::wire::proto::frame;
use alloc::{format, string::String, vec::Vec};
use bytes::Bytes;

/// Longest text of a refusal that is shown, in characters.
const TEXT_CHARS_MAX: usize = 400;

/// What came back for a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// HTTP status.
    pub status: u16,
    /// The header [`HEADER_REQUEST_ID`](crate::wire::names::HEADER_REQUEST_ID).
    pub request_id: Option<String>,
    /// Whether the header [`HEADER_REPEATED`](crate::wire::names::HEADER_REPEATED) is there.
    pub repeated: bool,
    /// The body.
    pub body: Bytes,
}

/// Why a request was not carried out, in kinds that a program can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The token is missing or wrong.
    NotAuthorised,
    /// There is no such queue or entry.
    NotFound,
    /// The entry is larger than the queue takes.
    TooLarge,
    /// The queue takes no more for now.
    Full,
    /// The stream was ended.
    Ended,
    /// Something else is wrong with the request.
    Bad,
    /// The service, or something on the way to it, failed; the same request may work later.
    Service,
    /// The answer is not what the protocol says.
    Unreadable,
}

/// A request that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// For programs.
    pub kind: FailureKind,
    /// HTTP status.
    pub status: u16,
    /// For people.
    pub text: String,
}

impl Failure {
    /// Reads an answer that refuses the request.
    pub fn of(response: &HttpResponse) -> Self {
        let status = response.status;
        let kind = match status {
            401 | 403 => FailureKind::NotAuthorised,
            404 => FailureKind::NotFound,
            410 => FailureKind::Ended,
            413 => FailureKind::TooLarge,
            429 => FailureKind::Full,
            400..=499 => FailureKind::Bad,
            500..=599 => FailureKind::Service,
            _ => FailureKind::Unreadable,
        };
        let body = String::from_utf8_lossy(&response.body);
        // Proxies on the way answer with pages, which are for browsers.
        let text = if body.trim().is_empty() || body.trim_start().starts_with('<') {
            format!("the service answered with status {status}")
        } else {
            printable(body.trim())
        };
        Self { kind, status, text }
    }

    fn unreadable(response: &HttpResponse, wanted: &str) -> Self {
        let body = String::from_utf8_lossy(&response.body);
        let text = format!("the answer is not {wanted} but \"{}\"", printable(body.trim()));
        Self { kind: FailureKind::Unreadable, status: response.status, text }
    }
}

/// A text of the service on one line, without what would move a terminal's cursor.
fn printable(text: &str) -> String {
    let shown = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().take(TEXT_CHARS_MAX).map(shown).collect()
}

fn success(response: &HttpResponse) -> Result<&str, Failure> {
    match response.status {
        200 => core::str::from_utf8(&response.body).map_err(|_| Failure::unreadable(response, "text")),
        _ => Err(Failure::of(response)),
    }
}

/// An entry that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutReceipt {
    /// Its index.
    pub index: u64,
    /// Its request id; empty when the service did not tell it.
    pub request_id: String,
    /// Nothing was stored now: an earlier put had stored it.
    pub repeated: bool,
}

/// Reads the answer to a put.
pub fn put(response: &HttpResponse) -> Result<PutReceipt, Failure> {
    let index = success(response)?.trim().parse().map_err(|_| Failure::unreadable(response, "an index"))?;
    Ok(PutReceipt { index, request_id: response.request_id.clone().unwrap_or_default(), repeated: response.repeated })
}

/// Reads the answer to a batched put of `count` entries: their receipts in order.
pub fn put_batch(response: &HttpResponse, count: usize) -> Result<Vec<PutReceipt>, Failure> {
    let frames = frames(response, "a list of indexes")?;
    if frames.len() != count {
        return Err(Failure::unreadable(response, "one index for each entry"));
    }
    let receipt = |mut frame: Frame| {
        let request_id = frame.tags.remove(TAG_REQUEST_ID).unwrap_or_default();
        PutReceipt { index: frame.index, request_id, repeated: frame.message == REPEATED }
    };
    Ok(frames.into_iter().map(receipt).collect())
}

/// Reads the answer to a get; nothing found is an empty list.
pub fn entries(response: &HttpResponse) -> Result<Vec<Frame>, Failure> {
    if response.status == 204 { Ok(Vec::new()) } else { frames(response, "a list of entries") }
}

fn frames(response: &HttpResponse, wanted: &str) -> Result<Vec<Frame>, Failure> {
    if response.status != 200 {
        return Err(Failure::of(response));
    }
    frame::decode_list(&response.body).map_err(|_| Failure::unreadable(response, wanted))
}

/// Reads attributes.
pub fn attributes(response: &HttpResponse) -> Result<Tags, Failure> {
    let text = success(response)?.trim();
    if text.is_empty() {
        return Ok(Tags::new());
    }
    serde_json::from_str(text).map_err(|_| Failure::unreadable(response, "a map of attributes"))
}

/// Whether the service with these attributes is one of ours, which takes batched puts. An older one of ours refuses
/// them with [`FailureKind::Bad`] and stores nothing.
pub fn is_edgequeue(attributes: &Tags) -> bool {
    attributes.get("meta.backend").is_some_and(|backend| backend == BACKEND)
}

/// Longest body the queue with these attributes takes, if it says so.
pub fn payload_bytes_max(attributes: &Tags) -> Option<u64> {
    let found = attributes.get("meta.maxPayloadBytes").or_else(|| attributes.get("stream.maxPayloadBytes"));
    found.and_then(|text| text.parse().ok())
}

/// Reads a count.
pub fn count(response: &HttpResponse) -> Result<u64, Failure> {
    success(response)?.trim().parse().map_err(|_| Failure::unreadable(response, "a number"))
}

/// Where an entry stands, in the vendor's words.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SearchResult {
    /// Group and user, joined by a dot.
    pub consumer_id: String,
    /// Whether that consumer holds it.
    pub is_pending: bool,
    /// Entries before it.
    pub wait_count: u64,
}

/// Reads the answer to a search; an unknown index is [`FailureKind::NotFound`].
pub fn position(response: &HttpResponse) -> Result<SearchResult, Failure> {
    serde_json::from_str(success(response)?).map_err(|_| Failure::unreadable(response, "a position"))
}

/// Reads the answer to a status call. That the request is unknown is an answer too.
pub fn progress(response: &HttpResponse) -> Result<Progress, Failure> {
    let known = Progress::parse(&response.body);
    match (response.status, known) {
        (200, Some(progress)) => Ok(progress),
        (404, Some(Progress::Unknown)) => Ok(Progress::Unknown),
        (200, None) => Err(Failure::unreadable(response, "a status")),
        _ => Err(Failure::of(response)),
    }
}

/// How a cancellation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The entry with this index was removed.
    Done(u64),
    /// It cannot be cancelled: the request has ended or is about to. The service's reason.
    TooLate(String),
    /// The service does not know the request.
    Unknown,
}

/// Reads the answer to a cancellation.
pub fn cancelled(response: &HttpResponse) -> Result<Cancelled, Failure> {
    #[derive(serde::Deserialize)]
    struct CancelBody {
        index: u64,
    }
    match response.status {
        409 => Ok(Cancelled::TooLate(Failure::of(response).text)),
        404 if Progress::parse(&response.body) == Some(Progress::Unknown) => Ok(Cancelled::Unknown),
        _ => serde_json::from_str(success(response)?)
            .map(|CancelBody { index }| Cancelled::Done(index))
            .map_err(|_| Failure::unreadable(response, "a cancellation")),
    }
}

/// Reads an answer that only says that the request was carried out.
pub fn done(response: &HttpResponse) -> Result<(), Failure> {
    success(response).map(|_| ())
}

/// Reads an answer that is a text.
pub fn text(response: &HttpResponse) -> Result<String, Failure> {
    success(response).map(|text| text.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> HttpResponse {
        HttpResponse { status, request_id: None, repeated: false, body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    #[test]
    fn statuses_become_kinds_and_bodies_become_texts() {
        let table = [
            (401, FailureKind::NotAuthorised),
            (404, FailureKind::NotFound),
            (413, FailureKind::TooLarge),
            (429, FailureKind::Full),
        ];
        for (status, kind) in table {
            assert_eq!(done(&response(status, "why")).map_err(|failure| failure.kind), Err(kind));
        }
        assert_eq!(Failure::of(&response(400, " a\u{1b}[2Jb\n")).text, "a [2Jb");
        assert_eq!(Failure::of(&response(502, "<html>")).text, "the service answered with status 502");
    }

    #[test]
    fn answers_that_are_something_else_are_not_guessed() {
        assert_eq!(put(&response(200, "12")).map(|receipt| receipt.index), Ok(12));
        assert!(put(&response(200, "<html>")).is_err() && put(&response(200, "")).is_err());
        assert!(put_batch(&response(200, ""), 1).is_err());
        assert_eq!(entries(&response(204, "")), Ok(Vec::new()));
        assert_eq!(attributes(&response(200, "\n")), Ok(Tags::new()));
        assert_eq!(progress(&response(404, "{\"status\":\"unknown\"}\n")), Ok(Progress::Unknown));
        assert!(progress(&response(404, "no such page")).is_err() && progress(&response(200, "OK")).is_err());
        assert!(progress(&response(400, "{\"status\":\"unknown\"}")).is_err());
        assert_eq!(cancelled(&response(200, "{\"status\":\"cancelled\",\"index\":7}")), Ok(Cancelled::Done(7)));
        assert_eq!(cancelled(&response(404, "{\"status\":\"unknown\"}")), Ok(Cancelled::Unknown));
        assert_eq!(cancelled(&response(409, "late")), Ok(Cancelled::TooLate("late".into())));
        assert!(cancelled(&response(404, "")).is_err() && cancelled(&response(200, "{}")).is_err());
        let position = position(&response(200, r#"{"ConsumerId": "eas.u", "IsPending": true, "WaitCount": 0}"#));
        assert_eq!(position.map(|position| position.consumer_id), Ok("eas.u".into()));
    }
}
