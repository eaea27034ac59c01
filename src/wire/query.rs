//! Form-encoded parameters, sorted into the reserved ones (`_name_`) and tags.

use super::status::Answer;
use super::{duration, scalar};
use crate::queue::entry::Tags;
use crate::queue::limits;
use alloc::{format, string::String, vec::Vec};

/// Every reserved parameter. `_delete_` belongs to an early client and has no effect.
pub const RESERVED: [&str; 26] = [
    "_attrs_",
    "_auto_commit_",
    "_auto_delete_",
    "_batch_",
    "_callback_",
    "_cancel_",
    "_count_",
    "_delay_",
    "_delete_",
    "_eos_",
    "_force_",
    "_index_",
    "_index_only_",
    "_indexes_",
    "_length_",
    "_negative_",
    "_once_",
    "_priority_",
    "_raw_",
    "_search_",
    "_settings_",
    "_status_",
    "_timeout_",
    "_trunc_",
    "_watch_",
    "_window_",
];

/// The parameters of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    reserved: Vec<(String, String)>,
    /// Everything that is not reserved, within the limits for tags.
    pub tags: Tags,
}

impl Query {
    /// Reads a query without its `?`.
    pub fn parse(text: &str) -> Result<Self, Answer> {
        let mut query = Self::default();
        for (key, value) in pairs(text).map_err(Answer::bad)? {
            if RESERVED.contains(&key.as_str()) {
                query.reserved.push((key, value));
            } else if key == "_code_" || key == "_reason_" {
                return Err(Answer::bad(format!("{key} goes into the body of a negative commit, a form")));
            } else if key.starts_with('_') {
                return Err(Answer::bad(format!(
                    "{} is no parameter of this service; names that begin with _ are reserved, so give a tag another name",
                    scalar::shown(&key)
                )));
            } else if query.tags.get(&key).is_some_and(|earlier| *earlier != value) {
                return Err(Answer::bad(format!(
                    "the tag {} is given twice with different values; give it once",
                    scalar::shown(&key)
                )));
            } else {
                query.tags.insert(key, value);
            }
        }
        check_tags(&query.tags)?;
        Ok(query)
    }

    /// Whether any reserved parameter is there.
    pub fn has_reserved(&self) -> bool {
        !self.reserved.is_empty()
    }

    /// All values of a parameter that may be repeated.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.reserved.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that has one.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Answer> {
        let mut first = None;
        for value in self.all(name) {
            if first.is_some_and(|earlier| earlier != value) {
                return Err(Answer::bad(format!("{name} is given twice with different values; give it once")));
            }
            first = Some(value);
        }
        Ok(first)
    }

    fn read<T>(&self, name: &str, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, Answer> {
        let value = self.one(name)?.map(read).transpose();
        value.map_err(|wrong| Answer::bad(format!("{name} {wrong}")))
    }

    /// A boolean parameter.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Answer> {
        self.read(name, scalar::boolean)
    }

    /// A boolean parameter that is false when missing.
    pub fn flag(&self, name: &str) -> Result<bool, Answer> {
        Ok(self.boolean(name)?.unwrap_or(false))
    }

    /// A whole number from 0.
    pub fn unsigned(&self, name: &str) -> Result<Option<u64>, Answer> {
        self.read(name, scalar::unsigned)
    }

    /// A whole number.
    pub fn signed(&self, name: &str) -> Result<Option<i64>, Answer> {
        self.read(name, scalar::signed)
    }

    /// A duration, in milliseconds.
    pub fn duration_ms(&self, name: &str) -> Result<Option<u64>, Answer> {
        self.read(name, duration::parse)
    }
}

/// Decodes form-encoded pairs, in their order. Nothing between two `&` is nothing, a name without `=` has an empty value.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let pieces = text.split('&').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| {
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            Ok((decode(key, true)?, decode(value, true)?))
        })
        .collect()
}

/// Decodes percent-encoding; in forms `+` is a blank. What would have to be guessed is refused, since a changed tag or
/// name would be found by nobody.
pub fn decode(text: &str, plus_is_blank: bool) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' if plus_is_blank => out.push(b' '),
            b'%' => match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                (Some(high), Some(low)) => out.push(high << 4 | low),
                _ => {
                    return Err(format!(
                        "{} has a % without two hexadecimal digits; write a literal % as %25",
                        scalar::shown(text)
                    ));
                }
            },
            _ => out.push(byte),
        }
    }
    String::from_utf8(out)
        .map_err(|_| format!("{} is not UTF-8 when decoded; encode text as UTF-8", scalar::shown(text)))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Checks tags of an entry or a filter against the limits.
pub fn check_tags(tags: &Tags) -> Result<(), Answer> {
    if tags.len() > limits::TAGS_MAX {
        return Err(Answer::bad(format!(
            "there are {} tags, those the service adds included, and at most {} are allowed; put the rest into the body",
            tags.len(),
            limits::TAGS_MAX
        )));
    }
    let mut bytes = 0;
    for (key, value) in tags {
        if key.is_empty() || key.chars().any(char::is_control) {
            return Err(Answer::bad(format!(
                "{} is no name for a tag; it must not be empty or contain control characters",
                scalar::shown(key)
            )));
        }
        for (what, text, max) in
            [("name", key, limits::TAG_KEY_BYTES_MAX), ("value", value, limits::TAG_VALUE_BYTES_MAX)]
        {
            if text.len() > max {
                return Err(Answer::bad(format!(
                    "the {what} of the tag {} has {} bytes and at most {max} are allowed; shorten it",
                    scalar::shown(key),
                    text.len()
                )));
            }
        }
        bytes += key.len() + value.len();
    }
    if bytes > limits::TAGS_BYTES_MAX {
        return Err(Answer::bad(format!(
            "the tags have {bytes} bytes together and at most {} are allowed; put the rest into the body",
            limits::TAGS_BYTES_MAX
        )));
    }
    Ok(())
}
