//! The browser's client: the [`client`](crate::client) room with a door for JavaScript.
//!
//! The room from the page inwards:
//! - `edgequeue.d.ts`, `edgequeue.js`: what a page imports: the verbs; options become plain values (`values.js`);
//! - `watch.js`: a watch as an async iterable; `link.js`: its connections;
//! - `classes.js`: what both sides make (entries, receipts, errors), and what becomes of a page whose instance of the
//!   module dies;
//! - `requests`: a verb becomes a request, an answer becomes a value; `watch`: what a watch has to do next; `retry`:
//!   how long to wait after a failure; `page`: what the module makes and calls on the page's side.
//!
//! `fetch`, `WebSocket` and timers are called in JavaScript, which has them for free. Through `web-sys`,
//! `serde-wasm-bindgen` and futures this was twice the sixty kilobytes that module and scripts may have together,
//! compressed. So nothing in here waits, and every call is over when it returns.
//!
//! None of a page's own code runs inside such a call: what a watch has to say is handed out in later turns of the event
//! loop. A page can neither come back in while something is borrowed nor throw through our frames.
#![allow(unsafe_code, reason = "the expansions of #[wasm_bindgen]")]

mod page;
mod requests;
mod retry;
mod watch;

use wasm_bindgen::prelude::*;

/// Runs when the module is instantiated.
#[wasm_bindgen(start)]
pub fn start() {
    // The trap that follows ends the instance; this is where its reason is known.
    std::panic::set_hook(Box::new(|fault| page::note_fault(&fault.to_string())));
}

/// For tests: what a bug would do.
#[wasm_bindgen(js_name = panicForTests)]
pub fn panic_for_tests() {
    panic!("a test asked for a panic");
}
