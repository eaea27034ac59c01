//! The Worker: finds the queue's object and hands the request on untouched. SKELETON: routes and tokens are to come.
//!
//! It is synchronous on purpose: it returns the object's promise itself instead of awaiting it. When a client goes away
//! the platform drops the Worker's side of the request without a word, and a future waiting here would never be freed.

use js_sys::Promise;
use wasm_bindgen::{JsCast, prelude::*};
use worker::{Env, Response};

#[wasm_bindgen]
extern "C" {
    type Namespace;
    #[wasm_bindgen(method, catch, js_name = getByName)]
    fn by_name(this: &Namespace, name: &str) -> Result<Stub, JsValue>;

    type Stub;
    #[wasm_bindgen(method, catch)]
    fn fetch(this: &Stub, request: &web_sys::Request) -> Result<Promise, JsValue>;
}

/// Answers a request: with a response, or with the promise of one.
#[wasm_bindgen]
pub fn fetch(request: web_sys::Request, env: Env) -> Result<JsValue, JsValue> {
    let url = request.url();
    let path = path(&url);
    let mut parts = path.trim_start_matches('/').split('/');
    let queue = match (parts.next(), parts.next(), parts.next()) {
        (Some("api"), Some("predict"), Some(queue)) if !queue.is_empty() => queue,
        _ => {
            let answer = Response::error(format!("There is nothing at {path}."), 404)?;
            return Ok(web_sys::Response::from(answer).into());
        }
    };
    let queues = env.durable_object("QUEUES")?;
    let object = queues.as_ref().unchecked_ref::<Namespace>().by_name(queue)?;
    Ok(object.fetch(&request)?.into())
}

/// The path of an absolute URL that the platform has already taken apart and put together again. Not `url::Url`: its
/// tables of international names more than double the size of the whole Worker.
fn path(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(after_scheme..).unwrap_or_default();
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
    path.split(['?', '#']).next().unwrap_or("/")
}
