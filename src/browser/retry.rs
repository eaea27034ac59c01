//! How long to wait after a failure, for what the page repeats by itself.

use wasm_bindgen::prelude::*;

use crate::client::Backoff;

/// Waits that grow with every failure.
#[wasm_bindgen]
pub struct Retry(Backoff);

#[wasm_bindgen]
impl Retry {
    /// `seed` is a random number from 0 to 1.
    #[wasm_bindgen(constructor)]
    pub fn new(seed: f64) -> Self {
        Self(Backoff::new((seed * u64::MAX as f64) as u64))
    }

    /// The next wait, in milliseconds.
    #[wasm_bindgen(js_name = nextMs)]
    pub fn next_ms(&mut self) -> f64 {
        self.0.next_ms() as f64
    }

    /// Something worked: the next wait is short again.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}
