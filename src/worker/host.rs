//! The platform of an object. The other half is `js/host.mjs`. Nothing here throws.

use wasm_bindgen::prelude::*;
use worker::Env;

use crate::broker::{Fetch, Target, deployment::Environment};
use crate::wire::{Answer, Transport, v1};

#[wasm_bindgen]
extern "C" {
    /// The platform of one object. It comes with each call into the instance and is never kept: it holds the shell, so
    /// a shell that held it would never be freed.
    pub type Host;

    /// Answers a request: headers, an empty line and the body, in one text.
    #[wasm_bindgen(method, js_name = answerText)]
    fn answer_text(this: &Host, id: f64, status: u16, answer: &str);
    #[wasm_bindgen(method)]
    fn answer(this: &Host, id: f64, status: u16, headers: &str, body: Option<&[u8]>);
    #[wasm_bindgen(method)]
    pub fn hold(this: &Host, id: f64);
    #[wasm_bindgen(method, js_name = readBody)]
    pub fn read_body(this: &Host, id: f64, bytes_max: f64);
    #[wasm_bindgen(method)]
    fn accept(this: &Host, id: f64, connection: f64, transport: &str, subprotocol: Option<&str>);

    #[wasm_bindgen(method)]
    pub fn send(this: &Host, connection: f64, bytes: &[u8]);
    #[wasm_bindgen(method)]
    pub fn close(this: &Host, connection: f64, code: u16, reason: &str);
    #[wasm_bindgen(method)]
    pub fn keep(this: &Host, connection: f64, bytes: &[u8]);
    /// Every open socket: an array of its connection and the bytes kept with it.
    #[wasm_bindgen(method)]
    pub fn sockets(this: &Host) -> Vec<js_sys::Array>;
    #[wasm_bindgen(method)]
    pub fn heartbeats(this: &Host, connections: Vec<f64>) -> Vec<f64>;

    #[wasm_bindgen(method, js_name = askAlarm)]
    pub fn ask_alarm(this: &Host);
    #[wasm_bindgen(method, js_name = setAlarm)]
    pub fn set_alarm(this: &Host, at_ms: f64);
    #[wasm_bindgen(method, js_name = alarmDone)]
    pub fn alarm_done(this: &Host, error: Option<&str>);
    #[wasm_bindgen(method, js_name = setTimer)]
    pub fn set_timer(this: &Host, at_ms: Option<f64>);

    #[wasm_bindgen(method, js_name = fetchOutside)]
    #[allow(clippy::too_many_arguments, reason = "one crossing for the whole call")]
    fn fetch_outside(
        this: &Host,
        id: f64,
        target: &str,
        name: &str,
        method: &str,
        url: &str,
        headers: Vec<String>,
        body: &[u8],
    );
    #[wasm_bindgen(method, js_name = readOutside)]
    pub fn read_outside(this: &Host, id: f64, bytes_max: f64);
    #[wasm_bindgen(method, js_name = abortOutside)]
    pub fn abort_outside(this: &Host, id: f64);

    #[wasm_bindgen(method)]
    pub fn log(this: &Host, line: &str);
}

/// A body up to this many bytes crosses as a string, which costs the platform less than a buffer.
const TEXT_BYTES_MAX: usize = 1024;

impl Host {
    /// Answers a request. Its client may have gone away.
    pub fn respond(&self, id: f64, answer: &Answer) {
        let mut head = headers(answer);
        if answer.content_type.is_none() {
            let body = (!answer.body.is_empty()).then_some(answer.body.as_ref());
            return self.answer(id, answer.status, &head, body);
        }
        match std::str::from_utf8(&answer.body) {
            Ok(body) if body.len() < TEXT_BYTES_MAX => {
                head.extend(["\n", body]);
                self.answer_text(id, answer.status, &head);
            }
            _ => self.answer(id, answer.status, &head, Some(&answer.body)),
        }
    }

    /// Answers a request with a connection. Only a client that offered a subprotocol hears of one.
    pub fn connect(&self, id: f64, connection: f64, transport: Transport) {
        let (transport, subprotocol) = match transport {
            Transport::Socket => ("socket", None),
            Transport::Plain => ("socket", Some(v1::subprotocol::PLAIN)),
            Transport::Session => ("session", Some(v1::subprotocol::SUBPROTOCOL)),
            Transport::Stream => ("stream", None),
        };
        self.accept(id, connection, transport, subprotocol);
    }

    /// Makes an outbound call.
    pub fn call(&self, id: f64, fetch: Fetch) {
        let Fetch { target, method, url, headers, body } = fetch;
        let (target, name) = match &target {
            Target::Url => ("url", ""),
            Target::Service(binding) => ("service", binding.as_str()),
            Target::Model(model) => ("model", model.as_str()),
            Target::Queue(name) => ("queue", name.as_str()),
        };
        let headers = headers.into_iter().flat_map(|(name, value)| [name, value]).collect();
        self.fetch_outside(id, target, name, method, &url, headers, &body);
    }
}

/// The headers of an answer, in lines.
fn headers(answer: &Answer) -> String {
    let mut lines = String::with_capacity(160);
    for (name, value) in &answer.headers {
        lines.extend([name, ": ", value, "\n"]);
    }
    if let Some(content_type) = &answer.content_type {
        lines.extend(["Content-Type: ", content_type, "\n"]);
    }
    lines
}

/// An answer of the Worker itself, which has no [`Host`].
pub fn response(answer: &Answer) -> Result<web_sys::Response, JsValue> {
    let init = web_sys::ResponseInit::new();
    init.set_status(answer.status);
    let headers = web_sys::Headers::new()?;
    if let Some(content_type) = &answer.content_type {
        headers.set("Content-Type", content_type)?;
    }
    for (name, value) in &answer.headers {
        headers.set(name, value)?;
    }
    init.set_headers(&headers);
    let body = std::str::from_utf8(&answer.body).ok().filter(|body| !body.is_empty());
    web_sys::Response::new_with_opt_str_and_init(body, &init)
}

/// Variables and secrets of the deployment. An object or a number is given as its JSON.
pub fn environment(env: Env) -> Environment {
    Box::new(move |name| {
        let value = js_sys::Reflect::get(env.as_ref(), &name.into()).ok()?;
        match value.as_string() {
            Some(text) => Some(text),
            None if value.is_undefined() || value.is_null() => None,
            None => js_sys::JSON::stringify(&value).ok().map(String::from),
        }
    })
}
