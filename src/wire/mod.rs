//! The wire: strings and bytes in, values out, and back. Pure; shared by everything that speaks the protocol.
//!
//! The way of a request through this room:
//!
//! 1. [`address::is_api`] tells API requests from requests for the web page, [`Address::parse`] names the queue, and
//!    [`auth::check`] compares the token. What browsers cannot say in headers is read by [`handshake`]; which pages may ask
//!    at all is said by [`cors`].
//! 2. [`request::parse`] turns method, path, query and headers into a [`Call`], or into the [`Answer`] that refuses it.
//! 3. Where the body matters beyond being stored, it is read by [`batch::Batch::read`], [`rejection::parse`] or
//!    [`settings::Patch::parse`].
//! 4. [`Call::form`] says how the reply is to be written; [`answer`] writes it.
//! 5. A watch is sent frames: one per WebSocket message, [`frame::delimited`] in an HTTP stream, or as messages of our
//!    own protocol, [`socket`].
//!
//! Invariants: nothing a client sends panics or leads to a 5xx; nothing here knows time, storage or the platform.
//! `docs/protocol.md` is the same in prose and must change with it.

pub mod answer;
pub mod duration;

pub mod http;
pub mod json;
pub mod names;
pub mod predictor;
pub mod proto;
pub mod put;
pub mod put_entry;
pub mod rejection;
pub mod request_parts;
pub mod scalar;
pub mod tags;
pub mod url;
pub mod urlencoded;
pub mod v1;

pub use answer::Answer;
pub use http::address::Address;
pub use http::operation::{Call, Encoding, EntryEncoding, Form, Operation, Purpose, Transport};
pub use http::parse::parse;
pub use http::progress::Progress;
pub use http::reply::{answer, refused};
pub use put_entry::PutEntry;
pub use request_parts::RequestParts;
