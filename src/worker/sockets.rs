//! WebSockets that outlive the object's memory: the platform keeps them open while the object sleeps.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::{JsCast, prelude::*};
use worker::{Headers, Response, State, WebSocketPair};

use crate::queue::event::WatcherId;

#[wasm_bindgen]
extern "C" {
    /// The part of `ctx` that is about sockets.
    type RawState;
    #[wasm_bindgen(method, catch, js_name = acceptWebSocket)]
    fn accept(this: &RawState, socket: &RawSocket) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = setWebSocketAutoResponse)]
    fn set_auto_response(this: &RawState, pair: &AutoResponse) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = getWebSocketAutoResponseTimestamp)]
    fn auto_response_at(this: &RawState, socket: &RawSocket) -> Result<Option<js_sys::Date>, JsValue>;
    #[wasm_bindgen(method, catch, js_name = getWebSockets)]
    fn all(this: &RawState) -> Result<Array, JsValue>;

    #[wasm_bindgen(js_name = WebSocketRequestResponsePair)]
    type AutoResponse;
    #[wasm_bindgen(constructor, catch, js_class = "WebSocketRequestResponsePair")]
    fn new(request: &str, response: &str) -> Result<AutoResponse, JsValue>;

    #[derive(Clone)]
    type RawSocket;
    /// Ours, not the platform's: which connection it is. Gone when the object sleeps.
    #[wasm_bindgen(method, getter, js_name = edgequeueWatcher)]
    fn watcher(this: &RawSocket) -> Option<f64>;
    #[wasm_bindgen(method, setter, js_name = edgequeueWatcher)]
    fn set_watcher(this: &RawSocket, watcher: f64);
    #[wasm_bindgen(method, catch, js_name = send)]
    fn send_binary(this: &RawSocket, bytes: &Uint8Array) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn close(this: &RawSocket, code: u16, reason: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = serializeAttachment)]
    fn serialize_attachment(this: &RawSocket, bytes: &Uint8Array) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = deserializeAttachment)]
    fn deserialize_attachment(this: &RawSocket) -> Result<JsValue, JsValue>;
}

/// The most an attachment may hold; the rest of the platform's 16 KiB is its own framing.
pub const ATTACHMENT_BYTES_MAX: usize = 16 * 1024 - 64;
/// What the platform said when it refused something about a socket, most often that it is closed already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("socket: {0}")]
pub struct SocketError(pub String);

impl From<JsValue> for SocketError {
    fn from(thrown: JsValue) -> Self {
        Self(super::storage::SqlError::from(thrown).0)
    }
}

/// All sockets of this object.
pub struct Sockets(RawState);

impl Sockets {
    pub fn of(state: &State) -> Self {
        Self(JsValue::from(state.as_raw()).unchecked_into())
    }

    /// Takes a connection: our end of it, and the `101` answer that gives the client the other end. A subprotocol is only
    /// ever named to a client that offered it.
    pub fn accept(&self, subprotocol: Option<&str>) -> Result<(Socket, Response), SocketError> {
        let failed = |error: worker::Error| SocketError(error.to_string());
        let pair = WebSocketPair::new().map_err(failed)?;
        let socket = Socket::of(&pair.server);
        self.0.accept(&socket.0)?;
        let response = Response::from_websocket(pair.client).map_err(failed)?;
        let Some(subprotocol) = subprotocol else { return Ok((socket, response)) };
        let headers = Headers::new();
        headers.set("Sec-WebSocket-Protocol", subprotocol).map_err(failed)?;
        Ok((socket, response.with_headers(headers)))
    }

    /// From now on a text message `request` is answered by the platform, on every socket, without waking the object.
    pub fn respond_to(&self, request: &str, response: &str) -> Result<(), SocketError> {
        Ok(self.0.set_auto_response(&AutoResponse::new(request, response)?)?)
    }

    /// When the platform last answered for us on a socket, Unix milliseconds.
    pub fn responded_ms(&self, socket: &Socket) -> Option<u64> {
        self.0.auto_response_at(&socket.0).ok().flatten().map(|at| at.get_time() as u64)
    }

    /// Every open socket, in no particular order; also those accepted before the object slept.
    pub fn all(&self) -> Result<Vec<Socket>, SocketError> {
        Ok(self.0.all()?.iter().map(|socket| Socket(socket.unchecked_into())).collect())
    }
}

/// One connection.
#[derive(Clone)]
pub struct Socket(RawSocket);

impl Socket {
    /// The socket that an event handler was called with.
    pub fn of(socket: &worker::WebSocket) -> Self {
        let socket: &web_sys::WebSocket = socket.as_ref();
        Self(JsValue::from(socket).unchecked_into())
    }

    /// Sends one binary message. The bytes are copied first: the message may wait for a write to become durable, and by
    /// then our memory holds something else.
    pub fn send(&self, bytes: &[u8]) -> Result<(), SocketError> {
        Ok(self.0.send_binary(&Uint8Array::from(bytes))?)
    }

    /// Closes with a code the protocol lets us send; 1005, 1006 and 1015 only ever describe a close and become 1000.
    pub fn close(&self, code: u16, reason: &str) -> Result<(), SocketError> {
        let code = if matches!(code, 1005 | 1006 | 1015) { 1000 } else { code };
        Ok(self.0.close(code, reason)?)
    }

    /// The connection it is, if that was noted since the object last slept. Cheaper than its attachment.
    pub fn watcher(&self) -> Option<WatcherId> {
        self.0.watcher().map(|number| WatcherId(number as u64))
    }

    /// Notes which connection it is.
    pub fn set_watcher(&self, watcher: WatcherId) {
        self.0.set_watcher(watcher.0 as f64);
    }

    /// The bytes kept with the socket, through sleep and restarts of the object; `None` when none were.
    pub fn attachment(&self) -> Result<Option<Vec<u8>>, SocketError> {
        let kept = self.0.deserialize_attachment()?;
        Ok(kept.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec))
    }

    /// Keeps bytes with the socket, at most [`ATTACHMENT_BYTES_MAX`].
    pub fn attach(&self, bytes: &[u8]) -> Result<(), SocketError> {
        Ok(self.0.serialize_attachment(&Uint8Array::from(bytes))?)
    }
}
