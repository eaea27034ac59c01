//! What every put gets, however it came: checked tags and the time stamp of its queue.

use super::answer::Answer;
use super::names::{TAG_CALLBACK, TAG_PATH};
use super::tags::check_tags;
use super::url::Url;
use crate::queue::entry::{Index, TAG_REQUEST_ID, TAG_TIME_PREFIX, Tags};
use crate::queue::event::Once;
use crate::queue::limits::BATCH_ENTRIES_MAX;
use alloc::{
    format,
    string::{String, ToString},
};
use bytes::Bytes;

/// One entry as a client sends it: a frame whose index and message do not count, with a priority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutEntry {
    /// Its tags.
    pub tags: Tags,
    /// Its body.
    pub data: Bytes,
    /// Its priority.
    pub priority: Option<i64>,
    /// Whether it is stored only if it was not before.
    pub once: Option<Once>,
}

/// How an entry says that it is to be stored once.
#[derive(Default)]
pub(super) struct OnceFields {
    pub request_id: bool,
    pub source: Option<u64>,
    pub settled_below: Option<u64>,
}

impl OnceFields {
    pub fn read(self) -> Result<Option<Once>, Answer> {
        match self {
            Self { source: None, settled_below: Some(_), .. } => {
                Err(Answer::bad("an entry has settledBelow without source; give both or neither"))
            }
            Self { source: Some(index), settled_below, .. } => {
                Ok(Some(Once::Source { index: Index(index), settled_below: Index(settled_below.unwrap_or(0)) }))
            }
            Self { request_id: true, .. } => Ok(Some(Once::RequestId)),
            Self { .. } => Ok(None),
        }
    }
}

/// 413: more entries than fit into one batch.
pub fn too_many() -> Answer {
    Answer::text(413, format!("there are more than {BATCH_ENTRIES_MAX} entries in one batch; send several batches"))
}

/// A put-once without what it is recognized by.
pub(super) fn no_request_id() -> Answer {
    Answer::bad(
        "a put with _once_ is recognized by its request id, so it needs the tag requestId; give it one of your own",
    )
}

/// The tags the service sets itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    key: String,
    time: String,
    path: String,
}

impl Stamp {
    /// For a put into the input queue or the sink, at this time, with this sub-path (or none, when empty).
    pub fn new(sink: bool, now_ms: u64, path: &str) -> Self {
        let queue = if sink { "sink" } else { "source" };
        Self { key: format!("{TAG_TIME_PREFIX}{queue}"), time: now_ms.to_string(), path: path.into() }
    }

    /// Completes the tags of one entry. The sink keeps the stamp of the input queue, so that a consumer can pass on the
    /// tags it got; the queue's own stamp and the path are always what they are.
    pub fn complete(&self, mut tags: Tags) -> Result<Tags, Answer> {
        if tags.get(TAG_REQUEST_ID).is_some_and(|id| id.is_empty()) {
            tags.remove(TAG_REQUEST_ID);
        }
        if tags.get(TAG_REQUEST_ID).is_some_and(|id| id.chars().any(char::is_control)) {
            return Err(Answer::bad(
                "requestId must not contain control characters, because it is sent back in a header",
            ));
        }
        if let Some(callback) = tags.get(TAG_CALLBACK).filter(|callback| !callback.is_empty()) {
            Url::parse(callback).map_err(|wrong| Answer::bad(format!("the callback {wrong}")))?;
        }
        tags.insert(self.key.clone(), self.time.clone());
        if !self.path.is_empty() {
            tags.insert(TAG_PATH.into(), self.path.clone());
        }
        check_tags(&tags)?;
        Ok(tags)
    }
}
