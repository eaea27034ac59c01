//! Answers: replies and refusals as status, headers and bytes.
use super::address::Address;
use crate::queue::refusal::Refusal;
use crate::queue::step::Reply;
use crate::queue::store::Side;
use alloc::{borrow::Cow, string::String, vec::Vec};
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

/// How frames and attributes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The bare body of the entry.
    Raw,
    /// JSON.
    Json,
    /// Protobuf.
    Protobuf,
}

/// How the reply to a call is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Replies that are written in one way only.
    Plain,
    /// Entries.
    Entries(Encoding),
    /// Attributes of a queue.
    Attributes(Encoding, Address, Side),
    /// Settings of a queue.
    Settings,
}

/// Writes a reply.
pub fn answer(_form: &Form, _reply: Reply) -> Answer {
    todo!()
}

/// Writes a refusal.
pub fn refused(_refusal: &Refusal) -> Answer {
    todo!()
}
