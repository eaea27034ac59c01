//! Tags: how many, how long, and which names.

use super::answer::Answer;
use super::scalar::shown;
use crate::queue::entry::Tags;
use crate::queue::limits::{TAG_KEY_BYTES_MAX, TAG_VALUE_BYTES_MAX, TAGS_BYTES_MAX, TAGS_MAX};
use alloc::{format, string::String};

/// Checks the tags of an entry or a filter against the limits.
pub fn check_tags(tags: &Tags) -> Result<(), Answer> {
    if tags.len() > TAGS_MAX {
        return Err(Answer::bad(format!(
            "there are {} tags, those the service adds included, and at most {} are allowed; \
             put the rest into the body",
            tags.len(),
            TAGS_MAX
        )));
    }
    let mut bytes = 0;
    for (key, value) in tags {
        if key.is_empty() || key.chars().any(char::is_control) {
            return Err(Answer::bad(format!(
                "{} is not a name for a tag; it must not be empty or contain control characters",
                shown(key)
            )));
        }
        for (what, text, max) in [("name", key, TAG_KEY_BYTES_MAX), ("value", value, TAG_VALUE_BYTES_MAX)] {
            if text.len() > max {
                return Err(Answer::bad(format!(
                    "the {what} of the tag {} has {} bytes and at most {max} are allowed; shorten it",
                    shown(key),
                    text.len()
                )));
            }
        }
        bytes += key.len() + value.len();
    }
    if bytes > TAGS_BYTES_MAX {
        return Err(Answer::bad(format!(
            "the tags have {bytes} bytes together and at most {} are allowed; put the rest into the body",
            TAGS_BYTES_MAX
        )));
    }
    Ok(())
}

/// Adds a tag while an entry is read. Refuses reserved names, for which no query could ask, and more tags than an entry
/// may have, before they take up memory.
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
