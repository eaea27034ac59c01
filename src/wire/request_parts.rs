//! What is known of a request before its body.

use super::answer::Answer;
use super::names::{
    GROUP_DEFAULT, HEADER_GROUP, HEADER_GROUP_REDIS, HEADER_REAR, HEADER_USER, HEADER_USER_REDIS, USER_DEFAULT,
};
use super::scalar::{self, shown};
use crate::queue::event::ConsumerId;
use crate::queue::limits;
use crate::queue::store::Side;
use alloc::{format, string::String};

/// Request line and headers.
#[derive(Clone, Copy)]
pub struct RequestParts<'a> {
    /// `GET`, `POST`, ...
    pub method: &'a str,
    /// Path, percent-encoded, beginning with `/`.
    pub path: &'a str,
    /// Query without the `?`; may be empty.
    pub query: &'a str,
    /// Looks a header up; must ignore case.
    pub header: &'a dyn Fn(&str) -> Option<String>,
}

pub(super) fn side(parts: &RequestParts<'_>) -> Result<Side, Answer> {
    let value = (parts.header)(HEADER_REAR).filter(|value| !value.is_empty());
    match value.as_deref().map(scalar::boolean).transpose() {
        Ok(Some(true)) => Ok(Side::Rear),
        Ok(_) => Ok(Side::Main),
        Err(wrong) => Err(Answer::bad(format!("the header {HEADER_REAR} {wrong}"))),
    }
}

pub(super) fn consumer(parts: &RequestParts<'_>) -> Result<ConsumerId, Answer> {
    Ok(ConsumerId {
        group: name(parts, HEADER_GROUP, HEADER_GROUP_REDIS, GROUP_DEFAULT)?,
        user: name(parts, HEADER_USER, HEADER_USER_REDIS, USER_DEFAULT)?,
    })
}

fn name(parts: &RequestParts<'_>, header: &str, header_redis: &str, default: &str) -> Result<String, Answer> {
    let sent = |header: &str| (parts.header)(header).filter(|value| !value.is_empty());
    let Some((header, name)) =
        sent(header).map(|name| (header, name)).or_else(|| sent(header_redis).map(|name| (header_redis, name)))
    else {
        return Ok(default.into());
    };
    if name.len() > limits::NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Answer::bad(format!(
            "the header {header} must be at most {} bytes without control characters, not {}",
            limits::NAME_BYTES_MAX,
            shown(&name)
        )));
    }
    Ok(name)
}
