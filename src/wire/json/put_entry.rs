//! Entries of a put.

use crate::queue::entry::Tags;
use crate::queue::limits::BATCH_ENTRIES_MAX;
use crate::wire::answer::Answer;
use crate::wire::put_entry::{OnceFields, PutEntry, too_many};
use crate::wire::scalar::shown;
use crate::wire::tags::add_tag;
use alloc::{borrow::Cow, format, string::String, vec::Vec};
use base64::{Engine, engine::general_purpose::STANDARD};
use core::fmt;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A string, borrowed from the body where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Tags. Reading stops when there are more than an entry may have.
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

/// One entry. `index` and `message` are skipped, so that what was read from a queue can be put again.
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
                            entry.tags = map.next_value::<Option<JsonTags>>()?.map(|tags| tags.0).unwrap_or_default();
                        }
                        "priority" => entry.priority = map.next_value()?,
                        "once" => once.request_id = map.next_value::<Option<bool>>()?.unwrap_or(false),
                        "source" => once.source = map.next_value()?,
                        "settledBelow" => once.settled_below = map.next_value()?,
                        "data" | "text" if body.is_some() => {
                            return Err(A::Error::custom("an entry has either data (base64) or text, once"));
                        }
                        "data" => {
                            let data = map.next_value::<Option<Text<'_>>>()?.map_or(Cow::Borrowed(""), |data| data.0);
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

/// Reads entries into a list, up to the limit of a batch.
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

/// Reads a list of entries.
pub fn entries(body: &[u8]) -> Result<Vec<PutEntry>, Answer> {
    let text = core::str::from_utf8(body).map_err(|_| Answer::bad("the body is not UTF-8; JSON is"))?;
    let mut entries = Vec::new();
    let mut source = serde_json::Deserializer::from_str(text);
    match source.deserialize_seq(Entries(&mut entries)).and_then(|()| source.end()) {
        Ok(()) => Ok(entries),
        Err(_) if entries.len() == BATCH_ENTRIES_MAX => Err(too_many()),
        Err(wrong) => Err(Answer::bad(format!(
            "the body is not a JSON list of entries with tags, data (base64) or text, priority, and once or source: \
             {wrong}"
        ))),
    }
}
