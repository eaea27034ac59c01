//! Many entries in one body: lists in protobuf and JSON, and lines of text.

use super::fields::{self, Fields, Malformed, Value};
use super::operation::{PROTOBUF, no_request_id};
use super::scalar::shown;
use super::stamp::Stamp;
use super::status::{Answer, JSON};
use crate::queue::entry::{Index, Lane, TAG_REQUEST_ID, Tags};
use crate::queue::event::{Dedup, NewEntry};
use crate::queue::limits::{BATCH_ENTRIES_MAX, DEDUP_LOOKUPS_MAX, TAGS_MAX};
use alloc::{borrow::Cow, format, string::String, vec::Vec};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use core::fmt;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

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
pub struct Batch {
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

impl Batch {
    /// The entries in the body, at least one. All get the same random bits: their indexes tell them apart.
    pub fn read(&self, body: Bytes, random: u128) -> Result<Vec<NewEntry>, Answer> {
        let entries = match self.format {
            Format::Frames => frames(body)?,
            Format::Json => json(&body)?,
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
            let once = once.or(self.once.then_some(Dedup::RequestId));
            if once == Some(Dedup::RequestId) {
                lookups += 1;
                check_lookup(lookups, &tags)?;
            }
            Ok(NewEntry { lane: priority.map_or(self.lane, Lane), tags, data, random, dedup: once })
        };
        entries.into_iter().map(&mut complete).collect()
    }
}

/// Whether an entry can be looked for by its request id, after others of the same put.
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
    pub once: Option<Dedup>,
}

