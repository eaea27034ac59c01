//! The meaning of a predictor's answer: a result, a failure that is tried again, or the last failure.

use crate::queue::entry::{TAG_LAST_CODE, TAG_LAST_REASON, TAG_REQUEST_ID, TAG_TIME_PREFIX, Tags};
use crate::queue::limits::{TAG_VALUE_BYTES_MAX, TAGS_BYTES_MAX, TAGS_MAX};
use crate::wire::names::{TAG_CALLBACK, TAG_CONTENT_TYPE, TAG_PATH};
use alloc::{format, string::String, string::ToString, vec::Vec};
use bytes::Bytes;

/// Most bytes of a reason. The sink has the whole body of the last failure.
const REASON_BYTES_MAX: usize = 200;
/// Tags that a result gains: content type, time stamp of the sink, code and reason.
const TAGS_GAINED: usize = 4;
/// Most bytes of these tags.
const TAG_BYTES_GAINED: usize = TAG_VALUE_BYTES_MAX + 512;
/// Status of a result that is too large for the sink.
pub const TOO_LARGE: u16 = 413;
/// Status for a predictor that cannot be reached.
const UNREACHABLE: u16 = 502;
/// Status for a predictor that does not answer in time.
pub const TIMED_OUT: u16 = 504;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a result in the sink.
    Done,
    /// With an empty answer, which makes no result.
    Empty,
    /// With a failure: of the last attempt, or one that no further attempt can mend.
    Failed,
}

impl Ending {
    /// Its word in webhooks.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Empty => "empty",
            Self::Failed => "failed",
        }
    }
}

/// The answer of a predictor, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PredictorAnswer {
    /// HTTP status.
    pub status: u16,
    /// Its `Content-Type`.
    pub content_type: Option<String>,
    /// The body, or its beginning.
    pub body: Bytes,
    /// Whether the body was longer than what was read.
    pub cut: bool,
}

impl PredictorAnswer {
    /// Whether its status is a success.
    pub fn is_success(&self) -> bool {
        is_success(self.status)
    }
}

/// Whether an HTTP status is a success.
pub fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFailure {
    /// HTTP status of the predictor, or the one that fits what happened.
    pub status: u16,
    /// For people, one line.
    pub reason: String,
}

impl CallFailure {
    /// Keeps the first line of a reason.
    pub fn new(status: u16, reason: impl AsRef<str>) -> Self {
        Self { status, reason: line(reason.as_ref()) }
    }

    /// There is no answer, or only a part of it. The sentence says so, as some errors of the platform mean nothing
    /// alone.
    pub fn unreachable(error: impl AsRef<str>) -> Self {
        Self::new(UNREACHABLE, format!("the call failed: {}", error.as_ref()))
    }

    /// The failure that an answer without success reports.
    pub fn of(answer: &PredictorAnswer) -> Self {
        let text = core::str::from_utf8(&answer.body).unwrap_or_default();
        match line(text) {
            reason if reason.is_empty() => Self::new(answer.status, format!("status {}", answer.status)),
            reason => Self { status: answer.status, reason },
        }
    }

    /// Whether it speaks of the predictor rather than of the request.
    pub fn is_outage(&self) -> bool {
        matches!(self.status, 429 | 502 | 503 | 504)
    }
}

/// The first line that is not blank, cut to [`REASON_BYTES_MAX`].
fn line(text: &str) -> String {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut end = first.len().min(REASON_BYTES_MAX);
    while !first.is_char_boundary(end) {
        end -= 1;
    }
    first[..end].chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// The outcome of a request as an entry: for the sink, or as a webhook for the queue of callbacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultEntry {
    /// Its tags.
    pub tags: Tags,
    /// Its body.
    pub data: Bytes,
}

impl ResultEntry {
    /// The result of a request with these tags.
    pub fn result(request: &Tags, answer: PredictorAnswer) -> Self {
        let mut tags = carried(request);
        // A content type too long for a tag is garbage. The result must not be lost for it.
        let content_type = answer.content_type.filter(|text| text.len() <= TAG_VALUE_BYTES_MAX);
        tags.extend(content_type.map(|text| (TAG_CONTENT_TYPE.into(), text)));
        Self { tags, data: answer.body }
    }

    /// What the sink gets in place of a result. If the answer has no body, the reason is the body.
    pub fn failure(request: &Tags, failure: &CallFailure, answer: Option<PredictorAnswer>) -> Self {
        let answer = answer.filter(|answer| !answer.body.is_empty());
        let mut entry = Self::result(request, answer.unwrap_or_else(|| text(&failure.reason)));
        entry.tags.insert(TAG_LAST_CODE.into(), failure.status.to_string());
        entry.tags.insert(TAG_LAST_REASON.into(), failure.reason.clone());
        entry
    }

