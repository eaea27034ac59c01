//! Time and randomness of the platform.

use std::cell::RefCell;

use crate::wire::Answer;

/// Random bits are fetched for this many requests at once, as each fetch is a call out of the instance.
const RANDOM_STOCK: usize = 64;

/// Unix milliseconds.
pub fn now_ms() -> u64 {
    js_sys::Date::now() as u64
}

/// Random bits, never given twice. The error is a 503.
pub fn random() -> Result<u128, Answer> {
    thread_local!(static STOCK: RefCell<Vec<u128>> = const { RefCell::new(Vec::new()) });
    STOCK.with_borrow_mut(|stock| {
        if stock.is_empty() {
            let mut bytes = [[0; 16]; RANDOM_STOCK];
            getrandom::fill(bytes.as_flattened_mut())
                .map_err(|error| Answer::text(503, format!("no random bits: {error}; try again")))?;
            stock.extend(bytes.map(u128::from_ne_bytes));
        }
        Ok(stock.pop().expect("it was just filled"))
    })
}
