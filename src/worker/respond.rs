//! Answers as responses.

use worker::{Headers, Response, Result};

use crate::wire::Answer;

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
