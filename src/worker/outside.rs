//! What an object calls: the other half is `outside.mjs`.

use js_sys::Promise;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(raw_module = "../../src/worker/outside.mjs")]
extern "C" {
    /// One call, from the request to the end of the answer.
    #[derive(Clone)]
    pub type Outgoing;
    #[wasm_bindgen(constructor)]
    pub fn new() -> Outgoing;
    /// Sends it; resolves when the answer begins.
    #[wasm_bindgen(method, catch)]
    pub fn begin(
        this: &Outgoing,
        env: &JsValue,
        kind: &str,
        name: &str,
        url: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<Promise, JsValue>;
    /// Status of the answer, once it has begun.
    #[wasm_bindgen(method, getter)]
    pub fn status(this: &Outgoing) -> u16;
    /// Its content type.
    #[wasm_bindgen(method, getter, js_name = contentType)]
    pub fn content_type(this: &Outgoing) -> Option<String>;
    /// Bytes of its body, where that is known.
    #[wasm_bindgen(method, getter)]
    pub fn length(this: &Outgoing) -> Option<f64>;
    /// Reads at most `max` bytes of the body; resolves with them.
    #[wasm_bindgen(method, catch)]
    pub fn read(this: &Outgoing, max: f64) -> Result<Promise, JsValue>;
    /// Whether there were more.
    #[wasm_bindgen(method, getter)]
    pub fn cut(this: &Outgoing) -> bool;
    /// Gives it up.
    #[wasm_bindgen(method)]
    pub fn abort(this: &Outgoing);

    /// A setting of one queue in the deployment.
    #[wasm_bindgen(js_name = serviceSetting)]
    pub fn service_setting(env: &JsValue, queue: &str, key: &str) -> Option<String>;
}

/// What was thrown, for people.
pub fn thrown(thrown: JsValue) -> String {
    super::storage::SqlError::from(thrown).0
}
