//! What became of a request: the answers to a status call and to a cancellation.
//!
//! A request is in one of three places: the input queue, its rear twin or the sink. They are asked one after the other
//! ([`Progress::of_input`], [`Progress::of_rear`], [`Progress::of_sink`]) until one of them knows the request.

use crate::queue::entry::{Index, TAG_LAST_CODE, TAG_LAST_REASON, Tags};
use crate::queue::stats::{EntryStatus, GroupStatus};
use crate::wire::answer::Answer;
use crate::wire::json::go;
use crate::wire::names::JSON;
use alloc::{format, string::String, string::ToString};

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// It waits in the input queue.
    Queued {
        /// Its entry.
        index: Index,
        /// Its place in the order of delivery; 1 is next.
        position: u64,
        /// Deliveries so far that failed.
        attempts: u32,
        /// Time before which it is not tried again, Unix milliseconds; 0 when it can be tried at once.
        not_before_ms: u64,
        /// Code of the last failure, or empty.
        code: String,
        /// Reason of the last failure, or empty.
        reason: String,
    },
    /// A consumer has it.
    Running {
        /// Its entry.
        index: Index,
        /// Number of the attempt, from 1.
        attempt: u32,
        /// Since when, Unix milliseconds.
        since_ms: u64,
        /// By whom: group and user, joined by a dot.
        consumer: String,
    },
    /// Its result is in the sink.
    Done {
        /// The entry there.
        sink_index: Index,
    },
    /// It failed for good.
    Failed {
        /// Code of the failure, or empty.
        code: String,
        /// Reason of the failure, or empty.
        reason: String,
        /// The entry in the sink that says so, if it is there.
        sink_index: Option<Index>,
        /// The entry in the rear queue, if it is there.
        rear_index: Option<Index>,
    },
    /// There is nothing with this request id, or no longer.
    #[default]
    Unknown,
}

impl Progress {
    /// What an input queue knows. If several groups are to be given the entry, the one that is processing it counts,
    /// then the one with the name of the service.
    pub fn of_input(found: EntryStatus, service: &str) -> Self {
        let EntryStatus { index, ahead, mut groups, .. } = found;
        let running = |(_, standing): &(String, GroupStatus)| matches!(standing, GroupStatus::Running { .. });
        let at = groups.iter().position(running).or_else(|| groups.iter().position(|(name, _)| name == service));
        let standing = if groups.is_empty() { None } else { Some(groups.swap_remove(at.unwrap_or(0)).1) };
        match standing {
            Some(GroupStatus::Running { consumer, attempt, since_ms }) => {
                let consumer = format!("{}.{}", consumer.group, consumer.user);
                Self::Running { index, attempt, since_ms, consumer }
            }
            Some(GroupStatus::Queued { ahead, attempts, not_before_ms, code, reason }) => {
                Self::Queued { index, position: ahead + 1, attempts, not_before_ms, code, reason }
            }
            None => Self::Queued {
                index,
                position: ahead + 1,
                attempts: 0,
                not_before_ms: 0,
                code: String::new(),
                reason: String::new(),
            },
        }
    }

    /// What a rear queue knows: the request failed too often.
    pub fn of_rear(found: &EntryStatus) -> Self {
        let (code, reason) = trouble(&found.tags);
        Self::Failed { code, reason, sink_index: None, rear_index: Some(found.index) }
    }

    /// What a sink knows: the result, which may be an error.
    pub fn of_sink(found: &EntryStatus) -> Self {
        let (code, reason) = trouble(&found.tags);
        if code.is_empty() {
            Self::Done { sink_index: found.index }
        } else {
            Self::Failed { code, reason, sink_index: Some(found.index), rear_index: None }
        }
    }

    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Running { .. } => "running",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// The answer to a status call: a JSON object, with a 404 when nothing is known.
    pub fn answer(&self, request_id: &str) -> Answer {
        let status = if *self == Self::Unknown { 404 } else { 200 };
        Answer::new(status, JSON, self.to_json(request_id))
    }

