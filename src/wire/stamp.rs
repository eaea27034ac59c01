//! What every put gets, however it came: checked tags and the time stamp of its queue.

use super::operation::{TAG_CALLBACK, TAG_PATH};
use super::predictor;
use super::query::check_tags;
use super::status::Answer;
use crate::queue::entry::{TAG_REQUEST_ID, TAG_TIME_PREFIX, Tags};
use alloc::{
    format,
    string::{String, ToString},
};

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
            predictor::url(callback).map_err(|wrong| Answer::bad(format!("the callback {wrong}")))?;
        }
        tags.insert(self.key.clone(), self.time.clone());
        if !self.path.is_empty() {
            tags.insert(TAG_PATH.into(), self.path.clone());
        }
        check_tags(&tags)?;
        Ok(tags)
    }
}
