//! Addresses: which queue a path means.
use super::request::Head;
use super::status::Answer;
use alloc::string::String;

/// Service whose queues are meant by the bare paths `/` and `/sink`.
pub const BARE_SERVICE: &str = "default";

/// A queue, and the sub-path that goes to whoever processes its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name of the service, checked: ASCII letters, digits, `_`, `-` and `.`, beginning with a letter or digit.
    pub service: String,
    /// Whether its output queue is meant.
    pub sink: bool,
    /// What follows in the path, with its leading `/` and percent-encoded as sent; or empty.
    pub suffix: String,
}

impl Address {
    /// Reads a path (percent-encoded, without the query). 404 for a path that is no queue, 400 for a bad name.
    pub fn parse(_path: &str) -> Result<Self, Answer> {
        todo!()
    }

    /// Name of the object that holds the queue: `service` or `service/sink`.
    pub fn queue_name(&self) -> String {
        todo!()
    }
}

/// Whether a request is for the API. Everything under `/api/predict` is. On the bare paths `/` and `/sink` these are:
/// any `POST`, `PUT` or `DELETE`, any request with an `Authorization` header, and any request with a reserved parameter
/// (`_attrs_`, `_watch_`, ...). All else on `/` is for the web page.
pub fn is_api(_head: &Head) -> bool {
    todo!()
}
