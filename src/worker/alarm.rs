//! The object's one alarm: the platform wakes the object at that time, also from hibernation and after a crash.

use wasm_bindgen::{JsCast, prelude::*};
use wasm_bindgen_futures::JsFuture;
use worker::State;

use super::storage::SqlError;

#[wasm_bindgen]
extern "C" {
    type RawAlarm;
    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    fn set_alarm(this: &RawAlarm, at_ms: f64) -> Result<js_sys::Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = getAlarm)]
    fn get_alarm(this: &RawAlarm) -> Result<js_sys::Promise, JsValue>;
}

/// Times are milliseconds since 1970. Setting counts as a write of the current event: it is stored with it (or not at all),
/// and costs a row.
pub struct Alarm(RawAlarm);

impl Alarm {
    pub fn of(state: &State) -> Self {
        Self(JsValue::from(state.storage().as_raw()).unchecked_into())
    }

    pub fn set(&self, at_ms: u64) -> Result<(), SqlError> {
        let _done = self.0.set_alarm(at_ms as f64)?;
        Ok(())
    }

    pub async fn at_ms(&self) -> Result<Option<u64>, SqlError> {
        let at = JsFuture::from(self.0.get_alarm()?).await?;
        Ok(at.as_f64().map(|ms| ms as u64))
    }
}
