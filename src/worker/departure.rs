//! Noticing that the client of a held request has gone away.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_channel::oneshot;
use wasm_bindgen::{JsCast, prelude::*};
use worker::Request;

/// Ready when the client of a request is known to have gone; for a client that stays, never.
///
/// A hint, not a promise: the platform learns of it from a reset connection or a failed write, so a client that only
/// closed its end of an idle connection goes unnoticed, and under `wrangler dev` a waiting one always does. A held
/// request needs a deadline all the same.
pub struct Departure {
    signal: web_sys::AbortSignal,
    listener: Closure<dyn FnMut()>,
    gone: oneshot::Receiver<()>,
}

impl Departure {
    /// Listens until dropped. Costs a few crossings: for requests that wait, not for every one.
    pub fn of(request: &Request) -> Self {
        let signal = request.inner().signal();
        let (tell, gone) = oneshot::channel();
        let mut tell = Some(tell);
        if signal.aborted() {
            tell.take().map(|tell| tell.send(()));
        }
        let listener = Closure::new(move || {
            tell.take().map(|tell| tell.send(()));
        });
        // Refused only for arguments that are no event listener.
        let _ = signal.add_event_listener_with_callback("abort", listener.as_ref().unchecked_ref());
        Self { signal, listener, gone }
    }
}

impl Future for Departure {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.gone).poll(context).map(|_| ())
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        let listener = self.listener.as_ref().unchecked_ref();
        let _ = self.signal.remove_event_listener_with_callback("abort", listener);
    }
}
