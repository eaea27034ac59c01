//! The verbs of a queue: each makes a request, and a [`HttpAnswer`] reads what came back.

use bytes::Bytes;
use wasm_bindgen::prelude::*;

use super::page::{self, tags};
use crate::client::{Endpoint, Failure, HttpRequest, HttpResponse, Put, Read, answer};
use crate::queue::entry::Index;
use crate::queue::event::{ConsumerId, Rejection, Start};
use crate::wire::PutEntry;
use crate::wire::{proto::frame, rejection};

/// A queue, and who asks: makes the request for each verb.
#[wasm_bindgen]
pub struct Requests(pub(super) Endpoint);

/// Where reading begins; nothing means the newest entry.
pub fn start(index: Option<u64>) -> Start {
    index.map_or(Start::Newest, |index| Start::At(Index(index)))
}

/// Code and reason of a negative commit, if they are in order.
pub fn rejection(code: String, reason: String) -> Result<Rejection, JsValue> {
    let mut rejection = Rejection::default();
    (rejection.code, rejection.reason) = (code, reason);
    rejection::checked(rejection)
        .map_err(|wrong| page::error("invalid_argument", &String::from_utf8_lossy(&wrong.body)))
}

/// Entries on their way into a batched put.
#[wasm_bindgen]
#[derive(Default)]
pub struct PutBatch(Vec<Bytes>);

#[wasm_bindgen]
impl PutBatch {
    /// An empty batch.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry.
    pub fn add(&mut self, data: Vec<u8>, flat: Vec<String>, priority: Option<i64>) {
        let mut entry = PutEntry::default();
        (entry.tags, entry.data, entry.priority) = (tags(flat), data.into(), priority);
        self.0.push(entry.encode().into());
    }
}

#[wasm_bindgen]
impl Requests {
    /// The address comes in parts: browsers read addresses themselves.
    #[wasm_bindgen(constructor)]
    pub fn new(
        secure: bool,
        authority: String,
        path: &str,
        token: String,
        group: String,
        user: String,
        rear: bool,
    ) -> Self {
        let path = path.trim_end_matches('/').into();
        Self(Endpoint { secure, authority, path, token, consumer: ConsumerId { group, user }, rear })
    }

    /// Address of the queue.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Address of the output queue of the same service.
    #[wasm_bindgen(js_name = sinkUrl)]
    pub fn sink_url(&self) -> String {
        self.0.clone().sink().url()
    }

    fn asks(&self, request: HttpRequest) -> JsValue {
        page::request(&self.0, &request)
    }

    /// Puts an entry, whose body is added by whoever sends the request.
    pub fn put(&self, flat: Vec<String>, priority: i64, path: String, content_type: Option<String>) -> JsValue {
        let mut request = self.0.put(&Put { tags: tags(flat), priority, path, ..Put::default() }, Bytes::new());
        request.headers.extend(content_type.map(|content_type| ("Content-Type", content_type)));
        self.asks(request)
    }

    /// Puts a batch, all or none.
    #[wasm_bindgen(js_name = putBatch)]
    pub fn put_batch(&self, batch: PutBatch, flat: Vec<String>, priority: i64) -> JsValue {
        let put = Put { tags: tags(flat), priority, ..Put::default() };
        self.asks(self.0.put_batch(&put, frame::list(&batch.0)))
    }

    /// Reads entries, from the newest one if `from` is missing.
    pub fn get(&self, from: Option<u64>, count: u32, wait_ms: u32, remove: bool, flat: Vec<String>) -> JsValue {
        let (start, count, wait_ms) = (start(from), count.into(), wait_ms.into());
        self.asks(self.0.get(&Read { start, count, wait_ms, remove, tags: tags(flat) }))
    }

    /// Asks for the attributes.
    pub fn attributes(&self) -> JsValue {
        self.asks(self.0.attributes())
    }

    /// Asks where an entry stands.
    pub fn search(&self, index: u64) -> JsValue {
        self.asks(self.0.search(index))
    }

    /// Counts entries.
    pub fn count(&self, priority: Option<i64>, flat: Vec<String>) -> JsValue {
        self.asks(self.0.count(priority, &tags(flat)))
    }

    /// Removes entries.
    pub fn delete(&self, indexes: Vec<u64>) -> JsValue {
        self.asks(self.0.delete(&indexes))
    }

    /// Removes everything below an index.
    pub fn truncate(&self, below: u64) -> JsValue {
        self.asks(self.0.truncate(below))
    }

    /// Commits entries.
    pub fn commit(&self, indexes: Vec<u64>) -> JsValue {
        self.asks(self.0.commit(&indexes))
    }

    /// Refuses entries.
    pub fn negative(&self, indexes: Vec<u64>, code: String, reason: String) -> Result<JsValue, JsValue> {
        Ok(self.asks(self.0.reject(&indexes, &rejection(code, reason)?)))
    }

    /// Ends the stream.
    pub fn end(&self, force: bool) -> JsValue {
        self.asks(self.0.end(force))
    }

    /// Asks for the settings.
    pub fn settings(&self) -> JsValue {
        self.asks(self.0.settings())
    }

    /// Changes settings.
    pub fn configure(&self, flat: Vec<String>) -> JsValue {
        self.asks(self.0.configure(&tags(flat)))
    }

    /// Asks where a request stands, or takes it back.
    #[wasm_bindgen(js_name = ofRequest)]
    pub fn of_request(&self, id: &str, cancel: bool) -> JsValue {
        self.asks(if cancel { self.0.cancel(id) } else { self.0.status(id) })
    }
}

/// What came back. Each way to read it throws the error it is instead.
#[wasm_bindgen]
pub struct HttpAnswer(HttpResponse);

fn refusal(failure: Failure) -> JsValue {
    page::refusal(&failure)
}

#[wasm_bindgen]
impl HttpAnswer {
    /// `request_id` is the header of that name.
    #[wasm_bindgen(constructor)]
    pub fn new(status: u16, request_id: Option<String>, body: Vec<u8>) -> Self {
        Self(page::response(status, request_id, body))
    }

    /// To a put.
    pub fn receipt(self) -> Result<JsValue, JsValue> {
        let receipt = answer::put(&self.0).map_err(refusal)?;
        Ok(page::receipt(receipt.index, &receipt.request_id))
    }

    /// To a batch of `count` entries.
    pub fn receipts(self, count: usize) -> Result<Vec<JsValue>, JsValue> {
        let receipts = answer::put_batch(&self.0, count).map_err(refusal)?;
        Ok(receipts.iter().map(|receipt| page::receipt(receipt.index, &receipt.request_id)).collect())
    }

    /// To a get.
    pub fn entries(self) -> Result<Vec<JsValue>, JsValue> {
        Ok(answer::entries(&self.0).map_err(refusal)?.iter().map(page::entry).collect())
    }

    /// To a count.
    pub fn count(self) -> Result<f64, JsValue> {
        Ok(answer::count(&self.0).map_err(refusal)? as f64)
    }

    /// To what is answered with a text.
    pub fn text(self) -> Result<String, JsValue> {
        answer::text(&self.0).map_err(refusal)
    }

    /// To what is answered with a text, also where that text says that something is unknown.
    #[wasm_bindgen(js_name = textOrUnknown)]
    pub fn text_or_unknown(self) -> Result<String, JsValue> {
        match self.0.status {
            404 if self.0.body.starts_with(b"{") => Ok(String::from_utf8_lossy(&self.0.body).into_owned()),
            _ => self.text(),
        }
    }
}
