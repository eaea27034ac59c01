//! Entries of a put.

use super::fields::{self, Fields, Malformed, Value};
use crate::queue::event::Dedup;
use crate::queue::limits::BATCH_ENTRIES_MAX;
use crate::wire::answer::Answer;
use crate::wire::put_entry::{OnceFields, PutEntry, too_many};
use crate::wire::tags::add_tag;
use alloc::{string::String, vec::Vec};
use bytes::Bytes;

impl PutEntry {
    /// Reads a `DataFrameProto`, with the priority as field 5.
    pub fn read(frame: Bytes) -> Result<Self, Answer> {
        let (mut entry, mut once) = (Self::default(), OnceFields::default());
        let mut fields = Fields(frame);
        while let Some(field) = fields.read().map_err(|_| no_frame())? {
            match field {
                (2, Value::Bytes(tag)) => {
                    let (key, value) = read_tag(tag).map_err(|_| no_frame())?;
                    add_tag(&mut entry.tags, key, value)?;
                }
                (3, Value::Bytes(data)) => entry.data = data,
                (5, Value::Number(priority)) => entry.priority = Some(fields::signed(priority)),
                (6, Value::Number(flag)) => once.request_id = flag != 0,
                (7, Value::Number(index)) => once.source = Some(index),
                (8, Value::Number(index)) => once.settled_below = Some(index),
                _ => {}
            }
        }
        entry.once = once.read()?;
        Ok(entry)
    }

    /// The form [`PutEntry::read`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len() + 64);
        for (key, value) in &self.tags {
            let mut tag = Vec::with_capacity(key.len() + value.len() + 8);
            fields::put_bytes(&mut tag, 1, key.as_bytes());
            fields::put_bytes(&mut tag, 2, value.as_bytes());
            fields::put_bytes(&mut out, 2, &tag);
        }
        fields::put_bytes(&mut out, 3, &self.data);
        if let Some(priority) = self.priority {
            fields::put_number(&mut out, 5, fields::zigzag(priority));
        }
        match self.once {
            Some(Dedup::RequestId) => fields::put_number(&mut out, 6, 1),
            Some(Dedup::Source { index, settled_below }) => {
                fields::put_number(&mut out, 7, index.0);
                fields::put_number(&mut out, 8, settled_below.0);
            }
            None => {}
        }
        out
    }
}

fn no_frame() -> Answer {
    Answer::bad("an entry is not a DataFrameProto; send protobuf with UTF-8 tags")
}

fn read_tag(tag: Bytes) -> Result<(String, String), Malformed> {
    let (mut key, mut value) = (String::new(), String::new());
    let mut fields = Fields(tag);
    while let Some(field) = fields.read()? {
        match field {
            (1, Value::Bytes(text)) => key = fields::text(&text)?,
            (2, Value::Bytes(text)) => value = fields::text(&text)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// Reads a `DataFrameListProto`.
pub fn frames(body: Bytes) -> Result<Vec<PutEntry>, Answer> {
    let mut entries = Vec::new();
    let mut fields = Fields(body);
    loop {
        match fields.read() {
            Ok(Some((1, Value::Bytes(frame)))) if entries.len() < BATCH_ENTRIES_MAX => {
                entries.push(PutEntry::read(frame)?);
            }
            Ok(Some((1, Value::Bytes(_)))) => return Err(too_many()),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(entries),
            Err(Malformed) => {
                return Err(Answer::bad("the body is not a DataFrameListProto, as its Content-Type says"));
            }
        }
    }
}
