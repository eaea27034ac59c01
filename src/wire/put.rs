//! Puts: entries as they were sent become entries as they are stored, with the defaults of the put, checked tags and
//! the time stamp of the queue. Puts of every transport go through here.

use super::answer::Answer;
use super::names::{TAG_CALLBACK, TAG_PATH};
use super::put_entry::PutEntry;
use super::tags::check_tags;
use super::url::Url;
use crate::queue::entry::{Priority, TAG_REQUEST_ID, TAG_TIME_PREFIX, Tags};
use crate::queue::event::{Dedup, NewEntry};
use crate::queue::limits::DEDUP_LOOKUPS_MAX;
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

/// The tags that the service sets itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    key: String,
    time: String,
    path: String,
}

impl Stamp {
    /// For a put into the input queue or the sink at `now_ms` (Unix milliseconds), with this sub-path, which may be
    /// empty.
    pub fn new(sink: bool, now_ms: u64, path: &str) -> Self {
        let queue = if sink { "sink" } else { "source" };
        Self { key: format!("{TAG_TIME_PREFIX}{queue}"), time: now_ms.to_string(), path: path.into() }
    }

    /// Completes and checks the tags of one entry. The stamp of another queue stays, so that a consumer can pass on the
    /// tags it got; the queue's own stamp and the path cannot be set by clients.
    pub fn complete(&self, mut tags: Tags) -> Result<Tags, Answer> {
        if tags.get(TAG_REQUEST_ID).is_some_and(String::is_empty) {
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

/// What the entries of one put have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutDefaults {
    /// What every entry gets.
    pub stamp: Stamp,
    /// Priority of entries that name none.
    pub priority: Priority,
    /// Tags of all entries; an entry's own win.
    pub tags: Tags,
    /// Whether entries that do not say so themselves are stored only if their request id is not there yet.
    pub once: bool,
}

impl PutDefaults {
    /// Nothing in common but the stamp.
    pub fn of(stamp: Stamp) -> Self {
        Self { stamp, priority: Priority::default(), tags: Tags::new(), once: false }
    }

    /// Entries as they are stored, at least one. All get the same random bits: their indexes tell them apart.
    pub fn complete(&self, entries: Vec<PutEntry>, random: u128) -> Result<Vec<NewEntry>, Answer> {
        if entries.is_empty() {
            return Err(Answer::bad("there is no entry in the batch; a put needs at least one"));
        }
        let mut lookups = 0;
        let complete = |PutEntry { tags, data, priority, once }| {
            let tags = match self.tags.is_empty() {
                true => tags,
                false => self.tags.clone().into_iter().chain(tags).collect(),
            };
            let tags = self.stamp.complete(tags)?;
            let once = once.or_else(|| self.once.then_some(Dedup::RequestId));
            if once == Some(Dedup::RequestId) {
                lookups += 1;
                check_lookup(lookups, &tags)?;
            }
            Ok(NewEntry { priority: priority.map_or(self.priority, Priority), tags, data, random, dedup: once })
        };
        entries.into_iter().map(complete).collect()
    }
}

/// Whether an entry can be looked up by its request id, as the `lookups`-th one of its put.
fn check_lookup(lookups: usize, tags: &Tags) -> Result<(), Answer> {
    if !tags.contains_key(TAG_REQUEST_ID) {
        return Err(no_request_id());
    }
    if lookups > DEDUP_LOOKUPS_MAX {
        return Err(Answer::text(
            413,
            format!(
                "there are more than {DEDUP_LOOKUPS_MAX} entries to put once by request id in one batch; send several"
            ),
        ));
    }
    Ok(())
}

/// 400: an entry is to be put once by a request id that it does not have.
pub(super) fn no_request_id() -> Answer {
    Answer::bad(
        "a put with _once_ is recognized by its request id, so it needs the tag requestId; give it one of your own",
    )
}
