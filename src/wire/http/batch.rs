//! Many entries in one body: lists in protobuf and JSON, and lines of text.

use crate::queue::entry::{Lane, TAG_REQUEST_ID, Tags};
use crate::queue::event::{NewEntry, Once};
use crate::queue::limits::{BATCH_ENTRIES_MAX, ONCE_LOOKUPS_MAX};
use crate::wire::answer::Answer;
use crate::wire::json;
use crate::wire::names::{JSON, PROTOBUF};
use crate::wire::proto;
use crate::wire::put::{PutEntry, Stamp, no_request_id, too_many};
use crate::wire::scalar::shown;
use alloc::{format, vec::Vec};
use bytes::Bytes;

/// Media type of one entry per line.
const LINES: &str = "application/x-ndjson";

/// How a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `DataFrameListProto`.
    Frames,
    /// A JSON list.
    Json,
    /// One entry per line.
    Lines,
}

impl Format {
    /// By content type.
    pub(super) fn of(content_type: &str) -> Result<Self, Answer> {
        let name = content_type.split(';').next().unwrap_or_default().trim();
        let known = [(PROTOBUF, Self::Frames), (JSON, Self::Json), (LINES, Self::Lines), ("text/plain", Self::Lines)];
        known.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, format)| *format).ok_or_else(|| {
            Answer::bad(format!(
                "the Content-Type of a batch must be {PROTOBUF}, {JSON}, {LINES} or text/plain, not {}",
                shown(content_type)
            ))
        })
    }
}

/// A batched put before its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPut {
    /// How it is written.
    pub format: Format,
    /// Priority of entries that name none.
    pub lane: Lane,
    /// Tags of all entries; an entry's own win.
    pub tags: Tags,
    /// What every entry gets.
    pub stamp: Stamp,
    /// Whether each is stored only if its request id is not there yet.
    pub once: bool,
}

impl BatchPut {
    /// The entries in the body, at least one. All get the same random bits: their indexes tell them apart.
    pub fn read(&self, body: Bytes, random: u128) -> Result<Vec<NewEntry>, Answer> {
        let entries = match self.format {
            Format::Frames => proto::put_entry::frames(body)?,
            Format::Json => json::put_entry::entries(&body)?,
            Format::Lines => lines(&body)?,
        };
        self.complete(entries, random)
    }

    /// Entries as they are stored.
    pub fn complete(&self, entries: Vec<PutEntry>, random: u128) -> Result<Vec<NewEntry>, Answer> {
        if entries.is_empty() {
            return Err(Answer::bad("there is no entry in the batch; a put needs at least one"));
        }
        let mut lookups = 0;
        let mut complete = |PutEntry { tags, data, priority, once }| {
            let tags = match self.tags.is_empty() {
                true => tags,
                false => self.tags.clone().into_iter().chain(tags).collect(),
            };
            let tags = self.stamp.complete(tags)?;
            let once = once.or(self.once.then_some(Once::RequestId));
            if once == Some(Once::RequestId) {
                lookups += 1;
                check_lookup(lookups, &tags)?;
            }
            Ok(NewEntry { lane: priority.map_or(self.lane, Lane), tags, data, random, once })
        };
        entries.into_iter().map(&mut complete).collect()
    }
}

/// Whether an entry can be looked for by its request id, after others of the same put.
fn check_lookup(lookups: usize, tags: &Tags) -> Result<(), Answer> {
    if !tags.contains_key(TAG_REQUEST_ID) {
        return Err(no_request_id());
    }
    if lookups > ONCE_LOOKUPS_MAX {
        return Err(Answer::text(
            413,
            format!(
                "there are more than {ONCE_LOOKUPS_MAX} entries to put once by request id in one batch; send several"
            ),
        ));
    }
    Ok(())
}

/// Each line without its LF or CRLF; empty lines are passed over, and the last one needs no line feed.
fn lines(body: &Bytes) -> Result<Vec<PutEntry>, Answer> {
    let mut entries = Vec::new();
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if entries.len() == BATCH_ENTRIES_MAX {
            return Err(too_many());
        }
        entries.push(PutEntry { data: body.slice_ref(line), ..PutEntry::default() });
    }
    Ok(entries)
}
