//! The Durable Object. SKELETON: a stored counter, to be replaced by the queue; the verbs `panic`, `fail` and the echo
//! socket are what the tests of the shell hold on to.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use futures_util::{Stream, future, stream};

use worker::{
    Delay, DurableObject, Env, Error, Headers, Method, Request, Response, Result, State, WebSocket,
    WebSocketIncomingMessage, durable_object,
};

use super::{
    alarm::Alarm,
    departure::Departure,
    sockets::{Socket, Sockets},
    storage::{Param, SqlError, Storage, Value},
};

#[durable_object]
pub struct QueueObject {
    storage: Storage,
    sockets: Sockets,
    alarm: Alarm,
    /// Requests since the memory was made; tells a fresh object from an old one.
    requests: Cell<u64>,
    /// How the last held request or stream ended.
    outcome: Rc<RefCell<String>>,
}

impl DurableObject for QueueObject {
    fn new(state: State, _env: Env) -> Self {
        Self {
            storage: Storage::of(&state),
            sockets: Sockets::of(&state),
            alarm: Alarm::of(&state),
            requests: Cell::new(0),
            outcome: Rc::default(),
        }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        self.requests.set(self.requests.get() + 1);
        if request.headers().get("Upgrade")?.is_some() {
            let (socket, answer) = self.sockets.accept(&["watch"]).map_err(told)?;
            socket.attach(&self.count().map_err(told)?.to_be_bytes()).map_err(told)?;
            return Ok(answer);
        }
        match (request.method(), request.path().rsplit('/').next().unwrap_or_default()) {
            (Method::Post, "hold") => self.hold(Departure::of(&request)).await,
            (Method::Post, "stream") => {
                // Of an untyped or text stream, `wrangler dev` makes one compressed piece.
                let kind = Headers::from_iter([("Content-Type", "application/octet-stream")]);
                Ok(Response::from_stream(self.chunks())?.with_headers(kind))
            }
            (Method::Get, "outcome") => Response::ok(self.outcome.borrow().clone()),
            (Method::Post, "panic") => panic!("asked to"),
            (Method::Post, "trap") => core::arch::wasm32::unreachable(),
            (Method::Post, "fail") => self.fail().map_err(told),
            (Method::Post, "alarm") => {
                self.alarm.set(worker::Date::now().as_millis() + 300).map_err(told)?;
                Response::ok("set")
            }
            (Method::Post, _) => {
                let count = self.storage.transaction(|| self.add(1)).map_err(told)?;
                Response::ok(count.to_string())
            }
            _ => Response::ok(format!("{} {}", self.count().map_err(told)?, self.requests.get())),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        self.storage.transaction(|| self.add(100)).map_err(told)?;
        Response::empty()
    }

    async fn websocket_message(&self, ws: WebSocket, message: WebSocketIncomingMessage) -> Result<()> {
        let socket = Socket::of(&ws);
        match message {
            WebSocketIncomingMessage::Binary(bytes) => socket.send(&bytes),
            WebSocketIncomingMessage::String(text) if text == "panic" => panic!("asked to"),
            WebSocketIncomingMessage::String(_) => {
                let kept = socket.attachment().map_err(told)?;
                let open = self.sockets.tagged("watch").map_err(told)?.len();
                socket.send_text(&format!("{kept:?} {open} {}", self.requests.get()))
            }
        }
        .map_err(told)
    }

    async fn websocket_close(&self, ws: WebSocket, code: usize, reason: String, _was_clean: bool) -> Result<()> {
        // Without our half of the closing handshake the client waits ten seconds and reports a broken connection.
        let _ = Socket::of(&ws).close(code as u16, &reason);
        Ok(())
    }

    async fn websocket_error(&self, _ws: WebSocket, _error: Error) -> Result<()> {
        Ok(())
    }
}

/// Tells when a stream is dropped by its reader.
struct Told(Rc<RefCell<String>>, u32);

impl Drop for Told {
    fn drop(&mut self) {
        *self.0.borrow_mut() = format!("stream dropped after {} chunks", self.1);
    }
}

impl QueueObject {
    /// A long poll that nothing ever answers.
    async fn hold(&self, gone: Departure) -> Result<Response> {
        *self.outcome.borrow_mut() = "holding".into();
        let end = match future::select(gone, Delay::from(Duration::from_secs(3))).await {
            future::Either::Left(_) => "client gone",
            future::Either::Right(_) => "waited in vain",
        };
        *self.outcome.borrow_mut() = end.into();
        Response::ok(end)
    }

    fn chunks(&self) -> impl Stream<Item = Result<Vec<u8>>> + use<> {
        stream::unfold(Told(self.outcome.clone(), 0), |mut told| async move {
            if told.1 == 12 {
                return None;
            }
            Delay::from(Duration::from_millis(200)).await;
            told.1 += 1;
            Some((Ok(format!("chunk {}\n", told.1).into_bytes()), told))
        })
    }

    fn open(&self) -> Result<(), SqlError> {
        self.storage
            .sql()
            .run("CREATE TABLE IF NOT EXISTS skeleton (id INTEGER PRIMARY KEY, count INTEGER) WITHOUT ROWID", &[])?;
        Ok(())
    }

    fn count(&self) -> Result<i64, SqlError> {
        self.open()?;
        let rows = self.storage.sql().exec("SELECT count FROM skeleton WHERE id = ?", &[Param::Int(1)])?;
        Ok(match rows.first().and_then(|row| row.first()) {
            Some(Value::Int(count)) => *count,
            _ => 0,
        })
    }

    fn add(&self, more: i64) -> Result<i64, SqlError> {
        let count = self.count()? + more;
        self.storage.sql().run("INSERT OR REPLACE INTO skeleton VALUES (?, ?)", &[Param::Int(1), Param::Int(count)])?;
        Ok(count)
    }

    /// A transaction that fails after its first write: the count must not have moved.
    fn fail(&self) -> Result<Response, SqlError> {
        self.storage.transaction(|| {
            self.add(1000)?;
            self.storage.sql().run("INSERT INTO nowhere VALUES (1)", &[])
        })?;
        Response::ok("").map_err(|error| SqlError(error.to_string()))
    }
}

fn told(error: impl std::error::Error) -> Error {
    Error::RustError(error.to_string())
}
