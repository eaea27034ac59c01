//! Answers as responses.

use wasm_bindgen::prelude::*;
use worker::{Headers, Response, Result};

use crate::wire::Answer;

#[wasm_bindgen]
extern "C" {
    /// A request that is owed an answer: `Call` in `entry.mjs`, which makes the response in one crossing.
    #[derive(Clone)]
    pub type Caller;
    /// Headers, an empty line and the body, in one text.
    #[wasm_bindgen(method)]
    fn text(this: &Caller, status: u16, answer: &str);
    #[wasm_bindgen(method)]
    fn bytes(this: &Caller, status: u16, headers: &str, body: Option<&[u8]>);
}

impl Caller {
    /// Answers. Who asked may be gone by now.
    pub fn answer(&self, answer: &Answer) {
        let mut headers = String::with_capacity(160);
        for (name, value) in &answer.headers {
            headers.extend([name, ": ", value, "\n"]);
        }
        let Some(content_type) = &answer.content_type else {
            let body = (!answer.body.is_empty()).then_some(answer.body.as_ref());
            return self.bytes(answer.status, &headers, body);
        };
        headers.extend(["Content-Type: ", content_type]);
        match std::str::from_utf8(&answer.body) {
            // Short texts cross as strings: a buffer of its own costs the platform more.
            Ok(body) if body.len() < 1024 => {
                headers.extend(["\n\n", body]);
                self.text(answer.status, &headers);
            }
            _ => self.bytes(answer.status, &headers, Some(&answer.body)),
        }
    }
}

/// Makes a response out of an answer.
pub fn respond(answer: Answer) -> Result<Response> {
    let headers = Headers::new();
    if let Some(content_type) = &answer.content_type {
        headers.set("Content-Type", content_type)?;
    }
    for (name, value) in &answer.headers {
        headers.set(name, value)?;
    }
    let response = if answer.body.is_empty() && answer.content_type.is_none() {
        Response::empty()?
    } else {
        Response::from_bytes(answer.body.into())?
    };
    Ok(response.with_status(answer.status).with_headers(headers))
}

/// 503: our side failed; nothing of the request was kept.
pub fn failed(error: impl std::fmt::Display) -> Answer {
    let mut answer = Answer::text(503, format!("the request failed and nothing of it was kept: {error}; try again"));
    answer.headers.push(("Retry-After", "1".into()));
    answer
}
