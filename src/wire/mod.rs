//! The wire: strings and bytes in, values out, and back. Pure; shared by everything that speaks the protocol.
//!
//! The way of a request through this room:
//!
//! 1. [`http::address::is_api`] tells requests for the API from those for the page, [`Address::of_client`] names the
//!    queue, and [`http::auth::check`] compares the token. Headers that browsers cannot set are read by
//!    [`v1::subprotocol`]; [`http::cors`] says which pages may ask at all.
//! 2. [`parse`] turns [`RequestParts`] (method, path, query and headers) into a [`Call`], or into the [`Answer`] that
//!    refuses it. A call is an [`Operation`] with one reply, or a watch.
//! 3. An operation whose body means something reads it: [`http::batch::BatchPut::read`], [`rejection::parse`] or
//!    [`http::settings::Patch::parse`]. Entries to be stored are completed by [`put`].
//! 4. [`Operation::form`] says how the reply is to be written, and [`answer()`] writes it.
//! 5. A watch is sent frames: one in each WebSocket message, [`proto::frame::delimited`] in an HTTP stream, or the
//!    messages of [`v1`], whose requests take the same way from step 3 on.
//!
//! `http` and `v1` are the two ways to ask; `proto` and `json` are the formats that both write; the files beside them
//! are the ground floor, and know none of these.
//!
//! Invariants: nothing that a client sends panics or leads to a 5xx; nothing here knows time, storage or the platform.
//! `docs/protocol.md` says the same in prose and must change with it.

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
pub use http::operation::{Call, CallPurpose, Encoding, EntryEncoding, Form, Operation, Transport};
pub use http::parse::parse;
pub use http::progress::Progress;
pub use http::reply::{answer, refused};
pub use put_entry::PutEntry;
pub use request_parts::RequestParts;
