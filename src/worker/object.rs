//! The Durable Object. SKELETON: a stored counter, to be replaced by the queue; the verbs `panic`, `fail` and the echo
//! socket are what the tests of the shell hold on to.

use std::cell::Cell;

use worker::{
    DurableObject, Env, Error, Method, Request, Response, Result, State, WebSocket,
    WebSocketIncomingMessage, durable_object,
};

use super::{
    alarm::Alarm,
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
}

impl DurableObject for QueueObject {
    fn new(state: State, _env: Env) -> Self {
        Self {
            storage: Storage::of(&state),
            sockets: Sockets::of(&state),
            alarm: Alarm::of(&state),
            requests: Cell::new(0),
        }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        self.requests.set(self.requests.get() + 1);
        if request.headers().get("Upgrade")?.is_some() {
            let (socket, answer) = self.sockets.accept(&["watch"]).map_err(told)?;
            socket
                .attach(&self.count().map_err(told)?.to_be_bytes())
                .map_err(told)?;
            return Ok(answer);
        }
        match (
            request.method(),
            request.path().rsplit('/').next().unwrap_or_default(),
        ) {
            (Method::Post, "panic") => panic!("asked to"),
            (Method::Post, "trap") => core::arch::wasm32::unreachable(),
            (Method::Post, "fail") => self.fail().map_err(told),
            (Method::Post, "alarm") => {
                self.alarm
                    .set(worker::Date::now().as_millis() + 300)
                    .map_err(told)?;
                Response::ok("set")
            }
            (Method::Post, _) => {
                let count = self.storage.transaction(|| self.add(1)).map_err(told)?;
                Response::ok(count.to_string())
            }
            _ => Response::ok(format!(
                "{} {}",
                self.count().map_err(told)?,
                self.requests.get()
            )),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        self.storage.transaction(|| self.add(100)).map_err(told)?;
        Response::empty()
    }

    async fn websocket_message(
        &self,
        ws: WebSocket,
        message: WebSocketIncomingMessage,
    ) -> Result<()> {
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

    async fn websocket_close(
        &self,
        ws: WebSocket,
        code: usize,
        reason: String,
        _was_clean: bool,
    ) -> Result<()> {
        // Without our half of the closing handshake the client waits ten seconds and reports a broken connection.
        let _ = Socket::of(&ws).close(code as u16, &reason);
        Ok(())
    }

    async fn websocket_error(&self, _ws: WebSocket, _error: Error) -> Result<()> {
        Ok(())
    }
}

impl QueueObject {
    fn open(&self) -> Result<(), SqlError> {
        self.storage.sql().run("CREATE TABLE IF NOT EXISTS skeleton (id INTEGER PRIMARY KEY, count INTEGER) WITHOUT ROWID", &[])?;
        Ok(())
    }

    fn count(&self) -> Result<i64, SqlError> {
        self.open()?;
        let rows = self
            .storage
            .sql()
            .exec("SELECT count FROM skeleton WHERE id = ?", &[Param::Int(1)])?;
        Ok(match rows.first().and_then(|row| row.first()) {
            Some(Value::Int(count)) => *count,
            _ => 0,
        })
    }

    fn add(&self, more: i64) -> Result<i64, SqlError> {
        let count = self.count()? + more;
        self.storage.sql().run(
            "INSERT OR REPLACE INTO skeleton VALUES (?, ?)",
            &[Param::Int(1), Param::Int(count)],
        )?;
        Ok(count)
    }

    /// A transaction that fails after its first write: the count must not have moved.
    fn fail(&self) -> Result<Response, SqlError> {
        self.storage.transaction(|| {
            self.add(1000)?;
            self.storage
                .sql()
                .run("INSERT INTO nowhere VALUES (1)", &[])
        })?;
        Response::ok("").map_err(|error| SqlError(error.to_string()))
    }
}

fn told(error: impl std::error::Error) -> Error {
    Error::RustError(error.to_string())
}