    /// The least that a caller must find, for a sink that refused everything else.
    pub fn remnant(request: &Tags, failure: &CallFailure) -> Self {
        let id = request.get(TAG_REQUEST_ID).map(|id| (TAG_REQUEST_ID.into(), id.clone()));
        Self::failure(&id.into_iter().collect(), failure, None)
    }
}

fn text(text: &str) -> PredictorAnswer {
    PredictorAnswer {
        content_type: Some("text/plain; charset=utf-8".into()),
        body: text.as_bytes().to_vec().into(),
        ..PredictorAnswer::default()
    }
}

/// The tags of a request that its result has as well. Tags about the request's own way are left out, and if there are
/// too many, so are the last ones: a result must not be lost for its tags.
fn carried(request: &Tags) -> Tags {
    let own = [TAG_CONTENT_TYPE, TAG_CALLBACK, TAG_PATH, TAG_LAST_CODE, TAG_LAST_REASON];
    let mut tags: Tags = request.clone();
    tags.retain(|key, _| !own.contains(&key.as_str()));
    let needed = |key: &str| key == TAG_REQUEST_ID || key.starts_with(TAG_TIME_PREFIX);
    let mut spare: Vec<String> = tags.keys().filter(|key| !needed(key)).cloned().collect();
    let bytes = |tags: &Tags| tags.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    while tags.len() > TAGS_MAX - TAGS_GAINED || bytes(&tags) > TAGS_BYTES_MAX - TAG_BYTES_GAINED {
        let Some(key) = spare.pop() else { break };
        tags.remove(&key);
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn a_result_carries_the_tags_of_its_request() {
        let request = tags(&[
            ("requestId", "r"),
            ("task", "7"),
            ("ts@source", "1"),
            ("Header:Content-Type", "image/png"),
            ("Path", "/x"),
            ("callback", "https://c.example"),
            ("lastCode", "500"),
            ("lastReason", "why"),
        ]);
        let answer = PredictorAnswer {
            status: 200,
            content_type: Some("application/json".into()),
            body: "{}".into(),
            cut: false,
        };
        let entry = ResultEntry::result(&request, answer);
        let expected =
            [("requestId", "r"), ("task", "7"), ("ts@source", "1"), ("Header:Content-Type", "application/json")];
        assert_eq!(entry.tags, tags(&expected));
        assert_eq!(entry.data, "{}");
    }

    #[test]
    fn a_failure_carries_code_reason_and_the_body_of_the_answer() {
        let answer = PredictorAnswer {
            status: 500,
            content_type: None,
            body: "\n  out of \u{7} memory \nline 2".into(),
            cut: false,
        };
        let failure = CallFailure::of(&answer);
        assert_eq!(failure, CallFailure { status: 500, reason: "out of   memory".into() });
        let entry = ResultEntry::failure(&tags(&[("requestId", "r")]), &failure, Some(answer.clone()));
        let expected = [("requestId", "r"), ("lastCode", "500"), ("lastReason", "out of   memory")];
        assert_eq!(entry, ResultEntry { tags: tags(&expected), data: answer.body });
        let silent = CallFailure::of(&PredictorAnswer { status: 503, ..PredictorAnswer::default() });
        assert_eq!(ResultEntry::failure(&tags(&[]), &silent, None).data, "status 503");
        assert_eq!(CallFailure::new(504, "ä".repeat(150)).reason.len(), 200);
    }

    #[test]
    fn no_content_type_loses_a_result() {
        let answer = |text: &str| PredictorAnswer {
            content_type: Some(text.into()),
            body: "result".into(),
            ..PredictorAnswer::default()
        };
        let entry = ResultEntry::result(&tags(&[("requestId", "r")]), answer(&"x".repeat(TAG_VALUE_BYTES_MAX + 1)));
        assert_eq!(entry, ResultEntry { tags: tags(&[("requestId", "r")]), data: "result".into() });
        let entry = ResultEntry::result(&tags(&[]), answer(&"x".repeat(TAG_VALUE_BYTES_MAX)));
        assert_eq!(entry.tags.len(), 1);
    }

    #[test]
    fn no_number_of_tags_loses_a_result() {
        let mut request: Tags = (0..30).map(|number| (format!("tag{number:02}"), "x".repeat(500))).collect();
        request.extend(tags(&[("requestId", "r"), ("ts@source", "1")]));
        let entry = ResultEntry::failure(&request, &CallFailure::new(500, "no"), None);
        assert!(entry.tags.len() < TAGS_MAX);
        assert!(entry.tags.contains_key("tag00") && !entry.tags.contains_key("tag29"));
        assert_eq!(entry.tags["requestId"], "r");
        assert_eq!(entry.tags["ts@source"], "1");
        let remnant = ResultEntry::remnant(&request, &CallFailure::new(413, "too large"));
        assert_eq!(remnant.tags.len(), 4);
    }
}
