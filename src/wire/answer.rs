//! Answers: status, headers and bytes.

use super::names::TEXT;
use alloc::{borrow::Cow, string::String, vec, vec::Vec};
use bytes::Bytes;

/// An answer ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, when there is a body.
    pub content_type: Option<Cow<'static, str>>,
    /// Further headers; values are printable ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// A plain text, without a line feed.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status, TEXT, text.into())
    }

    /// 400: something in the request is wrong.
    pub fn bad(text: impl Into<String>) -> Self {
        Self::text(400, text)
    }

    /// 405, with the methods that would be right.
    pub fn wrong_method(allow: &str, text: impl Into<String>) -> Self {
        Self { headers: vec![("Allow", allow.into())], ..Self::text(405, text) }
    }

    pub(super) fn new(status: u16, content_type: impl Into<Cow<'static, str>>, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: Some(content_type.into()), headers: Vec::new(), body: body.into() }
    }
}
