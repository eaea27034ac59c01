//! Batched puts: many entries in one body, as a list in protobuf or JSON or as lines of text.

use crate::queue::event::NewEntry;
use crate::queue::limits::BATCH_ENTRIES_MAX;
use crate::wire::answer::Answer;
use crate::wire::json;
use crate::wire::names::{JSON, PROTOBUF};
use crate::wire::proto;
use crate::wire::put::PutDefaults;
use crate::wire::put_entry::{PutEntry, too_many};
use crate::wire::scalar::shown;
use alloc::{format, vec::Vec};
use bytes::Bytes;

/// Media type of one entry per line.
const LINES: &str = "application/x-ndjson";

/// How a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFormat {
    /// `DataFrameListProto`.
    Frames,
    /// A JSON list.
    Json,
    /// One entry per line.
    Lines,
}

impl BatchFormat {
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
    pub format: BatchFormat,
    /// What its entries have in common.
    pub defaults: PutDefaults,
}

impl BatchPut {
    /// The entries in the body, at least one. All get the same random bits: their indexes tell them apart.
    pub fn read(&self, body: Bytes, random: u128) -> Result<Vec<NewEntry>, Answer> {
        let entries = match self.format {
            BatchFormat::Frames => proto::put_entry::frames(body)?,
            BatchFormat::Json => json::put_entry::entries(&body)?,
            BatchFormat::Lines => lines(&body)?,
        };
        self.defaults.complete(entries, random)
    }
}

/// An entry for each line, without its LF or CRLF. Empty lines are skipped, and the last line needs no line feed.
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