    /// As a JSON object with a line feed at its end. Fields without a value are left out.
    pub fn to_json(&self, request_id: &str) -> String {
        let mut object = Object::new(self.word(), request_id);
        match self {
            Self::Queued { index, position, attempts, not_before_ms, code, reason } => {
                object.number("index", index.0);
                object.number("position", *position);
                object.number("attempts", (*attempts).into());
                object.number_if("notBefore", *not_before_ms);
                object.text_if("code", code);
                object.text_if("reason", reason);
            }
            Self::Running { index, attempt, since_ms, consumer } => {
                object.number("index", index.0);
                object.number("attempt", (*attempt).into());
                object.number("since", *since_ms);
                object.text_if("consumer", consumer);
            }
            Self::Done { sink_index } => object.number("sinkIndex", sink_index.0),
            Self::Failed { code, reason, sink_index, rear_index } => {
                object.text_if("code", code);
                object.text_if("reason", reason);
                object.number_if("sinkIndex", sink_index.unwrap_or_default().0);
                object.number_if("rearIndex", rear_index.unwrap_or_default().0);
            }
            Self::Unknown => {}
        }
        object.end()
    }

    /// Reads the JSON object; `None` when it is something else.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(body).ok()?;
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
        let number = |key: &str| object.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let text = |key: &str| object.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_string();
        let count = |key: &str| number(key).min(u32::MAX.into()) as u32;
        let index = |key: &str| Index(number(key));
        let index_if = |key: &str| Some(index(key)).filter(|index| index.0 != 0);
        Some(match text("status").as_str() {
            "queued" => Self::Queued {
                index: index("index"),
                position: number("position"),
                attempts: count("attempts"),
                not_before_ms: number("notBefore"),
                code: text("code"),
                reason: text("reason"),
            },
            "running" => Self::Running {
                index: index("index"),
                attempt: count("attempt"),
                since_ms: number("since"),
                consumer: text("consumer"),
            },
            "done" => Self::Done { sink_index: index("sinkIndex") },
            "failed" => Self::Failed {
                code: text("code"),
                reason: text("reason"),
                sink_index: index_if("sinkIndex"),
                rear_index: index_if("rearIndex"),
            },
            "unknown" => Self::Unknown,
            _ => return None,
        })
    }

    /// The answer to the cancellation of a request that is not in the input queue: 409 when it has ended or is about to
    /// end, 404 when it is unknown.
    pub fn cannot_cancel(&self, request_id: &str) -> Answer {
        let ended = match self {
            Self::Unknown => return self.answer(request_id),
            Self::Done { sink_index } => format!("its result is in the sink, entry {}", sink_index.0),
            Self::Failed { sink_index: Some(index), .. } => {
                format!("it has failed, and the sink says so, entry {}", index.0)
            }
            Self::Failed { rear_index: Some(index), .. } => {
                format!("it has failed and is in the rear queue, entry {}", index.0)
            }
            Self::Queued { .. } | Self::Running { .. } => {
                "its result is just being stored; look for it in the sink".into()
            }
            Self::Failed { .. } => "it has ended".into(),
        };
        Answer::text(409, format!("the request cannot be cancelled: {ended}"))
    }
}

/// The answer to a cancellation that removed the entry with this index.
pub fn cancelled(request_id: &str, index: Index) -> Answer {
    let mut object = Object::new("cancelled", request_id);
    object.number("index", index.0);
    Answer::new(200, JSON, object.end())
}

/// Code and reason of the last failure, which entries carry as tags.
fn trouble(tags: &Tags) -> (String, String) {
    let tag = |key: &str| tags.get(key).cloned().unwrap_or_default();
    (tag(TAG_LAST_CODE), tag(TAG_LAST_REASON))
}

/// A JSON object under construction.
struct Object(String);

impl Object {
    fn new(status: &str, request_id: &str) -> Self {
        let mut object = Self(format!("{{\"status\":\"{status}\""));
        object.text_if("requestId", request_id);
        object
    }

    fn number(&mut self, key: &str, number: u64) {
        self.0.push_str(&format!(",\"{key}\":{number}"));
    }

    fn number_if(&mut self, key: &str, number: u64) {
        if number != 0 {
            self.number(key, number);
        }
    }

    fn text_if(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.0.push_str(&format!(",\"{key}\":"));
            go::string(&mut self.0, text);
        }
    }

    fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}