impl PutEntry {
    /// Reads a `DataFrameProto`, with the priority as field 5.
    pub fn read(frame: Bytes) -> Result<Self, Answer> {
        let (mut entry, mut once) = (Self::default(), OnceFields::default());
        let mut fields = Fields(frame);
        while let Some(field) = fields.next().map_err(|_| no_frame())? {
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

/// How an entry says that it is to be stored once.
#[derive(Default)]
struct OnceFields {
    request_id: bool,
    source: Option<u64>,
    settled_below: Option<u64>,
}

impl OnceFields {
    fn read(self) -> Result<Option<Dedup>, Answer> {
        match self {
            Self { source: None, settled_below: Some(_), .. } => {
                Err(Answer::bad("an entry has settledBelow without source; give both or neither"))
            }
            Self { source: Some(index), settled_below, .. } => {
                Ok(Some(Dedup::Source { index: Index(index), settled_below: Index(settled_below.unwrap_or(0)) }))
            }
            Self { request_id: true, .. } => Ok(Some(Dedup::RequestId)),
            Self { .. } => Ok(None),
        }
    }
}

fn no_frame() -> Answer {
    Answer::bad("an entry is no DataFrameProto; send protobuf with UTF-8 tags")
}

fn read_tag(tag: Bytes) -> Result<(String, String), Malformed> {
    let (mut key, mut value) = (String::new(), String::new());
    let mut fields = Fields(tag);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(text)) => key = fields::text(&text)?,
            (2, Value::Bytes(text)) => value = fields::text(&text)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// More tags than an entry may have are refused while they are read, and reserved names, which no query could ask for.
fn add_tag(tags: &mut Tags, key: String, value: String) -> Result<(), Answer> {
    if key.starts_with('_') {
        return Err(Answer::bad(format!("the tag {} begins with _, which is reserved; rename it", shown(&key))));
    }
    tags.insert(key, value);
    if tags.len() > TAGS_MAX {
        return Err(Answer::bad(format!("an entry has more than {TAGS_MAX} tags; put the rest into its body")));
    }
    Ok(())
}

/// 413: more entries than fit into one batch.
pub fn too_many() -> Answer {
    Answer::text(413, format!("there are more than {BATCH_ENTRIES_MAX} entries in one batch; send several batches"))
}

fn frames(body: Bytes) -> Result<Vec<PutEntry>, Answer> {
    let mut entries = Vec::new();
    let mut fields = Fields(body);
    loop {
        match fields.next() {
            Ok(Some((1, Value::Bytes(frame)))) if entries.len() < BATCH_ENTRIES_MAX => {
                entries.push(PutEntry::read(frame)?);
            }
            Ok(Some((1, Value::Bytes(_)))) => return Err(too_many()),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(entries),
            Err(Malformed) => return Err(Answer::bad("the body is no DataFrameListProto, as its Content-Type says")),
        }
    }
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

/// A text without a copy where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Tags, not more than an entry may have.
struct JsonTags(Tags);

impl<'de> serde::Deserialize<'de> for JsonTags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TagsVisitor;
        impl<'de> Visitor<'de> for TagsVisitor {
            type Value = Tags;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags, A::Error> {
                let mut tags = Tags::new();
                while let Some((key, value)) = map.next_entry()? {
                    add_tag(&mut tags, key, value)
                        .map_err(|wrong| A::Error::custom(String::from_utf8_lossy(&wrong.body)))?;
                }
                Ok(tags)
            }
        }
        deserializer.deserialize_map(TagsVisitor).map(JsonTags)
    }
}

/// One entry in JSON. `index` and `message` are passed over, so that what was read from a queue can be put again.
struct JsonEntry(PutEntry);

impl<'de> serde::Deserialize<'de> for JsonEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;
        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = PutEntry;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an entry, an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PutEntry, A::Error> {
                let (mut entry, mut once) = (PutEntry::default(), OnceFields::default());
                let mut body = None;
                while let Some(Text(key)) = map.next_key()? {
                    match key.as_ref() {
                        "tags" => {
                            entry.tags = map.next_value::<Option<JsonTags>>()?.map(|tags| tags.0).unwrap_or_default()
                        }
                        "priority" => entry.priority = map.next_value()?,
                        "once" => once.request_id = map.next_value::<Option<bool>>()?.unwrap_or(false),
                        "source" => once.source = map.next_value()?,
                        "settledBelow" => once.settled_below = map.next_value()?,
                        "data" | "text" if body.is_some() => {
                            return Err(A::Error::custom("an entry has either data (base64) or text, once"));
                        }
                        "data" => {
                            let data = map.next_value::<Option<Text>>()?.map_or(Cow::Borrowed(""), |data| data.0);
                            let wrong = |_| A::Error::custom(format_args!("data is not base64: {}", shown(&data)));
                            body = Some(STANDARD.decode(data.as_bytes()).map_err(wrong)?);
                        }
                        "text" => body = Some(map.next_value::<String>()?.into_bytes()),
                        "index" | "message" => {
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                        _ => return Err(A::Error::custom(format_args!("unknown field {}", shown(&key)))),
                    }
                }
                entry.data = body.unwrap_or_default().into();
                entry.once = once.read().map_err(|wrong| A::Error::custom(String::from_utf8_lossy(&wrong.body)))?;
                Ok(entry)
            }
        }
        deserializer.deserialize_map(EntryVisitor).map(JsonEntry)
    }
}

/// Entries into a list that ends at the limit.
struct Entries<'out>(&'out mut Vec<PutEntry>);

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(JsonEntry(entry)) = list.next_element()? {
            if self.0.len() == BATCH_ENTRIES_MAX {
                return Err(A::Error::custom("too many entries"));
            }
            self.0.push(entry);
        }
        Ok(())
    }
}

fn json(body: &[u8]) -> Result<Vec<PutEntry>, Answer> {
    let text = core::str::from_utf8(body).map_err(|_| Answer::bad("the body is not UTF-8; JSON is"))?;
    let mut entries = Vec::new();
    let mut source = serde_json::Deserializer::from_str(text);
    match source.deserialize_seq(Entries(&mut entries)).and_then(|()| source.end()) {
        Ok(()) => Ok(entries),
        Err(_) if entries.len() == BATCH_ENTRIES_MAX => Err(too_many()),
        Err(wrong) => Err(Answer::bad(format!(
            "the body is no JSON list of entries with tags, data (base64) or text, priority, and once or source: {wrong}"
        ))),
    }
}
