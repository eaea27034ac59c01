//! Tags: what they may be.

use super::answer::Answer;
use super::scalar::{self, shown};
use crate::queue::entry::Tags;
use crate::queue::limits::{self, TAGS_MAX};
use alloc::{format, string::String};

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

/// More tags than an entry may have are refused while they are read, and reserved names, which no query could ask for.
pub fn add_tag(tags: &mut Tags, key: String, value: String) -> Result<(), Answer> {
    if key.starts_with('_') {
        return Err(Answer::bad(format!("the tag {} begins with _, which is reserved; rename it", shown(&key))));
    }
    tags.insert(key, value);
    if tags.len() > TAGS_MAX {
        return Err(Answer::bad(format!("an entry has more than {TAGS_MAX} tags; put the rest into its body")));
    }
    Ok(())
}
