//! What is made and called on the page's side.

use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

use crate::client::{Endpoint, Failure, FailureKind, HttpRequest, HttpResponse};
use crate::queue::entry::{Frame, Tags};

#[wasm_bindgen(raw_module = "./classes.js")]
extern "C" {
    /// The reason of the trap that is about to come.
    #[wasm_bindgen(js_name = noteFault)]
    pub fn note_fault(message: &str);
    /// Milliseconds on a clock that never goes back.
    #[wasm_bindgen(js_name = now)]
    fn clock() -> f64;

    #[wasm_bindgen(js_name = QueueError)]
    type QueueError;
    #[wasm_bindgen(constructor, js_class = "QueueError")]
    fn new(code: &str, message: &str, status: u16) -> QueueError;

    /// A receipt as an object.
    pub fn receipt(index: u64, request_id: &str) -> JsValue;
    #[wasm_bindgen(js_name = request)]
    fn make_request(method: &str, url: &str, headers: Vec<String>, body: Uint8Array) -> JsValue;
    #[wasm_bindgen(js_name = frame)]
    fn make_frame(index: u64, tags: Vec<String>, data: Uint8Array) -> JsValue;
}

#[wasm_bindgen]
extern "C" {
    /// The watch on the page's side. None of its methods throws, and none calls back before it returns.
    pub type Observer;
    /// Open a WebSocket.
    #[wasm_bindgen(method)]
    pub fn connect(this: &Observer, number: f64, url: &str, protocols: Vec<String>);
    /// Send a request whose answer is endless.
    #[wasm_bindgen(method)]
    pub fn stream(this: &Observer, number: f64, request: JsValue);
    /// Send a message on the WebSocket.
    #[wasm_bindgen(method)]
    pub fn send(this: &Observer, message: Uint8Array);
    /// Send a text on the WebSocket.
    #[wasm_bindgen(method)]
    pub fn say(this: &Observer, text: &str);
    /// Let the connection go, of whichever kind it is, and be silent about it from now on.
    #[wasm_bindgen(method, js_name = hangUp)]
    pub fn hang_up(this: &Observer);
    /// Tell decisions by HTTP.
    #[wasm_bindgen(method)]
    pub fn settle(this: &Observer, request: JsValue);
    /// Call again after this time, in milliseconds, instead of when it was said before.
    #[wasm_bindgen(method)]
    pub fn wake(this: &Observer, wait_ms: f64);

    #[wasm_bindgen(method, js_name = frame)]
    fn arrived(this: &Observer, index: u64, tags: Vec<String>, data: Uint8Array);
    /// How the watch is now. `next_try_ms` is counted from now.
    #[wasm_bindgen(method)]
    pub fn turned(this: &Observer, state: &str, why: &str, next_try_ms: f64, attempt: u32);
    /// These decisions are confirmed.
    #[wasm_bindgen(method)]
    pub fn settled(this: &Observer, indexes: Vec<u64>);
    /// The longest-standing change of the window is done, or refused.
    #[wasm_bindgen(method)]
    pub fn resized(this: &Observer, refusal: Option<JsValue>);
    /// The watch is over.
    #[wasm_bindgen(method)]
    pub fn over(this: &Observer, error: Option<JsValue>);
}

/// Milliseconds on a clock that never goes back.
pub fn now_ms() -> u64 {
    clock() as u64
}

/// Names and values, taking turns.
fn flat<'a>(pairs: impl Iterator<Item = (&'a str, &'a String)>) -> Vec<String> {
    pairs.flat_map(|(name, value)| [name.into(), value.clone()]).collect()
}

fn flat_tags(tags: &Tags) -> Vec<String> {
    flat(tags.iter().map(|(name, value)| (name.as_str(), value)))
}

/// Tags from names and values that take turns.
pub fn tags(flat: Vec<String>) -> Tags {
    let (mut tags, mut flat) = (Tags::new(), flat.into_iter());
    while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
        tags.insert(name, value);
    }
    tags
}

/// A request as an object that `fetch` takes.
pub fn request(endpoint: &Endpoint, request: &HttpRequest) -> JsValue {
    let headers = flat(request.headers.iter().map(|(name, value)| (*name, value)));
    let body = Uint8Array::from(request.body.as_ref());
    make_request(request.method, &endpoint.http_url(&request.target), headers, body)
}

/// An answer that `fetch` brought.
pub fn response(status: u16, request_id: Option<String>, body: Vec<u8>) -> HttpResponse {
    HttpResponse { status, request_id, body: body.into(), ..HttpResponse::default() }
}

/// An entry as an object. Its bytes leave the module's memory.
pub fn entry(frame: &Frame) -> JsValue {
    make_frame(frame.index, flat_tags(&frame.tags), Uint8Array::from(frame.data.as_ref()))
}

/// Hands a frame out.
pub fn hand_out(observer: &Observer, frame: &Frame) {
    observer.arrived(frame.index, flat_tags(&frame.tags), Uint8Array::from(frame.data.as_ref()));
}

/// An error of the client.
pub fn error(code: &str, message: &str) -> JsValue {
    QueueError::new(code, message, 0).into()
}

/// What the service refused, as an error.
pub fn refusal(failure: &Failure) -> JsValue {
    let code = match (failure.kind, failure.status) {
        (FailureKind::NotAuthorised, _) => "unauthorized",
        (FailureKind::NotFound, _) => "not_found",
        (FailureKind::TooLarge, _) => "too_large",
        (FailureKind::Full, _) => "full",
        (FailureKind::Ended, _) => "ended",
        (FailureKind::Bad, 409) => "conflict",
        (FailureKind::Bad, _) => "bad_request",
        (FailureKind::Service, _) => "unavailable",
        (FailureKind::Unreadable, _) => "unexpected_answer",
    };
    QueueError::new(code, &failure.text, failure.status).into()
}
